//! A node gives its sessions away, one after the other; their clients find them elsewhere.

use super::resume::{homes, resumed};
use super::settlement::{at_rest, chat};
use super::world::World;
use crate::base::Span;
use crate::engine::Command;

const DRAIN: Command = Command::Drain { rate: 1, within: Span::secs(60) };

fn counts(w: &World, i: usize) -> (u32, u64, u64) {
    let engines = &w.nodes[i].as_ref().expect("it lives").engines;
    let mut all = crate::effect::Counts::default();
    engines.iter().for_each(|engine| all.add(engine.counts()));
    (all.sessions.iter().sum(), all.sessions_moved, all.sessions_closed)
}

fn was_told(w: &World, c: usize, text: &str) -> bool {
    w.clients[c].received.iter().any(|told| told.contains(text))
}

/// What a client got that says how its stream stands.
fn last_words(w: &mut World, c: usize) -> Vec<String> {
    let received = w.clients[c].received.drain(..);
    received.filter(|text| ["<a ", "<stream:error"].iter().any(|name| text.starts_with(name))).collect()
}

#[test]
fn sessions_of_a_node_that_drains_go_on_elsewhere() {
    let mut w = World::new(&[1, 2, 1]);
    let a = w.login(1, "romeo/a", true);
    let (b, n) = (w.login(0, "juliet/b", true), w.login(0, "nurse/n", true));
    let plain = w.login(0, "mercutio/m", false);
    w.cut(n);
    w.send(a, &chat("juliet@h", "1"));
    w.send(a, &chat("nurse@h", "2"));
    w.send(b, &chat("romeo@h", "x"));
    w.ack(a);
    w.takes(0, 1, true);
    w.takes(0, 2, true);
    w.command(0, &Command::Drain { rate: 2, within: Span::secs(60) });
    w.wait(100);
    // Not all at once: those whose turn has not come are served.
    assert!(w.clients[b].open && w.clients[plain].open);
    w.wait(2_000);
    assert!(!w.clients[b].open && !w.clients[plain].open);
    // Whoever cannot resume is told to go; the others are told what is safe, and nothing else.
    assert!(was_told(&w, plain, "<system-shutdown"));
    assert_eq!(last_words(&mut w, b), ["<a xmlns='urn:xmpp:sm:3' h='2'/>"], "her presence and a message");
    assert_eq!(counts(&w, 0), (0, 2, 1));
    let (there, nurse) = (homes(&w, "juliet", "b"), homes(&w, "nurse", "n"));
    assert!(matches!((&there[..], &nurse[..]), ([1], [2]) | ([2], [1])), "by turns: {there:?}, {nurse:?}");
    // What comes before they do waits for them, wherever they come.
    w.send(a, &chat("juliet@h/b", "3"));
    let (c, m) = (w.resume_at(2, b, "juliet"), w.resume_at(1, n, "nurse"));
    assert_eq!((resumed(&w, c), resumed(&w, m)), (Some(Some(2)), Some(Some(1))));
    [c, m].into_iter().for_each(|c| w.ack(c));
    let three = w.bodies(c);
    let three: Vec<&str> = three.iter().map(|body| body.trim_start_matches('~')).collect();
    // She never acknowledged the first, but said that she has it when she came back.
    assert_eq!((three, w.bodies(m)), (vec!["3"], vec!["2".to_owned()]));
    w.wait(31_000);
    assert_eq!((w.safe(a), w.spool("juliet").len(), w.spool("nurse").len()), (3, 0, 0));
    at_rest(&w);
}

/// What was read is settled before the session goes, and what comes after that is not read.
#[test]
fn what_was_read_settles_before_the_stream_ends() {
    let mut w = World::new(&[1, 1]);
    let b = w.login(0, "juliet/b", true);
    let a = w.login(1, "romeo/a", false);
    w.send(a, "</stream:stream>");
    w.slow = true;
    w.send(b, &chat("romeo@h", "1"));
    w.takes(0, 1, true);
    w.command(0, &DRAIN);
    w.wait(1_500);
    assert!(w.clients[b].open && homes(&w, "juliet", "b") == [0], "the store is slow");
    w.send(b, &chat("romeo@h", "2"));
    w.catch_up();
    w.wait(100);
    assert!(!w.clients[b].open);
    assert_eq!(last_words(&mut w, b), ["<a xmlns='urn:xmpp:sm:3' h='2'/>"]);
    assert_eq!((homes(&w, "juliet", "b"), w.spool("romeo")), (vec![1], vec!["1".to_owned()]));
    let c = w.resume_at(1, b, "juliet");
    assert_eq!(resumed(&w, c), Some(Some(2)));
}

/// A client that does not take its last words is not waited for.
#[test]
fn who_does_not_read_is_cut_off() {
    let mut w = World::new(&[1, 1]);
    let b = w.login(0, "juliet/b", true);
    w.clients[b].stalled = true;
    w.takes(0, 1, true);
    w.command(0, &DRAIN);
    w.wait(1_500);
    assert_eq!(homes(&w, "juliet", "b"), [1]);
    w.wait(6_000);
    assert_eq!(w.node(0).engines[0].census().connections, 0);
}

