//! Which source wins, and which files are read.

use super::*;

/// Every source sets the same key; taken away from the strongest to the weakest, the next one shows.
#[test]
fn each_source_overrides_the_weaker_ones() {
    let machine = |sources: usize| {
        let mut m = Machine::new()
            .env(
                "CONFIG_ENVIRONMENTS",
                if sources > 2 {
                    "prod:eu"
                } else if sources > 1 {
                    "prod"
                } else {
                    ""
                },
            )
            .file("/var/xconfig/prod.toml", "[net]\nworkers = 3")
            .file("/var/xconfig/eu.toml", "\n\n[net]\nworkers = 4")
            .file("/var/xconfig/unused.toml", "[net]\nworkers = 99");
        if sources > 0 {
            m = m.file("/desk/chat.toml", "\nnet.workers = 2");
        }
        if sources > 3 {
            m = m.file("/chat/etc/override/10-a.toml", "net.workers = 5");
        }
        if sources > 4 {
            m = m.file("/chat/etc/override/20-b.toml", "net.workers = 6");
        }
        if sources > 5 {
            m = m.env("CHAT_NET_WORKERS", "7");
        }
        if sources > 6 {
            m = m.flag("net.workers", "8");
        }
        m
    };
    for (sources, value, origin) in [
        (7, "8", "flag --set"),
        (6, "7", "environment CHAT_NET_WORKERS"),
        (5, "6", "/chat/etc/override/20-b.toml:1"),
        (4, "5", "/chat/etc/override/10-a.toml:1"),
        (3, "4", "/var/xconfig/eu.toml:4"),
        (2, "3", "/var/xconfig/prod.toml:2"),
        (1, "2", "chat.toml:2"),
        (0, "6", "default"),
    ] {
        assert_eq!(machine(sources).effective("net.workers"), pair(value, origin), "{sources} sources");
        assert_eq!(machine(sources).config().workers.to_string(), value);
    }
}

#[test]
fn overlays_apply_in_the_order_they_are_named() {
    let files = || {
        Machine::new()
            .file("/var/xconfig/a.toml", "net.workers = 1\nlog.level = \"debug\"")
            .file("/var/xconfig/b.toml", "net.workers = 2")
    };
    assert_eq!(files().env("CONFIG_ENVIRONMENTS", "a b").config().workers, 2);
    let config = files().env("CONFIG_ENVIRONMENTS", "b,a").config();
    assert_eq!((config.workers, config.log.level.as_str()), (1, "debug"));
}

#[test]
fn the_main_file_is_found() {
    let files = || {
        Machine::with_toml("net.workers = 1")
            .file("/etc/chat.toml", "net.workers = 2")
            .file("/desk/sub/other.toml", "net.workers = 3")
    };
    assert_eq!(files().effective("net.workers"), pair("1", "chat.toml:1"));
    let m = files().env("CHAT_CONFIG", "/etc/chat.toml");
    assert_eq!(m.effective("net.workers"), pair("2", "/etc/chat.toml:1"));
    let mut m = files().env("CHAT_CONFIG", "/etc/chat.toml");
    m.sources.config = Some("sub/other.toml".into());
    assert_eq!(m.effective("net.workers"), pair("3", "sub/other.toml:1"));
    assert_eq!(files().env("CHAT_CONFIG", "").effective("net.workers"), pair("1", "chat.toml:1"));
    assert_eq!(Machine::new().effective("net.workers"), pair("6", "default"));
}

#[test]
fn a_named_file_must_exist() {
    let m = Machine::new().env("CHAT_CONFIG", "/etc/chat.toml");
    let missing = "/etc/chat.toml cannot be read: No such file or directory (os error 2)";
    assert_eq!(m.errors(), [format!("environment CHAT_CONFIG: {missing}")]);
    let mut m = Machine::new();
    m.sources.config = Some("/etc/chat.toml".into());
    assert_eq!(m.errors(), [format!("flag --config: {missing}")]);
}

#[test]
fn kubernetes_has_paths_of_its_own() {
    let files = || {
        Machine::new()
            .file("/etc/chat/xconfig/a.toml", "net.workers = 1")
            .file("/etc/chat/override/a.toml", "log.level = \"debug\"")
            .file("/var/xconfig/a.toml", "net.workers = 2")
            .file("/chat/etc/override/a.toml", "log.level = \"trace\"")
            .env("CONFIG_ENVIRONMENTS", "a")
    };
    let host = files().config();
    assert_eq!((host.workers, host.log.level.as_str()), (2, "trace"));
    assert_eq!(host.paths.storage, Path::new("/chat/storage"));
    let kubernetes = files().env("CONFIG_HELPER_NO_MODE_FLAG", "true").config();
    assert_eq!((kubernetes.workers, kubernetes.log.level.as_str()), (1, "debug"));
    assert_eq!(kubernetes.paths.storage, Path::new("/data"));
    assert_eq!(effective(&kubernetes, "paths.xconfig"), pair("/etc/chat/xconfig", "default"));
    let no = files().env("CONFIG_HELPER_NO_MODE_FLAG", "false").config();
    assert_eq!(no.workers, 2);
}

#[test]
fn the_paths_are_settings_too() {
    let files = || {
        Machine::with_toml("[paths]\nxconfig = \"/x\"\noverride = \"/o\"\nstorage = \"/s\"\n[config]\nenvironments = [\"a\"]")
            .file("/x/a.toml", "net.workers = 1")
            .file("/o/a.toml", "log.level = \"debug\"")
            .file("/y/a.toml", "net.workers = 2")
    };
    let config = files().config();
    assert_eq!((config.workers, config.log.level.as_str()), (1, "debug"));
    assert_eq!(config.paths.storage, Path::new("/s"));
    assert_eq!(files().env("CHAT_PATHS_XCONFIG", "/y").config().workers, 2);
    assert_eq!(files().env("CHAT_PATHS_XCONFIG", "/y").flag("paths.xconfig", "/x").config().workers, 1);
}

