//! A node sends its sessions away one after the other.

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

#[test]
fn sessions_of_a_node_that_drains_go_on_elsewhere() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(1, "romeo/a", true), w.login(0, "juliet/b", true));
    let plain = w.login(0, "mercutio/m", false);
    w.send(a, &chat("juliet@h", "1"));
    w.command(0, &DRAIN);
    w.wait(3_000);
    // Whoever cannot resume is told to go; the others are cut off without a word, so that they do.
    assert!(w.clients[plain].received.iter().any(|text| text.contains("<system-shutdown")));
    assert!(!w.clients[plain].open && !w.clients[b].open);
    assert!(
        !w.clients[b].received.iter().any(|text| text.contains("stream:error") || text.contains("</stream"))
    );
    assert_eq!(counts(&w, 0), (1, 0, 1));
    // Messages wait with the session, wherever they come from, and go on with it.
    w.send(a, &chat("juliet@h", "2"));
    let c = w.resume_at(1, b, "juliet");
    assert_eq!(resumed(&w, c), Some(Some(1)), "her presence");
    assert_eq!((w.bodies(b), w.bodies(c)), (vec!["1".to_owned()], vec!["2".to_owned()]));
    w.ack(c);
    w.wait(1_000);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (2, 0));
    assert_eq!((homes(&w, "juliet", "b"), counts(&w, 0)), (vec![1], (0, 1, 1)));
    at_rest(&w);
}

#[test]
fn whoever_does_not_come_in_time_finds_the_rest_in_the_store() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(1, "romeo/a", true), w.login(0, "juliet/b", true));
    w.cut(b);
    w.send(a, &chat("juliet@h", "1"));
    w.command(0, &DRAIN);
    w.wait(59_000);
    assert_eq!((homes(&w, "juliet", "b"), counts(&w, 0)), (vec![0], (1, 0, 0)));
    w.wait(2_000);
    assert_eq!((homes(&w, "juliet", "b"), counts(&w, 0)), (vec![], (0, 0, 1)));
    assert_eq!((w.safe(a), w.spool("juliet").len()), (1, 1));
    let c = w.resume_at(1, b, "juliet");
    assert_eq!(resumed(&w, c), Some(None));
}

#[test]
fn sessions_whose_clients_do_not_come_are_offered_to_others() {
    let mut w = World::new(&[2, 1, 1]);
    let (a, b) = (w.login(1, "romeo/a", true), w.login(0, "juliet/b", true));
    let gone = w.login(0, "nurse/n", true);
    w.cut(gone);
    w.send(a, &chat("nurse@h", "1"));
    w.takes(0, 2, true);
    w.takes(0, 1, true);
    w.takes(0, 1, false);
    w.command(0, &Command::Drain { rate: 10, within: Span::secs(60) });
    w.wait(2_000);
    // Those that are cut off have a moment to come by themselves.
    assert!(!w.clients[b].open);
    assert_eq!(homes(&w, "juliet", "b"), [0]);
    w.wait(8_000);
    assert_eq!((homes(&w, "juliet", "b"), homes(&w, "nurse", "n")), (vec![2], vec![2]));
    assert_eq!(counts(&w, 0), (0, 2, 0));
    assert_eq!(counts(&w, 2), (2, 0, 0));
    // Whatever waited went along; they go on from there, wherever their clients come.
    w.send(a, &chat("nurse@h", "2"));
    let n = w.resume_at(2, gone, "nurse");
    assert_eq!((resumed(&w, n), w.bodies(n)), (Some(Some(1)), vec!["1".to_owned(), "2".to_owned()]));
    w.ack(n);
    let c = w.resume_at(1, b, "juliet");
    assert_eq!((resumed(&w, c), homes(&w, "juliet", "b")), (Some(Some(1)), vec![1]));
    w.wait(1_000);
    assert_eq!((w.safe(a), w.spool("nurse").len()), (2, 0));
    at_rest(&w);
}

#[test]
fn nobody_takes_what_he_cannot_have() {
    let mut w = World::new(&[1, 1]);
    let b = w.login(0, "juliet/b", true);
    w.cut(b);
    w.takes(0, 1, true);
    w.takes(1, 0, true);
    // Both drain: neither takes what the other offers, and it stays until the end.
    for node in [0, 1] {
        w.command(node, &DRAIN);
    }
    w.wait(30_000);
    assert_eq!(homes(&w, "juliet", "b"), [0]);
    w.command(1, &Command::Stay);
    w.wait(20_000);
    assert_eq!((homes(&w, "juliet", "b"), counts(&w, 0)), (vec![1], (0, 1, 0)));
    // A node that is gone is not asked.
    w.command(1, &DRAIN);
    w.kill(0);
    w.wait(20_000);
    assert_eq!((homes(&w, "juliet", "b"), counts(&w, 1)), (vec![1], (1, 0, 0)));
}
