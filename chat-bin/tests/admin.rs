//! The backdoor and `chat ctl`: who is answered, what the status says, and how a node is drained.

mod support;

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::raw::RawClient;
use support::{TestServer, eventually, http, http_with, put};

const PLAINTEXT: (&str, &str) = ("c2s.allow_plaintext", "true");
const LONG_GRACE: (&str, &str) = ("drain.grace", "60s");

/// The body of an answer.
fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head and a body").1
}

fn document(answer: &str) -> Value {
    serde_json::from_str(body(answer)).expect(answer)
}

/// Asks the backdoor of a server without a token.
fn ask(server: &TestServer, method: &str, path: &str) -> (u16, Value) {
    let (status, answer) = http(server.admin, method, path).expect("an answer");
    (status, document(&answer))
}

fn ctl(server: &TestServer, args: &[&str]) -> (Option<i32>, String, String) {
    let args: Vec<_> = ["ctl"].iter().chain(args).copied().collect();
    let output = server.run(&args, "");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_status_of_a_lone_node() {
    let server = TestServer::start(&[PLAINTEXT, ("domains", "a.example b.example"), ("net.workers", "2")]);
    let clients: Vec<_> = ["one@a.example", "two@a.example", "three@b.example"]
        .into_iter()
        .map(|jid| {
            server.add_user(jid, "secret");
            RawClient::log_in(server.c2s, jid, "secret", "here")
        })
        .collect();
    let (status, document) = ask(&server, "GET", "/v1/status");
    assert_eq!(status, 200);
    let node = &document["node"];
    assert_eq!(document["peers"], json!([]));
    for (field, value) in [
        ("role", json!("active")),
        ("state", json!("up")),
        ("healthy", json!(true)),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("incarnation", json!(null)),
        ("workers", json!(2)),
        ("silent_workers", json!(0)),
        ("sessions", json!(3)),
        ("connections", json!(3)),
        ("users", json!(3)),
        ("domains", json!([{"name": "a.example", "sessions": 2}, {"name": "b.example", "sessions": 1}])),
        ("drain", json!(null)),
    ] {
        assert_eq!(node[field], value, "{field}");
    }
    assert!(node["uptime"].as_f64().is_some_and(|seconds| seconds > 0.0));

    // The same for people, and for scripts.
    let (code, table, said) = ctl(&server, &["status"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(table.starts_with("NODE "), "{table}");
    for line in ["a.example  2", "b.example  1"] {
        assert!(table.lines().any(|found| found == line), "{line}: {table}");
    }
    assert!(table.contains("2 workers, 3 connections, 3 users in memory"), "{table}");
    let (code, json, _) = ctl(&server, &["status", "--json"]);
    let again: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, &again["node"]["sessions"]), (Some(0), &json!(3)));

    // Sessions that end are not counted any more.
    drop(clients);
    eventually("the sessions end", || {
        (ask(&server, "GET", "/v1/status").1["node"]["sessions"] == json!(0)).then_some(())
    });
}

#[test]
fn the_numbers_for_prometheus() {
    let server = TestServer::start(&[PLAINTEXT]);
    let (romeo, password) = server.accounts[0].clone();
    let (juliet, other) = server.accounts[1].clone();
    let mut sender = RawClient::log_in(server.c2s, &romeo, &password, "orchard");
    let mut receiver = RawClient::log_in(server.c2s, &juliet, &other, "balcony");
    receiver.send("<presence/>");
    receiver.read_until("<presence");
    for n in 0..3 {
        sender.send(&format!("<message to='{juliet}/balcony' id='m{n}'><body>hi</body></message>"));
    }
    receiver.read_until("id='m2'");
    sender.send("<message to='nobody@localhost' type='chat'><body>hi</body></message>");
    sender.read_until("service-unavailable");
    let (status, answer) = http(server.admin, "GET", "/metrics").expect("an answer");
    assert_eq!(status, 200);
    assert!(answer.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{answer}");
    let page = body(&answer);
    for line in [
        "chat_sessions{domain=\"localhost\"} 2",
        "chat_stanzas_received_total{kind=\"message\"} 4",
        // The error is a message, too.
        "chat_messages_delivered_total 4",
        "chat_bounces_total 1",
        "chat_healthy 1",
        "chat_active 1",
        "chat_draining 0",
        "chat_peers{state=\"up\"} 0",
        "chat_worker_panics_total 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
    check_format(page);
}

/// Every number has a help text and a type of its own before it, and is a number.
fn check_format(page: &str) {
    let mut family = "";
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().expect("a name");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let counter = family.ends_with("_total");
            assert_eq!(kind, format!("{family} {}", if counter { "counter" } else { "gauge" }));
        } else {
            let (name, value) = line.rsplit_once(' ').expect(line);
            assert_eq!(name.split('{').next(), Some(family), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

#[test]
fn the_api_describes_itself() {
    let server = TestServer::start(&[]);
    let (status, document) = ask(&server, "GET", "/openapi.json");
    assert_eq!(status, 200);
    let paths = document["paths"].as_object().expect("paths");
    for (path, methods) in paths {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let described = methods.get(method.to_lowercase()).is_some();
            // What changes something is tried elsewhere.
            if described && method == "GET" {
                assert_eq!(http(server.admin, method, path).map(|(status, _)| status), Some(200), "{path}");
            } else if !described {
                assert_eq!(ask(&server, method, path).0, 405, "{method} {path}");
            }
        }
    }
    let (status, problem) = ask(&server, "GET", "/v1/nothing");
    assert_eq!((status, &problem["status"]), (404, &json!(404)));
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
}

#[test]
fn nobody_is_answered_without_the_token() {
    let directory = tempfile::tempdir().expect("a directory");
    put(&directory.path().join("token"), "sesame-and-more\n");
    let settings = [("admin.token_file", "token"), ("listen.admin", "0.0.0.0:0")];
    let mut server = TestServer::start_with(directory, &settings, &[]);
    server.admin.set_ip([127, 0, 0, 1].into());
    let with =
        |headers: &str, path: &str| http_with(server.admin, "GET", path, headers, "").expect("an answer");
    for path in ["/v1/status", "/metrics", "/openapi.json", "/nothing"] {
        for headers in ["", "Authorization: Bearer sesame\r\n", "Authorization: Basic c2VzYW1l\r\n"] {
            let (status, answer) = with(headers, path);
            assert_eq!(status, 401, "{path}");
            assert!(answer.to_ascii_lowercase().contains("www-authenticate: bearer"), "{answer}");
            assert!(answer.to_ascii_lowercase().contains("application/problem+json"), "{answer}");
        }
    }
    assert_eq!(with("Authorization: Bearer sesame-and-more\r\n", "/v1/status").0, 200);
    assert_eq!(with("Authorization: Bearer sesame-and-more\r\nOrigin: http://x\r\n", "/v1/status").0, 403);
    assert!(!server.log().contains("sesame"), "the log holds no token");

    // The command finds token and address where the server does, and says what is wrong otherwise.
    let url = format!("http://{}", server.admin);
    let (code, _, said) = ctl(&server, &["status", "--url", &url]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    put(&server.directory.path().join("wrong"), "mellon");
    let (code, out, said) = ctl(&server, &["status", "--url", &url, "--token-file", "wrong"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(said.starts_with("error: the backdoor wants its token") && !said.contains("mellon"), "{said}");
    let (code, _, said) = ctl(&server, &["status", "--url", &url, "--token-file", "none"]);
    assert!(code == Some(1) && said.starts_with("error: none: "), "{said}");
}

#[test]
fn without_a_token_the_listener_warns_where_others_could_ask() {
    let quiet = TestServer::start(&[]);
    assert!(!quiet.log().contains("the backdoor has no token"), "loopback is fine");
    let loud = TestServer::start(&[("listen.admin", "0.0.0.0:0")]);
    assert!(loud.log().contains("the backdoor has no token"));
    let page = http_with(quiet.admin, "GET", "/v1/status", "Origin: http://evil.example\r\n", "");
    assert_eq!(page.map(|(status, _)| status), Some(403));
}

#[test]
fn the_backdoor_bears_bad_requests() {
    let server = TestServer::start(&[]);
    let post = |text: &str| http_with(server.admin, "POST", "/v1/drain", "", text).expect("an answer");
    for wrong in [
        "{",
        "[]",
        "\"x\"",
        "{\"gracee\": 1}",
        "{\"grace\": \"1\"}",
        "{\"grace\": -1}",
        "{\"grace\": 1e9}",
        "{\"rate\": 0}",
        "{\"rate\": 1.5}",
        "{\"deadline\": 1e300}",
        "\u{fffd}",
    ] {
        let (status, answer) = post(wrong);
        assert_eq!(status, 400, "{wrong}");
        assert!(document(&answer)["detail"].is_string());
    }
    assert_eq!(post(&" ".repeat(70_000)).0, 413);
    let long = format!("/{}", "x".repeat(20_000));
    assert!(http(server.admin, "GET", &long).is_none_or(|(status, _)| status >= 400));
    // Whoever connects and says nothing takes no place for long, and stands in nobody's way.
    let idle: Vec<_> =
        (0..32).map(|_| std::net::TcpStream::connect(server.admin).expect("connected")).collect();
    assert_eq!(ask(&server, "GET", "/v1/status").1["node"]["drain"], json!(null), "none of these drained it");
    drop(idle);
    assert_eq!(server.health(), Some(200));
}

#[test]
fn a_drain_waits_for_the_balancer_and_then_ends_the_server() {
    let mut server = TestServer::start(&[PLAINTEXT, LONG_GRACE]);
    let (romeo, password) = server.accounts[0].clone();
    let client = RawClient::log_in(server.c2s, &romeo, &password, "orchard");
    let (code, told, said) = ctl(&server, &["drain"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(told.contains("asked by API") && told.contains("1 left, 0 moved, 0 lost"), "{told}");
    assert_eq!(server.health(), Some(503));
    let (_, status) = ask(&server, "GET", "/v1/status");
    assert_eq!(status["node"]["state"], json!("draining"));
    assert_eq!(status["node"]["drain"]["phase"], json!("grace"));
    // Until the balancer has noticed, clients still come.
    let (juliet, other) = server.accounts[1].clone();
    let late = RawClient::log_in(server.c2s, &juliet, &other, "balcony");
    assert_eq!(ask(&server, "POST", "/v1/promote").0, 409);
    // Who asks again joins, and may hurry.
    let (status, answer) =
        http_with(server.admin, "POST", "/v1/drain", "", "{\"grace\": 0.2}").expect("an answer");
    assert_eq!((status, &document(&answer)["left"]), (202, &json!(2)));
    for client in [client, late] {
        let rest = client.read_to_end();
        assert!(rest.contains("<system-shutdown") && rest.ends_with("</stream:stream>"), "{rest}");
    }
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
}

#[test]
fn a_drain_is_called_off_in_time() {
    let mut server = TestServer::start(&[LONG_GRACE]);
    let (code, _, said) = ctl(&server, &["drain", "--cancel"]);
    assert_eq!((code, said.as_str()), (Some(1), "error: the node does not drain\n"));
    assert_eq!(ctl(&server, &["drain", "--grace", "50", "--json"]).0, Some(0));
    assert_eq!(server.health(), Some(503));
    let (code, told, _) = ctl(&server, &["drain", "--cancel"]);
    assert!(code == Some(0) && told.ends_with(" stays\n"), "{told}");
    assert_eq!(server.health(), Some(200));
    // Whoever sends a signal means it.
    server.signal(Signal::TERM);
    eventually("the signal is heeded", || (server.health() == Some(503)).then_some(()));
    let (code, _, said) = ctl(&server, &["drain", "--cancel"]);
    assert!(code == Some(1) && said.contains("a signal asked for this drain"), "{said}");
    // The second signal ends at once.
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(1), "{}", server.log());
}

#[test]
fn a_signal_joins_the_drain_that_there_is() {
    let mut server = TestServer::start(&[]);
    let waiting = {
        let mut command = server.command(&["ctl", "drain", "--grace", "2", "--wait"]);
        command.stdout(std::process::Stdio::piped()).spawn().expect("it starts")
    };
    eventually("it drains", || (server.health() == Some(503)).then_some(()));
    // As Kubernetes does after its preStop hook.
    assert_eq!(server.terminate().code(), Some(0), "{}", server.log());
    assert!(server.log().contains("asked to drain, which it does already"), "{}", server.log());
    let waited = waiting.wait_with_output().expect("it ends");
    assert!(waited.status.success(), "who waits is told of the end");
    assert!(String::from_utf8_lossy(&waited.stdout).contains("to go"));
}

#[test]
fn a_node_that_is_active_stays_so() {
    let server = TestServer::start(&[]);
    let (code, told, said) = ctl(&server, &["promote"]);
    assert!(code == Some(0) && told.ends_with(" is active\n"), "{said}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let directory = tempfile::tempdir().expect("a directory");
    let chat = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chat"));
        let output = command.args(args).env_clear().current_dir(directory.path()).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = chat(&["ctl", "status", "--set", &format!("listen.admin={nobody}")]);
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with(&format!("error: http://{nobody}: nobody listens there: does the server run")),
        "{said}"
    );
    let (code, said) = chat(&["ctl", "status", "--set", "listen.admin="]);
    assert!(code == Some(1) && said.starts_with("error: listen.admin is empty"), "{said}");
    let (code, said) = chat(&["ctl", "drain", "--url", "https://localhost"]);
    assert!(code == Some(1) && said.contains("not of the form http://HOST[:PORT]"), "{said}");
    assert_eq!(chat(&["ctl", "drain", "--rate", "fast"]).0, Some(2));

    // Somebody else listens there.
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("bound");
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().expect("a connection");
        let _ = stream.write_all(b"SSH-2.0-OpenSSH\r\n");
    });
    let (code, said) = chat(&["ctl", "status", "--url", &format!("http://{address}")]);
    assert!(code == Some(1) && said.contains("is not the backdoor of a server"), "{said}");
    answers.join().expect("it answered");
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0, "ctl leaves nothing behind");
}
