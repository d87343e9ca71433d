//! The configuration as the rest of the program uses it: every setting resolved, with its Rust type.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chat_core::base::limits::Limits;
use chat_core::cluster::NodeName;
use chat_core::cluster::discovery::{NodeAddr, siblings};

use super::layer::{Values, full_name};
use super::origin::Origin;
use super::secret::Secret;
use super::table::{self, Fallback, Scope};
use super::types::{Cidr, HttpUrl, StoreUrl};
use super::value::read_domain;
use super::view::View;

/// The whole configuration of a node.
#[derive(Debug, Clone)]
pub struct Config {
    /// Domains served, at least one, in canonical form.
    pub domains: Vec<String>,
    /// This node's own name.
    pub node: NodeName,
    /// Listen addresses.
    pub listen: Listen,
    /// The store.
    pub store: Store,
    /// Directories.
    pub paths: Paths,
    /// Worker threads, at least one.
    pub workers: usize,
    /// The cluster.
    pub cluster: Cluster,
    /// How the node takes leave of its clients.
    pub drain: Drain,
    /// Bearer token of the backdoor; without one it answers loopback only.
    pub admin_token: Option<Secret>,
    /// Logging.
    pub log: Log,
    /// What is allowed but looks like a slip: worth a warning.
    pub notes: Vec<String>,
    common: DomainConfig,
    by_domain: BTreeMap<String, DomainConfig>,
    values: Values,
}

/// Listen addresses; an empty list switches that service off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// XMPP clients, STARTTLS.
    pub c2s: Vec<SocketAddr>,
    /// XMPP clients, direct TLS (XEP-0368).
    pub c2s_tls: Vec<SocketAddr>,
    /// Other servers.
    pub s2s: Vec<SocketAddr>,
    /// Health check and web transports.
    pub web: Vec<SocketAddr>,
    /// Administration.
    pub admin: Vec<SocketAddr>,
    /// The other nodes of the cluster.
    pub cluster: Vec<SocketAddr>,
    /// Whose PROXY protocol headers are believed.
    pub proxy_from: Vec<Cidr>,
}

/// The store and what it promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Which store, and where. Relative paths are below the working directory.
    pub url: StoreUrl,
    /// What a commit means.
    pub durability: Durability,
    /// Connections to a database server.
    pub connections: usize,
}

/// What a commit of the store means (docs/ARCHITECTURE.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// What was acknowledged survives a power cut.
    Full,
    /// It survives the end of the process, but a failure of the machine may lose the last moments.
    Memory,
}

/// Directories of the platform. They need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Overlays.
    pub xconfig: PathBuf,
    /// The override directory.
    pub override_directory: PathBuf,
    /// What must outlive the instance.
    pub storage: PathBuf,
}

/// The cluster. Without a secret and without certificates the node is alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// All members that are known from the configuration, this node perhaps among them: listed, or siblings
    /// computed from the host name, of which this node is none. Sorted, each once.
    pub members: Vec<NodeAddr>,
    /// Name whose DNS records list members.
    pub dns: Option<String>,
    /// None, the secret, or while it is rotated two, of which the first is this node's own. At least 16 bytes each.
    pub secrets: Vec<Secret>,
    /// The certificates that nodes know each other by. Never beside a secret.
    pub certificates: Option<LinkFiles>,
    /// Whether this node takes clients at once.
    pub role: Role,
    /// How many nodes should be active.
    pub active_wanted: Option<u16>,
}

/// What nodes show each other, and by what they believe it; all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkFiles {
    /// The node's own certificate.
    pub own: TlsFiles,
    /// The authorities that all nodes' certificates are of.
    pub ca: PathBuf,
}

/// What a node of a cluster does at first (docs/ARCHITECTURE.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes clients.
    Active,
    /// Waits until too few nodes are active.
    Standby,
}

