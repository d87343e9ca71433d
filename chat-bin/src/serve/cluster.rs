//! A node's part in its cluster, as configured.

use std::net::SocketAddr;

use chat_core::cluster::agent::{PORT, Settings};
use chat_core::cluster::handshake::{Secrets, Trust};
use chat_core::cluster::wire;
use chat_net::cluster::{Cluster, LinkTls};
use chat_net::net::bind;
use chat_net::tls::Provider;

use crate::Failure;
use crate::config::{Config, Origin, Role, StoreUrl};

/// What the server needs for it, listening already; `None` for a node that stays alone.
///
/// # Errors
/// An address cannot be listened on.
pub(super) fn of(config: &Config, addresses: Vec<SocketAddr>) -> Result<Option<Cluster>, Failure> {
    let cluster = &config.cluster;
    let [secret, others @ ..] = &cluster.secrets[..] else { return Ok(None) };
    warn(config, &addresses);
    let other = others.first().map(|other| other.expose().as_bytes());
    let secrets =
        Secrets::new(secret.expose().as_bytes(), other).map_err(|error| Failure::new(error.to_string()))?;
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
        ..Settings::new(config.node.clone(), Trust::Secrets(secrets))
    };
    let tls = LinkTls::with_secret(Provider::AwsLcRs)?;
    let listeners = addresses.into_iter().map(bind).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Cluster::new(settings, tls).listen(listeners)))
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
