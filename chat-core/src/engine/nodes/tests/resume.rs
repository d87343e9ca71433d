//! A client goes on with its session at another node than the one that has it.

use super::settlement::{at_rest, chat};
use super::world::World;

fn bodies(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

/// Each live session of this full JID: at which node.
pub fn homes(w: &World, user: &str, resource: &str) -> Vec<usize> {
    let jid = format!("{user}@h");
    let nodes = w.nodes.iter().enumerate().filter_map(|(i, node)| Some((i, node.as_ref()?)));
    let all = nodes.flat_map(|(i, node)| {
        let users = node.engines.iter().flat_map(|engine| engine.users.iter());
        let user = users.filter(|user| user.jid.as_str() == jid);
        user.flat_map(|user| user.resources.iter()).filter(|r| r.name() == resource).map(move |_| i)
    });
    all.collect()
}

/// What a client was told when it wanted to resume: how many of its stanzas are settled, if it may.
pub fn resumed(w: &World, c: usize) -> Option<Option<u32>> {
    let text = w.clients[c]
        .received
        .iter()
        .find(|text| text.starts_with("<resumed") || text.starts_with("<failed"))?;
    let h = text.split_once(" h='").and_then(|(_, rest)| rest.split_once('\''));
    Some(h.filter(|_| text.starts_with("<resumed")).map(|(h, _)| h.parse().expect("a number")))
}

#[test]
fn a_session_goes_on_where_its_client_comes() {
    let mut w = World::new(&[2, 2, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.send(b, &chat("romeo@h", "x"));
    w.ack(a);
    assert_eq!(w.bodies(a), ["x"]);
    w.send(a, &chat("juliet@h", "1"));
    w.cut(b);
    w.send(a, &chat("juliet@h", "2"));
    // She got the first, and comes elsewhere.
    assert_eq!(w.bodies(b), ["1"]);
    let c = w.resume_at(2, b, "juliet");
    assert_eq!(resumed(&w, c), Some(Some(2)), "her presence and one message");
    assert_eq!(w.bodies(c), ["2"]);
    assert_eq!(homes(&w, "juliet", "b"), [2]);
    w.send(a, &chat("juliet@h/b", "3"));
    assert_eq!(w.bodies(c), ["3"]);
    w.ack(c);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (3, 0));
    w.send(c, &chat("romeo@h/a", "y"));
    assert_eq!(w.bodies(a), ["y"]);
    w.ack(a);
    assert_eq!(w.safe(c), 2);
    at_rest(&w);
}

/// The old stream is closed with an error, and nobody hears of the move.
#[test]
fn a_stream_that_is_still_there_ends_and_no_presence_is_sent() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(0, "juliet/b", true));
    w.send(a, "<presence to='juliet@h' type='subscribe'/>");
    w.send(b, "<presence to='romeo@h' type='subscribed'/>");
    w.send(b, "<presence to='mercutio@h/m'/>");
    let m = w.login(1, "mercutio/m", true);
    w.send(b, "<presence to='mercutio@h/m'/>");
    for c in [a, b, m] {
        w.got(c);
    }
    let c = w.resume_at(1, b, "juliet");
    assert!(resumed(&w, c).is_some_and(|h| h.is_some()));
    assert!(!w.clients[b].open);
    assert!(w.clients[b].received.iter().any(|text| text.contains("<conflict")));
    assert_eq!((w.got(a), w.got(m)), (vec![], vec![]));
    // What she had sent directly is not forgotten: she owes both an end.
    w.send(c, "</stream:stream>");
    for client in [a, m] {
        let got = w.got(client);
        assert!(got.len() == 1 && got[0].contains("type='unavailable'"), "{got:?}");
    }
    at_rest(&w);
}

#[test]
fn unknown_ids_and_those_of_others_are_answered_alike() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    let sm = w.clients[b].sm.clone();
    for wrong in [sm, "nonsense".to_owned()] {
        w.clients[a].sm = wrong;
        let c = w.resume_at(0, a, "romeo");
        assert_eq!(w.clients[c].received.len(), 1);
        assert_eq!(resumed(&w, c), Some(None), "at once");
    }
    assert!(w.clients[b].open);
    w.wait(1);
    at_rest(&w);
}

#[test]
fn a_client_that_acknowledges_too_much_is_told_so() {
    let mut w = World::new(&[1, 1]);
    let b = w.login(1, "juliet/b", true);
    w.clients[b].h += 5;
    let c = w.resume_at(0, b, "juliet");
    assert!(w.clients[c].received.iter().any(|text| text.contains("handled-count-too-high")));
    assert_eq!(homes(&w, "juliet", "b"), [1]);
    at_rest(&w);
}

