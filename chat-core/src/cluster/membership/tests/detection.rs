//! How long it takes until everybody knows.

use super::world::World;
use crate::base::Span;

/// Milliseconds until the last of the others knew, in each of many runs, sorted.
fn detect(nodes: usize, seeds: u64, harm: impl Fn(&mut World)) -> Vec<u64> {
    let mut all: Vec<u64> = (0..seeds)
        .map(|seed| {
            let mut w = World::new(nodes, 1000 + seed);
            // Not always at the same moment of a probe.
            w.pass(Span::millis(6000 + 37 * seed));
            assert_eq!(w.apart(), None);
            let at = w.at();
            harm(&mut w);
            w.pass(Span::secs(15));
            (1..nodes).map(|i| w.when(i, at, "down chat@n0").expect("it is known in the end")).max().unwrap()
        })
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn a_dead_node_is_known_everywhere_within_three_seconds() {
    for nodes in [2, 3, 6] {
        let reset = detect(nodes, 100, |w| w.kill(0, true));
        let silent = detect(nodes, 100, |w| w.kill(0, false));
        let stopped = detect(nodes, 100, |w| w.stop(0));
        for (what, all) in [("reset", &reset), ("silent", &silent), ("stopped", &stopped)] {
            println!(
                "{nodes} nodes, {what}: median {} ms, worst {} ms",
                all[all.len() / 2],
                all[all.len() - 1]
            );
        }
        assert!(reset.last().unwrap() < &2_000, "{reset:?}");
        assert!(silent.last().unwrap() < &3_000 && silent[50] < 2_700, "{silent:?}");
        assert!(stopped.last().unwrap() < &3_000, "{stopped:?}");
    }
}

#[test]
fn a_node_that_leaves_is_known_to_leave_at_once() {
    let left = detect(6, 50, |w| w.leave(0));
    assert!(left.last().unwrap() < &5, "{left:?}");
}