#[test]
fn missing_directories_are_skipped_missing_overlays_are_not() {
    let config = Machine::new().env("CONFIG_ENVIRONMENTS", "prod eu").config();
    assert_eq!(config.notes, ["/var/xconfig does not exist: overlays skipped: prod eu"]);
    let m = Machine::new().env("CONFIG_ENVIRONMENTS", "prdo").file("/var/xconfig/prod.toml", "");
    assert_eq!(
        m.errors(),
        [
            "/var/xconfig/prdo.toml: config.environments names this overlay, but there is no such file; did you mean prod?"
        ]
    );
    let m = Machine::new().env("CONFIG_ENVIRONMENTS", "../prod").file("/var/xconfig/x.toml", "");
    assert_eq!(m.errors().len(), 1, "a name is not a path");
}

#[test]
fn only_visible_toml_files_of_the_override_directory_count() {
    let config = Machine::new()
        .file("/chat/etc/override/..data/real.toml", "net.workers = 1")
        .file("/chat/etc/override/.hidden.toml", "net.workers = 2")
        .file("/chat/etc/override/notes.txt", "net.workers = 3")
        .file("/chat/etc/override/sub.toml/x", "net.workers = 4")
        .config();
    assert_eq!(config.workers, 6);
}

/// Kubernetes mounts a ConfigMap as links into a hidden directory.
#[test]
#[cfg(unix)]
fn links_of_a_mounted_config_map_are_followed() {
    let m = Machine::new().file("/chat/etc/override/..data/real.toml", "net.workers = 1");
    let link = m.root.path().join("chat/etc/override/real.toml");
    std::os::unix::fs::symlink("..data/real.toml", link).unwrap();
    assert_eq!(m.effective("net.workers"), pair("1", "/chat/etc/override/real.toml:1"));
}

#[test]
fn an_empty_variable_is_not_set_unless_the_empty_list_is_a_value() {
    let m = Machine::with_toml(
        "domains = \"a.example\"\n[listen]\ns2s = [\"0.0.0.0:5269\"]\nc2s = \"0.0.0.0:5222\"",
    )
    .env("XMPP_DOMAINS", "")
    .env("CHAT_STORE_URL", "")
    .env("CHAT_LISTEN_S2S", "");
    let config = m.config();
    assert_eq!(config.domains, ["a.example"]);
    assert_eq!(effective(&config, "listen.s2s"), pair("", "environment CHAT_LISTEN_S2S"));
    assert_eq!(effective(&config, "listen.c2s"), pair("0.0.0.0:5222", "chat.toml:4"));
    assert_eq!(effective(&config, "store.url"), pair("sqlite:data/chat.db", "default"));
}

#[test]
fn both_names_of_a_variable_must_agree() {
    let m =
        Machine::new().env("XMPP_DOMAINS", "a.example b.example").env("CHAT_DOMAINS", "a.example,b.example");
    assert_eq!(m.config().domains, ["a.example", "b.example"]);
    let m = Machine::new().env("XMPP_DOMAINS", "a.example").env("CHAT_DOMAINS", "b.example");
    assert_eq!(
        m.errors(),
        ["environment XMPP_DOMAINS: domains: environment CHAT_DOMAINS says something else"]
    );
}

#[test]
fn secrets_come_from_files_and_the_stronger_source_wins() {
    let files = || Machine::new().file("/run/token", "from-file\n");
    let token = |m: Machine| m.config().admin_token.unwrap().expose().to_owned();
    assert_eq!(token(files().env("CHAT_ADMIN_TOKEN_FILE", "/run/token")), "from-file");
    assert_eq!(
        files().env("CHAT_ADMIN_TOKEN_FILE", "/run/token").effective("admin.token"),
        pair("(secret)", "/run/token (environment CHAT_ADMIN_TOKEN_FILE)")
    );
    assert_eq!(
        token(files().env("CHAT_ADMIN_TOKEN_FILE", "/run/token").flag("admin.token", "typed")),
        "typed"
    );
    let m =
        files().env("CHAT_ADMIN_TOKEN_FILE", "/run/token").file("/desk/chat.toml", "admin.token = \"weak\"");
    assert_eq!(token(m), "from-file");
    let m = files().env("CHAT_ADMIN_TOKEN_FILE", "/run/token").env("CHAT_ADMIN_TOKEN", "both");
    assert_eq!(
        m.errors(),
        [
            "environment CHAT_ADMIN_TOKEN_FILE: admin.token_file: admin.token is set as well (environment CHAT_ADMIN_TOKEN)"
        ]
    );
    assert_eq!(
        Machine::new().env("CHAT_ADMIN_TOKEN_FILE", "/run/token").errors(),
        [
            "environment CHAT_ADMIN_TOKEN_FILE: admin.token_file: /run/token: cannot be read: No such file or directory (os error 2)"
        ]
    );
    let m = Machine::new()
        .env("CHAT_STORE_URL", "memory:")
        .env("CHAT_CLUSTER_SECRET_FILE", "/run/cluster")
        .file("/run/cluster", "0123456789abcdef-new\n0123456789abcdef-old\n");
    let secrets = m.config().cluster.secrets;
    assert_eq!(
        secrets.iter().map(|s| s.expose()).collect::<Vec<_>>(),
        ["0123456789abcdef-new", "0123456789abcdef-old"]
    );
}
