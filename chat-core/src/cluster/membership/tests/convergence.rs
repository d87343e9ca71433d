//! Random faults, then healing: everybody must see the truth again.

use super::world::World;
use crate::base::{Rng, Span};

/// One run: faults drawn from the seed for about a minute, then none, and the truth within 15 seconds.
fn run(seed: u64) -> Vec<(u64, String)> {
    let mut rng = Rng::from_u64(seed ^ 0x5eed);
    let nodes = 2 + rng.below(6) as usize;
    let mut w = World::new(nodes, seed);
    w.pass(Span::millis(rng.below(8000)));
    let mut stopped = Vec::new();
    let mut said = Vec::new();
    for _ in 0..20 + rng.below(30) {
        let a = rng.below(nodes as u64) as usize;
        let b = (a + 1 + rng.below(nodes as u64 - 1) as usize) % nodes;
        let what = match rng.below(9) {
            0 => {
                w.set_cut(a, b, true);
                "cut"
            }
            1 => {
                w.cut.insert((a, b));
                "one way"
            }
            2 => {
                w.set_cut(a, b, false);
                "heal"
            }
            3 => {
                w.reset(a, b);
                "reset"
            }
            4 if w.is_running(a) => {
                w.kill(a, rng.below(2) == 0);
                "kill"
            }
            5 if w.is_running(a) => {
                w.stop(a);
                stopped.push(a);
                "stop"
            }
            6 if !stopped.is_empty() => {
                let i = stopped.swap_remove(rng.below(stopped.len() as u64) as usize);
                w.go_on(i);
                "go on"
            }
            7 if w.is_running(a) && w.is_member(a) && rng.below(4) == 0 => {
                w.leave(a);
                "leave"
            }
            _ if !w.is_running(a) && !stopped.contains(&a) => {
                w.start(a);
                "start"
            }
            _ => "nothing",
        };
        said.push((w.ms(), format!("{what} {a} {b}")));
        w.pass(Span::millis(rng.below(3000)));
    }
    w.cut.clear();
    for i in stopped {
        w.go_on(i);
    }
    w.pass(Span::secs(15));
    if let Some(apart) = w.apart() {
        let logs: Vec<_> = w.nodes.iter().map(|n| &n.log).collect();
        panic!("seed {seed}: {apart}\n{said:#?}\n{logs:#?}");
    }
    for i in 0..nodes {
        said.extend(w.nodes[i].log.0.iter().map(|(t, what)| (t.0, what.clone())));
    }
    said
}

#[test]
fn after_any_faults_everybody_sees_the_truth() {
    for seed in 0..200 {
        run(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 77] {
        assert_eq!(run(seed), run(seed));
    }
}
