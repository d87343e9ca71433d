//! What is refused, and in which words.

use super::*;

/// One fault of each kind in one file: all are reported, from the top.
#[test]
fn all_errors_of_a_file_are_reported_with_their_lines() {
    let m = Machine::with_toml(
        r#"domains = ["a.example", "not a domain"]
[listen]
c2ss = ["0.0.0.0:5222"]
c2s = 5222
s2s = ["0.0.0.0"]
[lisen]
web = []
[c2s]
allow_plaintext = "yes"
[net]
workers = 0.5
[limits]
c2s_rate = "fast"
idle_timeout = "5 weeks"
[store.url]
path = "x"
[modules]
[log]
format = "xml"
"#,
    );
    assert_eq!(
        m.errors(),
        [
            "chat.toml:1: domains: expected one or more domains such as chat.example.org, not \"not a domain\"",
            "chat.toml:3: listen.c2ss is not a setting; did you mean listen.c2s?",
            "chat.toml:4: listen.c2s: expected a list of socket addresses such as 0.0.0.0:5222 or [::]:5222, not 5222",
            "chat.toml:5: listen.s2s: expected a list of socket addresses such as 0.0.0.0:5222 or [::]:5222, not \"0.0.0.0\"",
            "chat.toml:7: lisen.web is not a setting; did you mean listen.web?",
            "chat.toml:9: c2s.allow_plaintext: expected true or false, not \"yes\"",
            "chat.toml:11: net.workers: expected a number from 1 to 1024, not a number with a fraction",
            "chat.toml:13: limits.c2s_rate: expected a number of bytes from 0 to 1073741824 (64KiB and 2MiB are understood), not \"fast\"",
            "chat.toml:14: limits.idle_timeout: expected a duration from 100ms to 604800s, in seconds or as in 250ms, 30s, 5m, 1h, 7d, not \"5 weeks\"",
            "chat.toml:15: store.url: expected sqlite:PATH, postgres://USER@HOST/DATABASE or memory:",
            "chat.toml:17: modules is not a section",
            "chat.toml:19: log.format: expected one of auto, text, json, not \"xml\"",
        ]
    );
}

#[test]
fn all_sources_are_checked_even_where_a_stronger_one_hides_the_fault() {
    let m = Machine::with_toml("net.workers = 0")
        .file("/chat/etc/override/a.toml", "net.worker = 1")
        .file("/chat/etc/override/b.toml", "= 1")
        .file("/var/xconfig/x.toml", "paths.xconfig = \"/y\"\nnet.workers = true")
        .env("CONFIG_ENVIRONMENTS", "x")
        .env("CHAT_NET_WORKER", "2")
        .env("CHAT_LISTEN_PORT", "5222")
        .env("XMPP_DOMAIN", "example.org")
        .env("CHAT_NONSENSE", "1")
        .flag("net.workers", "4")
        .flag("nett.workers", "5")
        .flag("domain.a.example.net.workers", "6");
    assert_eq!(
        m.errors(),
        [
            "chat.toml:1: net.workers: expected a number from 1 to 1024, not 0",
            "/var/xconfig/x.toml:2: net.workers: expected a number from 1 to 1024, not true",
            "/var/xconfig/x.toml:1: paths.xconfig decides which overlays are read: it belongs in the main file, the environment or a flag",
            "/chat/etc/override/a.toml:1: net.worker is not a setting; did you mean net.workers?",
            "/chat/etc/override/b.toml:1: not valid TOML: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`",
            "environment CHAT_LISTEN_PORT: not a setting; did you mean CHAT_LISTEN_C2S?",
            "environment CHAT_NET_WORKER: not a setting; did you mean CHAT_NET_WORKERS?",
            "environment CHAT_NONSENSE: not a setting",
            "environment XMPP_DOMAIN: not a setting; did you mean XMPP_DOMAINS?",
            "flag --set: nett.workers is not a setting; did you mean net.workers?",
            "flag --set: domain.\"a.example\".net.workers: net.workers cannot differ between domains",
        ]
    );
}

