//! A user with sessions on several nodes: what they get of each other, and what others see of them.

use super::settlement::{at_rest, chat};
use super::world::World;

/// Two users see each other's presence from now on; each has one client.
pub fn befriend(w: &mut World, a: (usize, &str), b: (usize, &str)) {
    for (one, other) in [(a, b), (b, a)] {
        w.send(one.0, &format!("<presence type='subscribe' to='{}@h'/>", other.1));
        w.send(other.0, &format!("<presence type='subscribed' to='{}@h'/>", one.1));
    }
    for (c, _) in [a, b] {
        w.got(c);
    }
}

/// The presence among what a client got: of whom, and `-` before what says that somebody is gone.
pub fn presence(w: &mut World, c: usize) -> Vec<String> {
    let got = w.got(c);
    let read = |text: &String| {
        let from = text.strip_prefix("<presence")?.split_once("from='")?.1.split_once('\'')?.0;
        let kind =
            text.split_once("type='").map_or("", |(_, rest)| rest.split_once('\'').map_or("", |t| t.0));
        let sign = match kind {
            "" => "",
            "unavailable" => "-",
            other => return Some(format!("{other} {from}")),
        };
        Some(format!("{sign}{from}"))
    };
    let mut all: Vec<String> = got.iter().filter_map(read).collect();
    all.sort();
    all
}

#[test]
fn the_clients_of_a_user_see_each_other_across_nodes() {
    let mut w = World::new(&[2, 1, 1]);
    let a = w.login(0, "juliet/a", true);
    let b = w.bind(1, "juliet/b", false);
    w.send(b, "<presence><show>away</show></presence>");
    let got = w.got(b);
    assert_eq!(got.len(), 2, "{got:?}");
    assert_eq!(got[0], "<presence to='juliet@h/b' from='juliet@h/b'><show>away</show></presence>");
    assert_eq!(got[1], "<presence to='juliet@h/b' from='juliet@h/a'/>");
    assert_eq!(w.got(a), ["<presence to='juliet@h/a' from='juliet@h/b'><show>away</show></presence>"]);
    let c = w.bind(2, "juliet/c", true);
    w.send(c, "<presence/>");
    assert_eq!(presence(&mut w, c), ["juliet@h/a", "juliet@h/b", "juliet@h/c"]);
    assert_eq!(
        (presence(&mut w, a), presence(&mut w, b)),
        (vec!["juliet@h/c".into()], vec!["juliet@h/c".into()])
    );
    w.send(b, "<presence type='unavailable'/>");
    assert_eq!(presence(&mut w, a), ["-juliet@h/b"]);
    w.send(c, "</stream:stream>");
    assert_eq!(
        (presence(&mut w, a), presence(&mut w, b)),
        (vec!["-juliet@h/c".into()], vec!["-juliet@h/b".into()])
    );
    at_rest(&w);
}

#[test]
fn friends_see_all_clients_of_each_other_on_all_nodes() {
    let mut w = World::new(&[2, 1, 2]);
    let (a, r) = (w.login(0, "juliet/a", true), w.login(1, "romeo/r", true));
    befriend(&mut w, (a, "juliet"), (r, "romeo"));
    let b = w.bind(2, "juliet/b", true);
    w.send(b, "<presence/>");
    assert_eq!(presence(&mut w, b), ["juliet@h/a", "juliet@h/b", "romeo@h/r"]);
    assert_eq!(presence(&mut w, a), ["juliet@h/b"], "the answer to the probe is for the one that asked");
    assert_eq!(presence(&mut w, r), ["juliet@h/b"]);
    let s = w.bind(2, "romeo/s", true);
    w.send(s, "<presence/>");
    assert_eq!(presence(&mut w, s), ["juliet@h/a", "juliet@h/b", "romeo@h/r", "romeo@h/s"]);
    assert_eq!(
        (presence(&mut w, a), presence(&mut w, b)),
        (vec!["romeo@h/s".into()], vec!["romeo@h/s".into()])
    );
    w.got(r);
    w.send(s, "</stream:stream>");
    assert_eq!(
        (presence(&mut w, a), presence(&mut w, b)),
        (vec!["-romeo@h/s".into()], vec!["-romeo@h/s".into()])
    );
    // Directed presence goes where it is sent, and its receiver learns when it is over.
    let m = w.login(1, "mercutio/m", true);
    w.send(a, "<presence to='mercutio@h/m'/>");
    assert_eq!(presence(&mut w, m), ["juliet@h/a"]);
    w.send(a, "</stream:stream>");
    assert_eq!(presence(&mut w, m), ["-juliet@h/a"]);
    at_rest(&w);
}

