//! What simulated worlds share: those of this folder's tests, and the simulator. For tests only.
//!
//! Owns: events in the order of their time ([`Agenda`]), connections that fail in every way that TCP can ([`Wire`]), and
//! what a node has seen, as text ([`Log`]). In and out: plain values; each world decides what happens when.
//! Invariant: the same calls give the same results.
//! Not here: what nodes do, and what has to be true of it: each world lies beside what it tests.

#[cfg(test)]
mod agenda;
#[cfg(test)]
mod log;
mod wire;

#[cfg(test)]
pub(super) use agenda::Agenda;
#[cfg(test)]
pub(super) use log::Log;
pub(crate) use wire::{Pulled, Wire};

/// A number that whoever runs the tests may set: how many seeds, or which one with its trace.
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test is asked for more than usual")]
pub(super) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs seeds from 0 on, as many as the variable `all` says; a failing one is named. If `one` names a seed, that
/// alone is run, with its trace.
#[cfg(test)]
pub(super) fn run_seeds<T>(all: &str, one: &str, usual: u64, run: impl Fn(u64, bool) -> T) -> Vec<T> {
    if let Some(seed) = number(one) {
        return vec![run(seed, true)];
    }
    let run_one = |seed| {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed, false)));
        outcome.unwrap_or_else(|_| panic!("{one}={seed} shows how the panic above came about"))
    };
    (0..number(all).unwrap_or(usual)).map(run_one).collect()
}
