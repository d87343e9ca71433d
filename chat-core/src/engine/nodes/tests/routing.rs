//! Who gets what across nodes, in which order, and what is said when nobody does.

use super::settlement::{at_rest, chat};
use super::world::World;

fn bodies(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

/// The second bind counts. What the first had is decided again once its node says that it is gone, before all that came
/// later.
#[test]
fn order_is_kept_when_a_session_moves_from_node_to_node() {
    let mut w = World::new(&[1, 1, 2]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/x", true));
    w.cut(b);
    w.send(a, &chat("juliet@h", "1"));
    w.wait(5);
    w.held.push((1, 0));
    let c = w.login(2, "juliet/x", true);
    w.send(a, &chat("juliet@h/x", "2"));
    w.send(a, "<iq to='juliet@h/x' type='get' id='q'><query xmlns='jabber:iq:version'/></iq>");
    w.send(a, &chat("juliet@h", "3"));
    assert_eq!(w.got(c), [""; 0], "the first is outstanding at a place where she is no more");
    w.held.clear();
    w.settle();
    let got = w.got(c);
    assert_eq!(got.len(), 4, "{got:?}");
    assert!(got[2].starts_with("<iq"), "{got:?}");
    let order: Vec<_> = got.iter().filter_map(|text| super::client::body(text)).collect();
    assert_eq!(order, ["~1", "2", "3"]);
    w.ack(c);
    // Three messages and the iq.
    assert_eq!((w.safe(a), w.spool("juliet").len()), (4, 0));
    at_rest(&w);
}

/// She comes to the sender's own node.
#[test]
fn order_is_kept_when_a_session_comes_here() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/x", true));
    w.held.push((0, 1));
    w.send(a, &chat("juliet@h", "1"));
    w.send(b, "</stream:stream>");
    let c = w.bind(0, "juliet/y", true);
    w.send(c, "<presence/>");
    w.send(a, &chat("juliet@h", "2"));
    assert_eq!(w.bodies(c), [""; 0], "it waits");
    w.held.clear();
    w.settle();
    assert_eq!(w.bodies(c), ["1", "2"], "the first was given to nobody, so it is not late");
    w.ack(c);
    assert_eq!(w.safe(a), 2);
    at_rest(&w);
}

/// One of her sessions has a message and ends without a word, the other ends before it comes. Whoever gets it then is told that it may be
/// the second time.
#[test]
fn what_one_session_had_comes_late_when_another_never_got_it() {
    let mut w = World::new(&[1, 1]);
    let (a, x) = (w.login(0, "romeo/a", false), w.login(0, "juliet/x", true));
    let y = w.login(1, "juliet/y", true);
    w.held.push((0, 1));
    w.send(a, &chat("juliet@h", "1"));
    assert_eq!(w.bodies(x), ["1"]);
    w.send(x, "</stream:stream>");
    w.send(y, "</stream:stream>");
    let z = w.bind(1, "juliet/z", true);
    w.send(z, "<presence/>");
    w.held.clear();
    w.settle();
    assert_eq!(w.bodies(z), ["~1"]);
    w.ack(z);
    at_rest(&w);
}

#[test]
fn of_what_waits_for_its_turn_too_much_bounces() {
    let mut w = World::with(&[1, 1], |settings| settings.limits.loading_stanzas_max = 2);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/x", true));
    w.cut(b);
    w.send(a, &chat("juliet@h", "1"));
    w.wait(5);
    w.held.push((1, 0));
    let c = w.login(0, "juliet/x", true);
    for i in 2..5 {
        w.send(a, &chat("juliet@h", &i.to_string()));
    }
    let got = w.got(a);
    assert_eq!(got.len(), 1);
    assert!(got[0].contains("resource-constraint") && got[0].contains("type='wait'"), "{got:?}");
    assert!(got[0].contains("id='i4'"), "{got:?}");
    w.kill(1);
    assert_eq!(w.bodies(c), ["~1", "2", "3"]);
    w.ack(c);
    assert_eq!(w.safe(a), 4);
    at_rest(&w);
}

#[test]
fn of_two_with_one_name_only_the_later_is_chosen() {
    let mut w = World::new(&[1, 1, 1]);
    let a = w.login(2, "romeo/a", true);
    w.unlink(0, 1);
    let first = w.login(0, "juliet/x", true);
    w.wait(5);
    let second = w.login(1, "juliet/x", true);
    w.send(a, &chat("juliet@h", "1"));
    w.send(a, &chat("juliet@h/x", "2"));
    assert_eq!((w.bodies(first), w.bodies(second)), (bodies(&[]), bodies(&["1", "2"])));
    w.ack(second);
    assert_eq!(w.safe(a), 2);
    // The later one ends: the other counts again.
    w.send(second, "</stream:stream>");
    w.send(a, &chat("juliet@h", "3"));
    assert_eq!(w.bodies(first), ["3"]);
    w.ack(first);
    at_rest(&w);
}

#[test]
fn an_iq_is_answered_by_its_client_or_by_us() {
    let mut w = World::new(&[1, 2]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    let ask = |w: &mut World, id: &str| {
        w.send(
            a,
            &format!("<iq to='juliet@h/b' type='get' id='{id}'><query xmlns='jabber:iq:version'/></iq>"),
        );
    };
    ask(&mut w, "1");
    assert!(w.got(b)[0].starts_with("<iq to='juliet@h/b' from='romeo@h/a'"));
    assert_eq!(w.safe(a), 1, "nobody waits for an iq to be safe");
    w.send(b, "<iq to='romeo@h/a' type='result' id='1'/>");
    assert_eq!(w.got(a), ["<iq to='romeo@h/a' from='juliet@h/b' type='result' id='1'/>"]);
    w.ack(b);
    at_rest(&w);
    // The node dies; the session ends; it has gone already.
    let refused = |w: &mut World, id: &str| {
        let got = w.got(a);
        assert_eq!(got.len(), 1, "{got:?}");
        assert!(got[0].contains(&format!("id='{id}'")) && got[0].contains("service-unavailable"), "{got:?}");
        at_rest(w);
    };
    ask(&mut w, "2");
    w.send(b, "</stream:stream>");
    refused(&mut w, "2");
    let b = w.login(1, "juliet/b", false);
    w.held.push((0, 1));
    ask(&mut w, "3");
    w.cut(b);
    w.held.clear();
    w.settle();
    refused(&mut w, "3");
    let b = w.login(1, "juliet/b", true);
    ask(&mut w, "4");
    assert_eq!(w.got(b).len(), 1);
    w.kill(1);
    refused(&mut w, "4");
    ask(&mut w, "5");
    refused(&mut w, "5");
}

/// Hooks run once, where the stanza entered: the sender gets one error, and nothing goes to the other node.
#[test]
fn blocked_senders_are_blocked_once() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.send(b, "<iq type='set' id='k'><block xmlns='urn:xmpp:blocking'><item jid='romeo@h'/></block></iq>");
    w.got(b);
    w.parcels = 0;
    w.send(a, &chat("juliet@h", "1"));
    w.send(a, "<iq to='juliet@h/b' type='get' id='q'><query xmlns='jabber:iq:version'/></iq>");
    w.send(a, "<presence to='juliet@h'/>");
    let got = w.got(a);
    assert_eq!((got.len(), w.safe(a)), (2, 3), "{got:?}");
    assert!(got.iter().all(|text| text.contains("service-unavailable")));
    assert_eq!((w.got(b).len(), w.parcels), (0, 0));
    at_rest(&w);
}

#[test]
fn presence_answers_and_headlines_go_without_being_waited_for() {
    let mut w = World::new(&[1, 2]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.send(a, "<presence to='juliet@h'><status>hi</status></presence>");
    w.send(a, "<message to='juliet@h' type='headline'><body>news</body></message>");
    w.send(a, "<message to='juliet@h/b' type='error' id='e'/>");
    assert_eq!(w.got(b).len(), 3);
    assert_eq!(w.safe(a), 3);
    at_rest(&w);
    // Whom nobody has in memory, and who has no session anywhere, costs no look into the store.
    w.send(a, "<presence to='nobody@h'/>");
    assert_eq!(w.node(0).engines[0].census().users, 2, "romeo and juliet");
}

fn befriend(w: &mut World, a: usize, b: usize) {
    w.send(a, "<presence to='juliet@h' type='subscribe'/>");
    w.send(b, "<presence to='romeo@h' type='subscribed'/>");
    w.got(a);
    w.got(b);
}

#[test]
fn every_node_answers_a_probe_for_its_own_sessions() {
    let mut w = World::new(&[1, 2, 2]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(0, "juliet/b", true));
    befriend(&mut w, a, b);
    w.login(1, "juliet/c", true);
    w.login(1, "juliet/d", true);
    w.login(2, "juliet/e", true);
    w.wait(61_000);
    w.got(a);
    w.send(a, "<presence to='juliet@h' type='probe'/>");
    let from =
        |text: &String| text.split("from='").nth(1).and_then(|t| t.split('\'').next()).map(str::to_owned);
    let mut got: Vec<_> = w.got(a).iter().filter_map(from).collect();
    got.sort();
    assert_eq!(got, ["juliet@h/b", "juliet@h/c", "juliet@h/d", "juliet@h/e"]);
    w.send(a, "<presence to='juliet@h/e' type='probe'/>");
    assert_eq!(w.got(a).iter().filter_map(from).collect::<Vec<_>>(), ["juliet@h/e"]);
    w.send(b, "</stream:stream>");
    w.got(a);
    w.send(a, "<presence to='juliet@h' type='probe'/>");
    let got = w.got(a);
    assert!(got.len() == 3 && !got.iter().any(|text| text.contains("unavailable")), "{got:?}");
    for node in [1, 2] {
        w.kill(node);
    }
    w.got(a);
    w.send(a, "<presence to='juliet@h/e' type='probe'/>");
    let got = w.got(a);
    assert!(got.len() == 1 && got[0].contains("type='unavailable'"), "{got:?}");
}

/// What one node stored while she logged in at another is read there, before what comes later.
#[test]
fn rows_that_one_node_wrote_are_read_at_another_before_live_messages() {
    let mut w = World::new(&[1, 2]);
    let a = w.login(0, "romeo/a", true);
    let early = w.bind(1, "juliet/low", true);
    w.send(early, "<presence><priority>-1</priority></presence>");
    w.slow = true;
    w.send(a, &chat("juliet@h", "1"));
    let b = w.bind(1, "juliet/b", true);
    w.send(b, "<presence/>");
    w.send(a, &chat("juliet@h", "2"));
    assert_eq!(w.bodies(b), [""; 0], "the second stands behind the first");
    w.catch_up();
    w.send(a, &chat("juliet@h", "3"));
    assert_eq!(w.bodies(b), ["~1", "~2", "3"]);
    w.ack(b);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (3, 0));
    at_rest(&w);
}

/// Her node reads the spool, slowly; what comes live from elsewhere waits there.
#[test]
fn live_messages_wait_at_the_node_that_reads_the_spool() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.send(b, "</stream:stream>");
    w.send(a, &chat("juliet@h", "1"));
    w.stuck_reads = true;
    let b = w.bind(1, "juliet/b", true);
    w.send(b, "<presence/>");
    w.send(a, &chat("juliet@h", "2"));
    assert_eq!(w.bodies(b), [""; 0]);
    w.stuck_reads = false;
    w.catch_up();
    assert_eq!(w.bodies(b), ["~1", "2"]);
    w.ack(b);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (2, 0));
    at_rest(&w);
}