#[test]
fn sections_and_settings_are_not_mixed_up() {
    let m = Machine::with_toml(
        "listen = \"0.0.0.0:5222\"\ndomain = \"a.example\"\nc2s.allow_plaintext.now = true\nlog = {}\n",
    );
    assert_eq!(
        m.errors(),
        [
            "chat.toml:1: listen is a section, not a setting",
            "chat.toml:2: domain is a section, not a setting",
            "chat.toml:3: c2s.allow_plaintext: expected true or false, not a table",
        ]
    );
}

#[test]
fn service_links_and_foreign_variables_are_ignored() {
    let config = Machine::new()
        .env("CHAT_SERVICE_HOST", "10.0.0.7")
        .env("CHAT_SERVICE_PORT", "5222")
        .env("CHAT_SERVICE_PORT_X", "5222")
        .env("CHAT_PORT", "tcp://10.0.0.7:5222")
        .env("CHAT_PORT_5222_TCP", "tcp://10.0.0.7:5222")
        .env("CHAT_PORT_5222_TCP_ADDR", "10.0.0.7")
        .env("CHAT_INTERNAL_SERVICE_HOST", "10.0.0.8")
        .env("CHAT_INTERNAL_SERVICE_PORT_ADMIN", "8000")
        .env("CHAT_INTERNAL_PORT", "tcp://10.0.0.8:8000")
        .env("CHAT_INTERNAL_PORT_8000_TCP_PROTO", "tcp")
        .env("MEMTABD_HOME", "/opt/memtabd")
        .env("CHATTY", "yes")
        .env("PATH", "/bin")
        .config();
    assert!(config.effective().all(|e| e.origin.to_string() == "default"));
}

#[test]
fn settings_that_contradict_each_other() {
    for (toml, errors) in [
        ("[tls]\ncert = \"chat.toml\"", vec!["chat.toml:2: tls.cert: needs tls.key as well"]),
        (
            "[tls]\ncert = \"c.pem\"\nkey = \"chat.toml\"",
            vec!["chat.toml:2: tls.cert: there is no file c.pem"],
        ),
        (
            "auth.method = \"jwt\"",
            vec!["chat.toml:1: auth.method: jwt with HS256 needs auth.jwt_secret or auth.jwt_key_file"],
        ),
        (
            "auth.method = [\"jwt\", \"store\"]\nauth.jwt_secret = \"x\"\nauth.jwt_algorithm = \"ES256\"",
            vec!["chat.toml:1: auth.method: jwt with ES256 needs auth.jwt_key_file"],
        ),
        (
            "auth.jwt_secret = \"x\"\nauth.jwt_key_file = \"chat.toml\"",
            vec!["chat.toml:1: auth.jwt_secret: auth.jwt_key_file is set as well"],
        ),
        ("auth.method = \"http\"", vec!["chat.toml:1: auth.method: http needs auth.http_url"]),
        (
            "listen.web = \"127.0.0.1:8000\"",
            vec!["chat.toml:1: listen.web: 127.0.0.1:8000 is taken by listen.admin"],
        ),
        (
            "listen.c2s = [\"[::]:5222\", \"[::]:5222\"]",
            vec!["chat.toml:1: listen.c2s: [::]:5222 is listed twice"],
        ),
        (
            "limits.stanza_bytes_max = 10_000\nlimits.stanza_bytes_unauthenticated_max = 20_000",
            vec![
                "chat.toml:2: limits.stanza_bytes_unauthenticated_max: must not be more than limits.stanza_bytes_max, 10000",
            ],
        ),
        // A setting with a fault of its own is not complained about twice.
        (
            "auth.method = \"http\"\nauth.http_url = \"x\"",
            vec!["chat.toml:2: auth.http_url: expected an http or https URL"],
        ),
    ] {
        assert_eq!(Machine::with_toml(toml).errors(), errors, "{toml}");
    }
}

