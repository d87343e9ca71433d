//! Whom a session sees that has gone to another node, and who sees it.

use super::resume::homes;
use super::settlement::at_rest;
use super::shared::{befriend, presence};
use super::world::World;

/// Juliet at the first node, Romeo at the two others; those of the first two do not see each other any more.
fn cut() -> (World, usize, usize, usize) {
    let mut w = World::new(&[2, 2, 1]);
    let (a, r) = (w.login(0, "juliet/a", true), w.login(1, "romeo/r", true));
    befriend(&mut w, (a, "juliet"), (r, "romeo"));
    let t = w.login(2, "romeo/t", true);
    w.wait(70_000);
    w.unlink(0, 1);
    w.wait(7_000);
    assert!(presence(&mut w, r).contains(&"-juliet@h/a".to_owned()));
    assert!(presence(&mut w, a).contains(&"-romeo@h/r".to_owned()));
    w.got(t);
    w.ack(a);
    (w, a, r, t)
}

/// Found by the simulator.
#[test]
fn who_moves_when_the_nodes_have_just_met_is_seen_and_sees() {
    let (mut w, a, r, t) = cut();
    w.link(0, 1);
    w.settle();
    let b = w.resume_at(1, a, "juliet");
    assert_eq!(homes(&w, "juliet", "a"), [1]);
    w.wait(4_000);
    assert!(presence(&mut w, r).contains(&"juliet@h/a".to_owned()));
    let seen = presence(&mut w, b);
    assert!(seen.contains(&"romeo@h/r".to_owned()), "{seen:?}");
    assert!(presence(&mut w, t).is_empty(), "she was never gone for this one");
    at_rest(&w);
}

#[test]
fn who_moves_to_a_node_that_others_see_is_seen_and_sees() {
    let (mut w, a, r, t) = cut();
    let c = w.resume_at(2, a, "juliet");
    assert_eq!(homes(&w, "juliet", "a"), [2]);
    w.wait(4_000);
    assert_eq!(presence(&mut w, r), ["juliet@h/a"]);
    assert_eq!(presence(&mut w, c), ["romeo@h/r"]);
    assert!(presence(&mut w, t).is_empty());
}

/// Nobody is shown anything when sessions move between nodes that know each other.
#[test]
fn who_moves_is_shown_to_nobody_again() {
    let mut w = World::new(&[1, 1, 1]);
    let (a, r) = (w.login(0, "juliet/a", true), w.login(1, "romeo/r", true));
    befriend(&mut w, (a, "juliet"), (r, "romeo"));
    w.wait(70_000);
    w.got(a);
    w.got(r);
    w.ack(a);
    let c = w.resume_at(2, a, "juliet");
    w.wait(30_000);
    assert_eq!(homes(&w, "juliet", "a"), [2]);
    assert_eq!((w.got(r), w.got(c)), (vec![], vec![]));
    at_rest(&w);
}

/// What Romeo says is still on its way to the old node when the session is at the new one, and what he says after it is not.
#[test]
fn presence_on_its_way_to_the_old_node_is_not_lost_and_does_not_count_at_last() {
    let mut w = World::new(&[2, 2, 1]);
    let (mut a, r) = (w.login(0, "juliet/a", true), w.login(1, "romeo/r", true));
    befriend(&mut w, (a, "juliet"), (r, "romeo"));
    w.wait(70_000);
    w.got(a);
    w.got(r);
    for last in [false, true] {
        let (from, to) = if last { (2, 0) } else { (0, 2) };
        w.ack(a);
        w.held.push((1, from));
        w.send(r, "<presence><show>away</show></presence>");
        let c = w.resume_at(to, a, "juliet");
        assert_eq!(homes(&w, "juliet", "a"), [to]);
        if last {
            w.send(r, "<presence><show>dnd</show></presence>");
            assert!(w.got(c).iter().any(|text| text.contains("dnd")));
        }
        w.held.clear();
        w.settle();
        let got = w.got(c);
        assert!(got.len() == 1 && got[0].contains("away"), "{got:?}");
        w.wait(3_000);
        let got = w.got(c);
        assert!(got.len() == 1 && got[0].contains(if last { "dnd" } else { "away" }), "{got:?}");
        a = c;
    }
    at_rest(&w);
}
