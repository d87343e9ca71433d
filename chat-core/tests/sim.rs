//! The simulator: as many seeds as fit into `SIM_SECONDS` (default 20), or `SIM_SEEDS` of them, from `SIM_FROM` on; or
//! one, `SIM_SEED`, with all that happens in it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests may ask the machine")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use chat_core::effect::Plant;
use chat_core::sim::{Failure, Report, World};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// The command that shows a run again.
fn replay(seed: u64) -> String {
    format!("SIM_SEED={seed} cargo test -p chat-core --features sim --test sim seeds -- --nocapture")
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

#[test]
fn seeds() {
    if let Some(seed) = number("SIM_SEED") {
        let mut world = World::new(seed);
        world.read_by(Box::new(|line| println!("{line}")));
        println!("{:?}", run(world, seed).unwrap_or_else(|failure| panic!("{failure}")));
        return;
    }
    let begin = Instant::now();
    let budget = Duration::from_secs(number("SIM_SECONDS").unwrap_or(20));
    let from = number("SIM_FROM").unwrap_or(0);
    let (count, keep_going) = (number("SIM_SEEDS"), number("SIM_KEEP_GOING").is_some());
    let (mut runs, mut events, mut messages, mut failures) = (0, 0, 0, Vec::new());
    for seed in from.. {
        if count.map_or_else(|| begin.elapsed() >= budget, |n| runs >= n) {
            break;
        }
        runs += 1;
        match run(World::new(seed), seed) {
            Ok(report) => {
                events += report.events;
                messages += report.messages;
            }
            Err(failure) => {
                println!("{failure}\n    {}", replay(seed));
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
    assert!(failures.is_empty(), "seeds that failed: {failures:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        let (one, two) = (World::new(seed).run(), World::new(seed).run());
        assert_eq!(one, two);
    }
}

#[test]
fn planted_bugs_are_found() {
    for plant in Plant::ALL {
        let found = (0..1000).find_map(|seed| {
            let world = World::planted(seed, plant);
            run(world, seed).err()
        });
        match found {
            Some(failure) => println!("{plant:?}: {failure}"),
            None => panic!("{plant:?} was not found in 1,000 seeds"),
        }
    }
}