#[test]
fn nobody_takes_what_he_cannot_have() {
    let mut w = World::new(&[1, 1, 1]);
    let (b, gone) = (w.login(0, "juliet/b", true), w.login(0, "nurse/n", true));
    w.cut(gone);
    w.takes(0, 1, true);
    w.takes(0, 2, true);
    w.takes(1, 0, true);
    // All drain: none takes what another offers. It stays and is served.
    for node in [0, 1, 2] {
        w.command(node, &DRAIN);
    }
    w.wait(30_000);
    assert_eq!((homes(&w, "juliet", "b"), homes(&w, "nurse", "n")), (vec![0], vec![0]));
    assert!(w.clients[b].open && w.safe(b) == 0);
    // One of those who were asked thinks better of it.
    w.command(2, &Command::Stay);
    w.wait(20_000);
    assert_eq!((homes(&w, "juliet", "b"), homes(&w, "nurse", "n")), (vec![2], vec![2]));
    assert_eq!(counts(&w, 0), (0, 2, 0));
    // A node that is gone is not asked.
    let c = w.resume_at(2, b, "juliet");
    w.takes(2, 0, true);
    w.kill(0);
    w.command(2, &DRAIN);
    w.wait(20_000);
    assert_eq!((homes(&w, "juliet", "b"), counts(&w, 2)), (vec![2], (2, 0, 0)));
    assert!(w.clients[c].open);
}

/// A node is gone that was asked, or was given the session: another one has it next.
#[test]
fn who_is_gone_is_not_waited_for() {
    for given in [false, true] {
        let mut w = World::new(&[1, 1, 1]);
        let b = w.login(0, "juliet/b", true);
        w.takes(0, 1, true);
        w.takes(0, 2, true);
        // The first of them hears nothing, or answers and hears no more.
        w.held.push(if given { (0, 1) } else { (1, 0) });
        w.command(0, &DRAIN);
        w.wait(2_000);
        assert_eq!(homes(&w, "juliet", "b"), [0]);
        w.kill(1);
        w.wait(15_000);
        assert_eq!((homes(&w, "juliet", "b"), counts(&w, 0)), (vec![2], (0, 1, 0)), "{given}");
        let c = w.resume_at(2, b, "juliet");
        assert_eq!(resumed(&w, c), Some(Some(1)));
    }
}

/// At the deadline all that are left go at once; what nobody takes ends, and is in the store.
#[test]
fn the_rest_goes_at_the_deadline() {
    let mut w = World::new(&[2, 1]);
    let a = w.login(1, "romeo/a", true);
    let users = ["juliet/b", "nurse/n", "tybalt/t", "benvolio/o"];
    let all = users.map(|jid| w.login(0, jid, true));
    w.takes(0, 1, true);
    w.command(0, &Command::Drain { rate: 1, within: Span::secs(3) });
    w.wait(2_900);
    assert!(counts(&w, 0).0 > 0, "the rate is too low for all of them");
    w.wait(200);
    assert_eq!((counts(&w, 0), counts(&w, 1).0), ((0, 4, 0), 5));
    assert!(all.iter().all(|c| !w.clients[*c].open && !was_told(&w, *c, "<stream:error")));

    let j = w.resume_at(1, all[0], "juliet");
    w.send(j, &chat("romeo@h", "1"));
    w.command(1, &Command::Drain { rate: 1, within: Span::secs(3) });
    w.wait(2_900);
    assert_eq!(counts(&w, 1), (5, 0, 0), "there is nobody who takes them, and they are served");
    w.wait(200);
    assert_eq!(counts(&w, 1), (0, 0, 5));
    assert!(was_told(&w, j, "<system-shutdown") && was_told(&w, a, "<system-shutdown"));
    assert_eq!(w.spool("romeo"), ["1"]);
    let c = w.resume_at(0, all[0], "juliet");
    w.command(0, &Command::Stay);
    assert_eq!(resumed(&w, c), None);
}

/// Who is told to end while sessions leave gives the rest a little time.
#[test]
fn the_end_waits_for_those_that_are_on_their_way() {
    let mut w = World::new(&[1, 1, 1]);
    let (a, b) = (w.login(2, "romeo/a", true), w.login(0, "juliet/b", true));
    w.takes(0, 1, true);
    w.command(0, &DRAIN);
    w.held.push((0, 1));
    w.shut_down(0);
    w.wait(1_000);
    assert!(w.clients[b].open && !w.node(0).engines[0].stopped, "it is offered");
    let late = w.bind(0, "mercutio/m", false);
    assert!(was_told(&w, late, "<system-shutdown") || !w.clients[late].open, "nobody comes any more");
    w.held.clear();
    w.settle();
    assert_eq!((homes(&w, "juliet", "b"), counts(&w, 0)), (vec![1], (0, 1, 0)));
    w.wait(1_000);
    assert!(w.node(0).engines[0].stopped);
    let c = w.resume_at(1, b, "juliet");
    assert_eq!(resumed(&w, c), Some(Some(1)));

    // But not for ever.
    w.takes(1, 2, true);
    w.command(1, &DRAIN);
    w.held.push((2, 1));
    w.send(a, &chat("juliet@h", "1"));
    w.held = vec![(2, 1), (1, 2)];
    w.shut_down(1);
    w.wait(4_000);
    assert_eq!(homes(&w, "juliet", "b"), [1]);
    w.wait(2_000);
    assert_eq!(homes(&w, "juliet", "b"), Vec::<usize>::new());
    assert!(w.node(1).engines[0].stopped && was_told(&w, c, "<system-shutdown"));
}
