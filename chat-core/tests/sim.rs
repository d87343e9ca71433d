//! The simulator: as many seeds as fit into `SIM_SECONDS` (default 20), or `SIM_SEEDS` of them, from `SIM_FROM` on; or
//! one, `SIM_SEED`, with all that happens in it. The same for clusters with `CLUSTER_SECONDS`, `CLUSTER_SEEDS`,
//! `CLUSTER_SEED`, for clusters whose nodes lose sight of each other all the time with `STORM_SECONDS`, `STORM_SEEDS`,
//! `STORM_SEED`, and for clusters whose nodes are replaced with `DRAIN_SECONDS`, `DRAIN_SEEDS`, `DRAIN_SEED`. With
//! `SIM_KEEP_GOING` a run goes on past failures, and names all of them at its end; it says once a minute how far it is.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests may ask the machine")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use chat_core::effect::Plant;
use chat_core::sim::{Failure, Report, World};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// A kind of worlds, with the names of its variables: how many seconds, how many seeds, and which one with its trace.
struct Kind {
    make: fn(u64) -> World,
    test: &'static str,
    names: [&'static str; 3],
    seconds: u64,
}

/// A node alone.
const ALONE: Kind =
    Kind { make: World::new, test: "seeds", names: ["SIM_SECONDS", "SIM_SEEDS", "SIM_SEED"], seconds: 20 };
/// Clusters.
const CLUSTERS: Kind = Kind {
    make: World::cluster,
    test: "clusters",
    names: ["CLUSTER_SECONDS", "CLUSTER_SEEDS", "CLUSTER_SEED"],
    seconds: 20,
};

/// Clusters whose nodes lose sight of each other all the time.
const STORMS: Kind = Kind {
    make: World::storms,
    test: "storms",
    names: ["STORM_SECONDS", "STORM_SEEDS", "STORM_SEED"],
    seconds: 5,
};

/// Clusters whose nodes are replaced.
const DRAINS: Kind = Kind {
    make: World::drains,
    test: "drains",
    names: ["DRAIN_SECONDS", "DRAIN_SEEDS", "DRAIN_SEED"],
    seconds: 10,
};

impl Kind {
    /// The command that shows a run again.
    fn replay(&self, seed: u64) -> String {
        let (name, test) = (self.names[2], self.test);
        format!(
            "{name}={seed} cargo test -p chat-core --features sim --test sim {test} -- --exact --nocapture"
        )
    }
}

/// A run; a panic of the engine is a failure like any other.
fn run(world: World, seed: u64) -> Result<Report, String> {
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(failure)) => Err(Failure::to_string(&failure)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(format!("seed {seed}: panic: {}", text.unwrap_or_default()))
        }
    }
}

/// A run takes a tenth of a second. One that takes this long is in a loop that no check of the simulator sees: inside one call of the engine.
const STUCK: Duration = Duration::from_secs(180);

/// Ends the process if it hears of no further seed for too long, and says which one it was.
fn watch(kind: &Kind) -> Sender<u64> {
    let (begin, begun) = channel();
    let test = kind.replay(0);
    std::thread::spawn(move || {
        let mut last = 0;
        loop {
            match begun.recv_timeout(STUCK) {
                Ok(seed) => last = seed,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    println!("seed {last} does not end\n    {}", test.replacen("=0", &format!("={last}"), 1));
                    std::process::abort();
                }
            }
        }
    });
    begin
}

