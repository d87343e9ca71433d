//! Clusters of real processes on loopback, which share a PostgreSQL: what clients of different nodes see of each other, and
//! what becomes of nodes that die, leave, come back, or do not belong there.

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use support::authority::{Authority, CERTIFIED};
use support::client::Client;
use support::nodes::{DOMAIN, Nodes, PASSWORD, SECRET, name};
use support::{PATIENCE, TestServer, eventually};

/// Reads until this is true of the client.
fn read_until(client: &mut Client, what: &str, mut done: impl FnMut(&Client) -> bool) {
    let begun = Instant::now();
    while !done(client) {
        assert!(begun.elapsed() < PATIENCE, "it does not happen: {what}; got {:?}", client.got);
        client.read(Duration::from_millis(20)).expect("the node lives");
    }
}

/// Sends messages of these numbers, and asks for acknowledgements.
fn send(client: &mut Client, to: &str, numbers: std::ops::Range<usize>) {
    for n in numbers {
        client.message(to, &format!("{to}-{n}")).expect("sent");
    }
    client.request().expect("sent");
}

fn ids(to: &str, numbers: std::ops::Range<usize>) -> Vec<(String, bool)> {
    numbers.map(|n| (format!("{to}-{n}"), false)).collect()
}

/// Each says hello to the other. When a stanza arrives, so has what its node said of sessions before: from now on both nodes
/// know both clients.
fn meet(a: &mut Client, b: &mut Client) {
    greet(b, a, "juliet");
    greet(a, b, "romeo");
}

fn greet(from: &mut Client, to: &mut Client, user: &str) {
    from.message(&format!("{user}@{DOMAIN}"), "hello").expect("sent");
    read_until(to, "hello", |c| c.got.len() == 1);
    to.acknowledge().expect("sent");
    (to.got_acked, to.got) = (0, Vec::new());
}

#[test]
fn users_of_different_nodes_talk_as_those_of_one() {
    let nodes = Nodes::start(3);
    for user in ["juliet", "romeo", "nurse"] {
        nodes.add_user(user);
    }
    let (mut juliet, mut romeo) = (nodes.client(0, "juliet"), nodes.client(1, "romeo"));
    meet(&mut juliet, &mut romeo);
    let (to_juliet, to_romeo) = (format!("juliet@{DOMAIN}"), format!("romeo@{DOMAIN}/here"));

    // Both ways, to a bare and to a full JID, in order, acknowledged to their senders.
    send(&mut juliet, &to_romeo, 0..50);
    read_until(&mut romeo, "romeo gets everything", |c| c.got.len() == 50);
    send(&mut romeo, &to_juliet, 0..50);
    read_until(&mut juliet, "juliet gets everything", |c| c.got.len() == 50);
    assert_eq!((&romeo.got, &juliet.got), (&ids(&to_romeo, 0..50), &ids(&to_juliet, 0..50)));
    read_until(&mut juliet, "juliet's are acknowledged", |c| c.unacknowledged() == 0);
    read_until(&mut romeo, "romeo's are acknowledged", |c| c.unacknowledged() == 0);

    // A question to a session elsewhere, and its answer.
    let version = "<query xmlns='jabber:iq:version'/>";
    juliet.stanza(&format!("<iq type='get' id='v' to='{to_romeo}'>{version}</iq>")).expect("sent");
    let asked = romeo.expect("iq").expect("it is asked");
    assert_eq!((asked.attr("id"), asked.attr("from")), (Some("v"), Some("juliet@localhost/here")));
    romeo.stanza("<iq type='result' id='v' to='juliet@localhost/here'/>").expect("sent");
    let answer = juliet.expect("iq").expect("it is answered");
    assert_eq!((answer.attr("id"), answer.attr("type")), (Some("v"), Some("result")));

    // What waits is found wherever its recipient logs in.
    let to_nurse = format!("nurse@{DOMAIN}");
    send(&mut juliet, &to_nurse, 0..3);
    read_until(&mut juliet, "what waits is acknowledged", |c| c.unacknowledged() == 0);
    let mut nurse = nodes.client(2, "nurse");
    read_until(&mut nurse, "what waited arrives", |c| c.got.len() == 3);
    assert_eq!(nurse.got, ids(&to_nurse, 0..3).into_iter().map(|(id, _)| (id, true)).collect::<Vec<_>>());
    nurse.acknowledge().expect("sent");
    // She has two sessions, on two nodes: both get what comes for her.
    let mut phone =
        Client::login(nodes.nodes[1].c2s, "nurse", DOMAIN, PASSWORD, "phone").expect("it logs in");
    phone.stanza("<presence/>").expect("presence");
    read_until_seen(&mut juliet, &mut phone, &to_nurse);
    read_until(&mut nurse, "both get it", |c| c.got.iter().any(|(id, _)| id == "probe"));
}

/// Sends until the session elsewhere is known to be there.
fn read_until_seen(from: &mut Client, to: &mut Client, jid: &str) {
    let begun = Instant::now();
    while to.got.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the session is not seen");
        from.message(jid, "probe").expect("sent");
        to.read(Duration::from_millis(200)).expect("the node lives");
    }
}