#[test]
fn a_node_that_takes_everything_and_answers_nothing_is_given_no_more_than_a_limit() {
    let mut w = World::new(&[1, 1]);
    let most = super::super::afar::Most {
        user: super::super::afar::Load { envelopes: 3, bytes: 1 << 20 },
        node: super::super::afar::Load { envelopes: usize::MAX, bytes: 3_600 },
    };
    w.node(0).engines[0].cluster.as_mut().expect("a cluster").most = most;
    let a = w.login(0, "romeo/a", true);
    let (b, c) = (w.login(1, "juliet/b", true), w.login(1, "nurse/c", true));
    for i in 0..5 {
        w.send(a, &chat("juliet@h", &i.to_string()));
    }
    assert_eq!(w.bodies(b), ["0", "1", "2"]);
    let got = w.got(a);
    assert!(got.len() == 2 && got.iter().all(|e| e.contains("resource-constraint")), "{got:?}");
    for i in 0..8 {
        w.send(a, &chat("nurse@h/c", &format!("{i:0200}")));
    }
    assert_eq!(w.bodies(c).len(), 3, "of the user");
    w.ack(b);
    w.ack(c);
    for i in 0..3 {
        w.send(a, &chat("nurse@h/c", &format!("{i:0800}")));
    }
    assert_eq!(w.bodies(c).len(), 1, "of the node");
    w.ack(c);
    assert_eq!(w.safe(a), 16);
    at_rest(&w);
}

#[test]
fn a_node_that_stops_stores_what_is_outstanding() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.send(a, &chat("juliet@h", "1"));
    w.shut_down(0);
    assert_eq!(w.spool("juliet"), ["1"]);
    // The node that stops has nobody any more for what comes to it.
    let c = w.login(1, "nurse/c", true);
    w.send(c, &chat("romeo@h", "2"));
    assert_eq!((w.safe(c), w.spool("romeo")), (1, bodies(&["2"])));
    assert_eq!(w.bodies(b), ["1"]);
    w.ack(b);
    at_rest(&w);
}

/// A message that is sent again, because its result was lost, is not given to a client twice.
#[test]
fn a_repeat_is_dropped_where_a_client_has_the_message() {
    let mut w = World::new(&[1, 1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.held.push((1, 0));
    w.send(a, &chat("juliet@h", "1"));
    w.ack(b);
    // Down and up again within one turn, as when a link starts over.
    w.relink(0, 1);
    assert_eq!((w.bodies(b), w.safe(a)), (bodies(&["1"]), 1));
    at_rest(&w);
}
