//! Every setting of the table, one after the other.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::config::secret::MASK;
use crate::config::table::{self, Fallback, Scope, Setting};
use crate::config::value::{Kind, Raw, duration};
use crate::config::{example, reference};

/// A valid value that is not the default, as plain text.
fn sample(s: &Setting) -> String {
    let default = s.default_words();
    let other = |words: &[&str]| (*words.iter().find(|w| **w != default).unwrap()).to_owned();
    match s.kind {
        Kind::Bool => other(&["true", "false"]),
        Kind::Int { min, max } | Kind::Bytes { min, max } => other(&[&min.to_string(), &max.to_string()]),
        Kind::Duration { min, max } => other(&[&duration(max), &duration(min)]),
        Kind::Text { .. } => "debug".into(),
        Kind::Choice(of) => other(of),
        Kind::Choices { of, .. } => format!("{},{}", of[0], of[1]),
        Kind::Names => "a b".into(),
        Kind::Path => "/desk/present".into(),
        Kind::Addresses => "192.0.2.1:99, [2001:db8::1]:99".into(),
        Kind::Blocks => "10.0.0.0/8 ::1".into(),
        Kind::Domains => "a.example:b.example".into(),
        Kind::Nodes { ports: true } => "chat@a.example:4370, chat@b.example".into(),
        Kind::Nodes { ports: false } => "chat@a.example:chat@b.example".into(),
        Kind::Node => "chat@n7.example".into(),
        Kind::Store => "postgres://db/chat".into(),
        Kind::HttpUrl => "https://auth.example/check".into(),
        Kind::Secret | Kind::Secrets => "fedcba9876543210fedcba9876543210".into(),
    }
}

/// A machine on which the sample of this setting alone is sound and has an effect.
fn fitting(s: &Setting) -> Machine {
    let m = Machine::new()
        .file("/desk/present", "a-secret-of-32-bytes-or-more-in-a-file\n")
        .file("/desk/other", "x");
    match s.name {
        n if n.starts_with("tls.") => m.flag("tls.cert", "/desk/other").flag("tls.key", "/desk/other"),
        "auth.method" | "auth.jwt_secret" => m
            .flag("auth.method", if s.name == "auth.method" { "store" } else { "jwt" })
            .flag("auth.jwt_secret", "x"),
        n if n.starts_with("auth.jwt") => {
            m.flag("auth.method", "jwt").flag("auth.jwt_key_file", "/desk/other")
        }
        n if n.starts_with("auth.http") => m.flag("auth.method", "http").flag("auth.http_url", "http://x"),
        "cluster.secret" | "cluster.secret_file" => m.flag("store.url", "memory:"),
        "cluster.cert" | "cluster.key" | "cluster.ca" => {
            let flag = |m: Machine, name| m.flag(name, "/desk/other");
            ["cluster.cert", "cluster.key", "cluster.ca"]
                .into_iter()
                .fold(m.flag("store.url", "memory:"), flag)
        }
        n if n.starts_with("cluster.") || n.starts_with("memtabd.") => {
            let m = m.flag("store.url", "memory:").flag("cluster.secret", "0123456789abcdef");
            if n == "memtabd.low_limit" { m.flag("memtabd.high_limit", "8") } else { m }
        }
        "limits.stanza_bytes_unauthenticated_max" => m.flag("limits.stanza_bytes_max", "16777216"),
        "limits.stanza_bytes_max" => m.flag("limits.stanza_bytes_unauthenticated_max", "10000"),
        "limits.spool_after" => m.flag("limits.store_timeout", "600"),
        "limits.store_timeout" => m.flag("limits.spool_after", "1ms"),
        _ => m,
    }
}

/// What is set: the sample, except that directories are missing, and that the bounds of
/// siblings' numbers would be too far apart.
fn value(s: &Setting) -> String {
    match s.name {
        n if n.starts_with("paths.") => "/elsewhere".into(),
        "memtabd.low_limit" => "2".into(),
        "memtabd.high_limit" => "5".into(),
        _ => sample(s),
    }
}

/// What a typed configuration says, without the names and origins of the values it was made from.
fn typed(m: &Machine) -> String {
    format!("{:?}", m.config())
}

