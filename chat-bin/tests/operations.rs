//! What operators of a cluster see of it and do with it: the status, roles, and drains, on real processes that share a
//! PostgreSQL.

mod support;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::client::Client;
use support::nodes::{DOMAIN, Nodes, PASSWORD, name};
use support::{PATIENCE, TestServer, eventually, http};

/// What `chat ctl` prints.
fn ctl(node: &TestServer, args: &[&str]) -> String {
    let args: Vec<_> = ["ctl"].iter().chain(args).copied().collect();
    let output = node.run(&args, "");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {err}");
    out.into_owned()
}

fn status(node: &TestServer) -> Value {
    serde_json::from_str(&ctl(node, &["status", "--json"])).expect("JSON")
}

/// How a node sees another.
fn peer(node: &TestServer, other: &str) -> Value {
    let status = status(node);
    let peers = status["peers"].as_array().expect("peers");
    peers.iter().find(|peer| peer["name"] == other).cloned().unwrap_or_default()
}

fn metrics(node: &TestServer) -> String {
    http(node.admin, "GET", "/metrics").expect("an answer").1
}

/// Reads until the node closes the stream.
fn read_to_end(client: &mut Client) {
    let begun = Instant::now();
    while client.read(Duration::from_millis(100)).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "the stream does not end");
    }
}

