//! Every section except `[limits]`.

use chat_core::base::time::Span;
use chat_core::cluster::identity::is_host_name;

use super::{Fallback, Kind, Scope, Setting};

const ALGORITHMS: &[&str] = &["HS256", "HS384", "HS512", "RS256", "ES256", "EdDSA"];

/// Extensions that can be left out: those that others do not build on.
const EXTENSIONS: &[&str] = &["xep0092", "xep0191", "xep0199", "xep0202", "xep0280", "xep0352"];

const fn count(min: u64, max: u64) -> Kind {
    Kind::Int { min, max }
}

const TEXT: Kind =
    Kind::Text { expected: "a text", accepts: |s| !s.is_empty() && !s.chars().any(char::is_control) };

const LOG_LEVEL: Kind = Kind::Text {
    expected: "error, warn, info, debug or trace, or a list such as info,chat_net=debug",
    accepts: is_log_level,
};

fn is_log_level(text: &str) -> bool {
    let level = |l: &str| matches!(l, "off" | "error" | "warn" | "info" | "debug" | "trace");
    let target =
        |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'));
    text.split(',').all(|part| match part.trim().split_once('=') {
        Some((t, l)) => target(t) && level(l),
        None => level(part.trim()),
    })
}

/// A machine may have a name that no other could look up; then it is at least this one.
fn own_name(host: &str) -> String {
    format!("chat@{}", if is_host_name(host) { host } else { "localhost" })
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "domains",
        Kind::Domains,
        Fallback::Text("localhost"),
        "Domains served, separated by spaces, commas or colons.",
    )
    .variable("XMPP_DOMAINS"),
    Setting::new(
        "config.environments",
        Kind::Names,
        Fallback::Text(""),
        "Overlays to apply, in order, separated by spaces, commas or colons: for each name the file NAME.toml in `paths.xconfig`.",
    )
    .variable("CONFIG_ENVIRONMENTS")
    .scope(Scope::Start),
    Setting::new(
        "config.kubernetes",
        Kind::Bool,
        Fallback::Text("false"),
        "Whether the three paths default to those of the Kubernetes image instead of those of a host.",
    )
    .variable("CONFIG_HELPER_NO_MODE_FLAG")
    .scope(Scope::Start),
    Setting::new(
        "paths.xconfig",
        Kind::Path,
        Fallback::Machine {
            words: "/var/xconfig; in Kubernetes /etc/chat/xconfig",
            of: |m| if m.kubernetes { "/etc/chat/xconfig" } else { "/var/xconfig" }.into(),
        },
        "Directory of the overlays; a missing one is skipped.",
    )
    .scope(Scope::Start),
    Setting::new(
        "paths.override",
        Kind::Path,
        Fallback::Machine {
            words: "/chat/etc/override; in Kubernetes /etc/chat/override",
            of: |m| if m.kubernetes { "/etc/chat/override" } else { "/chat/etc/override" }.into(),
        },
        "Override directory: all its files *.toml are applied in the order of their names; a missing one is skipped.",
    )
    .scope(Scope::Start),
    Setting::new(
        "paths.storage",
        Kind::Path,
        Fallback::Machine {
            words: "/chat/storage; in Kubernetes /data",
            of: |m| if m.kubernetes { "/data" } else { "/chat/storage" }.into(),
        },
        "Directory of what must outlive the instance; a missing one is skipped.",
    ),
    Setting::new(
        "node.name",
        Kind::Node,
        Fallback::Machine { words: "chat@ and the full host name", of: |m| own_name(&m.host) },
        "This node's own name, name@host.",
    ),
    Setting::new(
        "listen.c2s",
        Kind::Addresses,
        Fallback::Text("127.0.0.1:5222 [::1]:5222"),
        "Where XMPP clients connect (STARTTLS). Like all listen settings a list of socket addresses; empty switches it off.",
    ),
    Setting::new(
        "listen.c2s_tls",
        Kind::Addresses,
        Fallback::Text("127.0.0.1:5223 [::1]:5223"),
        "Where XMPP clients connect with TLS from the first byte (XEP-0368).",
    ),
    Setting::new(
        "listen.s2s",
        Kind::Addresses,
        Fallback::Text("127.0.0.1:5269 [::1]:5269"),
        "Where other servers connect.",
    ),
    Setting::new(
        "listen.web",
        Kind::Addresses,
        Fallback::Text("127.0.0.1:5280 [::1]:5280"),
        "Health check and the web transports.",
    ),
    Setting::new(
        "listen.admin",
        Kind::Addresses,
        Fallback::Text("127.0.0.1:8000 [::1]:8000"),
        "The backdoor: administration, injection of stanzas, metrics.",
    ),
    Setting::new(
        "listen.cluster",
        Kind::Addresses,
        Fallback::Text("127.0.0.1:4369 [::1]:4369"),
        "Links from the other nodes of the cluster.",
    ),
    Setting::new(
        "listen.proxy_from",
        Kind::Blocks,
        Fallback::Text(""),
        "Address blocks whose PROXY protocol headers (v1, v2) are believed.",
    ),
    Setting::new(
        "tls.cert",
        Kind::Path,
        Fallback::Nothing,
        "Certificate chain (PEM), reloaded when it changes. Without one the node signs its own.",
    )
    .per_domain(),
    Setting::new("tls.key", Kind::Path, Fallback::Nothing, "Private key of the certificate (PEM).").per_domain(),
    Setting::new(
        "store.url",
        Kind::Store,
        Fallback::Text("sqlite:data/chat.db"),
        "Where everything is kept: sqlite:PATH for one node, postgres://USER:PASSWORD@HOST:PORT/DATABASE for a cluster, memory: for tests. PostgreSQL: sslmode=disable, prefer (the default: any certificate) or require (a certificate for the host, by an authority of the system or of sslrootcert=FILE) and other options of libpq stand behind a ?; a host that is a path (%2Frun%2Fpostgresql) is the folder of a socket; the tables are made at the start.",
    ),
    Setting::new(
        "store.durability",
        Kind::Choice(&["full", "memory"]),
        Fallback::Text("full"),
        "full: an acknowledged message survives a power cut. memory: it survives the process, but the machine's failure may lose the last moments.",
    ),
    Setting::new(
        "store.connections",
        count(1, 100),
        Fallback::Text("4"),
        "Connections to PostgreSQL that carry out operations; one more watches.",
    ),
    Setting::new(
        "auth.method",
        Kind::Choices { of: &["store", "jwt", "http", "anonymous"], empty: false },
        Fallback::Text("store"),
        "How users log in; several may be listed. anonymous stands alone: guests have a domain of their own.",
    )
    .per_domain(),
    Setting::new(
        "auth.client_ca",
        Kind::Path,
        Fallback::Nothing,
        "CA (PEM) whose client certificates may log in with EXTERNAL (identity: id-on-xmppAddr).",
    )
    .per_domain(),
    Setting::new(
        "auth.scram_iterations",
        count(4096, 1_000_000),
        Fallback::Text("4096"),
        "PBKDF2 iterations of newly stored passwords (RFC 7677 §4 asks for at least 4,096).",
    )
    .per_domain(),
    Setting::new("auth.jwt_secret", Kind::Secret, Fallback::Nothing, "Shared key of the HS algorithms.").per_domain(),
    Setting::new(
        "auth.jwt_key_file",
        Kind::Path,
        Fallback::Nothing,
        "File of the public key (PEM), or of the shared key of an HS algorithm.",
    )
    .per_domain(),
    Setting::new(
        "auth.jwt_algorithm",
        Kind::Choice(ALGORITHMS),
        Fallback::Text("HS256"),
        "The one algorithm that tokens may be signed with.",
    )
    .per_domain(),
    Setting::new("auth.jwt_audience", TEXT, Fallback::Nothing, "The audience (aud) that tokens must name.").per_domain(),
    Setting::new("auth.jwt_issuer", TEXT, Fallback::Nothing, "The issuer (iss) that tokens must name.").per_domain(),
    Setting::new(
        "auth.http_url",
        Kind::HttpUrl,
        Fallback::Nothing,
        "The service that is asked whether a user's password is right.",
    )
    .per_domain(),
    Setting::new(
        "auth.http_timeout_ms",
        count(10, 60_000),
        Fallback::Text("5000"),
        "Milliseconds that service has to answer.",
    )
    .per_domain(),
    Setting::new(
        "auth.http_cache_seconds",
        count(0, 86_400),
        Fallback::Text("60"),
        "Seconds for which a yes of that service is believed without asking again; 0 asks each time.",
    )
    .per_domain(),
    Setting::new(
        "registration.enabled",
        Kind::Bool,
        Fallback::Text("false"),
        "Whether strangers may make accounts (XEP-0077).",
    )
    .per_domain(),
    Setting::new(
        "c2s.allow_plaintext",
        Kind::Bool,
        Fallback::Text("false"),
        "Whether clients may log in without TLS (tests, trusted networks).",
    )
    .per_domain(),
    Setting::new(
        "extensions.disabled",
        Kind::Choices { of: EXTENSIONS, empty: true },
        Fallback::Text(""),
        "Extensions to leave out: neither announced nor served.",
    )
    .per_domain(),
    Setting::new(
        "net.workers",
        count(1, 1024),
        Fallback::Machine { words: "number of cores", of: |m| m.cores.clamp(1, 1024).to_string() },
        "Worker threads.",
    ),
    Setting::new(
        "cluster.nodes",
        Kind::Nodes { ports: true },
        Fallback::Text(""),
        "Cluster members, name@host or name@host:port, separated by commas or white space.",
    ),
    Setting::new(
        "cluster.dns",
        Kind::Text { expected: "a host name", accepts: is_host_name },
        Fallback::Nothing,
        "Name whose A, AAAA or SRV records list the members.",
    ),
    Setting::new(
        "cluster.secret",
        Kind::Secrets,
        Fallback::Nothing,
        "Shared secret of the cluster, at least 16 bytes; two, separated by white space, while it is rotated. Without one, and without certificates, the node stays alone.",
    ),
    Setting::new("cluster.secret_file", Kind::Path, Fallback::Nothing, "File that holds `cluster.secret`."),
    Setting::new(
        "cluster.cert",
        Kind::Path,
        Fallback::Nothing,
        "Certificate chain (PEM) of this node for links with others, instead of a secret: for its name as XMPP address (id-on-xmppAddr), or for its host as DNS name, which stands for chat@ that host. Reloaded when it changes, as are the two below.",
    ),
    Setting::new("cluster.key", Kind::Path, Fallback::Nothing, "Private key of that certificate (PEM)."),
    Setting::new(
        "cluster.ca",
        Kind::Path,
        Fallback::Nothing,
        "The cluster's own authority (PEM); several while it is replaced. Whoever has a certificate of it for a node's name is that node.",
    ),
    Setting::new(
        "cluster.role",
        Kind::Choice(&["active", "standby"]),
        Fallback::Text("active"),
        "Whether the node takes clients at once or waits until one is needed.",
    ),
    Setting::new(
        "cluster.active_wanted",
        count(1, 1024),
        Fallback::Nothing,
        "How many nodes should be active; standby nodes take over below it.",
    ),
    Setting::new(
        "memtabd.nodes",
        Kind::Nodes { ports: false },
        Fallback::Text(""),
        "Cluster members, name@host separated by colons or white space.",
    )
    .variable("MEMTABD_NODES"),
    Setting::new(
        "memtabd.low_limit",
        count(0, 1_000_000),
        Fallback::Text("0"),
        "Lowest number of the sibling host names.",
    )
    .variable("MEMTABD_LOW_LIMIT"),
    Setting::new(
        "memtabd.high_limit",
        count(0, 1_000_000),
        Fallback::Nothing,
        "Highest number of the sibling host names: with 1 and 4, ch-prod-3.example has the siblings ch-prod-1.example to ch-prod-4.example.",
    )
    .variable("MEMTABD_HIGH_LIMIT"),
    Setting::new(
        "drain.grace",
        Kind::Duration { min: Span(0), max: Span::secs(86_400) },
        Fallback::Nothing,
        "How long the health check says 503 before clients are sent away: at least the balancer's interval times the failures that it waits for. Without one 10s in a cluster, and no time for a lone node.",
    ),
    Setting::new(
        "drain.rate",
        count(1, 1_000_000),
        Fallback::Text("200"),
        "Sessions that leave for other nodes in a second. A lone node closes all at once.",
    ),
    Setting::new(
        "drain.deadline",
        Kind::Duration { min: Span(0), max: Span::secs(86_400) },
        Fallback::Text("60s"),
        "How long after the grace sessions may take to leave; then the rest is closed and stored at once. Whoever ends the process (systemd, Kubernetes) should allow `drain.grace`, this and 30 s.",
    ),
    Setting::new(
        "admin.token",
        Kind::Secret,
        Fallback::Nothing,
        "Bearer token of the backdoor. Without one it answers loopback only.",
    ),
    Setting::new("admin.token_file", Kind::Path, Fallback::Nothing, "File that holds `admin.token`."),
    Setting::new(
        "log.format",
        Kind::Choice(&["auto", "text", "json"]),
        Fallback::Text("auto"),
        "auto: text on a terminal, JSON otherwise.",
    ),
    Setting::new("log.level", LOG_LEVEL, Fallback::Text("info"), "What is logged: a level, or levels for parts of the program."),
];
