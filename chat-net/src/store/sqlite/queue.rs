//! What waits, and in which order it may be carried out.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_core::effect::StoreError;
use chat_core::jid::BareJid;

use crate::store::jobs::{self, Entry, Job, Ledger, Outcome};

/// Jobs finished under one hold of the lock, so that workers that submit never wait long.
const FINISH_AT_ONCE: usize = 256;

/// Where a job was carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    Writer,
    Reader,
}

/// What the writer gets.
pub(super) enum Taken {
    Batch(Vec<Job>),
    /// Nothing came in time.
    Nothing,
    /// The store is closed and everything is answered.
    End,
}

/// The jobs of one store.
pub(super) struct Queue {
    state: Mutex<State>,
    for_writer: Condvar,
    for_readers: Condvar,
}

struct State {
    to_write: Vec<Job>,
    to_read: VecDeque<Job>,
    lanes: HashMap<BareJid, Lane>,
    ledger: Ledger,
}

/// What is under way for one user.
#[derive(Default)]
struct Lane {
    /// Jobs with the writer, reads among them.
    writing: u32,
    /// Reads with the readers; never while something is with the writer.
    reading: u32,
    /// What waits for those reads: a write, and all that came after it.
    parked: VecDeque<Job>,
}

impl Queue {
    pub(super) fn new(unanswered_max: usize, bytes_max: usize) -> Queue {
        let state = State {
            to_write: Vec::new(),
            to_read: VecDeque::new(),
            lanes: HashMap::new(),
            ledger: Ledger::new(unanswered_max, bytes_max),
        };
        let (for_writer, for_readers) = (Condvar::new(), Condvar::new());
        Queue { state: Mutex::new(state), for_writer, for_readers }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn submit(&self, job: Job) {
        let mut state = self.state();
        match state.ledger.enter(&job) {
            Entry::Taken => {}
            Entry::Repeat => return,
            Entry::Refused(error) => {
                drop(state);
                return job.refuse(error);
            }
        }
        match state.place(job) {
            Some(Via::Writer) => self.for_writer.notify_one(),
            Some(Via::Reader) => self.for_readers.notify_one(),
            None => {}
        }
    }

    /// Everything that waits for the writer.
    pub(super) fn take_for_writer(&self, patience: Option<Duration>) -> Taken {
        let mut state = self.state();
        loop {
            if !state.to_write.is_empty() {
                return Taken::Batch(std::mem::take(&mut state.to_write));
            }
            if state.ledger.is_over() {
                return Taken::End;
            }
            state = match patience {
                None => self.for_writer.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let waited = self.for_writer.wait_timeout(state, patience);
                    let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() && state.to_write.is_empty() && !state.ledger.is_closed() {
                        return Taken::Nothing;
                    }
                    state
                }
            };
        }
    }

    /// Some of what waits for the readers; none at the end.
    pub(super) fn take_for_reader(&self, jobs_max: usize) -> Option<Vec<Job>> {
        let mut state = self.state();
        loop {
            let jobs = state.to_read.len().min(jobs_max);
            if jobs > 0 {
                return Some(state.to_read.drain(..jobs).collect());
            }
            if state.ledger.is_over() {
                return None;
            }
            state = self.for_readers.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the answers: one batch for each sink. Only then may what waited behind these jobs begin.
    pub(super) fn answer(&self, mut jobs: Vec<Job>, outcomes: Vec<Outcome>, via: Via) {
        self.make_room(&jobs);
        jobs::give(&mut jobs, outcomes);
        self.finish(&jobs, via);
    }

    /// Ends the jobs without an answer, as if it had been lost.
    pub(super) fn lose(&self, jobs: &[Job], via: Via) {
        self.make_room(jobs);
        self.finish(jobs, via);
    }

    /// Before the answers: whoever hears one may ask again at once, under the same id too.
    fn make_room(&self, jobs: &[Job]) {
        for jobs in jobs.chunks(FINISH_AT_ONCE) {
            let mut state = self.state();
            for job in jobs {
                state.ledger.make_room(job);
            }
        }
    }

    fn finish(&self, jobs: &[Job], via: Via) {
        for jobs in jobs.chunks(FINISH_AT_ONCE) {
            let mut state = self.state();
            for job in jobs {
                state.finish(job, via);
            }
            let (write, end) = (!state.to_write.is_empty(), state.ledger.is_over());
            drop(state);
            if write || end {
                self.for_writer.notify_one();
            }
            if end {
                self.for_readers.notify_all();
            }
        }
    }

    /// Refuses what comes from now on. What is there is still answered.
    pub(super) fn close(&self) {
        self.state().ledger.close();
        self.for_writer.notify_one();
        self.for_readers.notify_all();
    }

    /// A thread is gone: nothing will be answered any more but with a refusal.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        let state_now = &mut *state;
        state_now.ledger.abandon();
        let parked = state_now.lanes.drain().flat_map(|(_, lane)| lane.parked);
        let left: Vec<_> =
            state_now.to_write.drain(..).chain(state_now.to_read.drain(..)).chain(parked).collect();
        drop(state);
        self.for_writer.notify_one();
        self.for_readers.notify_all();
        for job in left {
            job.refuse(StoreError::Unavailable);
        }
    }
}

impl State {
    /// Puts a job where it may go now; says who has more to do.
    fn place(&mut self, job: Job) -> Option<Via> {
        let via = match job.user() {
            None if job.is_write() => Via::Writer,
            None => Via::Reader,
            Some(user) => {
                let lane = self.lanes.entry(user.clone()).or_default();
                if !lane.parked.is_empty() || (lane.reading > 0 && job.is_write()) {
                    lane.parked.push_back(job);
                    return None;
                }
                if lane.writing > 0 || job.is_write() {
                    lane.writing += 1;
                    Via::Writer
                } else {
                    lane.reading += 1;
                    Via::Reader
                }
            }
        };
        match via {
            Via::Writer => self.to_write.push(job),
            Via::Reader => self.to_read.push_back(job),
        }
        Some(via)
    }

    fn finish(&mut self, job: &Job, via: Via) {
        self.ledger.finish();
        let Some(user) = job.user() else { return };
        let Some(lane) = self.lanes.get_mut(user) else { return };
        match via {
            Via::Writer => lane.writing -= 1,
            Via::Reader => lane.reading -= 1,
        }
        if lane.reading == 0 && !lane.parked.is_empty() {
            lane.writing += u32::try_from(lane.parked.len()).expect("the queue is bounded");
            self.to_write.extend(lane.parked.drain(..));
        }
        if lane.writing == 0 && lane.reading == 0 {
            self.lanes.remove(user);
        }
    }
}