/// How a node takes leave of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long the health check says 503 before anything else happens.
    pub grace: Duration,
    /// Sessions that leave in a second, at least one.
    pub rate: u32,
    /// How long after the grace they may take; then the rest goes at once.
    pub deadline: Duration,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or `target=level` items separated by commas.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// JSON.
    Json,
}

/// The settings that may differ between domains.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainConfig {
    /// How users log in.
    pub auth: Auth,
    /// Certificate and key; `None`: self-signed.
    pub tls: Option<TlsFiles>,
    /// Whether strangers may make accounts (XEP-0077).
    pub registration_enabled: bool,
    /// Whether clients may log in without TLS.
    pub allow_plaintext: bool,
    /// CA (PEM) of client certificates for EXTERNAL.
    pub client_ca: Option<PathBuf>,
    /// Extensions left out, as `xep0280`.
    pub extensions_disabled: Vec<String>,
    /// The engine's limits. Those that cannot differ are the same for all domains.
    pub limits: Limits,
}

/// How users of a domain log in.
#[derive(Debug, Clone, PartialEq)]
pub struct Auth {
    /// At least one, each once, in the order given.
    pub methods: Vec<AuthMethod>,
    /// Iterations of newly stored passwords, at least 4,096.
    pub scram_iterations: u32,
    /// Present exactly if `methods` has [`AuthMethod::Jwt`].
    pub jwt: Option<Jwt>,
    /// Present exactly if `methods` has [`AuthMethod::Http`].
    pub http: Option<HttpAuth>,
}

/// One way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// Passwords of the store.
    Store,
    /// Signed tokens.
    Jwt,
    /// A service is asked.
    Http,
    /// Nobody is asked: accounts that live as long as their stream (XEP-0175).
    Anonymous,
}

/// What makes a token valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Jwt {
    /// Where the key is.
    pub key: JwtKey,
    /// The one algorithm allowed, as RFC 7518 and RFC 8037 spell it.
    pub algorithm: String,
    /// The audience tokens must name.
    pub audience: Option<String>,
    /// The issuer tokens must name.
    pub issuer: Option<String>,
}

/// The key of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwtKey {
    /// The shared key of an HS algorithm.
    Secret(Secret),
    /// A file: a public key in PEM, or the shared key of an HS algorithm.
    File(PathBuf),
}

/// The service that is asked about passwords.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpAuth {
    /// Where it is.
    pub url: HttpUrl,
    /// How long it has to answer.
    pub timeout: Duration,
    /// How long its yes is believed; zero: not at all.
    pub cache: Duration,
}

/// A certificate and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// One line of `chat check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective<'a> {
    /// `section.key`, or `domain."name".section.key`.
    pub name: String,
    /// The value as text, secrets masked; empty if the setting is not set.
    pub value: String,
    /// Where it comes from.
    pub origin: &'a Origin,
}

impl Config {
    pub(crate) fn build(values: Values, notes: Vec<String>) -> Config {
        let view = View { values: &values, domain: None };
        let domains = view.texts("domains").to_vec();
        let of_domain =
            |d: &str| (d.to_owned(), DomainConfig::build(View { values: &values, domain: Some(d) }));
        Config {
            node: view.nodes("node.name")[0].node.clone(),
            listen: Listen::build(view),
            store: Store {
                url: view.store("store.url").clone(),
                durability: match view.text("store.durability") {
                    "memory" => Durability::Memory,
                    _ => Durability::Full,
                },
                connections: view.int("store.connections") as usize,
            },
            paths: Paths {
                xconfig: view.path("paths.xconfig").clone(),
                override_directory: view.path("paths.override").clone(),
                storage: view.path("paths.storage").clone(),
            },
            workers: view.int("net.workers") as usize,
            cluster: Cluster::build(view),
            drain: Drain::build(view),
            admin_token: view.secrets("admin.token").first().cloned(),
            log: Log {
                format: match view.text("log.format") {
                    "text" => LogFormat::Text,
                    "json" => LogFormat::Json,
                    _ => LogFormat::Auto,
                },
                level: view.text("log.level").to_owned(),
            },
            notes,
            common: DomainConfig::build(view),
            by_domain: domains
                .iter()
                .filter(|d| values.domains().contains(&d.as_str()))
                .map(|d| of_domain(d))
                .collect(),
            domains,
            values,
        }
    }