#[test]
fn a_request_for_a_subscription_reaches_all_clients_wherever_they_are() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "juliet/a", true), w.login(1, "juliet/b", true));
    let r = w.login(0, "romeo/r", true);
    w.got(a);
    w.send(r, "<presence type='subscribe' to='juliet@h'/>");
    for c in [a, b] {
        assert_eq!(w.got(c), ["<presence to='juliet@h' from='romeo@h' type='subscribe'/>"]);
    }
    // What grants it is for those who asked for the roster.
    let (s, t) = (w.login(1, "romeo/s", true), w.login(1, "romeo/t", true));
    w.send(s, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    for c in [r, s, t] {
        w.got(c);
    }
    w.send(a, "<presence type='subscribed' to='romeo@h'/>");
    let granted = |got: Vec<String>| got.iter().filter(|text| text.contains("'subscribed'")).count();
    assert_eq!([granted(w.got(r)), granted(w.got(s)), granted(w.got(t))], [0, 1, 0]);
}

fn enable_carbons(w: &mut World, c: usize) {
    w.send(c, "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
    w.got(c);
}

/// What a client got as copies: `>` of what another sent, `<` of what another got.
fn copies(w: &mut World, c: usize) -> Vec<String> {
    let got = w.got(c);
    let read = |text: &String| {
        let to = text.split_once("to='")?.1.split_once('\'')?.0;
        let body = super::client::body(text)?;
        if text.contains("<sent xmlns='urn:xmpp:carbons:2'>") {
            return Some(format!("{to}>{body}"));
        }
        Some(if text.contains("<received xmlns='urn:xmpp:carbons:2'>") {
            format!("{to}<{body}")
        } else {
            body
        })
    };
    got.iter().filter_map(read).collect()
}

#[test]
fn copies_reach_the_clients_on_other_nodes() {
    let mut w = World::new(&[2, 1, 1]);
    let (a, b, c) =
        (w.login(0, "juliet/a", true), w.login(1, "juliet/b", true), w.login(2, "juliet/c", true));
    let r = w.login(1, "romeo/r", true);
    for client in [a, b] {
        enable_carbons(&mut w, client);
    }
    w.got(c);
    // What one sends, the others get, if they want it.
    w.send(b, &chat("romeo@h", "1"));
    w.send(a, &chat("romeo@h", "2"));
    w.send(c, &chat("romeo@h", "3"));
    assert_eq!(copies(&mut w, a), ["juliet@h/a>1", "juliet@h/a>3"]);
    assert_eq!(copies(&mut w, b), ["juliet@h/b>2", "juliet@h/b>3"]);
    assert_eq!(copies(&mut w, c), [""; 0]);
    assert_eq!(w.bodies(r), ["1", "2", "3"]);
    // What one gets, the others get, wherever they are.
    for (i, to) in ["a", "b", "c"].into_iter().enumerate() {
        w.send(r, &chat(&format!("juliet@h/{to}"), &i.to_string()));
    }
    assert_eq!(copies(&mut w, a), ["0", "juliet@h/a<1", "juliet@h/a<2"]);
    assert_eq!(copies(&mut w, b), ["juliet@h/b<0", "1", "juliet@h/b<2"]);
    assert_eq!(copies(&mut w, c), ["2"]);
    // To all of them, nothing is copied.
    w.send(r, &chat("juliet@h", "4"));
    for client in [a, b, c] {
        assert_eq!(copies(&mut w, client), ["4"]);
        w.ack(client);
    }
    // To oneself, it is not copied back.
    w.send(a, &chat("juliet@h/c", "5"));
    assert_eq!(copies(&mut w, a), [""; 0]);
    assert_eq!((copies(&mut w, b), copies(&mut w, c)), (vec!["juliet@h/b<5".into()], vec!["5".into()]));
    for client in [a, b, c, r] {
        w.ack(client);
    }
    at_rest(&w);
}

/// The later bind counts. Nobody is told that the resource is gone, because it is not.
#[test]
fn the_session_of_the_earlier_bind_ends_and_what_it_had_goes_to_the_later() {
    let mut w = World::new(&[1, 2, 1]);
    let r = w.login(2, "romeo/r", true);
    let first = w.login(0, "juliet/x", true);
    befriend(&mut w, (first, "juliet"), (r, "romeo"));
    w.send(r, &chat("juliet@h", "1"));
    assert_eq!(w.bodies(first), ["1"]);
    w.wait(5);
    let second = w.bind(1, "juliet/x", true);
    assert!(!w.clients[first].open);
    let got: Vec<String> = w.clients[first].received.drain(..).collect();
    assert!(got.iter().any(|text| text.contains("<conflict")), "{got:?}");
    w.send(second, "<presence/>");
    assert_eq!(w.bodies(second), ["~1"]);
    assert_eq!(presence(&mut w, r), ["juliet@h/x"], "still there");
    w.ack(second);
    assert_eq!(w.safe(r), 3, "what the first did not acknowledge");
    at_rest(&w);
}

/// Both sides of a split have the full JID; when it heals, both agree on who is to go.
#[test]
fn after_a_split_the_later_bind_is_left() {
    for late in 0..2 {
        let mut w = World::new(&[1, 1]);
        let r = w.login(0, "romeo/r", true);
        w.unlink(0, 1);
        let one = w.login(late, "juliet/x", true);
        w.wait(5);
        let two = w.login(1 - late, "juliet/x", true);
        w.link(0, 1);
        w.settle();
        assert!(!w.clients[one].open && w.clients[two].open, "{late}");
        w.send(r, &chat("juliet@h", "1"));
        assert_eq!(w.bodies(two), ["1"]);
        w.ack(two);
        assert_eq!(w.safe(r), 1);
        at_rest(&w);
    }
}

/// A session without connection gives way like any other.
#[test]
fn a_session_that_waits_to_be_resumed_gives_way() {
    let mut w = World::new(&[1, 1]);
    let r = w.login(0, "romeo/r", true);
    let first = w.login(0, "juliet/x", true);
    w.cut(first);
    w.send(r, &chat("juliet@h", "1"));
    w.wait(5);
    let second = w.bind(1, "juliet/x", true);
    w.send(second, "<presence/>");
    assert_eq!(w.bodies(second), ["~1"]);
    let back = w.resume(first, "juliet");
    let got: Vec<String> = w.clients[back].received.drain(..).collect();
    assert!(got[0].starts_with("<failed"), "{got:?}");
    w.ack(second);
    assert_eq!(w.safe(r), 1);
    at_rest(&w);
}

fn ask_roster(w: &mut World, c: usize) {
    w.send(c, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    w.got(c);
}

fn put(w: &mut World, c: usize, contact: &str) {
    w.send(
        c,
        &format!(
            "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='{contact}@h'/></query></iq>"
        ),
    );
}

/// What a client got of the roster: the answer, errors, and the contacts of pushes.
fn roster(w: &mut World, c: usize) -> Vec<String> {
    let got = w.got(c);
    let read = |text: &String| {
        if text.contains("id='s'") {
            return Some(if text.contains("type='result'") { "ok" } else { "refused" }.to_owned());
        }
        let (_, rest) = text.split_once("<item jid='")?;
        let gone = if text.contains("subscription='remove'") { "-" } else { "" };
        Some(format!("{gone}{}", rest.split_once('@')?.0))
    };
    got.iter().filter_map(read).collect()
}

#[test]
fn a_change_of_the_roster_is_told_to_all_clients_wherever_they_are() {
    let mut w = World::new(&[2, 1, 2]);
    let (a, b) = (w.login(0, "juliet/a", true), w.login(1, "juliet/b", true));
    for c in [a, b] {
        ask_roster(&mut w, c);
    }
    put(&mut w, a, "romeo");
    assert_eq!(
        (roster(&mut w, a), roster(&mut w, b)),
        (vec!["ok".into(), "romeo".into()], vec!["romeo".into()])
    );
    put(&mut w, b, "nurse");
    assert_eq!(
        (roster(&mut w, b), roster(&mut w, a)),
        (vec!["ok".into(), "nurse".into()], vec!["nurse".into()])
    );
    // Who comes later has it all.
    let c = w.login(2, "juliet/c", true);
    w.send(c, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    let got = w.got(c);
    assert!(got[0].contains("romeo@h") && got[0].contains("nurse@h"), "{got:?}");
    // Both at once: the store takes one, and the other is made anew of what the store has.
    for way in [(0, 1), (1, 0)] {
        w.held.push(way);
    }
    put(&mut w, a, "tybalt");
    put(&mut w, b, "paris");
    assert_eq!(roster(&mut w, a), ["ok", "tybalt"]);
    assert_eq!(roster(&mut w, b), ["tybalt", "ok", "paris"]);
    w.held.clear();
    w.settle();
    assert_eq!((roster(&mut w, a), roster(&mut w, b)), (vec!["paris".into()], vec![]));
    assert_eq!(roster(&mut w, c), ["tybalt", "paris"]);
    at_rest(&w);
}

#[test]
fn the_answer_to_a_change_follows_the_commit() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "juliet/a", true), w.login(1, "juliet/b", true));
    for c in [a, b] {
        ask_roster(&mut w, c);
    }
    w.down = true;
    put(&mut w, a, "romeo");
    w.wait(20_000);
    assert_eq!((roster(&mut w, a), roster(&mut w, b)), (vec!["refused".into()], vec![]));
    w.down = false;
    put(&mut w, a, "romeo");
    assert_eq!(
        (roster(&mut w, a), roster(&mut w, b)),
        (vec!["ok".into(), "romeo".into()], vec!["romeo".into()])
    );
}

