//! Random lists and random faults, then healing: everybody must see the truth.

use super::world::{Plan, World};
use crate::base::{Mono, Rng, Span};
use crate::cluster::testing::run_seeds;

/// How long everything may take to come right once nothing goes wrong any more. A dial that nobody answers takes 5 s, and
/// the wait after it 3 s; then a node may be told that its name is taken, while others find out that its earlier life is
/// gone.
const HEALING: Span = Span::secs(20);

struct Report {
    frames: u64,
    downs: usize,
    healed_ms: u64,
}

/// Lists of which none need be whole: each node but the first knows one that came before it, or is known by it.
fn plans(rng: &mut Rng, nodes: usize) -> Vec<Plan> {
    let mut plans: Vec<Plan> = (0..nodes).map(Plan::new).collect();
    for i in 1..nodes {
        let other = rng.below(i as u64) as usize;
        let (a, b) = if rng.below(2) == 0 { (i, other) } else { (other, i) };
        match rng.below(4) {
            0 => (plans[a].watches_dns, plans[b].watches_dns) = (true, true),
            _ => plans[a].listed.push(format!("chat@n{b}")),
        }
    }
    if rng.below(4) == 0 {
        let i = rng.below(nodes as u64) as usize;
        plans[i].clock = -(rng.below(100_000_000) as i64);
    }
    plans
}

fn run(seed: u64, trace: bool) -> Report {
    let mut rng = Rng::from_u64(seed ^ 0xa6e7);
    let nodes = 2 + rng.below(4) as usize;
    let everybody_lists_everybody = rng.below(2) == 0;
    let mut plans = plans(&mut rng, nodes);
    if everybody_lists_everybody {
        plans.iter_mut().for_each(|p| p.listed = (0..nodes).map(|i| format!("chat@n{i}")).collect());
    }
    let mut w = World::new(plans, seed);
    w.trace = trace;
    w.is_rough = rng.below(2) == 0;
    w.dns_is_broken = rng.below(4) == 0;
    w.dns_was_broken = w.dns_is_broken;
    // What may happen in this run at all.
    let swarm = rng.next_u64();
    for i in 0..nodes {
        w.start(i);
        w.pass(Span::millis(rng.below(500)));
    }
    for _ in 0..10 + rng.below(15) {
        let span = Span::millis(rng.below(4000));
        w.pass(span);
        let what = rng.below(12);
        if swarm >> what & 1 == 1 {
            harm(&mut w, &mut rng, what, nodes);
        }
    }
    w.cut.clear();
    w.is_rough = false;
    (0..nodes).for_each(|i| w.thaw(i));
    while w.nodes.iter().any(|n| n.is_leaving && n.agent.is_some()) {
        w.pass(Span::millis(100));
    }
    for i in 0..nodes {
        if !everybody_lists_everybody && w.nodes[i].agent.is_none() {
            // It may be the only one that knows two others.
            w.start(i);
        }
    }
    let healed = w.at();
    // Names that have failed for long are asked for again within 30 s.
    let healing = if w.dns_was_broken { Span(HEALING.0 + Span::secs(30).0) } else { HEALING };
    w.dns_is_broken = false;
    while let Some(apart) = w.apart() {
        let since = w.at().since(healed);
        assert!(since < healing, "seed {seed}: {apart}\n{}", logs(&w));
        w.pass(Span::millis(100));
    }
    let healed_ms = w.at().since(healed).as_millis();
    // It stays so, and what was sent has arrived.
    let at = w.at();
    w.pass(Span::secs(8));
    w.is_quiet = true;
    w.pass(Span::secs(2));
    for i in 0..nodes {
        let said = w.since(i, at);
        assert!(!said.iter().any(|s| s.starts_with("down") && !s.contains("left")), "seed {seed}: {said:?}");
        assert!(!w.since(i, Mono(0)).iter().any(|s| s.starts_with("fatal")), "seed {seed}: {}", logs(&w));
    }
    assert_eq!(w.apart(), None);
    let downs = |i| w.since(i, Mono(0)).iter().filter(|s| s.starts_with("down")).count();
    Report { frames: w.frames, downs: (0..nodes).map(downs).sum(), healed_ms }
}

fn harm(w: &mut World, rng: &mut Rng, what: u64, nodes: usize) {
    let a = rng.below(nodes as u64) as usize;
    let b = (a + 1 + rng.below(nodes as u64 - 1) as usize) % nodes;
    if w.trace {
        eprintln!("{:>9} harm {what} {a} {b}", w.at().0 / 1_000);
    }
    let is_there = w.nodes[a].agent.is_some();
    match what {
        0 => w.set_cut(a, b, true),
        1 => drop(w.cut.insert((a, b))),
        2 => w.set_cut(a, b, false),
        3 | 4 => w.reset(a, b),
        5 if w.is_running(a) => w.kill(a, rng.below(2) == 0),
        6 if w.is_running(a) => w.freeze(a),
        7 => (0..nodes).for_each(|i| w.thaw(i)),
        // Its clock may have gone back, by little or by much.
        8 | 9 if !is_there => {
            if rng.below(3) == 0 {
                w.nodes[a].plan.clock -= rng.below(100_000) as i64;
            }
            w.start(a);
        }
        10 if w.is_running(a) => w.leave(a),
        11 => {
            w.dns_is_broken = !w.dns_is_broken;
            w.dns_was_broken = true;
        }
        _ => {}
    }
}

fn logs(w: &World) -> String {
    let mut all = String::new();
    for (i, node) in w.nodes.iter().enumerate() {
        for (at, what) in &node.log.0 {
            all.push_str(&format!("{:>9} {i} {what}\n", at.0 / 1_000));
        }
    }
    all
}

#[test]
fn after_any_faults_everybody_knows_everybody() {
    let reports = run_seeds("AGENT_SEEDS", "AGENT_SEED", 25, run);
    let seeds = reports.len() as u64;
    let mut healed: Vec<u64> = reports.iter().map(|r| r.healed_ms).collect();
    healed.sort_unstable();
    let frames: u64 = reports.iter().map(|r| r.frames).sum();
    let downs: usize = reports.iter().map(|r| r.downs).sum();
    println!(
        "{seeds} seeds, {frames} frames, {downs} times down, healed in {} ms at the median, {} ms at worst",
        healed[healed.len() / 2],
        healed[healed.len() - 1]
    );
    assert!(seeds == 1 || frames > 100 * seeds && downs as u64 > seeds, "{frames} {downs}");
}

#[test]
fn whoever_is_listed_by_anybody_becomes_known_to_all() {
    for seed in 0..20 {
        let mut rng = Rng::from_u64(seed);
        let nodes = 3 + rng.below(6) as usize;
        let mut w = World::new(plans(&mut rng, nodes), seed);
        for i in 0..nodes {
            w.start(i);
            w.pass(Span::millis(rng.below(300)));
        }
        w.pass(Span::secs(12));
        assert_eq!(w.apart(), None, "seed {seed}: {}", logs(&w));
        for i in 0..nodes {
            let listed = w.nodes[i].agent.as_ref().unwrap().peers();
            assert_eq!(listed.len(), nodes - 1, "seed {seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let log = |seed| {
        let mut rng = Rng::from_u64(seed);
        let mut w = World::new(plans(&mut rng, 4), seed);
        (0..4).for_each(|i| w.start(i));
        for what in [3, 5, 8, 6, 7] {
            w.pass(Span::secs(3));
            harm(&mut w, &mut rng, what, 4);
        }
        w.pass(Span::secs(10));
        logs(&w)
    };
    for seed in [3, 77] {
        assert_eq!(log(seed), log(seed));
    }
}
