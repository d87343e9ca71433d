//! Faults for tests: what may go wrong in the writer, on purpose.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Something that goes wrong with one batch of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing does.
    #[default]
    None,
    /// The writer sleeps before it begins, as if the disk were slow.
    Stall(Duration),
    /// The batch cannot be committed (an I/O error): every write in it is `Unavailable`, nothing of it is stored.
    Fail,
    /// The disk is full: the same, with that error of SQLite.
    DiskFull,
    /// The operation at this place of the batch (counted from 0) fails in itself; the others must not suffer.
    FailOne(usize),
    /// The batch is committed, its answers are never given.
    LoseAnswers,
}

/// Tells the writer what goes wrong next.
pub(super) trait Script: Send + Sync {
    fn next(&self) -> Fault;
}

/// The faults of one store, set by a test from outside, at any time.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    once: VecDeque<Fault>,
    always: Fault,
    held: bool,
    batches: u64,
}

impl Faults {
    /// No faults yet.
    pub fn new() -> Faults {
        Faults::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each batch from now on has this fault, until the next call. [`Fault::None`] heals.
    pub fn always(&self, fault: Fault) {
        self.state().always = fault;
    }

    /// The next batch that no earlier call has taken has this fault instead.
    pub fn once(&self, fault: Fault) {
        self.state().once.push_back(fault);
    }

    /// The writer takes its next batch and then hangs until [`Faults::release`].
    pub fn hold(&self) {
        self.state().held = true;
    }

    /// The writer goes on.
    pub fn release(&self) {
        self.state().held = false;
        self.released.notify_all();
    }

    /// Batches that the writer has taken, probes of its health included.
    pub fn batches(&self) -> u64 {
        self.state().batches
    }
}

impl Script for Faults {
    fn next(&self) -> Fault {
        let mut state = self.state();
        state.batches += 1;
        while state.held {
            state = self.released.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.once.pop_front().unwrap_or(state.always)
    }
}