/// A holder that says nothing is waited for, for eight seconds and no longer; then its session is as it was.
#[test]
fn a_silent_holder_is_waited_for() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.held.push((1, 0));
    let c = w.resume_at(0, b, "juliet");
    w.wait(7_900);
    assert_eq!(resumed(&w, c), None);
    w.wait(200);
    assert_eq!(resumed(&w, c), Some(None));
    w.held.clear();
    w.settle();
    assert_eq!(homes(&w, "juliet", "b"), [1]);
    w.send(a, &chat("juliet@h", "1"));
    let b = w.resume(b, "juliet");
    assert_eq!(w.bodies(b), ["1"]);
    w.ack(b);
    assert_eq!(w.safe(a), 1);
    at_rest(&w);
}

/// The taker dies before it has the session, or says that it has.
#[test]
fn the_session_is_as_it_was_if_its_taker_dies() {
    let mut w = World::new(&[1, 1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.cut(b);
    w.send(a, &chat("juliet@h", "1"));
    w.held.push((1, 2));
    w.resume_at(2, b, "juliet");
    w.send(a, &chat("juliet@h", "2"));
    w.wait(5_000);
    w.kill(2);
    let c = w.resume_at(0, b, "juliet");
    assert_eq!(resumed(&w, c), None, "it might come back");
    w.wait(1_000);
    assert_eq!(w.bodies(c), ["1", "2"]);
    w.ack(c);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (2, 0));
    at_rest(&w);
}

/// Two nodes lose sight of each other just as a session has moved, and the one that had it does not know. Whoever has got all that it was
/// sent may have gone on over there: how much of what it said is safe is not known here.
#[test]
fn who_may_have_gone_on_elsewhere_logs_in_anew() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.cut(b);
    w.held.push((1, 0));
    let c = w.resume_at(0, b, "juliet");
    w.held = vec![(0, 1)];
    w.settle();
    assert_eq!(resumed(&w, c), Some(Some(1)));
    w.send(c, &chat("romeo@h", "x"));
    assert_eq!(w.bodies(a), ["x"]);
    w.ack(a);
    assert_eq!(w.safe(c), 1);
    w.cut(c);
    w.unlink(0, 1);
    w.wait(2_000);
    let d = w.resume_at(1, c, "juliet");
    assert_eq!(resumed(&w, d), Some(None), "h would fall");
}

/// But who has not got all of it has not heard anything later. What it goes on with is the session that counts, whatever the other node
/// has of it.
#[test]
fn who_has_not_gone_on_elsewhere_goes_on_and_the_other_session_ends() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(1, "romeo/a", true), w.login(1, "juliet/b", true));
    w.cut(b);
    w.send(a, &chat("juliet@h", "1"));
    w.held.push((1, 0));
    let c = w.resume_at(0, b, "juliet");
    w.held = vec![(0, 1)];
    w.settle();
    assert_eq!(resumed(&w, c), Some(Some(1)));
    w.cut(c);
    w.unlink(0, 1);
    w.wait(2_000);
    let d = w.resume_at(1, b, "juliet");
    assert_eq!(resumed(&w, d), Some(Some(1)));
    assert_eq!(w.bodies(d), ["1"]);
    w.send(d, &chat("romeo@h", "y"));
    w.ack(a);
    assert_eq!(w.safe(d), 1);
    w.link(0, 1);
    w.settle();
    assert_eq!(homes(&w, "juliet", "b"), [1]);
    w.ack(d);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (1, 0));
    at_rest(&w);
}

/// The holder dies while it has the session: the client logs in anew.
#[test]
fn nothing_is_resumed_from_a_node_that_dies() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.send(a, &chat("juliet@h", "1"));
    w.held.push((1, 0));
    let c = w.resume_at(0, b, "juliet");
    w.kill(1);
    w.wait(1_100);
    assert_eq!(resumed(&w, c), Some(None));
    w.wait(300);
    assert_eq!((w.safe(a), w.spool("juliet")), (1, bodies(&["1"])));
    at_rest(&w);
}

