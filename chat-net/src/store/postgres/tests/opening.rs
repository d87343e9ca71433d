//! What is there, or not, when a store is opened: the server, its TLS, its schema, its settings.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use super::*;
use crate::store::conformance::{jid, put};

fn error(options: Options) -> OpenError {
    Postgres::open_blocking(options).err().expect("it does not open")
}

fn now(url: &str) -> Options {
    Options { patience_at_start: Duration::ZERO, ..options(url) }
}

#[test]
fn whoever_is_not_there_is_named_without_the_password() {
    let dead = error(now("postgres://chat:hunter2@127.0.0.1:1/chat"));
    let text = dead.to_string();
    assert!(matches!(dead, OpenError::Connect { .. }), "{text}");
    assert!(text.starts_with("cannot connect to the database 127.0.0.1:1/chat: "), "{text}");
    assert!(text.contains("refused") && !text.contains("hunter2"), "{text}");

    // Refusals are final: nobody waits ten seconds for another answer.
    let begun = Instant::now();
    let url = server().database();
    let missing = error(options(&format!("{url}x")));
    assert!(missing.to_string().ends_with("does not exist"), "{missing}");
    let nobody = error(options(&url.replace("postgres@", "nobody@")));
    assert!(nobody.to_string().contains("role \"nobody\" does not exist"), "{nobody}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(!format!("{:?}", options("postgres://chat:hunter2@db/chat")).contains("hunter2"));
}

#[test]
fn a_server_that_starts_later_is_waited_for() {
    let private = Private::start();
    let url = private.database();
    private.stop("fast");
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| open(options(&url)));
        std::thread::sleep(Duration::from_millis(500));
        private.start_again();
        let store = opening.join().expect("it opens");
        bench(&store).done(put(&jid("juliet@example.org"), 1, b"m"));
    });
}

#[test]
fn a_newer_schema_is_refused_only_when_it_must_be() {
    let url = server().database();
    drop(open(options(&url)));
    server().sql(&url, "INSERT INTO chat_schema (version, needs) VALUES (1000, 1)");
    drop(open(options(&url)));
    server().sql(&url, "INSERT INTO chat_schema (version, needs) VALUES (1001, 1000)");
    let error = error(options(&url));
    assert!(matches!(error, OpenError::TooNew { .. }), "{error}");
    let knows = schema::MIGRATIONS.len();
    let text = format!(
        "the database has schema 1001, which needs a program that knows schema 1000; this one knows {knows}"
    );
    assert!(error.to_string().ends_with(&text), "{error}");
}

#[test]
fn nodes_share_a_key_that_outlives_them() {
    let url = server().database();
    let keys: Vec<_> = std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..3).map(|_| scope.spawn(|| open(options(&url)).salt_secret())).collect();
        nodes.into_iter().map(|node| node.join().expect("it opens")).collect()
    });
    assert_eq!(keys, [open(options(&url)).salt_secret(); 3]);
    assert_ne!(keys[0], open(options(&server().database())).salt_secret(), "each database has its own");

    server().sql(&url, "UPDATE chat_key SET value = 'short'");
    let damaged = error(options(&url)).to_string();
    assert!(damaged.ends_with("the key salt-secret in chat_key is damaged"), "{damaged}");
}

#[test]
fn what_cannot_be_used_is_left_alone() {
    let url = server().database();
    server().sql(&url, "CREATE TABLE chat_user (cookies TEXT)");
    let foreign = error(options(&url));
    assert!(foreign.to_string().contains("relation \"chat_user\" already exists"), "{foreign}");
    assert_eq!(server().sql(&url, "SELECT to_regclass('chat_schema') IS NULL"), "t");

    let name = "latin";
    server()
        .sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"));
    let other = error(options(&format!("{}/{name}", url.rsplit_once('/').expect("a name").0)));
    assert!(other.to_string().contains("its encoding is LATIN1"), "{other}");
}

#[test]
fn durability_is_as_chosen() {
    for (server_has, durability, expected) in [
        ("off", Durability::Full, "on"),
        ("on", Durability::Full, "on"),
        ("remote_apply", Durability::Full, "remote_apply"),
        ("on", Durability::Memory, "off"),
    ] {
        let url = server().database();
        let name = url.rsplit('/').next().expect("a name");
        server().sql(&url, &format!("ALTER DATABASE {name} SET synchronous_commit = {server_has}"));
        let store = open(Options { durability, ..options(&url) });
        let shared = store.shared.clone();
        let (send, receive) = std::sync::mpsc::channel();
        store._spawner.spawn(async move {
            let client = shared.connections.get().await.expect("connects");
            let shown = client.query_one("SHOW synchronous_commit", &[]).await.expect("shows");
            send.send(shown.get::<_, String>(0)).expect("the test waits");
        });
        assert_eq!(receive.recv().as_deref(), Ok(expected), "{server_has}, {durability:?}");
    }
}

/// A server with TLS and a user who has a password; the folder with the certificate of its authority.
fn secured(private: &Private) -> PathBuf {
    use std::os::unix::fs::MetadataExt as _;
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().expect("a key");
    let authority = rcgen::CertifiedIssuer::self_signed(parameters, key).expect("a certificate");
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned()];
    let own = rcgen::CertificateParams::new(names).expect("parameters").signed_by(&key, &authority);
    let data = private.data();
    let owner = fs::metadata(&data).expect("it is there");
    for (name, text) in [
        ("server.crt", own.expect("a certificate").pem()),
        ("server.key", key.serialize_pem()),
        ("ca.pem", authority.pem()),
        (
            "pg_hba.conf",
            "local all all trust\nhostssl all romeo all scram-sha-256\nhost all postgres all trust\n"
                .to_owned(),
        ),
    ] {
        let path = data.join(name);
        fs::write(&path, text).expect("writes");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("is private");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("is given away");
    }
    private.sql("postgres", "CREATE ROLE romeo LOGIN PASSWORD 'o'");
    private.sql("postgres", "ALTER SYSTEM SET ssl = on");
    private.stop("fast");
    private.start_again();
    data.join("ca.pem")
}

#[test]
fn tls_is_as_the_url_asks() {
    let private = Private::start();
    let authority = secured(&private);
    let url = private.database();
    private.sql(&url, "GRANT ALL ON SCHEMA public TO romeo");
    let name = url.rsplit('/').next().expect("a name").to_owned();
    let at = |host: &str, query: &str| {
        now(&format!("postgres://romeo:o@{host}:{}/{name}?{query}", private.port()))
    };
    let trusted = format!("sslmode=require&sslrootcert={}", authority.display());
    let used = |options: Options| {
        let store = open(options);
        bench(&store).done(put(&jid("juliet@example.org"), 1, b"m"));
        private.sql(
            &name,
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'romeo'",
        )
    };
    assert_eq!(used(at("localhost", &trusted)), "t");
    assert_eq!(used(at("localhost", "")), "t", "with whatever certificate");
    let plain = error(at("localhost", "sslmode=disable"));
    assert!(plain.to_string().contains("no encryption"), "{plain}");
    for (host, query) in [("127.0.0.1", trusted.as_str()), ("localhost", "sslmode=require")] {
        let refused = error(at(host, query));
        assert!(refused.to_string().contains("certificate"), "{host} {query}: {refused}");
    }
    let wrong = error(now(&format!("postgres://romeo:wrong@localhost:{}/{name}?{trusted}", private.port())));
    assert!(wrong.to_string().contains("password authentication failed"), "{wrong}");
    let missing = error(at("localhost", "sslrootcert=/nowhere/ca.pem"));
    assert!(matches!(missing, OpenError::Tls { .. }), "{missing}");
}