#[test]
fn the_status_shows_every_node_as_this_one_sees_it() {
    let mut nodes = Nodes::start_with(&[&[], &[("cluster.role", "standby")], &[]]);
    nodes.add_user("juliet");
    let _juliet = nodes.client(2, "juliet");
    let first = &nodes.nodes[0];
    eventually("her session is known", || (peer(first, &name(3))["sessions"] == 1).then_some(()));
    for n in [2, 3] {
        eventually("the link is measured", || peer(first, &name(n))["delay_ms"].is_number().then_some(()));
    }
    let seen = status(first);
    let node = &seen["node"];
    assert_eq!((&node["role"], &node["state"]), (&"active".into(), &"up".into()));
    assert_eq!(node["addresses"], Value::from(vec![first.cluster.to_string()]));
    assert!(node["incarnation"].as_u64().is_some_and(|n| n > 1_700_000_000_000), "{node}");
    assert_eq!(seen["peers"].as_array().map(Vec::len), Some(2));
    for (n, role) in [(2, "standby"), (3, "active")] {
        let peer = peer(first, &name(n));
        assert_eq!((&peer["state"], &peer["role"]), (&"up".into(), &role.into()), "{peer}");
        assert_eq!(peer["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!((&peer["whole"], &peer["connected"]), (&true.into(), &true.into()), "{peer}");
        assert!(peer["incarnation"].is_u64() && peer["protocol"].is_u64(), "{peer}");
        assert!(peer["waiting_bytes"].is_u64() && peer["reason"].is_null(), "{peer}");
    }
    let standby = status(&nodes.nodes[1]);
    assert_eq!((&standby["node"]["role"], &standby["node"]["state"]), (&"standby".into(), &"standby".into()));
    assert_eq!((nodes.nodes[1].health(), first.health()), (Some(503), Some(200)));

    let table = ctl(first, &["status"]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |name: &str| rows.iter().find(|row| row.first() == Some(&name)).expect(&table);
    assert_eq!(row(&name(2))[2..5], ["standby", "up", env!("CARGO_PKG_VERSION")], "{table}");
    assert_eq!(row(&name(3))[6], "1", "{table}");

    let page = metrics(first);
    for line in [
        "chat_peers{state=\"up\"} 2".to_owned(),
        format!("chat_peer_up{{peer=\"{}\"}} 1", name(2)),
        format!("chat_peer_whole{{peer=\"{}\"}} 1", name(3)),
        format!("chat_peer_sessions{{peer=\"{}\"}} 1", name(3)),
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
    assert!(page.contains(&format!("chat_peer_delay_seconds{{peer=\"{}\"}} 0.", name(3))), "{page}");

    nodes.kill(2);
    let first = &nodes.nodes[0];
    let gone = peer(first, &name(3));
    assert_eq!((&gone["state"], &gone["sessions"]), (&"down".into(), &0.into()), "{gone}");
    assert_eq!(gone["reason"], "it does not answer");
    let said = ctl(first, &["status"]);
    assert!(said.contains("n3@127.0.0.1 has been down for "), "{said}");
    assert!(metrics(first).contains("chat_peers{state=\"down\"} 1"));
}

#[test]
fn a_standby_node_takes_the_place_of_one_that_dies() {
    let wanted = ("cluster.active_wanted", "2");
    let standby = [wanted, ("cluster.role", "standby")];
    let mut nodes = Nodes::start_with(&[&[wanted], &[wanted], &standby, &standby]);
    nodes.add_user("juliet");
    let health = |nodes: &Nodes| -> Vec<_> { nodes.nodes.iter().map(TestServer::health).collect() };
    assert_eq!(health(&nodes), [Some(200), Some(200), Some(503), Some(503)]);
    nodes.kill(1);
    let killed = Instant::now();
    eventually("the first standby is promoted", || (nodes.nodes[2].health() == Some(200)).then_some(()));
    let after = killed.elapsed();
    println!("promoted after {after:?}");
    assert!((8.0..14.0).contains(&after.as_secs_f64()), "after ten seconds: {after:?}");
    assert!(nodes.nodes[2].log().contains("this node is active from now on"));
    eventually("the others know", || (peer(&nodes.nodes[0], &name(3))["role"] == "active").then_some(()));
    let mut juliet = nodes.client(2, "juliet");
    juliet.request().expect("it serves");
    // The other one waits on.
    assert_eq!(nodes.nodes[3].health(), Some(503));
}

#[test]
fn roles_change_by_hand() {
    let nodes = Nodes::start_with(&[&[], &[("cluster.role", "standby")]]);
    nodes.add_user("juliet");
    let (first, second) = (&nodes.nodes[0], &nodes.nodes[1]);
    let (code, answer) = http(first.admin, "POST", "/v1/step-back").expect("an answer");
    assert!(code == 409 && answer.contains("promote one first"), "{answer}");
    assert_eq!(ctl(second, &["promote"]), format!("{} is active\n", name(2)));
    assert_eq!(second.health(), Some(200));
    eventually("the other knows", || (peer(first, &name(2))["role"] == "active").then_some(()));
    let mut juliet = nodes.client(0, "juliet");
    // It steps back: its clients go elsewhere, and the process goes on.
    assert_eq!(ctl(first, &["step-back"]), format!("{} steps back\n", name(1)));
    assert_eq!(first.health(), Some(503));
    read_to_end(&mut juliet);
    assert!(juliet.resume(second.c2s).expect("the other serves her"), "her session has moved");
    eventually("it is on standby", || (status(first)["node"]["state"] == "standby").then_some(()));
    eventually("the other knows", || (peer(second, &name(1))["role"] == "standby").then_some(()));
    assert_eq!(peer(second, &name(1))["draining"], false);
    assert_eq!(first.health(), Some(503));
    // And back again; then it takes clients as ever.
    assert_eq!(ctl(first, &["promote"]), format!("{} is active\n", name(1)));
    assert_eq!(first.health(), Some(200));
    nodes.add_user("romeo");
    let mut romeo = nodes.client(0, "romeo");
    romeo.request().expect("it serves him");
    // A node that drains changes nothing.
    let drain = r#"{"grace": 60}"#;
    let header = "Content-Type: application/json\r\n";
    let (code, _) = support::http_with(second.admin, "POST", "/v1/drain", header, drain).expect("an answer");
    assert_eq!(code, 202);
    eventually("the other knows", || (peer(first, &name(2))["draining"] == true).then_some(()));
    for path in ["/v1/promote", "/v1/step-back"] {
        let (code, answer) = http(second.admin, "POST", path).expect("an answer");
        assert!(code == 409 && answer.contains("the node drains"), "{answer}");
    }
    let (code, _) = http(second.admin, "DELETE", "/v1/drain").expect("an answer");
    assert_eq!((code, second.health()), (200, Some(200)));
    eventually("the other knows", || (peer(first, &name(2))["draining"] == false).then_some(()));
}

#[test]
fn who_steps_back_may_think_better_of_it() {
    let nodes = Nodes::start_with(&[&[("drain.grace", "60s")], &[]]);
    nodes.add_user("juliet");
    let mut juliet = nodes.client(0, "juliet");
    let first = &nodes.nodes[0];
    ctl(first, &["step-back"]);
    let drain = &status(first)["node"]["drain"];
    assert_eq!((&drain["by"], &drain["phase"], &drain["left"]), (&"role".into(), &"grace".into(), &1.into()));
    ctl(first, &["promote"]);
    let node = &status(first)["node"];
    assert_eq!((&node["state"], &node["drain"]), (&"up".into(), &Value::Null));
    assert_eq!(first.health(), Some(200));
    juliet.request().expect("she never noticed");
    juliet.read(Duration::from_millis(200)).expect("she never noticed");
}

/// So many clients of a node, each of a user of its own.
fn crowd(nodes: &Nodes, n: usize, count: usize) -> Vec<Client> {
    let accounts: String = (0..count).map(|u| format!("user{u}@{DOMAIN}:{PASSWORD}\n")).collect();
    let output = nodes.nodes[0].run(&["user", "import", "/dev/stdin"], &accounts);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (0..count).map(|u| nodes.client(n, &format!("user{u}"))).collect()
}

#[test]
fn a_drain_empties_a_node_at_its_rate_and_loses_nothing() {
    const CROWD: usize = 60;
    let mut nodes = Nodes::start(2);
    nodes.add_user("juliet");
    let mut clients = crowd(&nodes, 1, CROWD);
    let mut juliet = nodes.client(0, "juliet");
    eventually("all are known", || (peer(&nodes.nodes[0], &name(2))["sessions"] == CROWD).then_some(()));
    // Each has a message that it does not acknowledge.
    for (u, client) in clients.iter_mut().enumerate() {
        client.answers = false;
        juliet.message(&format!("user{u}@{DOMAIN}"), &format!("m{u}")).expect("sent");
    }
    juliet.request().expect("sent");

    let other = nodes.nodes[0].c2s;
    let back: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(u, client)| thread::spawn(move || comes_back(client, other, &format!("m{u}"))))
        .collect();
    let begun = Instant::now();
    let said = ctl(&nodes.nodes[1], &["drain", "--rate", "20", "--deadline", "30"]);
    assert!(said.starts_with("draining (asked by API): "), "{said}");
    assert_eq!(nodes.nodes[1].health(), Some(503), "before anything else");
    let halfway = eventually("some have left", || {
        let drain = status(&nodes.nodes[1])["node"]["drain"].clone();
        let left = drain["left"].as_u64().expect("a number");
        (left < CROWD as u64 && left > 0).then_some(drain)
    });
    assert_eq!(halfway["phase"], "leaving", "{halfway}");
    assert!(halfway["seconds_to_go"].as_f64().is_some_and(|s| s > 0.0 && s <= 3.0), "{halfway}");
    let gone = halfway["moved"].as_u64().unwrap_or(0) + halfway["lost"].as_u64().unwrap_or(0);
    assert_eq!(gone + halfway["left"].as_u64().unwrap_or(0), CROWD as u64, "{halfway}");
    assert_eq!(peer(&nodes.nodes[0], &name(2))["draining"], true);
    // Nobody new gets in.
    let refused = Client::login(nodes.nodes[1].c2s, "juliet", DOMAIN, PASSWORD, "late");
    assert!(refused.is_err(), "the listeners are closed");
    let exit = nodes.nodes[1].wait();
    let took = begun.elapsed();
    println!("{CROWD} sessions left at 20/s in {took:?}");
    assert_eq!(exit.code(), Some(0), "{}", nodes.nodes[1].log());
    assert!((2.5..10.0).contains(&took.as_secs_f64()), "{took:?}");
    eventually("it is known to have left", || {
        (nodes.count(0, "a node is down: it has left", &name(2)) == 1).then_some(())
    });
    let patience = Instant::now();
    while juliet.unacknowledged() > 0 {
        assert!(patience.elapsed() < PATIENCE, "what was not acknowledged is not safe");
        juliet.read(Duration::from_millis(20)).expect("her node lives");
    }
    // Good clients come back at the other node, go on with their sessions, and get what they had not acknowledged.
    let resumed = back.into_iter().map(|client| client.join().expect("a client comes back")).sum::<usize>();
    println!("{resumed} of {CROWD} resumed");
    assert!(resumed * 100 >= CROWD * 99, "{resumed} of {CROWD} resumed");
}

/// A good client: when its stream ends, it goes to the other node and resumes. Whether it could; its message is to be there, once.
fn comes_back(mut client: Client, to: SocketAddr, message: &str) -> usize {
    read_to_end(&mut client);
    client.answers = true;
    if !client.resume(to).expect("the other node answers") {
        return 0;
    }
    client.acknowledge().expect("sent");
    let begun = Instant::now();
    while client.got.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{message} does not come");
        client.read(Duration::from_millis(20)).expect("the node lives");
    }
    client.read(Duration::from_millis(300)).expect("the node lives");
    let ids: Vec<_> = client.got.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, [message]);
    1
}

#[test]
fn sessions_that_wait_for_their_clients_move_without_them() {
    let mut nodes = Nodes::start(2);
    for user in ["juliet", "romeo"] {
        nodes.add_user(user);
    }
    let (mut juliet, mut romeo) = (nodes.client(0, "juliet"), nodes.client(1, "romeo"));
    romeo.cut();
    eventually("his session is known", || (peer(&nodes.nodes[0], &name(2))["sessions"] == 1).then_some(()));
    juliet.message(&format!("romeo@{DOMAIN}/here"), "away").expect("sent");
    juliet.request().expect("sent");
    let begun = Instant::now();
    assert_eq!(nodes.nodes[1].terminate().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20), "long before the deadline: {:?}", begun.elapsed());
    assert_eq!(status(&nodes.nodes[0])["node"]["sessions"], 2);
    // Somewhat later he is back.
    assert!(romeo.resume(nodes.nodes[0].c2s).expect("the other node answers"), "he goes on");
    while romeo.got.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "what came for him is not there");
        romeo.read(Duration::from_millis(20)).expect("the node lives");
    }
    assert_eq!(romeo.got.first().map(|(id, _)| id.as_str()), Some("away"));
}

#[test]
fn the_deadline_ends_a_drain_that_takes_too_long() {
    let mut nodes = Nodes::start_with(&[&[], &[("drain.rate", "1"), ("drain.deadline", "2s")]]);
    let mut clients = crowd(&nodes, 1, 20);
    let begun = Instant::now();
    assert_eq!(nodes.nodes[1].terminate().code(), Some(0));
    let took = begun.elapsed();
    assert!((1.9..8.0).contains(&took.as_secs_f64()), "{took:?}");
    clients.iter_mut().for_each(read_to_end);
}

#[test]
fn the_last_node_takes_no_time() {
    let mut nodes = Nodes::start_with(&[&[("drain.rate", "1")], &[("cluster.role", "standby")]]);
    let mut clients = crowd(&nodes, 0, 10);
    let begun = Instant::now();
    assert_eq!(nodes.nodes[0].terminate().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(nodes.nodes[0].log().contains("no other node takes clients"));
    clients.iter_mut().for_each(read_to_end);
}
