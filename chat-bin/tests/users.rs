//! `chat user` beside a running server.

mod support;

use std::fmt::Write as _;
use std::process::Output;
use std::time::{Duration, Instant};

use chat_net::store::postgres::private::Private;
use support::raw::RawClient;
use support::{TestServer, eventually, put};

const PLAINTEXT: (&str, &str) = ("c2s.allow_plaintext", "true");

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    out(output)
}

/// Why it failed.
fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", out(output));
    err(output)
}

#[test]
fn accounts_from_beginning_to_end() {
    let server = TestServer::start(&[PLAINTEXT]);
    let add = |user, password| server.run(&["user", "add", user, "--password-stdin"], password);
    assert_eq!(done(&add("Nurse@localhost", "angelica\n")), "nurse@localhost added\n");
    assert_eq!(done(&add("friar", "laurence")), "friar@localhost added\n");
    RawClient::log_in(server.c2s, "nurse@localhost", "angelica", "house");
    for (user, password, why) in [
        ("nurse", "x", "nurse@localhost exists; chat user passwd sets another password"),
        ("nurse@elsewhere.example", "x", "elsewhere.example is not one of the domains served (localhost)"),
        ("tybalt", "", "this password cannot be used"),
        ("tybalt", "\u{7}", "this password cannot be used"),
        ("ty balt", "x", "is not the address of a user"),
        ("tybalt@localhost/x", "x", "is not the address of a user"),
        ("@localhost", "x", "is not the address of a user"),
    ] {
        let said = failed(&add(user, password));
        assert!(said.starts_with("error: ") && said.contains(why), "{user}: {said}");
    }
    let said = failed(&server.run(&["user", "add", "tybalt"], "x"));
    assert!(said.contains("--password-stdin"), "{said}");

    let passwd = |user, password| server.run(&["user", "passwd", user, "--password-stdin"], password);
    assert_eq!(done(&passwd("nurse", "other")), "nurse@localhost has another password\n");
    RawClient::log_in(server.c2s, "nurse@localhost", "other", "house");
    assert!(failed(&passwd("tybalt", "x")).contains("there is no account tybalt@localhost"));

    let list = |args: &[&str]| done(&server.run(&[&["user", "list"], args].concat(), ""));
    let all = "friar@localhost\njuliet@localhost\nnurse@localhost\nromeo@localhost\n";
    assert_eq!(list(&[]), all);
    assert_eq!(list(&["LOCALHOST"]), all);
    assert_eq!(list(&["elsewhere.example"]), "");

    assert_eq!(done(&server.run(&["user", "remove", "friar"], "")), "friar@localhost removed\n");
    assert!(
        failed(&server.run(&["user", "remove", "friar"], "")).contains("there is no account friar@localhost")
    );
    done(&server.run(&["user", "import", "-", "--domain", "b.example"], "tybalt:x"));
    let all = "juliet@localhost\nnurse@localhost\nromeo@localhost\ntybalt@b.example\n";
    assert_eq!(list(&[]), all, "in the order of their addresses");
    assert_eq!(list(&["b.example"]), "tybalt@b.example\n");
}

