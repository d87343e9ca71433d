//! Every worker knows who is where.

use super::world::World;
use crate::base::NodeId;

/// The sessions of a user as a node sees them: the number of the node, the resource, and what may be chosen.
fn seen(w: &mut World, node: usize, user: &str) -> Vec<String> {
    let jid = format!("{user}@h");
    let home = w.node(node).engines[0].settings().home(&jid);
    let cluster = w.node(node).engines[usize::from(home.0)].cluster.as_ref().expect("a cluster");
    let show = |e: crate::route::registry::Entry<'_>| {
        let r = e.record;
        let (sm, carbons) =
            (if r.sm.is_some() { " sm" } else { "" }, if r.carbons { " carbons" } else { "" });
        format!("{:?}/{:?} {} {:?}{sm}{carbons}", e.node, r.worker, r.resource, r.priority)
    };
    cluster.table.of(&jid).map(show).collect()
}

#[test]
fn every_node_knows_all_sessions_as_they_are() {
    let mut w = World::new(&[2, 1, 2]);
    let a = w.login(0, "romeo/a", true);
    let b = w.bind(1, "romeo/b", false);
    let home = w.node(0).engines[0].settings().home("romeo@h");
    assert_eq!(seen(&mut w, 0, "romeo"), [format!("n0/{home:?} a Some(0) sm"), "n1/w0 b None".into()]);
    assert_eq!(seen(&mut w, 1, "romeo"), [format!("n1/{home:?} a Some(0) sm"), "n0/w0 b None".into()]);
    assert_eq!(seen(&mut w, 2, "romeo"), [format!("n1/{home:?} a Some(0) sm"), "n2/w0 b None".into()]);
    w.send(b, "<presence><priority>-3</priority></presence>");
    w.send(b, "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
    assert_eq!(seen(&mut w, 2, "romeo")[1], "n2/w0 b Some(-3) carbons");
    w.send(b, "<iq type='set' id='c'><disable xmlns='urn:xmpp:carbons:2'/></iq>");
    w.send(b, "<presence type='unavailable'/>");
    assert_eq!(seen(&mut w, 2, "romeo")[1], "n2/w0 b None");
    // A session that waits to be resumed, and is, stays what it is; one that ends is gone.
    w.cut(a);
    w.cut(b);
    assert_eq!(seen(&mut w, 2, "romeo"), [format!("n1/{home:?} a Some(0) sm")]);
    let a = w.resume(a, "romeo");
    assert_eq!(seen(&mut w, 2, "romeo"), [format!("n1/{home:?} a Some(0) sm")]);
    w.send(a, "</stream:stream>");
    assert!((0..3).all(|node| seen(&mut w, node, "romeo").is_empty()));
}

#[test]
fn sessions_of_a_node_that_is_down_are_gone_and_come_back_with_its_next_life() {
    let mut w = World::new(&[1, 2]);
    for i in 0..40 {
        w.login(1, &format!("user{i}/x"), false);
    }
    assert_eq!(seen(&mut w, 0, "user7").len(), 1);
    w.kill(1);
    assert!((0..40).all(|i| seen(&mut w, 0, &format!("user{i}")).is_empty()));
    w.wait(6_000);
    let cluster = w.node(0).engines[0].cluster.as_ref().expect("a cluster");
    assert!(cluster.table.is_empty() && cluster.table.is_free(NodeId(1)));
    assert!(cluster.chores.is_done());
    w.start(1, 2);
    w.login(1, "user7/y", false);
    let home = w.node(1).engines[0].settings().home("user7@h");
    assert_eq!(seen(&mut w, 0, "user7"), [format!("n2/{home:?} y Some(0)")]);
}

/// The later bind counts, on both sides of a split that heals.
#[test]
fn a_resource_that_is_bound_twice_is_seen_once() {
    let mut w = World::new(&[1, 1]);
    w.unlink(0, 1);
    w.login(0, "romeo/x", false);
    w.wait(5);
    w.login(1, "romeo/x", false);
    w.link(0, 1);
    w.settle();
    assert_eq!(seen(&mut w, 0, "romeo"), ["n2/w0 x Some(0)"]);
    assert_eq!(seen(&mut w, 1, "romeo"), ["n0/w0 x Some(0)"]);
}

#[test]
fn a_node_that_is_alone_keeps_and_tells_nothing() {
    let mut w = World::new(&[1]);
    let settings = crate::effect::Settings { cluster: None, ..w.node(0).engines[0].settings().clone() };
    w.node(0).engines[0] = crate::engine::Engine::new(settings, [1; 32], Vec::new());
    let c = w.login(0, "romeo/x", true);
    w.send(c, "</stream:stream>");
    assert!(w.node(0).engines[0].cluster.is_none());
}
