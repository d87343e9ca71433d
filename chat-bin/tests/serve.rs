//! `chat serve` as an operator sees it: starting, the health check, signals, and what is in the way.

mod support;

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;
use support::raw::RawClient;
use support::{PATIENCE, TestServer, http, put};

const PLAINTEXT: (&str, &str) = ("c2s.allow_plaintext", "true");

#[test]
fn it_starts_says_how_to_log_in_and_ends_in_good_order() {
    let mut server = TestServer::start(&[PLAINTEXT]);
    let names: Vec<_> = server.accounts.iter().map(|(jid, _)| jid.as_str()).collect();
    assert_eq!(names, ["romeo@localhost", "juliet@localhost"]);
    let welcome = server.log();
    for part in [&server.c2s.to_string(), &server.c2s_tls.to_string(), "SHA-256 fingerprint"] {
        assert!(welcome.contains(part), "{part}: {welcome}");
    }
    assert_eq!(server.health(), Some(200));
    let (romeo, password) = server.accounts[0].clone();
    let client = RawClient::log_in(server.c2s, &romeo, &password, "balcony");
    let begun = std::time::Instant::now();
    assert_eq!(server.terminate().code(), Some(0), "{}", server.log());
    assert!(begun.elapsed() < PATIENCE);
    let rest = client.read_to_end();
    assert!(rest.contains("<system-shutdown") && rest.ends_with("</stream:stream>"), "{rest}");
    assert_eq!(server.health(), None);
    let log = server.log();
    let json: Vec<_> = log.lines().filter(|line| line.starts_with('{')).collect();
    assert!(json.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert!(!json.iter().any(|line| line.contains(&password)), "the log holds no password");

    // Once more on the same data: nothing is made anew.
    let fingerprint = |log: &str| {
        let line = log.lines().find(|line| line.contains("\"fingerprint\"")).expect("logged").to_owned();
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON")["fingerprint"].clone()
    };
    server.start_again();
    assert_eq!(fingerprint(&server.log()), fingerprint(&log));
    assert!(!server.log().contains("password"));
    RawClient::log_in(server.c2s, &romeo, &password, "balcony");
}

#[test]
fn the_health_check_says_503_while_the_streams_are_being_closed() {
    let mut server = TestServer::start(&[PLAINTEXT, ("limits.close_timeout", "2s")]);
    // This client does not answer the end of its stream, so the server waits for it.
    let (romeo, password) = server.accounts[0].clone();
    let mut client = RawClient::log_in(server.c2s, &romeo, &password, "balcony");
    server.signal(Signal::TERM);
    client.read_until("<system-shutdown");
    assert_eq!(server.health(), Some(503));
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = TestServer::start(&[PLAINTEXT, ("limits.close_timeout", "60s")]);
    let (romeo, password) = server.accounts[0].clone();
    let mut client = RawClient::log_in(server.c2s, &romeo, &password, "balcony");
    server.signal(Signal::INT);
    client.read_until("<system-shutdown");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(1), "{}", server.log());
}

#[test]
fn the_web_port_answers_nothing_else() {
    let server = TestServer::start(&[]);
    let ask = |method, path| http(server.web, method, path).expect("an answer");
    assert!(ask("GET", "/health-check").1.ends_with("\r\n\r\nok\n"));
    let head = ask("HEAD", "/health-check");
    assert!(head.0 == 200 && head.1.ends_with("\r\n\r\n"), "{}", head.1);
    assert_eq!(ask("POST", "/health-check").0, 405);
    for path in ["/", "/metrics", "/health-check/deep"] {
        assert_eq!(ask("GET", path).0, 404, "{path}");
    }
}

#[test]
fn a_second_server_on_the_same_store_is_refused() {
    let mut server = TestServer::start(&[]);
    let second = server.run(&["serve", "--set", "listen.web=", "--set", "listen.admin="], "");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    let expected = format!(
        "error: data/chat.db is in use by another server (process {}); stop it first, or give this one another store\n",
        server.pid()
    );
    assert_eq!(said, expected);
    assert_eq!(server.health(), Some(200));
    // A crash leaves no lock behind.
    server.kill();
    server.start_again();
    assert_eq!(server.health(), Some(200));
}