#[test]
fn a_removed_user_is_gone_within_a_second_also_when_made_anew() {
    let server = TestServer::start(&[PLAINTEXT]);
    let (romeo, password) = server.accounts[0].clone();
    let client = RawClient::log_in(server.c2s, &romeo, &password, "balcony");
    done(&server.run(&["user", "remove", &romeo], ""));
    let begun = Instant::now();
    server.add_user(&romeo, "another");
    let rest = client.read_to_end();
    assert!(rest.contains("<not-authorized") && rest.ends_with("</stream:stream>"), "{rest}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // What ends the old account leaves the new one alone.
    std::thread::sleep(Duration::from_millis(300));
    RawClient::log_in(server.c2s, &romeo, "another", "balcony");
}

#[test]
fn many_accounts_are_imported() {
    let server =
        TestServer::start(&[PLAINTEXT, ("domains", "localhost b.example"), ("store.durability", "memory")]);
    let file = server.directory.path().join("users");
    let mut text =
        String::from("# users\n\njuliet@localhost:a:b\nromeo@localhost\nromeo:x\nnurse@c.example:x\n");
    text.push_str("Juliet@localhost:again\nfriar@localhost:\n");
    for n in 0..200 {
        writeln!(text, "user{n}@b.example:password {n}").expect("a text");
    }
    put(&file, &text);
    let run = server.run(&["user", "import", "users"], "");
    // A slow machine tells how far it is, too.
    let said = failed(&run);
    let said: String =
        said.lines().filter(|line| !line.contains(" a second")).flat_map(|l| [l, "\n"]).collect();
    assert_eq!(
        said,
        "users:4: not of the form user:password\n\
         users:5: \"romeo\" has no domain\n\
         users:6: c.example is not one of the domains\n\
         users:7: the same user as in line 3\n\
         users:8: the password cannot be used (RFC 4013)\n\
         error: 5 lines were left out\n"
    );
    assert!(out(&run).starts_with("201 accounts added in "), "{}", out(&run));
    RawClient::log_in(server.c2s, "juliet@localhost", "a:b", "balcony");
    RawClient::log_in(server.c2s, "user199@b.example", "password 199", "home");

    let run = server.run(&["user", "import", "-"], "user1@b.example:new\nuser301@b.example:x");
    assert!(done(&run).starts_with("1 account added, 1 existed and was left alone in "), "{}", out(&run));
    let run = server.run(&["user", "import", "-", "--replace"], "user1@b.example:new");
    assert!(done(&run).starts_with("0 accounts added, 1 got another password in "), "{}", out(&run));
    RawClient::log_in(server.c2s, "user1@b.example", "new", "home");
    let said = failed(&server.run(&["user", "import", "nowhere"], ""));
    assert!(said.starts_with("error: nowhere: "), "{said}");
}

#[test]
fn accounts_live_in_postgres_as_well() {
    let database = Private::start();
    let mut server = TestServer::start(&[PLAINTEXT, ("store.url", &database.database())]);
    let (romeo, password) = server.accounts[0].clone();
    let client = RawClient::log_in(server.c2s, &romeo, &password, "balcony");
    done(&server.run(&["user", "remove", &romeo], ""));
    let begun = Instant::now();
    assert!(client.read_to_end().contains("<not-authorized"));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    done(&server.run(&["user", "import", "-"], "nurse:angelica\nfriar:laurence"));
    let run = server.run(&["user", "import", "-", "--replace"], "friar:lawrence\ntybalt:x");
    assert!(done(&run).starts_with("1 account added, 1 got another password in "), "{}", out(&run));
    done(&server.run(&["user", "passwd", "nurse", "--password-stdin"], "other"));
    let all = "friar@localhost\njuliet@localhost\nnurse@localhost\ntybalt@localhost\n";
    assert_eq!(done(&server.run(&["user", "list"], "")), all);

    server.terminate();
    server.start_again();
    RawClient::log_in(server.c2s, "nurse@localhost", "other", "house");
    RawClient::log_in(server.c2s, "friar@localhost", "lawrence", "cell");
    database.stop("fast");
    let said = failed(&server.run(&["user", "list"], ""));
    assert!(said.starts_with("error: cannot connect to the database "), "{said}");
    eventually("no traffic", || (server.health() == Some(503)).then_some(()));
    database.start_again();
    eventually("traffic again", || (server.health() == Some(200)).then_some(()));
    RawClient::log_in(server.c2s, "nurse@localhost", "other", "house");
    let told = server.log().matches("the database fails").count();
    assert_eq!(told, 1, "{}", server.log());
    server.terminate();
}

#[test]
fn sha_512_is_offered_while_everybody_has_keys_for_it() {
    let server = TestServer::start(&[PLAINTEXT]);
    let offered = || {
        RawClient::connect(server.c2s, "localhost").features.contains("<mechanism>SCRAM-SHA-512</mechanism>")
    };
    assert!(offered());
    done(&server.run(&["user", "import", "-"], "nurse:angelica"));
    eventually("SHA-512 is withdrawn", || (!offered()).then_some(()));
    // Her keys are made when her password is seen.
    RawClient::log_in(server.c2s, "nurse@localhost", "angelica", "house");
    eventually("SHA-512 is offered again", || offered().then_some(()));
}

#[test]
fn the_memory_of_another_process_cannot_be_reached() {
    let server = TestServer::start(&[("store.url", "memory:")]);
    assert_eq!(server.accounts.len(), 2);
    let said = failed(&server.run(&["user", "list"], ""));
    assert!(said.contains("store.url is memory"), "{said}");
    assert!(!server.data().exists(), "such a server leaves nothing behind");
}

#[test]
fn healthcheck_is_the_exit_code() {
    let mut server = TestServer::start(&[]);
    assert_eq!(done(&server.run(&["healthcheck"], "")), "");
    let url = |path: &str| format!("http://{}{path}", server.web);
    assert_eq!(done(&server.run(&["healthcheck", "--url", &url("")], "")), "");
    let said = failed(&server.run(&["healthcheck", "--url", &url("/x")], ""));
    assert_eq!(said, format!("error: {} answers 404\n", url("/x")));
    server.terminate();
    let said = failed(&server.run(&["healthcheck"], ""));
    assert!(said.contains("/health-check: ") && said.contains("refused"), "{said}");
}