#[test]
fn a_cluster_does_not_start_on_sqlite() {
    let why = |from: &str| {
        format!(
            "a cluster needs a store that its nodes share, and store.url is a SQLite file ({from}): \
             set store.url to postgres://…, or leave the cluster's settings out"
        )
    };
    let m = Machine::with_toml("[cluster]\nrole = \"standby\"")
        .env("MEMTABD_NODES", "chat@a.example:chat@b.example")
        .env("CHAT_CLUSTER_SECRET", "0123456789abcdef");
    assert_eq!(
        m.errors(),
        [
            format!("environment CHAT_CLUSTER_SECRET: cluster.secret: {}", why("default")),
            format!("chat.toml:2: cluster.role: {}", why("default")),
            format!("environment MEMTABD_NODES: memtabd.nodes: {}", why("default")),
        ]
    );
    assert_eq!(Machine::new().env("MEMTABD_NODES", "").config().cluster.members, []);
    let m = Machine::new().env("CHAT_CLUSTER_DNS", "chat.example").env("CHAT_STORE_URL", "sqlite:x.db");
    let from = "environment CHAT_STORE_URL";
    assert_eq!(m.errors(), [format!("environment CHAT_CLUSTER_DNS: cluster.dns: {}", why(from))]);
    let m =
        Machine::new().env("CHAT_CLUSTER_DNS", "chat.example").env("CHAT_STORE_URL", "postgres://db/chat");
    assert_eq!(
        m.errors(),
        [
            "environment CHAT_CLUSTER_DNS: cluster.dns: the cluster's members need cluster.secret, or certificates \
             (cluster.cert), to trust each other"
        ]
    );
}

#[test]
fn certificates_of_a_cluster_come_together_and_without_a_secret() {
    let m = |toml: &str| Machine::with_toml(&format!("store.url = \"memory:\"\n[cluster]\n{toml}"));
    let all = "cert = \"chat.toml\"\nkey = \"chat.toml\"\nca = \"chat.toml\"\n";
    let cluster = m(&format!("{all}nodes = \"chat@a\"")).config().cluster;
    assert!(cluster.is_on() && cluster.secrets.is_empty());
    assert_eq!(cluster.certificates.expect("they are given").ca, Path::new("chat.toml"));
    let drain = m(all).config().drain;
    assert_eq!(
        drain,
        m("secret = \"0123456789abcdef\"").config().drain,
        "a cluster by the one and by the other"
    );
    assert_ne!(drain, Machine::new().config().drain);
    let sqlite = Machine::with_toml(&format!("[cluster]\n{all}")).errors();
    assert!(
        sqlite.len() == 3 && sqlite.iter().all(|e| e.contains("store.url is a SQLite file")),
        "{sqlite:?}"
    );
    for (toml, errors) in [
        (
            "cert = \"chat.toml\"\nnodes = \"chat@a\"",
            vec!["chat.toml:3: cluster.cert: needs cluster.key and cluster.ca as well"],
        ),
        (
            "key = \"chat.toml\"\nca = \"chat.toml\"",
            vec![
                "chat.toml:3: cluster.key: needs cluster.cert as well",
                "chat.toml:4: cluster.ca: needs cluster.cert as well",
            ],
        ),
        (
            "cert = \"c.pem\"\nkey = \"chat.toml\"\nca = \"ca.pem\"",
            vec![
                "chat.toml:3: cluster.cert: there is no file c.pem",
                "chat.toml:5: cluster.ca: there is no file ca.pem",
            ],
        ),
        (
            "cert = \"chat.toml\"\nkey = \"chat.toml\"\nca = \"chat.toml\"\nsecret = \"0123456789abcdef\"",
            vec![
                "chat.toml:3: cluster.cert: cluster.secret is set as well: nodes know each other by the one or by the other",
            ],
        ),
    ] {
        assert_eq!(m(toml).errors(), errors, "{toml}");
    }
}

#[test]
fn the_url_of_a_database_is_looked_at() {
    let errors = |url| Machine::new().env("CHAT_STORE_URL", url).errors();
    let good = "postgres://chat:pw@db/chat?sslmode=require&sslrootcert=/etc/ca.pem";
    Machine::new().env("CHAT_STORE_URL", good).config();
    let start = "environment CHAT_STORE_URL: store.url: the URL of the database cannot be used: ";
    for (url, why) in [
        ("postgres://db/chat?sslmode=verify-ca", "sslmode is one of disable, prefer, require"),
        ("postgres://db/chat?connect_timeout=soon", "the value of connect_timeout is not valid"),
        ("postgres://db:none/chat", "the value of port is not valid"),
        ("postgres://db%zz/chat%ff", "it is not postgres://"),
    ] {
        let [error]: [String; 1] = errors(url).try_into().expect("one error");
        assert!(error.strip_prefix(start).is_some_and(|rest| rest.starts_with(why)), "{error}");
    }
}