    /// The settings of a domain; for one without settings of its own those that hold for all.
    pub fn for_domain(&self, domain: &str) -> &DomainConfig {
        let own = self.by_domain.get(domain);
        // Callers have the canonical form at hand as a rule.
        let own = own.or_else(|| self.by_domain.get(&read_domain(domain)?));
        own.unwrap_or(&self.common)
    }

    /// The settings that hold for domains without settings of their own.
    pub fn common(&self) -> &DomainConfig {
        &self.common
    }

    /// Where a setting of the node got its value. Panics on a name that is no setting.
    pub fn origin(&self, name: &'static str) -> &Origin {
        &self.values.global(name).origin
    }

    /// Every setting with its value and origin, in the order of the table; then what single domains have.
    pub fn effective(&self) -> impl Iterator<Item = Effective<'_>> {
        let line = |domain: Option<&str>, name: &'static str| {
            let given = match domain {
                Some(d) => self.values.of_domain(d, name)?,
                None => self.values.global(name),
            };
            let value = given.value.to_string();
            Some(Effective { name: full_name(domain, name), value, origin: &given.origin })
        };
        let global = table::all().filter_map(move |s| line(None, s.name));
        let domains = self.values.domains().into_iter();
        let scoped = || table::all().filter(|s| s.scope == Scope::Domain);
        let own = domains.flat_map(move |d| scoped().filter_map(move |s| line(Some(d), s.name)));
        global.chain(own)
    }
}

impl Listen {
    fn build(view: View<'_>) -> Listen {
        Listen {
            c2s: view.addresses("listen.c2s").to_vec(),
            c2s_tls: view.addresses("listen.c2s_tls").to_vec(),
            s2s: view.addresses("listen.s2s").to_vec(),
            web: view.addresses("listen.web").to_vec(),
            admin: view.addresses("listen.admin").to_vec(),
            cluster: view.addresses("listen.cluster").to_vec(),
            proxy_from: view.blocks("listen.proxy_from").to_vec(),
        }
    }
}

/// Balancers ask every few seconds, and believe the second or third answer.
const GRACE_IN_CLUSTER: Duration = Duration::from_secs(10);

impl Drain {
    fn build(view: View<'_>) -> Drain {
        let grace = view.int_or_none("drain.grace").map(Duration::from_nanos);
        // There is nobody to take over from a lone node: the sooner it is back the better.
        let usual = if Cluster::build(view).is_on() { GRACE_IN_CLUSTER } else { Duration::ZERO };
        Drain {
            grace: grace.unwrap_or(usual),
            rate: view.int("drain.rate") as u32,
            deadline: Duration::from_nanos(view.int("drain.deadline")),
        }
    }
}

impl Cluster {
    fn build(view: View<'_>) -> Cluster {
        let node = &view.nodes("node.name")[0].node;
        let low = view.int("memtabd.low_limit");
        let computed = view.int_or_none("memtabd.high_limit").and_then(|high| siblings(node, low, high));
        let computed = computed.unwrap_or_default().into_iter().map(NodeAddr::from);
        let listed = view.nodes("cluster.nodes").iter().chain(view.nodes("memtabd.nodes")).cloned();
        let mut members: Vec<NodeAddr> = listed.chain(computed).collect();
        // A member with a port sorts after the same one without; the port is worth keeping.
        members.sort_by(|a, b| (&a.node, b.port).cmp(&(&b.node, a.port)));
        members.dedup_by(|b, a| a.node == b.node);
        Cluster {
            members,
            dns: view.text_or_none("cluster.dns").map(str::to_owned),
            secrets: view.secrets("cluster.secret").to_vec(),
            certificates: LinkFiles::build(view),
            role: match view.text("cluster.role") {
                "standby" => Role::Standby,
                _ => Role::Active,
            },
            active_wanted: view.int_or_none("cluster.active_wanted").map(|n| n as u16),
        }
    }