#[test]
fn a_killed_node_is_known_within_three_seconds_loses_nothing_and_comes_back() {
    let mut nodes = Nodes::start(3);
    for user in ["juliet", "romeo"] {
        nodes.add_user(user);
    }
    let to_romeo = format!("romeo@{DOMAIN}");
    let mut juliet = nodes.client(0, "juliet");
    let mut romeo = nodes.client(1, "romeo");
    meet(&mut juliet, &mut romeo);
    send(&mut juliet, &to_romeo, 0..10);
    read_until(&mut romeo, "romeo gets everything", |c| c.got.len() == 10);
    romeo.acknowledge().expect("sent");
    read_until(&mut juliet, "all is acknowledged", |c| c.unacknowledged() == 0);
    // These he gets, perhaps, and never acknowledges.
    romeo.answers = false;
    send(&mut juliet, &to_romeo, 10..20);
    let after = nodes.kill(1);
    println!("everybody knows after {} ms", after.as_millis());
    assert!(after < Duration::from_secs(3), "{after:?}");
    send(&mut juliet, &to_romeo, 20..30);
    read_until(&mut juliet, "all is acknowledged", |c| c.unacknowledged() == 0);
    assert_eq!(juliet.acknowledged().len(), 31);

    let mut romeo = nodes.client(2, "romeo");
    read_until(&mut romeo, "romeo gets the rest", |c| c.got.len() >= 20);
    let got: BTreeSet<_> = romeo.got.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(got, ids(&to_romeo, 10..30).into_iter().map(|(id, _)| id).collect());
    assert!(romeo.got.iter().all(|(_, delayed)| *delayed), "{:?}", romeo.got);
    romeo.acknowledge().expect("sent");

    // It comes back, under its name and in another life, and takes part as before.
    nodes.nodes[1].start_again();
    for n in [0, 2] {
        nodes.wait_until_up(n, &name(2));
    }
    nodes.wait_until_up(1, &name(1));
    send(&mut juliet, &to_romeo, 30..40);
    read_until(&mut romeo, "romeo goes on", |c| c.got.len() == 30);
    assert_eq!(romeo.got[20..], ids(&to_romeo, 30..40));
    nodes.add_user("nurse");
    let mut nurse = nodes.client(1, "nurse");
    send(&mut nurse, &to_romeo, 40..50);
    read_until(&mut romeo, "the node that is back takes part", |c| c.got.len() == 40);
}

#[test]
fn a_node_that_is_told_to_stop_says_so_and_leaves_nothing_behind() {
    let mut nodes = Nodes::start(2);
    for user in ["juliet", "romeo"] {
        nodes.add_user(user);
    }
    let to_romeo = format!("romeo@{DOMAIN}");
    let mut juliet = nodes.client(0, "juliet");
    let mut romeo = nodes.client(1, "romeo");
    meet(&mut juliet, &mut romeo);
    romeo.answers = false;
    send(&mut juliet, &to_romeo, 0..10);
    read_until(&mut romeo, "romeo gets everything", |c| c.got.len() == 10);
    let status = nodes.nodes[1].terminate();
    assert_eq!(status.code(), Some(0), "{}", nodes.nodes[1].log());
    assert_eq!(
        nodes.nodes[1].lines().iter().filter(|l| l["message"] == "this node has left the cluster").count(),
        1
    );
    eventually("it is known to have left", || {
        (nodes.count(0, "a node is down: it has left", &name(2)) == 1).then_some(())
    });
    read_until(&mut juliet, "what he did not acknowledge is safe", |c| c.unacknowledged() == 0);
    let mut romeo = nodes.client(0, "romeo");
    read_until(&mut romeo, "he gets it again", |c| c.got.len() == 10);
}

/// Waits for a line of a node's log that starts like this, and returns it.
fn said(server: &TestServer, start: &str) -> String {
    eventually(start, || {
        let lines = server.lines();
        let said = lines.iter().filter_map(|line| line["message"].as_str());
        said.into_iter().find(|said| said.starts_with(start)).map(str::to_owned)
    })
}

#[test]
fn a_wrong_secret_is_told_to_both_and_breaks_nothing() {
    let nodes = Nodes::start(2);
    let stranger = nodes.another(&name(3), "another-secret-altogether");
    println!("{}", said(&stranger, "no link to n1@127.0.0.1: "));
    println!("{}", said(&nodes.nodes[0], "no link to n3@127.0.0.1"));
    assert_eq!((stranger.health(), nodes.nodes[0].health()), (Some(200), Some(200)));
    for user in ["juliet", "romeo"] {
        nodes.add_user(user);
    }
    let (mut juliet, mut romeo) = (nodes.client(0, "juliet"), nodes.client(1, "romeo"));
    meet(&mut juliet, &mut romeo);
    let to_romeo = format!("romeo@{DOMAIN}/here");
    send(&mut juliet, &to_romeo, 0..10);
    read_until(&mut romeo, "the cluster goes on", |c| c.got.len() == 10);
    assert_eq!(nodes.count(0, "a node is", &name(3)) + nodes.count(1, "a node is", &name(3)), 0);
}

