//! Sessions that go on at another node: two real processes of one cluster on loopback, which share a PostgreSQL.

mod support;

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::client::Client;
use support::nodes::{DOMAIN, Nodes};
use support::{PATIENCE, eventually, http_with};

const ROMEO: &str = "romeo@localhost/here";
const JULIET: &str = "juliet@localhost/here";

/// Reads until this is true of the client.
fn read_until(client: &mut Client, what: &str, mut done: impl FnMut(&Client) -> bool) {
    let begun = Instant::now();
    while !done(client) {
        assert!(begun.elapsed() < PATIENCE, "it does not happen: {what}; got {:?}", client.got);
        client.read(Duration::from_millis(20)).expect("the node lives");
    }
}

fn say(client: &mut Client, to: &str, numbers: std::ops::Range<usize>) {
    for n in numbers {
        client.message(to, &n.to_string()).expect("sent");
    }
    client.request().expect("sent");
}

/// What a client got, in order. Some of it may say that it waited: that is for who reads it.
fn got(client: &Client) -> Vec<usize> {
    client.got.iter().map(|(id, _)| id.parse().expect("a number")).collect()
}

/// What still comes on a connection, to its end.
fn rest(mut connection: TcpStream) -> String {
    connection.set_read_timeout(Some(PATIENCE)).expect("an option");
    let mut rest = Vec::new();
    let _ = connection.read_to_end(&mut rest);
    String::from_utf8_lossy(&rest).into_owned()
}

/// Juliet at the first node and Romeo at the second, who have talked.
fn two() -> (Nodes, Client, Client) {
    let nodes = Nodes::start(2);
    for user in ["juliet", "romeo"] {
        nodes.add_user(user);
    }
    let (mut juliet, mut romeo) = (nodes.client(0, "juliet"), nodes.client(1, "romeo"));
    // Once a node has sent a stanza of a session the other knows of the session.
    greet(&mut juliet, &mut romeo, "romeo");
    greet(&mut romeo, &mut juliet, "juliet");
    (nodes, juliet, romeo)
}

fn greet(from: &mut Client, to: &mut Client, user: &str) {
    from.message(&format!("{user}@{DOMAIN}"), "hello").expect("sent");
    read_until(to, "hello", |c| !c.got.is_empty());
    to.got.clear();
}

/// Both have everything that the other sent, and both know that it is safe.
fn settle(juliet: &mut Client, romeo: &mut Client, numbers: std::ops::Range<usize>) {
    for client in [&mut *juliet, &mut *romeo] {
        client.request().expect("sent");
        read_until(client, "everything arrives", |c| c.got.len() >= numbers.len());
    }
    read_until(juliet, "juliet's messages are safe", |c| c.unacknowledged() == 0);
    read_until(romeo, "romeo's messages are safe", |c| c.unacknowledged() == 0);
    let all: Vec<usize> = numbers.collect();
    assert_eq!((&got(juliet), &got(romeo)), (&all, &all), "each once, and in order");
}

#[test]
fn a_session_is_taken_from_a_stream_that_lives() {
    let (nodes, mut juliet, mut romeo) = two();
    for (turn, node) in [0, 1, 0].into_iter().enumerate() {
        let at = 30 * turn;
        say(&mut juliet, ROMEO, at..at + 10);
        say(&mut romeo, JULIET, at..at + 10);
        read_until(&mut romeo, "the first of them", |c| c.got.len() == at + 10);
        // These are on their way when he comes to the other node, whatever has become of them.
        romeo.answers = false;
        say(&mut juliet, ROMEO, at + 10..at + 20);
        say(&mut romeo, JULIET, at + 10..at + 20);
        let old = romeo.connection();
        assert!(romeo.resume(nodes.nodes[node].c2s).expect("an answer"), "it goes on");
        romeo.answers = true;
        let words = rest(old);
        assert!(words.contains("<conflict") && words.ends_with("</stream:stream>"), "{words}");
        say(&mut juliet, ROMEO, at + 20..at + 30);
        say(&mut romeo, JULIET, at + 20..at + 30);
        settle(&mut juliet, &mut romeo, 0..at + 30);
    }
}

#[test]
fn a_session_that_waits_is_found_from_another_node() {
    let (nodes, mut juliet, mut romeo) = two();
    for (turn, node) in [0, 1].into_iter().enumerate() {
        let at = 20 * turn;
        say(&mut juliet, ROMEO, at..at + 5);
        // Not all of these arrive before the connection is gone.
        say(&mut romeo, JULIET, at..at + 10);
        romeo.cut();
        say(&mut juliet, ROMEO, at + 5..at + 10);
        read_until(&mut juliet, "what waits with his session is safe", |c| c.unacknowledged() == 0);
        assert!(romeo.resume(nodes.nodes[node].c2s).expect("an answer"), "it goes on");
        say(&mut juliet, ROMEO, at + 10..at + 20);
        say(&mut romeo, JULIET, at + 10..at + 20);
        settle(&mut juliet, &mut romeo, 0..at + 20);
    }
}

#[test]
fn a_node_that_drains_gives_sessions_away() {
    let (mut nodes, mut juliet, mut romeo) = two();
    say(&mut juliet, ROMEO, 0..10);
    say(&mut romeo, JULIET, 0..10);
    settle(&mut juliet, &mut romeo, 0..10);
    let connection = romeo.connection();
    let order = r#"{"grace": 0, "rate": 100, "deadline": 30}"#;
    let header = "Content-Type: application/json\r\n";
    http_with(nodes.nodes[1].admin, "POST", "/v1/drain", header, order).expect("an answer");
    let words = rest(connection);
    assert!(words.contains("<a xmlns='urn:xmpp:sm:3' h='12'/>"), "he is told what is safe: {words}");
    assert!(!words.contains("stream:error") && !words.contains("</stream:stream>"), "{words}");
    say(&mut juliet, ROMEO, 10..20);
    assert!(romeo.resume(nodes.nodes[0].c2s).expect("an answer"), "it goes on");
    say(&mut romeo, JULIET, 10..20);
    settle(&mut juliet, &mut romeo, 0..20);
    eventually("the node is gone", || nodes.nodes[1].health().is_none().then_some(()));
    assert_eq!(nodes.nodes[1].wait().code(), Some(0), "{}", nodes.nodes[1].log());
}