#[test]
fn a_block_holds_for_all_clients_wherever_they_are() {
    let mut w = World::new(&[1, 1, 1]);
    let (a, b) = (w.login(0, "juliet/a", true), w.login(1, "juliet/b", true));
    let r = w.login(2, "romeo/r", true);
    befriend(&mut w, (a, "juliet"), (r, "romeo"));
    w.send(b, "<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>");
    w.got(b);
    let order = |name: &str| {
        format!("<iq type='set' id='k'><{name} xmlns='urn:xmpp:blocking'><item jid='romeo@h'/></{name}></iq>")
    };
    w.send(a, &order("block"));
    assert_eq!(presence(&mut w, r), ["-juliet@h/a", "-juliet@h/b"]);
    let got = w.got(b);
    assert!(got[0].contains("<block xmlns='urn:xmpp:blocking'><item jid='romeo@h'/></block>"), "{got:?}");
    // Wherever the message enters, the list that counts is the one in the store.
    w.send(r, &chat("juliet@h", "1"));
    let got = w.got(r);
    assert!(got[0].contains("service-unavailable"), "{got:?}");
    w.send(b, &order("unblock"));
    assert_eq!(presence(&mut w, r), ["juliet@h/a", "juliet@h/b"]);
    w.send(r, &chat("juliet@h", "2"));
    assert_eq!((w.bodies(a), w.bodies(b)), (vec!["2".to_owned()], vec!["2".to_owned()]));
}