#[test]
fn siblings_need_numbers() {
    let cluster = |host: &str, low: &str, high: &str| {
        let mut m = Machine::new()
            .env("CHAT_STORE_URL", "memory:")
            .env("CHAT_CLUSTER_SECRET", "0123456789abcdef")
            .env("MEMTABD_LOW_LIMIT", low)
            .env("MEMTABD_HIGH_LIMIT", high);
        m.sources.host = host.into();
        m
    };
    let members = |m: Machine| m.config().cluster.members.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        members(cluster("ch-prod-3.fqdn", "1", "4")),
        ["chat@ch-prod-1.fqdn", "chat@ch-prod-2.fqdn", "chat@ch-prod-4.fqdn"]
    );
    assert_eq!(members(cluster("n08", "9", "10")), ["chat@n09", "chat@n10"]);
    assert_eq!(
        members(cluster("n1", "", "1").env("CHAT_CLUSTER_NODES", "chat@n1:4370 chat@x.y")),
        ["chat@n0", "chat@n1:4370", "chat@x.y"]
    );
    assert_eq!(
        cluster("ch.fqdn", "1", "4").errors(),
        [
            "environment MEMTABD_HIGH_LIMIT: memtabd.high_limit: siblings need a host name whose first part ends in a number, not ch.fqdn"
        ]
    );
    assert_eq!(
        cluster("n1", "5", "4").errors(),
        ["environment MEMTABD_HIGH_LIMIT: memtabd.high_limit: 4 is less than memtabd.low_limit, 5"]
    );
    let many: Vec<String> = (0..257).map(|i| format!("chat@a{i}")).collect();
    assert_eq!(
        cluster("n1", "0", "1").env("MEMTABD_NODES", &many.join(":")).errors(),
        ["environment MEMTABD_NODES: memtabd.nodes: 257 nodes are more than 256"]
    );
    assert_eq!(
        cluster("n1", "0", "256").errors(),
        ["environment MEMTABD_HIGH_LIMIT: memtabd.high_limit: 0 to 256 are more than 256 siblings"]
    );
}

/// Neither when all is well nor in any complaint.
#[test]
fn secrets_are_never_printed() {
    const S: &str = "hunter2hunter2hunter2";
    let config = Machine::with_toml(&format!("[cluster]\nsecret = [\"{S}\", \"{S}x\"]"))
        .env("CHAT_STORE_URL", &format!("postgres://chat:{S}@db/chat?password={S}"))
        .env("CHAT_ADMIN_TOKEN", S)
        .env("CHAT_AUTH_METHOD", "jwt http")
        .env("CHAT_AUTH_JWT_SECRET", S)
        .env("CHAT_AUTH_HTTP_URL", &format!("https://u:{S}@auth.example/{{}}?key={S}"))
        .config();
    let shown: Vec<String> = config.effective().map(|e| format!("{e:?}")).collect();
    let all = format!("{config:?} {config:#?} {shown:?} {:?}", config.notes);
    assert!(!all.contains("hunter2"), "{all}");
    assert_eq!(effective(&config, "store.url").0, "postgres://chat:(secret)@db/chat?(secret)");
    assert_eq!(config.admin_token.unwrap().expose(), S);

    for toml in [
        format!("admin.token = {S}"),
        format!("admin.token = \"{S}"),
        format!("admin.token \"{S}\""),
        format!("admin.token = [\"{S}\"]"),
        format!("admin.token = {{ x = \"{S}\" }}"),
        format!("admin.token = \"{S} {S}\""),
        format!("admin.token.x = \"{S}\""),
        format!("admin.tokn = \"{S}\""),
        format!("cluster.secret = [\"{S}\", \"{S}\", \"{S}\"]"),
        format!("store.url = \"mysql://u:{S}@h\""),
        format!("store.url = \"postgres://u:{S}@h?{S}={S}\""),
        format!("store.url = \"postgres://u:x?{S}@h\""),
        format!("auth.http_url = \"u:{S}@h\""),
        format!("auth.jwt_secret = \"{S}\"\nauth.jwt_secret = \"{S}\""),
    ] {
        let m = Machine::with_toml(&toml);
        let text = format!("{:?} {:?}", m.load(), m.errors());
        assert!(!text.contains("hunter2"), "{toml}\n{text}");
    }
}
