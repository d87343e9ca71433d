//! Nodes of two releases: what moves between them, and what does not since the older one could not say it.

use super::resume::{homes, resumed};
use super::settlement::{at_rest, chat};
use super::world::World;
use crate::base::Span;
use crate::engine::Command;

const DRAIN: Command = Command::Drain { rate: 1, within: Span::secs(60) };

/// Juliet's session went from the first node to the second with a message, which the first never hears: a split comes between. There she
/// gets two more; the first node, for which the session waits, has two others for it. Then the second node dies. The sender of these, and her last client.
fn given_in_vain(w: &mut World) -> (usize, usize) {
    let (a, b) = (w.login(2, "romeo/a", true), w.login(0, "juliet/b", true));
    let t = w.login(1, "tybalt/t", true);
    w.cut(b);
    w.send(a, &chat("juliet@h", "0"));
    w.held.push((0, 1));
    let c = w.resume_at(1, b, "juliet");
    w.held = vec![(1, 0), (1, 2)];
    w.settle();
    assert!(resumed(w, c).is_some_and(|h| h.is_some()));
    w.unlink(0, 1);
    w.unlink(1, 2);
    w.wait(1_100);
    w.send(a, &chat("juliet@h", "A"));
    w.send(a, &chat("juliet@h", "B"));
    w.send(t, &chat("juliet@h", "x"));
    w.send(t, &chat("juliet@h", "y"));
    assert_eq!(w.bodies(c), ["0", "x", "y"]);
    w.ack(c);
    assert_eq!((w.safe(t), homes(w, "juliet", "b")), (2, vec![0, 1]));
    w.kill(1);
    (a, c)
}

/// Her client acknowledges what it got at the node that is gone. That these are not the messages that wait for it, the node
/// that takes the session has to know.
#[test]
fn what_a_session_was_given_for_goes_with_it() {
    let mut w = World::new(&[1, 1, 1]);
    let (a, c) = given_in_vain(&mut w);
    w.takes(0, 2, true);
    w.command(0, &DRAIN);
    w.wait(4_000);
    assert_eq!(homes(&w, "juliet", "b"), [2]);
    let d = w.resume_at(2, c, "juliet");
    assert_eq!(resumed(&w, d), Some(None), "another session went on under this id");
    let d = w.bind(2, "juliet/b", true);
    w.send(d, "<presence/>");
    assert_eq!(w.bodies(d), ["~A", "~B"]);
    w.ack(d);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (3, 0));
    at_rest(&w);
}

/// A node that speaks version 1 would not know: it is not offered the session, and does not get it.
#[test]
fn no_session_goes_to_a_node_that_cannot_say_all_of_it() {
    let mut w = World::new(&[1, 1, 1]);
    w.versions[2] = 1;
    w.relink(0, 2);
    let (a, c) = given_in_vain(&mut w);
    w.takes(0, 2, true);
    w.command(0, &DRAIN);
    w.wait(20_000);
    assert_eq!(homes(&w, "juliet", "b"), [0], "as if there were no other node");
    // Asked for by one who got less than this node had sent, and so did not go on elsewhere: it stays all the same.
    w.clients[c].h -= 3;
    let d = w.resume_at(2, c, "juliet");
    assert_eq!((resumed(&w, d), homes(&w, "juliet", "b")), (Some(None), vec![0]));
    w.wait(60_000);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (3, 2));
    let d = w.bind(2, "juliet/b", true);
    w.send(d, "<presence/>");
    assert_eq!(w.bodies(d), ["~A", "~B"]);
}

/// All others do.
#[test]
fn sessions_go_from_release_to_release_and_back() {
    let mut w = World::new(&[1, 1]);
    w.versions[1] = 1;
    w.relink(0, 1);
    let (a, b) = (w.login(1, "romeo/a", true), w.login(0, "juliet/b", true));
    w.cut(b);
    w.send(a, &chat("juliet@h", "1"));
    let c = w.resume_at(1, b, "juliet");
    assert_eq!((w.bodies(c), homes(&w, "juliet", "b")), (vec!["1".to_owned()], vec![1]));
    w.send(a, &chat("juliet@h", "2"));
    w.cut(c);
    w.takes(1, 0, true);
    w.command(1, &DRAIN);
    w.wait(6_000);
    assert_eq!(homes(&w, "juliet", "b"), [0]);
    let d = w.resume_at(0, c, "juliet");
    assert!(resumed(&w, d).is_some_and(|h| h.is_some()));
    w.ack(d);
    at_rest(&w);
}