/// Found by the simulator.
#[test]
fn a_node_that_stops_says_that_its_sessions_are_gone() {
    let mut w = World::new(&[2, 1]);
    let (a, r) = (w.login(0, "juliet/a", true), w.login(1, "romeo/r", true));
    befriend(&mut w, (a, "juliet"), (r, "romeo"));
    let j = w.login(1, "juliet/j", true);
    w.got(r);
    w.got(j);
    w.shut_down(0);
    assert_eq!(presence(&mut w, r), ["-juliet@h/a"]);
    assert_eq!(presence(&mut w, j), ["-juliet@h/a"]);
}

/// A node dies. Whoever comes back in time was never gone.
#[test]
fn those_who_saw_the_sessions_of_a_dead_node_learn_that_they_are_gone() {
    let mut w = World::new(&[2, 1, 2]);
    let (a, x) = (w.login(1, "juliet/a", true), w.login(1, "juliet/x", true));
    let (r, j) = (w.login(0, "romeo/r", true), w.login(2, "juliet/j", true));
    befriend(&mut w, (a, "juliet"), (r, "romeo"));
    let s = w.login(2, "romeo/s", true);
    for c in [r, s, j] {
        w.got(c);
    }
    w.kill(1);
    w.wait(1_000);
    assert!(presence(&mut w, r).is_empty() && presence(&mut w, s).is_empty());
    let back = w.bind(2, "juliet/x", true);
    w.send(back, "<presence/>");
    for c in [r, s] {
        assert_eq!(presence(&mut w, c), ["juliet@h/x"]);
    }
    w.got(j);
    w.wait(5_000);
    for c in [r, s, j] {
        assert_eq!(presence(&mut w, c), ["-juliet@h/a"], "once, by its own node");
    }
    assert!(!w.clients[x].open);
    at_rest(&w);
}