#[test]
fn what_is_in_the_way_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let serve = |sets: &[&str]| {
        let mut args =
            vec!["serve", "--set", "listen.c2s=", "--set", "listen.c2s_tls=", "--set", "listen.admin="];
        args.extend(sets.iter().flat_map(|set| ["--set", set]));
        let output = chat(&args);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = serve(&["store.url=memory:", &format!("listen.web={address}")]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with(&format!("error: cannot listen on {address}: ")), "{said}");
    // A server waits for its database; a command says at once that it is not there.
    let database = "store.url=postgres://chat:hunter2@127.0.0.1:1/chat";
    let output = chat(&["user", "list", "--set", database]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: cannot connect to the database 127.0.0.1:1/chat: "), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    for alone in ["cluster.role=standby", "cluster.active_wanted=4"] {
        let (code, said) = serve(&["store.url=memory:", alone]);
        assert_eq!(code, Some(2), "{alone}");
        assert!(said.contains("without cluster.secret or cluster.cert the node stays alone"), "{said}");
    }
    let (code, said) = serve(&[
        "store.url=memory:",
        "listen.web=",
        "cluster.secret=0123456789abcdef",
        &format!("listen.cluster={address}"),
    ]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with(&format!("error: cannot listen on {address}: ")), "{said}");
}

/// Runs the program in an empty directory.
fn chat(args: &[&str]) -> std::process::Output {
    let directory = tempfile::tempdir().expect("a directory");
    std::process::Command::new(env!("CARGO_BIN_EXE_chat"))
        .args(args)
        .env_clear()
        .current_dir(directory.path())
        .output()
        .expect("it runs")
}

#[test]
fn the_service_manager_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("an option");
    let told = || {
        let mut buffer = [0; 256];
        let read = socket.recv(&mut buffer).expect("told");
        String::from_utf8_lossy(&buffer[..read]).trim_end().to_owned()
    };
    let path = path.to_str().expect("a text").to_owned();
    let mut server = TestServer::start_with(directory, &[], &[("NOTIFY_SOCKET", &path)]);
    assert_eq!(told(), "READY=1");
    server.terminate();
    assert_eq!(told(), "STOPPING=1");
}

#[test]
fn a_bad_configuration_is_refused_with_all_errors() {
    let run = chat(&["serve", "--set", "listen.c2ss=1", "--set", "net.workers=none"]);
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("did you mean listen.c2s?"), "{said}");
    assert!(said.contains("net.workers") && said.ends_with("the configuration has 2 errors\n"), "{said}");
}

#[test]
fn domains_differ() {
    let server = TestServer::start(&[
        PLAINTEXT,
        ("domains", "chat.example guests.example"),
        ("domain.\"guests.example\".auth.method", "anonymous"),
        ("domain.\"chat.example\".registration.enabled", "true"),
    ]);
    assert!(server.accounts.is_empty(), "demo accounts are for a first try only");
    let features = |domain| RawClient::connect(server.c2s, domain).features;
    let guests = features("guests.example");
    assert!(guests.contains("<mechanism>ANONYMOUS</mechanism>"), "{guests}");
    assert!(
        !guests.contains("PLAIN") && !guests.contains("SCRAM") && !guests.contains("iq-register"),
        "{guests}"
    );
    let members = features("chat.example");
    assert!(members.contains("<mechanism>SCRAM-SHA-512</mechanism>"), "{members}");
    assert!(members.contains("iq-register") && !members.contains("ANONYMOUS"), "{members}");
}

#[test]
fn a_domain_has_limits_and_extensions_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = "domains = [\"chat.example\", \"small.example\"]\n\
                c2s.allow_plaintext = true\n\
                [domain.\"small.example\"]\n\
                limits.stanza_bytes_max = 10_240\n\
                limits.resume_timeout_max = \"30s\"\n\
                extensions.disabled = [\"xep0199\"]\n";
    put(&directory.path().join("chat.toml"), file);
    let server = TestServer::start_in(directory, &[("net.workers", "2")]);
    for (domain, pong, resumable, stays) in [
        ("chat.example", "type='result' id='ping'", "max='600'", true),
        ("small.example", "<service-unavailable", "max='30'", false),
    ] {
        let jid = format!("juliet@{domain}");
        server.add_user(&jid, "secret");
        let mut client = RawClient::log_in(server.c2s, &jid, "secret", "balcony");
        client.send(&format!("<iq type='get' id='ping' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>"));
        client.read_until(pong);
        client.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        let enabled = client.read_until("resume='true' max=") + &client.read_until("/>");
        assert!(enabled.contains(resumable), "{enabled}");
        let text = "x".repeat(12_000);
        client.send(&format!("<message to='{jid}/balcony' id='long'><body>{text}</body></message>"));
        client.read_until(if stays { "</body></message>" } else { "<policy-violation" });
    }
}
