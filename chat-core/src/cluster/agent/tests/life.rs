//! Which life a node has, and whose a name is.

use super::world::{Plan, World};
use crate::base::Span;

#[test]
fn a_node_whose_clock_went_back_takes_a_later_incarnation() {
    let mut w = World::formed(3, 1);
    let before = w.identity(1).clone();
    let at = w.at();
    w.kill(1, false);
    w.nodes[1].plan.clock = -3_600_000;
    w.start(1);
    w.pass(Span::secs(10));
    assert_eq!(w.apart(), None);
    assert_eq!(w.identity(1).incarnation.0, before.incarnation.0 + 1);
    assert!(w.identity(1).boot != before.boot);
    assert_eq!(w.since(1, at).iter().filter(|s| s.starts_with("new life")).count(), 1);
    let notices = w.notices(1, at);
    assert!(notices.iter().any(|n| n.contains("remembers a later incarnation of this node")), "{notices:?}");
    for i in [0, 2] {
        let downs = w.since(i, at).iter().filter(|s| s.starts_with("down")).count();
        assert_eq!(downs, 1, "{:?}", w.since(i, at));
    }
}

/// Whoever remembers is not among the first that it meets.
#[test]
fn a_life_that_has_begun_ends_when_a_later_one_is_remembered() {
    let mut w = World::formed(3, 2);
    let before = w.identity(1).incarnation;
    w.kill(1, false);
    w.kill(0, false);
    w.pass(Span::secs(5));
    w.set_cut(1, 2, true);
    w.set_cut(0, 2, true);
    w.nodes[1].plan.clock = -3_600_000;
    w.start(0);
    w.start(1);
    w.pass(Span::secs(20));
    let at = w.at();
    assert!(w.identity(1).incarnation < before);
    assert_eq!((w.nodes[0].met.len(), w.nodes[1].met.len()), (1, 1), "they do not know better");
    w.cut.clear();
    w.pass(Span::secs(15));
    assert_eq!(w.apart(), None);
    assert!(w.identity(1).incarnation > before);
    let said = w.since(1, at);
    assert!(said.contains(&"down chat@n0: this node has taken a later incarnation"), "{said:?}");
    assert!(w.since(0, at).contains(&"down chat@n1: it has started anew"), "{:?}", w.since(0, at));
}

/// Two of one name; the third machine is the second's.
fn namesakes(knows: bool) -> World {
    let listed = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let mut plans: Vec<Plan> =
        (0..2).map(|i| Plan { listed: listed(&["chat@n0", "chat@n1"]), ..Plan::new(i) }).collect();
    plans.push(Plan { name: "chat@n1".into(), watches_dns: knows, ..Plan::new(2) });
    plans[2].listed = listed(&["chat@n0"]);
    World::new(plans, 5)
}

#[test]
fn of_two_nodes_with_one_name_the_later_stops() {
    for knows in [false, true] {
        let mut w = namesakes(knows);
        w.start(0);
        w.start(1);
        w.pass(Span::secs(20));
        let at = w.at();
        w.start(2);
        w.pass(Span::secs(30));
        let said = w.since(2, at);
        let fatal = said.last().expect("it says why it stops");
        assert!(fatal.starts_with("fatal another live node of the cluster is called chat@n1 "), "{said:?}");
        let when = w.nodes[2].log.when(at, "fatal").unwrap();
        assert!((10_000..20_000).contains(&when), "{when}");
        assert!(w.nodes[2].agent.is_none());
        for i in [0, 1] {
            assert_eq!(w.since(i, at), [""; 0], "the others go on as if nothing had been");
            let about = |n: &&&str| n.contains("another live node (incarnation ");
            let words = w.notices(i, at).iter().filter(about).count();
            assert!(words >= 1 || !knows && i == 1, "{i}: {:?}", w.notices(i, at));
        }
    }
}

#[test]
fn a_node_whose_place_was_taken_while_it_was_away_stops() {
    let mut w = namesakes(false);
    w.start(0);
    w.start(1);
    w.pass(Span::secs(10));
    w.freeze(1);
    w.pass(Span::secs(10));
    w.start(2);
    w.pass(Span::secs(10));
    assert!(w.nodes[0].met.values().any(|m| m.is_up && m.identity == *w.identity(2)));
    let at = w.at();
    w.thaw(1);
    w.pass(Span::secs(60));
    assert!(w.since(1, at).last().unwrap().starts_with("fatal"), "{:?}", w.nodes[1].log);
    assert!(w.nodes[2].agent.is_some() && !w.since(0, at).iter().any(|s| s.starts_with("down")));
}

#[test]
fn a_node_that_starts_anew_at_once_is_let_in() {
    for loses_power in [false, true] {
        let mut w = World::formed(3, 6);
        for _ in 0..5 {
            let at = w.at();
            w.kill(1, loses_power);
            w.pass(Span::millis(50));
            w.start(1);
            w.pass(Span::secs(8));
            assert_eq!(w.apart(), None);
            let said = w.since(0, at);
            assert!(said[0].starts_with("down chat@n1"), "{said:?}");
            assert!(!w.since(1, at).iter().any(|s| s.starts_with("fatal")));
        }
    }
}

/// The one that remembers cannot tell it itself.
#[test]
fn a_later_life_that_somebody_only_heard_of_counts_as_well() {
    let mut w = World::formed(3, 7);
    let before = w.identity(1).incarnation;
    w.kill(1, false);
    w.kill(0, false);
    w.pass(Span::secs(5));
    w.set_cut(1, 2, true);
    w.nodes[1].plan.clock = -3_600_000;
    w.start(0);
    w.pass(Span::secs(3));
    let at = w.at();
    w.start(1);
    w.pass(Span::secs(15));
    assert!(w.identity(1).incarnation > before);
    assert!(w.since(1, at).iter().any(|s| s.starts_with("new life ")), "{:?}", w.since(1, at));
    let met = &w.nodes[0].met[&w.identity(1).name];
    assert!(met.is_up && met.identity == *w.identity(1));
}
