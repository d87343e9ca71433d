//! Who may not see a user any more, and is on a node that does not hear of it.

use super::settlement::at_rest;
use super::shared::{befriend, presence};
use super::world::World;

/// Juliet at one node, Romeo at another, who see each other, and the nodes do not.
fn cut() -> (World, usize, usize) {
    let mut w = World::new(&[2, 2]);
    let (a, r) = (w.login(0, "juliet/a", true), w.login(1, "romeo/r", true));
    befriend(&mut w, (a, "juliet"), (r, "romeo"));
    w.wait(30_000);
    w.got(a);
    w.got(r);
    w.unlink(0, 1);
    (w, a, r)
}

/// The cut is over before anybody was taken for gone.
fn heal(w: &mut World) {
    w.link(0, 1);
    w.settle();
    w.wait(10_000);
}

fn order(name: &str) -> String {
    format!("<iq type='set' id='k'><{name} xmlns='urn:xmpp:blocking'><item jid='romeo@h'/></{name}></iq>")
}

/// Found by the simulator.
#[test]
fn who_was_blocked_while_the_nodes_were_cut_off_is_told_afterwards() {
    let (mut w, a, r) = cut();
    w.send(a, &order("block"));
    assert!(presence(&mut w, r).is_empty());
    heal(&mut w);
    assert_eq!(presence(&mut w, r), ["-juliet@h/a"]);
    at_rest(&w);
}

#[test]
fn who_lost_a_subscription_while_the_nodes_were_cut_off_is_told_afterwards() {
    let (mut w, a, r) = cut();
    w.send(a, "<presence type='unsubscribed' to='romeo@h'/>");
    assert!(presence(&mut w, r).is_empty());
    heal(&mut w);
    assert_eq!(presence(&mut w, r), ["-juliet@h/a"]);
    at_rest(&w);
}

/// The session that was seen is over, too, and who was blocked would not be told that by the node that missed it.
#[test]
fn who_was_blocked_by_a_session_that_is_over_is_told_afterwards() {
    let (mut w, a, r) = cut();
    w.send(a, &order("block"));
    w.send(a, "</stream:stream>");
    w.cut(a);
    heal(&mut w);
    assert_eq!(presence(&mut w, r), ["-juliet@h/a"]);
    at_rest(&w);
}

#[test]
fn who_may_see_the_user_again_is_told_no_farewell() {
    let (mut w, a, r) = cut();
    w.send(a, &order("block"));
    w.send(a, &order("unblock"));
    heal(&mut w);
    assert_eq!(presence(&mut w, r), ["juliet@h/a"]);
    at_rest(&w);
}

/// The node hears that a session is over, and what it said to those here is lost with the link.
#[test]
fn who_is_gone_as_the_link_breaks_is_gone() {
    let mut w = World::new(&[1, 1]);
    let (a, r) = (w.login(0, "juliet/a", true), w.login(1, "romeo/r", true));
    befriend(&mut w, (a, "juliet"), (r, "romeo"));
    w.wait(30_000);
    w.got(r);
    w.held.push((0, 1));
    w.send(a, "</stream:stream>");
    w.lose_parcels(0, 1);
    w.held.clear();
    w.settle();
    assert!(presence(&mut w, r).is_empty());
    w.relink(0, 1);
    w.wait(10_000);
    assert_eq!(presence(&mut w, r), ["-juliet@h/a"]);
    at_rest(&w);
}