#[test]
fn every_setting_is_reached_by_its_names_in_the_environment_and_has_an_effect() {
    for s in table::all() {
        for variable in s.variables() {
            let before = fitting(s);
            // What prepares the ground must not be stronger than what is tested.
            let mut after = fitting(s).env(&variable, &value(s));
            after.sources.flags.retain(|f| f.key != s.name);
            let (shown, origin) = after.effective(s.name);
            assert_eq!(origin, format!("environment {variable}"), "{}", s.name);
            let secret = matches!(s.kind, Kind::Secret | Kind::Secrets);
            assert_eq!(shown == MASK, secret, "{}", s.name);
            // These choose files; their effect is what the files say.
            let chooses_files = s.scope == Scope::Start && !s.name.starts_with("paths.");
            // The other secrets of the samples look alike, masked.
            let masked = matches!(s.name, "auth.jwt_secret" | "auth.http_url");
            if !chooses_files && !masked {
                assert_ne!(typed(&before), typed(&after), "{} has no effect", s.name);
            }
        }
    }
}

#[test]
fn every_setting_is_reached_from_the_file_and_by_flag() {
    for s in table::all() {
        let mut m = fitting(s).flag(s.name, &value(s));
        assert_eq!(m.effective(s.name).1, "flag --set", "{}", s.name);
        m.sources.flags.retain(|f| f.key != s.name);
        let toml = match s.kind {
            Kind::Bool | Kind::Int { .. } => format!("{} = {}", s.name, value(s)),
            _ => format!("{} = {:?}", s.name, value(s)),
        };
        let m = m.file("/desk/chat.toml", &toml);
        assert_eq!(m.effective(s.name).1, "chat.toml:1", "{}", s.name);
    }
}

#[test]
fn every_setting_of_a_domain_is_reached_there_and_only_those() {
    for s in table::all() {
        let m = fitting(s).flag(&format!("domain.localhost.{}", s.name), &value(s));
        match s.scope {
            Scope::Domain => {
                assert_eq!(m.effective(&format!("domain.\"localhost\".{}", s.name)).1, "flag --set");
            }
            _ => assert_eq!(m.errors().len(), 1, "{}", s.name),
        }
    }
}

#[test]
fn every_setting_is_printed_once() {
    let config = Machine::new().config();
    let printed: Vec<String> = config.effective().map(|e| e.name).collect();
    let names: Vec<&str> = table::all().map(|s| s.name).collect();
    assert_eq!(printed, names);
}

#[test]
fn the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIGURATION.md");
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == reference(),
        "docs/CONFIGURATION.md differs from the table of settings: \
         cargo run -p chat-bin -- check --reference > docs/CONFIGURATION.md"
    );
}

/// With every `#key = value` uncommented, the example means the same as no file at all.
#[test]
fn the_example_says_the_defaults() {
    let example = example();
    assert_eq!(Machine::with_toml(&example).config().effective().count(), table::all().count());
    let mut lines = Vec::new();
    for line in example.lines().take_while(|l| !l.starts_with("# Settings for one domain")) {
        match line.strip_prefix('#').filter(|l| !l.starts_with(' ') && !l.ends_with(" =")) {
            Some(setting) => lines.push(setting),
            None => lines.push(line),
        }
    }
    let from_file = Machine::with_toml(&lines.join("\n")).config();
    let default = Machine::new().config();
    let written = |s: &&Setting| matches!(s.fallback, Fallback::Text(_) | Fallback::Limit(_));
    for s in table::all().filter(written) {
        assert_eq!(effective(&from_file, s.name).0, effective(&default, s.name).0);
        assert!(effective(&from_file, s.name).1.starts_with("chat.toml:"), "{}", s.name);
    }
}