#[test]
fn nodes_know_each_other_by_certificates_of_one_authority() {
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let mut nodes = Nodes::start_certified(2, &ours);
    for user in ["juliet", "romeo", "nurse"] {
        nodes.add_user(user);
    }
    let (mut juliet, mut romeo) = (nodes.client(0, "juliet"), nodes.client(1, "romeo"));
    meet(&mut juliet, &mut romeo);

    // One with a certificate of another authority.
    let mut stranger = nodes.another_certified(&name(3), &other, &name(3));
    let doubt = "does not believe";
    println!("{}", said_of(&stranger, "no link to n1@127.0.0.1: this node", doubt));
    println!("{}", said_of(&nodes.nodes[0], "no link to ", doubt));
    assert_eq!((stranger.health(), nodes.nodes[0].health()), (Some(200), Some(200)));
    let to_romeo = format!("romeo@{DOMAIN}/here");
    send(&mut juliet, &to_romeo, 0..10);
    read_until(&mut romeo, "the cluster goes on", |c| c.got.len() == 10);
    assert_eq!(nodes.count(0, "a node is", &name(3)) + nodes.count(1, "a node is", &name(3)), 0);

    // What is no certificate, or one for another node, is not taken by a node that runs, and a signal does not change that.
    let directory = nodes.nodes[1].directory.path().to_owned();
    let refused = "the new certificates for links are not used; the old ones stay";
    support::put(&directory.join("node.pem"), "no certificate");
    nodes.nodes[1].wait_for_log(refused);
    ours.put(&directory, &name(1));
    nodes.nodes[1].wait_for_log("is a certificate for n1@127.0.0.1, not for this node, n2@127.0.0.1");
    nodes.nodes[1].signal(rustix::process::Signal::HUP);
    eventually("it is said again", || (nodes.nodes[1].log().matches(refused).count() >= 3).then_some(()));

    // One of the right authority is, without another start, by a node that nobody believed before.
    ours.put(stranger.directory.path(), &name(3));
    stranger.wait_for_log("certificates for links loaded anew");
    nodes.nodes.push(stranger);
    for n in [0, 1] {
        nodes.wait_until_up(n, &name(3));
        nodes.wait_until_up(2, &name(n + 1));
        assert_eq!(nodes.count(n, "a node is down", &name(2 - n)), 0, "links that stand go on");
    }
    let mut nurse = nodes.client(2, "nurse");
    send(&mut nurse, &to_romeo, 10..20);
    read_until(&mut romeo, "the third node takes part", |c| c.got.len() == 20);
}

/// Waits for a line of a node's log that starts and goes on like this, and returns it.
fn said_of(server: &TestServer, start: &str, part: &str) -> String {
    eventually(part, || {
        let lines = server.lines();
        let said = lines.iter().filter_map(|line| line["message"].as_str());
        said.into_iter().find(|said| said.starts_with(start) && said.contains(part)).map(str::to_owned)
    })
}

#[test]
fn a_node_does_not_start_with_a_certificate_for_another() {
    let directory = tempfile::tempdir().expect("a directory");
    Authority::new("ours").put(directory.path(), "chat@elsewhere.example");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chat"));
    command.arg("serve").env_clear().current_dir(directory.path());
    for setting in ["store.url=memory:", "listen.c2s=", "listen.c2s_tls=", "listen.web=", "listen.admin="] {
        command.args(["--set", setting]);
    }
    for (key, value) in CERTIFIED.into_iter().chain([("node.name", "chat@here.example")]) {
        command.args(["--set", &format!("{key}={value}")]);
    }
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let why =
        "error: node.pem is a certificate for chat@elsewhere.example, not for this node, chat@here.example";
    assert!(said.starts_with(why), "{said}");
}

#[test]
fn of_two_nodes_with_one_name_the_later_stops_and_both_say_why() {
    let nodes = Nodes::start(2);
    let mut again = nodes.another(&name(2), SECRET);
    let status = again.wait();
    assert_eq!(status.code(), Some(1), "{}", again.log());
    let sentence = "another live node of the cluster is called n2@127.0.0.1";
    assert!(said(&again, sentence).contains("this one stops"));
    eventually("the sentence is what the process ends with", || {
        again.log().lines().any(|line| line.starts_with(&format!("error: {sentence}"))).then_some(())
    });
    println!("{}", said(&nodes.nodes[0], "n2@127.0.0.1 is refused: "));
    assert_eq!(nodes.count(0, "a node is down", &name(2)), 0);
    for user in ["juliet", "romeo"] {
        nodes.add_user(user);
    }
    let (mut juliet, mut romeo) = (nodes.client(0, "juliet"), nodes.client(1, "romeo"));
    meet(&mut juliet, &mut romeo);
    let to_romeo = format!("romeo@{DOMAIN}/here");
    send(&mut juliet, &to_romeo, 0..10);
    read_until(&mut romeo, "the cluster goes on", |c| c.got.len() == 10);
}
