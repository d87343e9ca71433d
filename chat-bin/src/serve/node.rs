//! Putting a node together from its configuration.

use std::io::Write as _;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use chat_net::auth::KeyPool;
use chat_net::cluster::{ClusterEnd, ClusterHandle};
use chat_net::proxy::TrustedProxies;
use chat_net::server::{Listener, Server, ServerHandle};
use chat_net::spawn::Spawner;

use super::backdoor;
use super::certificates::{Certificates, Renewal};
use super::cluster;
use super::demo::{self, DemoAccount, Welcome};
use super::domains::Parts;
use super::http::Port;
use super::keys::Keys;
use super::link_certificates::LinkCertificates;
use super::operator::Operator;
use super::web::{self, Healthy};
use crate::Failure;
use crate::config::{Config, Origin};
use crate::store::{self, Opener};

/// A running node.
pub(super) struct Node {
    pub(super) handle: ServerHandle,
    pub(super) operator: Arc<Operator>,
    certificates: Renewal,
    /// Of a node of a cluster that goes by them.
    link_certificates: Option<LinkCertificates>,
}

impl Node {
    /// Starts everything. From inside the main thread's runtime, which serves the web port and asks services.
    ///
    /// # Errors
    /// Anything that is missing or in the way. Nothing runs then.
    pub(super) fn start(config: &Config) -> Result<Node, Failure> {
        for note in &config.notes {
            tracing::warn!("{note}");
        }
        mention_what_is_missing(config);
        let opened = store::open(config, Opener::Server)?;
        let directory = store::directory(config);
        let salt_secret = match opened.salt_secret {
            Some(shared) => shared,
            None => Keys::load_or_make(directory.as_deref())?.salt_secret,
        };
        let certificates = Renewal::start(Certificates::new(config, directory.as_deref())?)?;
        let parts =
            Parts { accounts: opened.accounts.clone(), keys: KeyPool::new()?, spawner: Spawner::current() };
        let accounts = demo::make(config, &*opened.accounts)?;
        let web = Port::listen(&addresses(config, "listen.web"), web::BOUNDS)?;
        let backdoor = Port::listen(&addresses(config, "listen.admin"), backdoor::BOUNDS)?;
        let (cluster, link_certificates) = cluster::of(config, addresses(config, "listen.cluster"))?.unzip();
        let link_certificates = link_certificates.flatten();
        let mut builder = Server::builder()
            .store(opened.store)
            .tls(certificates.tls().clone())
            .limits(config.common().limits.clone())
            .workers(u16::try_from(config.workers).unwrap_or(u16::MAX))
            .proxy_from(trusted_proxies(config)?)
            .salt_secret(salt_secret);
        for name in &config.common().extensions_disabled {
            builder = builder.without_extension(name);
        }
        for name in &config.domains {
            let (own, common) = (config.for_domain(name), config.common());
            let mut domain = parts.domain(name, own)?;
            if own.limits != common.limits {
                domain = domain.limits(own.limits.clone());
            }
            if own.extensions_disabled != common.extensions_disabled {
                domain = domain.without_extensions(own.extensions_disabled.clone());
            }
            builder = builder.domain(domain);
        }
        for (kind, setting) in LISTENERS {
            for address in addresses(config, setting) {
                builder = builder.listen(kind, address);
            }
        }
        if let Some(cluster) = cluster {
            builder = builder.cluster(cluster);
        }
        let handle = builder.start()?;
        let operator = Arc::new(Operator::new(config, handle.clone()));
        let node = Node { handle, operator: operator.clone(), certificates, link_certificates };
        backdoor::warn(&backdoor, config.admin_token.as_ref());
        node.announce(config, &[("web", &web), ("admin", &backdoor)], &accounts);
        backdoor::serve(backdoor, operator.clone(), config.admin_token.clone());
        let healthy: Healthy = Arc::new(move || operator.healthy());
        web::serve(web, &healthy);
        Ok(node)
    }