/// The table of the environment: names and defaults as the operator was promised.
#[test]
fn the_promised_defaults() {
    let config = Machine::new().config();
    for (name, value) in [
        ("domains", "localhost"),
        ("memtabd.nodes", ""),
        ("cluster.nodes", ""),
        ("node.name", "chat@ch-prod-3.example.org"),
        ("memtabd.low_limit", "0"),
        ("memtabd.high_limit", ""),
        ("cluster.dns", ""),
        ("cluster.secret", ""),
        ("cluster.cert", ""),
        ("cluster.key", ""),
        ("cluster.ca", ""),
        ("cluster.role", "active"),
        ("config.environments", ""),
        ("config.kubernetes", "false"),
        ("paths.xconfig", "/var/xconfig"),
        ("paths.override", "/chat/etc/override"),
        ("paths.storage", "/chat/storage"),
        ("store.url", "sqlite:data/chat.db"),
        ("tls.cert", ""),
        ("auth.method", "store"),
        ("auth.client_ca", ""),
        ("admin.token", ""),
        ("listen.proxy_from", ""),
        ("c2s.allow_plaintext", "false"),
        ("limits.c2s_rate", "65536"),
        ("net.workers", "6"),
        ("listen.c2s", "127.0.0.1:5222 [::1]:5222"),
        ("listen.c2s_tls", "127.0.0.1:5223 [::1]:5223"),
        ("listen.s2s", "127.0.0.1:5269 [::1]:5269"),
        ("listen.web", "127.0.0.1:5280 [::1]:5280"),
        ("listen.admin", "127.0.0.1:8000 [::1]:8000"),
        ("listen.cluster", "127.0.0.1:4369 [::1]:4369"),
        ("registration.enabled", "false"),
    ] {
        assert_eq!(effective(&config, name), pair(value, "default"), "{name}");
    }
    assert_eq!(config.common().limits, chat_core::base::limits::Limits::default());
}

#[test]
fn the_promised_variables() {
    for variable in [
        "XMPP_DOMAINS",
        "MEMTABD_NODES",
        "CHAT_CLUSTER_NODES",
        "CHAT_NODE_NAME",
        "MEMTABD_LOW_LIMIT",
        "MEMTABD_HIGH_LIMIT",
        "CHAT_CLUSTER_DNS",
        "CHAT_CLUSTER_SECRET",
        "CHAT_CLUSTER_SECRET_FILE",
        "CHAT_CLUSTER_CERT",
        "CHAT_CLUSTER_KEY",
        "CHAT_CLUSTER_CA",
        "CHAT_CLUSTER_ROLE",
        "CHAT_CLUSTER_ACTIVE_WANTED",
        "CONFIG_ENVIRONMENTS",
        "CONFIG_HELPER_NO_MODE_FLAG",
        "CHAT_STORE_URL",
        "CHAT_TLS_CERT",
        "CHAT_TLS_KEY",
        "CHAT_AUTH_METHOD",
        "CHAT_AUTH_CLIENT_CA",
        "CHAT_ADMIN_TOKEN",
        "CHAT_ADMIN_TOKEN_FILE",
        "CHAT_LISTEN_PROXY_FROM",
        "CHAT_C2S_ALLOW_PLAINTEXT",
        "CHAT_LIMITS_C2S_RATE",
        "CHAT_NET_WORKERS",
        "CHAT_REGISTRATION_ENABLED",
    ] {
        assert!(table::all().any(|s| s.variables().any(|v| v == variable)), "{variable}");
    }
}

#[test]
fn a_machine_with_an_odd_name_is_the_local_one() {
    let mut m = Machine::new();
    for host in ["", "Romeo's machine", "-"] {
        m.sources.host = host.into();
        assert_eq!(m.effective("node.name"), pair("chat@localhost", "default"));
    }
}

proptest! {
    /// Whatever a file, a variable and a flag say: an answer, never a panic; and what is shown can be set.
    #[test]
    fn nonsense_is_an_error_and_no_crash(
        lines in vec("[a-z0-9._ \\[\\]{}=\"'#,:/@é\n-]{0,40}", 0..4),
        index in any::<Index>(),
        value in "(-?[0-9]{1,22}(ms|s|d|KiB)?|[a-z0-9.:@/\\[\\]-]{0,20}|\\PC{0,12})",
    ) {
        let settings: Vec<&Setting> = table::all().collect();
        let setting = index.get(&settings);
        let m = Machine::with_toml(&lines.join("\n"))
            .env(&setting.generic_variable(), &value)
            .flag(setting.name, &value)
            .flag(&format!("domain.localhost.{}", setting.name), &value)
            .flag(&value, &value);
        let _ = m.load();
        if let Ok(read) = setting.kind.read(&Raw::Plain(value)) {
            let again = setting.kind.read(&Raw::Plain(read.to_string()));
            prop_assert!(setting.kind.is_secret() || again == Ok(read));
        }
    }
}