fn sweep(kind: &Kind) {
    let [seconds, seeds, seed] = kind.names.map(number);
    if let Some(seed) = seed {
        let mut world = (kind.make)(seed);
        world.read_by(Box::new(|line| println!("{line}")));
        println!("{:?}", run(world, seed).unwrap_or_else(|failure| panic!("{failure}")));
        return;
    }
    let begin = Instant::now();
    let budget = Duration::from_secs(seconds.unwrap_or(kind.seconds));
    let from = number("SIM_FROM").unwrap_or(0);
    let keep_going = number("SIM_KEEP_GOING").is_some();
    let (mut runs, mut events, mut messages, mut failures) = (0, 0, 0, Vec::new());
    let mut drained = [0, 0];
    let (watched, mut said) = (watch(kind), begin);
    for seed in from.. {
        if seeds.map_or_else(|| begin.elapsed() >= budget, |n| runs >= n) {
            break;
        }
        runs += 1;
        watched.send(seed).expect("the watch lives as long as the run");
        if said.elapsed() >= Duration::from_secs(60) {
            said = Instant::now();
            println!("at seed {seed}, {} failed", failures.len());
        }
        match run((kind.make)(seed), seed) {
            Ok(report) => {
                events += report.events;
                messages += report.messages;
                drained = [drained[0] + report.drained, drained[1] + report.not_drained];
            }
            Err(failure) => {
                println!("{failure}\n    {}", kind.replay(seed));
                failures.push(seed);
                if !keep_going {
                    break;
                }
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let rate = runs as f64 / seconds;
    println!(
        "{runs} seeds ({rate:.0} a second), {events} events, {messages} messages, {} failed",
        failures.len()
    );
    let [resumed, ended] = drained;
    if resumed + ended > 0 {
        println!("{resumed} sessions went on elsewhere when their nodes drained, {ended} ended");
    }
    assert!(failures.is_empty(), "seeds that failed: {failures:?}");
}

#[test]
fn seeds() {
    sweep(&ALONE);
}

#[test]
fn clusters() {
    sweep(&CLUSTERS);
}

/// Each of these has failed once.
#[test]
fn seeds_that_found_a_bug() {
    for seed in [
        1369, 3560, 6645, 11347, 12883, 13762, 16041, 18770, 20478, 20765, 21088, 25234, 26024, 31943, 35350,
        37229, 40597, 43123, 45194, 46150, 100008, 103070, 1870,
    ] {
        run(World::cluster(seed), seed)
            .unwrap_or_else(|failure| panic!("{failure}\n    {}", CLUSTERS.replay(seed)));
    }
}

#[test]
fn storms() {
    sweep(&STORMS);
}

#[test]
fn drains() {
    sweep(&DRAINS);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for (kind, seeds) in [(&ALONE, 0..20), (&CLUSTERS, 0..5), (&DRAINS, 0..2)] {
        for seed in seeds {
            let (one, two) = ((kind.make)(seed).run(), (kind.make)(seed).run());
            assert_eq!(one, two);
        }
    }
}

/// One of the first thousand seeds finds it. Those from `known` on are tried first, since one of them did before.
fn find(plant: Plant, in_cluster: bool, known: u64) {
    let found = (known..1000).chain(0..known).find_map(|seed| {
        let world = World::planted(seed, plant, in_cluster);
        Some((seed, run(world, seed).err()?))
    });
    match found {
        Some((seed, failure)) if seed == known => println!("{plant:?}: {failure}"),
        Some((_, failure)) => println!("{plant:?}: {failure} (the seed known was {known})"),
        None => panic!("{plant:?} was not found in the first 1,000 seeds"),
    }
}

#[test]
fn planted_bugs_are_found() {
    Plant::ALL.into_iter().filter(|plant| !plant.needs_cluster()).for_each(|plant| find(plant, false, 0));
}

/// Those of clusters, each from a seed on that was known to find it; `PLANT_FROM=0` looks for the first, `PLANT=WrongWinner` for that one
/// alone. With it, `PLANT_COUNT=450` counts how many of so many seeds find it, and `PLANT_SEED=25` shows all that happens in one.
#[test]
fn planted_bugs_of_clusters_are_found() {
    for (plant, known) in [
        (Plant::AckEarly, 0),
        (Plant::DropOnRejoin, 21),
        (Plant::ReceiptIsResult, 2),
        (Plant::ForgetLife, 16),
        (Plant::OvertakeElsewhere, 148),
        (Plant::WrongWinner, 25),
        (Plant::DropWithLoser, 58),
        (Plant::BelieveLoser, 300),
        (Plant::NoSweep, 195),
        (Plant::EndOnDrain, 0),
    ] {
        if std::env::var("PLANT").is_ok_and(|name| name != format!("{plant:?}")) {
            continue;
        }
        if let Some(seed) = number("PLANT_SEED") {
            let mut world = World::planted(seed, plant, true);
            world.read_by(Box::new(|line| println!("{line}")));
            println!("{:?}", run(world, seed));
            continue;
        }
        if let Some(count) = number("PLANT_COUNT") {
            let caught: Vec<u64> =
                (0..count).filter(|seed| run(World::planted(*seed, plant, true), *seed).is_err()).collect();
            println!("{plant:?}: {} of {count} seeds: {caught:?}", caught.len());
            continue;
        }
        find(plant, true, number("PLANT_FROM").unwrap_or(known));
    }
}
