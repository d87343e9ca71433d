//! A stock client against the program over real sockets: the scenarios of `tests/slixmpp/`, each with a server of its own.
//!
//! They need Python with slixmpp: `CHAT_TEST_PYTHON`, which `.ci/run` sets, or what `.ci/run client` has installed under
//! `target/`. Where there is neither they say so and test nothing.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::TestServer;

/// The interpreter that has slixmpp.
fn python() -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("CHAT_TEST_PYTHON") {
        return Some(python.into());
    }
    // The target directory is where this program lies: target/debug/deps/slixmpp-….
    let own = std::env::current_exe().ok()?;
    let python = own.ancestors().nth(3)?.join("venv/bin/python");
    python.exists().then_some(python)
}

/// Runs a program of Python with these arguments; it is to end with 0.
fn run(script: &str, args: &[String]) {
    let Some(python) = python() else {
        eprintln!("skipped: there is no Python with slixmpp; `.ci/run client` installs it");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new(python).arg(&script).args(args).output().expect("Python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}\n{text}\n{errors}", script.display(), output.status);
    println!("{text}");
}

fn account(server: &TestServer, index: usize) -> String {
    let (jid, password) = &server.accounts[index];
    format!("{}:{password}", jid.split('@').next().expect("a local part"))
}

/// The SHA-256 fingerprint of the server's certificate, from its welcome.
fn fingerprint(server: &TestServer) -> String {
    let log = server.log();
    let line = log.lines().find(|line| line.contains("\"fingerprint\"")).expect("the log has it");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    line["fingerprint"].as_str().expect("text").to_owned()
}

/// A scenario with romeo and juliet, on a new server of two workers.
fn scenario(name: &str, more: &[&str], settings: &[(&str, &str)]) {
    let mut all = vec![("net.workers", "2")];
    all.extend_from_slice(settings);
    let server = TestServer::start(&all);
    let mut args: Vec<String> = vec![
        "--host".into(),
        server.c2s.ip().to_string(),
        "--port".into(),
        server.c2s.port().to_string(),
        "--direct-port".into(),
        server.c2s_tls.port().to_string(),
        "--fingerprint".into(),
        fingerprint(&server),
        "--user".into(),
        account(&server, 0),
        "--user".into(),
    ];
    // The second account of this one is made by the scenario.
    args.push(if name == "register" { "newcomer:welcome".into() } else { account(&server, 1) });
    args.extend(more.iter().map(|a| (*a).to_owned()));
    run(&format!("tests/slixmpp/{name}.py"), &args);
}

fn both_ways(name: &str) {
    scenario(name, &[], &[]);
    scenario(name, &["--direct"], &[]);
}

#[test]
fn logs_in_over_starttls() {
    scenario("login_starttls", &[], &[]);
}

#[test]
fn logs_in_over_direct_tls() {
    scenario("login_direct_tls", &[], &[]);
}

#[test]
fn is_refused_with_a_wrong_password() {
    scenario("wrong_password", &[], &[]);
}

#[test]
fn uses_each_mechanism_and_falls_back_without_a_channel_binding() {
    both_ways("mechanisms");
}

#[test]
fn keeps_a_roster_and_subscribes() {
    both_ways("roster");
}

#[test]
fn gets_carbons() {
    both_ways("carbons");
}

#[test]
fn blocks() {
    both_ways("blocking");
}

#[test]
fn resumes_when_the_connection_was_cut() {
    both_ways("resume");
}

#[test]
fn finds_what_waited() {
    both_ways("offline");
}

#[test]
fn discovers_services() {
    both_ways("services");
}

#[test]
fn changes_its_password_and_cancels_the_account() {
    scenario("account", &[], &[]);
}

#[test]
fn registers_where_that_is_open() {
    scenario("register", &[], &[("registration.enabled", "true")]);
}

#[test]
fn the_conversation_of_the_examples_goes_well() {
    let server = TestServer::start(&[("net.workers", "2")]);
    let args = [
        ("--port", server.c2s.port().to_string()),
        ("--fingerprint", fingerprint(&server)),
        ("--user1", account(&server, 0)),
        ("--user2", account(&server, 1)),
    ];
    let args: Vec<String> = args.into_iter().flat_map(|(k, v)| [k.to_owned(), v]).collect();
    run("../examples/conversation.py", &args);
}