/// What comes while the session stands still goes behind what it had, in order, once.
#[test]
fn what_comes_meanwhile_stands_behind() {
    let mut w = World::new(&[1, 1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    let n = w.login(1, "nurse/n", true);
    w.cut(b);
    w.send(a, &chat("juliet@h", "1"));
    w.send(n, &chat("juliet@h", "n1"));
    w.held.push((2, 1));
    let c = w.resume_at(2, b, "juliet");
    w.held.push((1, 2));
    // It is given on its way, or not even asked for.
    w.send(a, &chat("juliet@h/b", "2"));
    w.send(n, &chat("juliet@h", "n2"));
    w.send(n, "<iq to='juliet@h/b' type='get' id='q'><query xmlns='jabber:iq:version'/></iq>");
    w.send(a, &chat("juliet@h", "3"));
    w.held.retain(|way| *way != (2, 1));
    w.settle();
    w.send(a, &chat("juliet@h", "4"));
    w.send(n, &chat("juliet@h", "n3"));
    w.send(n, "<message to='juliet@h' type='headline'><body>h</body></message>");
    w.held.clear();
    w.settle();
    w.send(a, &chat("juliet@h", "5"));
    let got = w.got(c);
    assert_eq!(got.iter().filter(|text| text.starts_with("<iq")).count(), 1, "{got:?}");
    let order: Vec<_> = got.iter().filter_map(|text| super::client::body(text)).collect();
    let of = |prefix: &str| -> Vec<&String> {
        order.iter().filter(|body| body.starts_with('n') == (prefix == "n")).collect()
    };
    assert_eq!(of("n"), ["n1", "n2", "n3"], "{order:?}");
    assert_eq!(of(""), ["1", "2", "3", "4", "h", "5"], "{order:?}");
    w.ack(c);
    assert_eq!((w.safe(a), w.safe(n), w.spool("juliet").len()), (5, 5, 0));
    at_rest(&w);
}

/// Its client wants the session at two nodes, one after the other: the later one gets it.
#[test]
fn of_two_that_want_it_the_later_gets_it() {
    let mut w = World::new(&[1, 1, 1]);
    let b = w.login(0, "juliet/b", true);
    w.held.push((0, 1));
    let first = w.resume_at(1, b, "juliet");
    let second = w.resume_at(2, b, "juliet");
    assert_eq!((resumed(&w, first), resumed(&w, second)), (None, None));
    w.held.clear();
    w.settle();
    assert!(resumed(&w, second).is_some_and(|h| h.is_some()));
    assert!(!w.clients[first].open);
    assert_eq!(homes(&w, "juliet", "b"), [2]);
    // Back where it began, while the other way is slow.
    w.held.push((2, 1));
    let third = w.resume_at(1, second, "juliet");
    let fourth = w.resume_at(0, second, "juliet");
    w.held.clear();
    w.settle();
    assert!(!w.clients[third].open || resumed(&w, third) == Some(None));
    assert!(resumed(&w, fourth).is_some_and(|h| h.is_some()));
    assert_eq!(homes(&w, "juliet", "b"), [0]);
    at_rest(&w);
}

/// While it is on its way, the resource is bound anew where it was: the new client has it, the old session is over.
#[test]
fn a_session_that_ends_while_it_moves_ends_everywhere() {
    let mut w = World::new(&[1, 1, 1]);
    let (a, b) = (w.login(2, "romeo/a", true), w.login(0, "juliet/b", true));

    w.cut(b);
    w.send(a, &chat("juliet@h", "1"));
    w.held.push((0, 1));
    let c = w.resume_at(1, b, "juliet");
    let d = w.bind(0, "juliet/b", true);
    w.send(d, "<presence/>");
    w.held.clear();
    w.settle();
    assert_eq!(homes(&w, "juliet", "b"), [0]);
    assert!(!w.clients[c].open);
    assert_eq!(w.bodies(d), ["~1"]);
    w.ack(d);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (1, 0));
    at_rest(&w);
}

/// What its client sent is settled first, a change of its roster among it.
#[test]
fn a_session_is_given_when_what_its_client_sent_is_done() {
    let mut w = World::new(&[1, 1]);
    let (_, b) = (w.login(1, "romeo/a", true), w.login(0, "juliet/b", true));
    w.slow = true;
    w.send(b, &chat("tybalt@h", "x"));
    w.send(b, &chat("romeo@h", "1"));
    let c = w.resume_at(1, b, "juliet");
    assert_eq!(resumed(&w, c), None);
    w.wait(300);
    assert_eq!(resumed(&w, c), None);
    w.catch_up();
    assert_eq!(resumed(&w, c), Some(Some(3)));
    w.got(c);
    w.wait(10);
}

/// Another client, which acknowledges nothing, has a message whose row is deleted only when nobody waits for it any more: the
/// taker, which reads it before, knows what it is.
#[test]
fn what_another_client_has_comes_once_with_the_session() {
    let mut w = World::new(&[1, 1]);
    let (a, p) = (w.login(0, "romeo/a", true), w.login(0, "juliet/p", false));
    let b = w.login(0, "juliet/b", true);
    w.got(p);
    w.cut(b);
    w.send(a, &chat("juliet@h", "1"));
    assert_eq!(w.bodies(p), ["1"]);
    w.wait(300);
    assert_eq!(w.spool("juliet"), ["1"], "one of two has not acknowledged it");
    let c = w.resume_at(1, b, "juliet");
    w.wait(1_000);
    assert_eq!(w.bodies(c), ["1"]);
    w.ack(c);
    w.wait(61_000);
    assert_eq!((w.bodies(c), w.spool("juliet")), (bodies(&[]), bodies(&[])));
    at_rest(&w);
}