    fn announce(&self, config: &Config, ports: &[(&str, &Port)], accounts: &[DemoAccount]) {
        self.certificates.log();
        if let Some(certificates) = &self.link_certificates {
            certificates.log();
        }
        let of = |wanted: Listener| {
            let all = self.handle.local_addrs().iter();
            all.filter(move |(kind, _)| *kind == wanted).map(|(_, address)| *address).collect::<Vec<_>>()
        };
        let (clients, clients_tls) = (of(Listener::Clients), of(Listener::ClientsTls));
        let mut named = vec![("c2s", clients.clone()), ("c2s_tls", clients_tls.clone())];
        named.extend(ports.iter().map(|(service, port)| (*service, port.addresses())));
        let cluster = self.handle.cluster().map(|cluster| cluster.local_addrs().to_vec());
        named.push(("cluster", cluster.unwrap_or_default()));
        for (service, list) in named {
            for address in list {
                tracing::info!(service, %address, "listening");
            }
        }
        if !accounts.is_empty() {
            let names: Vec<_> = accounts.iter().map(|account| account.jid.as_str()).collect();
            tracing::info!(accounts = names.join(" "), "demo accounts made");
            let fingerprint = self.certificates.tls().summary().fingerprint;
            let fingerprint = self.certificates.certificates.self_signed.then_some(fingerprint.as_str());
            // From a checkout it is not in the search path.
            let program = std::env::args().next().unwrap_or_else(|| "chat".to_owned());
            let (clients, clients_tls) = (&clients, &clients_tls);
            let welcome = Welcome { program: &program, accounts, clients, clients_tls, fingerprint };
            // To stderr: passwords have no place in the log.
            let _ = std::io::stderr().write_all(welcome.text().as_bytes());
        }
        let (workers, version) = (config.workers, env!("CARGO_PKG_VERSION"));
        tracing::info!(domains = config.domains.join(" "), store = %config.store.url, workers, version, "ready");
    }

    /// After it has ended without being asked to.
    pub(super) fn why_it_ended(&self) -> Failure {
        match self.handle.cluster().and_then(ClusterHandle::ended) {
            Some(end @ ClusterEnd::Fatal(_)) => Failure::new(end.to_string()),
            _ => Failure::new("the server has ended by itself; its log says why"),
        }
    }

    /// Loads the certificates again if their files have changed.
    pub(super) fn look_at_certificates(&mut self) {
        self.certificates.look();
        if let Some(certificates) = &mut self.link_certificates {
            certificates.look();
        }
    }

    /// Loads the certificates again.
    pub(super) fn reload_certificates(&mut self) {
        self.certificates.reload();
        if let Some(certificates) = &mut self.link_certificates {
            certificates.reload();
        }
    }
}

/// The listeners for clients and their settings.
const LISTENERS: [(Listener, &str); 2] =
    [(Listener::Clients, "listen.c2s"), (Listener::ClientsTls, "listen.c2s_tls")];

/// The addresses of a listen setting. Of the built-in ones, those of IPv6 are left out where there is none.
fn addresses(config: &Config, setting: &'static str) -> Vec<SocketAddr> {
    let listen = &config.listen;
    let list = match setting {
        "listen.c2s" => &listen.c2s,
        "listen.c2s_tls" => &listen.c2s_tls,
        "listen.admin" => &listen.admin,
        "listen.cluster" => &listen.cluster,
        _ => &listen.web,
    };
    let default = config.origin(setting) == &Origin::Default;
    let skip = |address: &SocketAddr| default && address.is_ipv6() && !has_ipv6();
    list.iter().copied().filter(|address| !skip(address)).collect()
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn trusted_proxies(config: &Config) -> Result<TrustedProxies, Failure> {
    let blocks: Vec<_> = config.listen.proxy_from.iter().map(ToString::to_string).collect();
    Ok(blocks.join(" ").parse()?)
}

/// What the configuration can say and this build cannot do: better mentioned than forgotten.
fn mention_what_is_missing(config: &Config) {
    let setting = "listen.s2s";
    if config.origin(setting) != &Origin::Default && !config.listen.s2s.is_empty() {
        tracing::warn!(setting, "federation is not in this build yet: nothing listens there");
    }
}
