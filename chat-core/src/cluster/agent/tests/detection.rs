//! How long it takes until everybody knows.

use super::world::World;
use crate::base::Span;

/// Milliseconds until the last of the others knew, in each of many runs, sorted.
fn detect(nodes: usize, seeds: u64, harm: impl Fn(&mut World)) -> Vec<u64> {
    let mut all: Vec<u64> = (0..seeds)
        .map(|seed| {
            let mut w = World::full(nodes, 1000 + seed);
            // Not always at the same moment of a probe.
            w.pass(Span::millis(6000 + 37 * seed));
            assert_eq!(w.apart(), None);
            let at = w.at();
            harm(&mut w);
            w.pass(Span::secs(8));
            let knew = |i: usize| w.nodes[i].log.when(at, "down chat@n0").expect("it is known in the end");
            (1..nodes).map(knew).max().unwrap()
        })
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn a_dead_node_is_known_everywhere_within_three_seconds_and_a_stopped_one_within_six() {
    for nodes in [2, 5] {
        let killed = detect(nodes, 10, |w| w.kill(0, false));
        let dark = detect(nodes, 10, |w| w.kill(0, true));
        let stopped = detect(nodes, 10, |w| w.freeze(0));
        for (what, all) in [("killed", &killed), ("without power", &dark), ("stopped", &stopped)] {
            println!("{nodes} nodes, {what}: median {} ms, worst {} ms", all[5], all[9]);
        }
        assert!(killed[9] < 2_000, "{killed:?}");
        assert!(dark[9] < 3_000, "{dark:?}");
        assert!(stopped[9] < 6_000, "{stopped:?}");
    }
}

#[test]
fn a_node_that_leaves_is_known_to_leave_at_once() {
    let left = detect(5, 10, |w| w.leave(0));
    assert!(left[9] < 10, "{left:?}");
}