/// The record is not in memory, and the store is away when it is needed.
#[test]
fn those_who_saw_the_sessions_of_a_dead_node_learn_it_also_if_the_store_is_late() {
    let mut w = World::new(&[1, 1]);
    let (a, r) = (w.login(1, "juliet/a", true), w.login(0, "romeo/r", true));
    befriend(&mut w, (a, "juliet"), (r, "romeo"));
    w.wait(100_000);
    w.got(r);
    assert!(w.clients[r].open);
    w.down = true;
    w.kill(1);
    w.wait(10_000);
    assert!(presence(&mut w, r).is_empty());
    w.down = false;
    w.wait(20_000);
    assert_eq!(presence(&mut w, r), ["-juliet@h/a"]);
}

#[test]
fn what_a_split_hid_is_shown_when_it_heals() {
    let mut w = World::new(&[2, 2, 1]);
    let (a, r) = (w.login(0, "juliet/a", true), w.login(1, "romeo/r", true));
    let t = w.login(2, "romeo/t", true);
    befriend(&mut w, (a, "juliet"), (r, "romeo"));
    w.got(t);
    // One pair is cut. Node 2 sees both.
    w.unlink(0, 1);
    let b = w.login(0, "juliet/b", true);
    w.wait(6_000);
    assert_eq!(presence(&mut w, r), ["-juliet@h/a"]);
    assert_eq!(presence(&mut w, a), ["-romeo@h/r", "juliet@h/b"]);
    assert_eq!(presence(&mut w, t), ["juliet@h/b"], "nothing is gone for those who see it");
    // Meanwhile something is changed that the other side does not hear of.
    ask_roster(&mut w, b);
    put(&mut w, a, "nurse");
    assert_eq!(roster(&mut w, b), ["nurse"]);
    w.link(0, 1);
    w.settle();
    w.wait(2_000);
    assert_eq!(presence(&mut w, r), ["juliet@h/a", "juliet@h/b"]);
    assert_eq!(presence(&mut w, a), ["romeo@h/r"]);
    assert_eq!(presence(&mut w, t), [""; 0]);
    // A link that only starts over is seen by nobody, but for what is shown once more.
    w.wait(20_000);
    w.got(r);
    w.relink(0, 1);
    w.wait(10_000);
    assert_eq!(presence(&mut w, r), ["juliet@h/a", "juliet@h/b"]);
    at_rest(&w);
}
