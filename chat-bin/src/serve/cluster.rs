//! A node's part in its cluster, as configured.

use std::net::SocketAddr;

use chat_core::cluster::agent::{PORT, Settings};
use chat_core::cluster::handshake::{Secrets, Trust};
use chat_core::cluster::wire;
use chat_net::cluster::{Cluster, LinkTls};
use chat_net::net::bind;
use chat_net::tls::Provider;

use super::link_certificates::LinkCertificates;
use crate::Failure;
use crate::config::{Config, Origin, Role, StoreUrl};

/// What the server needs for it, listening already, and the certificates that are to be kept up to date; `None` for a node
/// that stays alone.
///
/// # Errors
/// An address cannot be listened on, or the certificates are no good.
pub(super) fn of(
    config: &Config,
    addresses: Vec<SocketAddr>,
) -> Result<Option<(Cluster, Option<LinkCertificates>)>, Failure> {
    let cluster = &config.cluster;
    let (trust, tls, certificates) = match (&cluster.secrets[..], &cluster.certificates) {
        ([], None) => return Ok(None),
        ([], Some(files)) => {
            let certificates = LinkCertificates::start(files, &config.node)?;
            (Trust::Certificates, certificates.tls(), Some(certificates))
        }
        ([secret, others @ ..], _) => {
            let other = others.first().map(|other| other.expose().as_bytes());
            let secrets = Secrets::new(secret.expose().as_bytes(), other)?;
            (Trust::Secrets(secrets), LinkTls::with_secret(Provider::AwsLcRs)?, None)
        }
    };
    warn(config, &addresses);
    // Who moves the port moves it on all nodes, as a rule.
    let port = addresses.iter().map(SocketAddr::port).find(|port| *port != 0);
    let settings = Settings {
        listed: cluster.members.clone(),
        dns: cluster.dns.as_deref().map(Into::into),
        port: port.unwrap_or(0),
        peers_port: port.unwrap_or(PORT),
        role: match cluster.role {
            Role::Active => wire::Role::Active,
            Role::Standby => wire::Role::Standby,
        },
        active_wanted: cluster.active_wanted,
        release: env!("CARGO_PKG_VERSION").into(),
        ..Settings::new(config.node.clone(), trust)
    };
    let listeners = addresses.into_iter().map(bind).collect::<Result<Vec<_>, _>>()?;
    Ok(Some((Cluster::new(settings, tls).listen(listeners), certificates)))
}

/// What is allowed but can hardly be meant.
fn warn(config: &Config, addresses: &[SocketAddr]) {
    let cluster = &config.cluster;
    let is_elsewhere = |host: std::net::IpAddr| !host.is_loopback();
    let elsewhere = cluster.dns.is_some()
        || cluster.members.iter().any(|m| m.node != config.node && m.node.ip().is_none_or(is_elsewhere));
    if elsewhere && addresses.iter().all(|address| address.ip().is_loopback()) {
        let default = config.origin("listen.cluster") == &Origin::Default;
        tracing::warn!(
            default,
            "listen.cluster has loopback addresses only: nodes on other machines cannot reach this one"
        );
    }
    if config.store.url == StoreUrl::Memory {
        tracing::warn!(
            "store.url is memory: the nodes of this cluster share no accounts, rosters or messages"
        );
    }
}
