//! The spool of a user whose sessions are on other nodes than those that write it. Most of this was found by the simulator.

use super::settlement::{at_rest, chat};
use super::world::World;
use crate::base::{MsgId, Span, Utc};
use crate::effect::{SpoolRow, StoreOp};

/// Long enough for a node to forget a user of whom it has no session.
const FORGOTTEN_MS: u64 = 120_000;

/// Another node's row, of which nobody was told.
fn put(w: &mut World, n: u128, body: &str) {
    let stanza = format!("<message from='romeo@h/a' to='juliet@h' type='chat'><body>{body}</body></message>");
    let row = SpoolRow { id: MsgId(n), at: Utc(1), stanza: stanza.into_bytes().into() };
    let user = "juliet@h".parse().expect("an address");
    w.store.apply(&StoreOp::SpoolPut { user, row, rows_max: 1_000 }).expect("there is room");
}

#[test]
fn who_becomes_available_again_reads_what_other_nodes_have_stored() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.send(b, "<presence type='unavailable'/>");
    w.send(a, &chat("juliet@h", "1"));
    assert_eq!(w.spool("juliet"), ["1"]);
    w.wait(FORGOTTEN_MS);
    w.got(b);
    w.send(b, "<presence/>");
    assert_eq!(w.bodies(b), ["~1"]);
}

/// A node that had a row to tell of may have died before it did.
#[test]
fn who_finds_rows_when_it_loads_a_user_tells_her_nodes_before_anything_else() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    put(&mut w, 7, "old");
    w.send(a, &chat("juliet@h", "new"));
    assert_eq!(w.bodies(b), ["~old", "new"]);
    w.ack(b);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (1, 0));
    at_rest(&w);
}

/// Who wrote it could not tell anybody, or it was not heard.
#[test]
fn a_row_of_which_nobody_told_is_found() {
    let mut w = World::new(&[1, 2]);
    let (b, low) = (w.login(1, "juliet/b", true), w.login(0, "juliet/low", true));
    w.send(low, "<presence><priority>-1</priority></presence>");
    w.wait(40_000);
    put(&mut w, 7, "old");
    w.wait(31_000);
    assert_eq!((w.bodies(b), w.bodies(low).len()), (vec!["~old".to_owned()], 0));
    // It is with its client, and is not read once more.
    w.wait(31_000);
    assert_eq!((w.bodies(b).len(), w.spool("juliet").len()), (0, 1));
    w.ack(b);
    assert!(w.spool("juliet").is_empty());
    // A node that comes back may have stored something meanwhile.
    w.unlink(0, 1);
    put(&mut w, 8, "new");
    w.link(0, 1);
    w.settle();
    w.wait(2_000);
    assert_eq!(w.bodies(b), ["~new"]);
}

/// The other half of the test above: nothing else finds it.
#[cfg(feature = "sim")]
#[test]
fn without_the_sweep_it_is_not_found() {
    let mut w = World::with(&[1, 1], |settings| settings.plant = Some(crate::effect::Plant::NoSweep));
    let b = w.login(1, "juliet/b", true);
    w.wait(40_000);
    put(&mut w, 7, "old");
    w.wait(62_000);
    assert!(w.bodies(b).is_empty());
}

#[test]
fn a_node_that_stops_looks_for_nothing() {
    let mut w = World::new(&[1, 1]);
    w.login(0, "juliet/b", true);
    w.stuck_reads = true;
    w.shut_down(0);
    put(&mut w, 7, "old");
    w.wait(40_000);
    assert_eq!(w.spool("juliet"), ["old"]);
}

/// The client that was reading is gone, and whoever is left here gets no messages: what comes does not stand behind rows that
/// nobody here will ever read.
#[test]
fn a_node_that_has_nobody_left_to_read_leaves_the_spool_to_others() {
    let mut w = World::with(&[1, 1], |settings| settings.limits.resume_timeout_max = Span::secs(5));
    let a = w.login(0, "romeo/a", true);
    let low = w.login(0, "juliet/low", true);
    w.send(low, "<presence><priority>-1</priority></presence>");
    (0..500).for_each(|n| put(&mut w, n, &n.to_string()));
    let reader = w.login(0, "juliet/reader", true);
    w.cut(reader);
    w.wait(6_000);
    let c = w.bind(1, "juliet/c", true);
    w.send(c, "<presence/>");
    for _ in 0..20 {
        w.ack(c);
    }
    w.bodies(c);
    assert_eq!(w.spool("juliet").len(), 0);
    w.send(a, &chat("juliet@h", "now"));
    assert_eq!(w.bodies(c), ["now"]);
}

/// The row was read here while its message, which came from another node, was on its way to the client; then that node was
/// gone. Whoever gets the ack deletes the row.
#[test]
fn a_row_of_what_came_from_a_node_that_is_gone_goes_with_the_ack() {
    let mut w = World::new(&[1, 1]);
    let (a, b) = (w.login(0, "romeo/a", true), w.login(1, "juliet/b", true));
    w.send(a, &chat("juliet@h", "1"));
    w.wait(300);
    assert_eq!((w.safe(a), w.spool("juliet").len()), (1, 1));
    w.unlink(0, 1);
    w.link(0, 1);
    w.settle();
    w.ack(b);
    assert_eq!((w.bodies(b), w.spool("juliet").len()), (vec!["1".to_owned()], 0));
    at_rest(&w);
}

/// An error is there before what it is about counts as settled, whatever else waits for the same user.
#[test]
fn an_error_waits_for_nobody() {
    let mut w = World::new(&[1, 1]);
    let (a, x) = (w.login(0, "romeo/a", true), w.login(1, "romeo/x", true));
    let b = w.login(0, "juliet/b", true);
    w.got(a);
    w.held.push((0, 1));
    w.send(b, &chat("romeo@h/x", "1"));
    w.send(x, "</stream:stream>");
    // Something is outstanding to a session that is gone, so this waits for it.
    w.send(b, &chat("romeo@h", "2"));
    w.send(a, &chat("nobody@elsewhere", "3"));
    let got = w.got(a);
    assert!(got.iter().any(|text| text.contains("type='error'") && text.contains("id='i3'")), "{got:?}");
    assert_eq!(w.safe(a), 1);
}

/// The row was read to several; one that acknowledges nothing has it, the others are gone. Then it comes again, from the node that
/// wrote the row.
#[test]
fn what_a_client_without_stream_management_has_does_not_come_again() {
    let mut w = World::new(&[1, 1]);
    let a = w.login(0, "romeo/a", true);
    let (b, c) = (w.login(1, "juliet/b", false), w.login(1, "juliet/c", true));
    w.held.push((0, 1));
    w.send(a, &chat("juliet@h", "1"));
    w.wait(300);
    assert_eq!(w.spool("juliet"), ["1"]);
    w.got(b);
    let d = w.login(1, "juliet/d", true);
    assert_eq!(w.bodies(b), ["~1"]);
    w.send(c, "</stream:stream>");
    w.send(d, "</stream:stream>");
    assert!(w.spool("juliet").is_empty());
    w.held.clear();
    w.settle();
    assert_eq!((w.bodies(b).len(), w.safe(a)), (0, 1));
    at_rest(&w);
}