    /// Whether the configuration names or allows other nodes.
    pub fn is_on(&self) -> bool {
        !self.secrets.is_empty() || self.certificates.is_some()
    }
}

impl LinkFiles {
    fn build(view: View<'_>) -> Option<LinkFiles> {
        let own = TlsFiles::build(view, "cluster.cert", "cluster.key")?;
        view.path_or_none("cluster.ca").map(|ca| LinkFiles { own, ca: ca.clone() })
    }
}

impl TlsFiles {
    fn build(view: View<'_>, cert: &'static str, key: &'static str) -> Option<TlsFiles> {
        let (cert, key) = view.path_or_none(cert).zip(view.path_or_none(key))?;
        Some(TlsFiles { cert: cert.clone(), key: key.clone() })
    }
}

impl DomainConfig {
    fn build(view: View<'_>) -> DomainConfig {
        let tls = TlsFiles::build(view, "tls.cert", "tls.key");
        DomainConfig {
            auth: Auth::build(view),
            tls,
            registration_enabled: view.bool("registration.enabled"),
            allow_plaintext: view.bool("c2s.allow_plaintext"),
            client_ca: view.path_or_none("auth.client_ca").cloned(),
            extensions_disabled: view.texts("extensions.disabled").to_vec(),
            limits: limits(view),
        }
    }
}

fn limits(view: View<'_>) -> Limits {
    let mut limits = Limits::default();
    for s in table::all() {
        if let Fallback::Limit(field) = s.fallback {
            (field.set)(&mut limits, view.int(s.name));
        }
    }
    limits
}

impl Auth {
    fn build(view: View<'_>) -> Auth {
        let method = |m: &String| match m.as_str() {
            "jwt" => AuthMethod::Jwt,
            "http" => AuthMethod::Http,
            "anonymous" => AuthMethod::Anonymous,
            _ => AuthMethod::Store,
        };
        let methods: Vec<AuthMethod> = view.texts("auth.method").iter().map(method).collect();
        let jwt = methods.contains(&AuthMethod::Jwt).then(|| Jwt::build(view)).flatten();
        let http =
            methods.contains(&AuthMethod::Http).then(|| view.http_url_or_none("auth.http_url")).flatten();
        Auth {
            scram_iterations: view.int("auth.scram_iterations") as u32,
            jwt,
            http: http.map(|url| HttpAuth {
                url: url.clone(),
                timeout: Duration::from_millis(view.int("auth.http_timeout_ms")),
                cache: Duration::from_secs(view.int("auth.http_cache_seconds")),
            }),
            methods,
        }
    }
}

impl Jwt {
    /// `None` without a key, which is possible only for the settings that no served domain uses.
    fn build(view: View<'_>) -> Option<Jwt> {
        let (secret, file) = ("auth.jwt_secret", "auth.jwt_key_file");
        let algorithm = view.text("auth.jwt_algorithm").to_owned();
        let shared = view.secrets(secret).first().filter(|_| algorithm.starts_with("HS"));
        let key = match (shared, view.path_or_none(file)) {
            (Some(s), Some(_)) if view.strength(secret) > view.strength(file) => JwtKey::Secret(s.clone()),
            (_, Some(path)) => JwtKey::File(path.clone()),
            (Some(s), None) => JwtKey::Secret(s.clone()),
            (None, None) => return None,
        };
        let text = |name| view.text_or_none(name).map(str::to_owned);
        Some(Jwt { key, algorithm, audience: text("auth.jwt_audience"), issuer: text("auth.jwt_issuer") })
    }
}
