//! What waits, and in which order several connections may carry it out.
//!
//! The jobs of one user are never with two connections at a time, unless all of them are reads.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use chat_core::effect::StoreError;
use chat_core::jid::BareJid;
use tokio::sync::Notify;

use crate::store::jobs::{self, Entry, Job, Ledger, Outcome};

/// Jobs of one transaction: enough to make its commit cheap, few enough that nobody waits long for its locks.
const WRITES_AT_ONCE: usize = 1_000;

/// Reads that share a connection at a time.
const READS_AT_ONCE: usize = 64;

/// Which kind of work a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One transaction, with the reads that came behind its writes.
    Write,
    /// Reads of users for whom nothing is written.
    Read,
}

/// What is carried out together. It must come back to the queue, whatever becomes of it.
pub(super) struct Work {
    pub(super) kind: Kind,
    pub(super) jobs: Vec<Job>,
}

/// What somebody gets who asks for work.
enum Taken {
    Work(Work),
    Nothing,
    /// There will be none any more.
    End,
}

/// The jobs of one store.
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to take.
    ready: Notify,
    /// Closed, and everything is answered.
    over: Condvar,
}

struct State {
    to_write: VecDeque<Job>,
    to_read: VecDeque<Job>,
    lanes: HashMap<BareJid, Lane>,
    ledger: Ledger,
    /// The number of the last work that was taken.
    taken: u64,
    last: Kind,
    /// Connections that take work.
    takers: usize,
}

/// What is under way for one user. The order of its jobs is: those being carried out, `parked`, those in `to_write`.
#[derive(Default)]
struct Lane {
    /// Jobs in `to_write`.
    queued: u32,
    /// Jobs in the transaction under way, reads among them, and the number of that work.
    writing: u32,
    number: u64,
    /// Reads in `to_read` or under way; never while anything is queued or written.
    reading: u32,
    /// What waits for those.
    parked: VecDeque<Job>,
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.queued == 0 && self.writing == 0 && self.reading == 0 && self.parked.is_empty()
    }
}

impl Queue {
    pub(super) fn new(unanswered_max: usize, bytes_max: usize) -> Queue {
        let state = State {
            to_write: VecDeque::new(),
            to_read: VecDeque::new(),
            lanes: HashMap::new(),
            ledger: Ledger::new(unanswered_max, bytes_max),
            taken: 0,
            last: Kind::Read,
            takers: 0,
        };
        Queue { state: Mutex::new(state), ready: Notify::new(), over: Condvar::new() }
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
        let ready = state.place(job);
        drop(state);
        if ready {
            self.ready.notify_one();
        }
    }

    /// The next work; none at the end.
    pub(super) async fn take(&self) -> Option<Work> {
        loop {
            let ready = self.ready.notified();
            match self.try_take() {
                Taken::Work(work) => return Some(work),
                Taken::End => return None,
                Taken::Nothing => {}
            }
            ready.await;
        }
    }

    fn try_take(&self) -> Taken {
        let mut state = self.state();
        let work = state.take();
        let (more, over) = (!state.to_write.is_empty() || !state.to_read.is_empty(), state.ledger.is_over());
        drop(state);
        if more || over {
            // There is something for others as well, or they must hear of the end.
            self.ready.notify_one();
        }
        match work {
            Some(work) => Taken::Work(work),
            None if over => Taken::End,
            None => Taken::Nothing,
        }
    }

    /// Gives the answers. Only then may what waited behind these jobs begin.
    pub(super) fn answer(&self, mut work: Work, outcomes: Vec<Outcome>) {
        let mut state = self.state();
        work.jobs.iter().for_each(|job| state.ledger.make_room(job));
        drop(state);
        jobs::give(&mut work.jobs, outcomes);
        let mut state = self.state();
        work.jobs.iter().for_each(|job| state.finish(job, work.kind));
        let over = state.ledger.is_over();
        let ready = over || !state.to_write.is_empty() || !state.to_read.is_empty();
        drop(state);
        if ready {
            self.ready.notify_one();
        }
        if over {
            self.over.notify_all();
        }
    }

    /// A connection begins to take work; it ends with [`Queue::leave`].
    pub(super) fn join(&self) {
        self.state().takers += 1;
    }

    /// When the last one leaves, nothing is answered any more but with a refusal.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.takers -= 1;
        if state.takers > 0 {
            return;
        }
        let left = state.abandon();
        drop(state);
        self.over.notify_all();
        left.into_iter().for_each(|job| job.refuse(StoreError::Unavailable));
    }

    /// Refuses what comes from now on. What is there is still answered.
    pub(super) fn close(&self) {
        self.state().ledger.close();
        self.ready.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().ledger.is_closed()
    }

    /// Waits until everything is answered, after [`Queue::close`].
    pub(super) fn wait_until_over(&self) {
        let mut state = self.state();
        while !state.ledger.is_over() {
            state = self.over.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// Puts a job where it may go now; says whether somebody can take it.
    fn place(&mut self, job: Job) -> bool {
        let Some(user) = job.user() else {
            match job.is_write() {
                true => self.to_write.push_back(job),
                false => self.to_read.push_back(job),
            }
            return true;
        };
        let lane = self.lanes.entry(user.clone()).or_default();
        if lane.queued > 0 {
            lane.queued += 1;
            self.to_write.push_back(job);
        } else if lane.writing > 0 || !lane.parked.is_empty() || (lane.reading > 0 && job.is_write()) {
            lane.parked.push_back(job);
            return false;
        } else if job.is_write() {
            lane.queued += 1;
            self.to_write.push_back(job);
        } else {
            lane.reading += 1;
            self.to_read.push_back(job);
        }
        true
    }

    /// Writes and reads in turn.
    fn take(&mut self) -> Option<Work> {
        let turn = match self.last {
            Kind::Write => [Kind::Read, Kind::Write],
            Kind::Read => [Kind::Write, Kind::Read],
        };
        self.taken += 1;
        for kind in turn {
            let jobs = match kind {
                Kind::Write => self.take_writes(),
                Kind::Read => self.to_read.drain(..self.to_read.len().min(READS_AT_ONCE)).collect(),
            };
            if !jobs.is_empty() {
                self.last = kind;
                return Some(Work { kind, jobs });
            }
        }
        None
    }

    fn take_writes(&mut self) -> Vec<Job> {
        let number = self.taken;
        let mut jobs = Vec::new();
        while jobs.len() < WRITES_AT_ONCE {
            let Some(job) = self.to_write.pop_front() else { break };
            if let Some(lane) = job.user().and_then(|user| self.lanes.get_mut(user)) {
                lane.queued -= 1;
                if lane.writing > 0 && lane.number != number {
                    // Another connection is busy with this user.
                    lane.parked.push_back(job);
                    continue;
                }
                lane.writing += 1;
                lane.number = number;
            }
            jobs.push(job);
        }
        jobs
    }

    fn finish(&mut self, job: &Job, kind: Kind) {
        self.ledger.finish();
        let Some(user) = job.user() else { return };
        let Some(lane) = self.lanes.get_mut(user) else { return };
        match kind {
            Kind::Write => lane.writing -= 1,
            Kind::Read => lane.reading -= 1,
        }
        if lane.writing == 0 && lane.reading == 0 {
            let parked = u32::try_from(lane.parked.len()).expect("the queue is bounded");
            if lane.queued == 0 && !lane.parked.iter().any(Job::is_write) {
                // They need no transaction, and may succeed where writes do not.
                lane.reading += parked;
                self.to_read.extend(lane.parked.drain(..));
            } else {
                lane.queued += parked;
                // Before those of this user that are in there already.
                while let Some(job) = lane.parked.pop_back() {
                    self.to_write.push_front(job);
                }
            }
        }
        if lane.is_empty() {
            self.lanes.remove(user);
        }
    }

    fn abandon(&mut self) -> Vec<Job> {
        self.ledger.abandon();
        let parked = self.lanes.drain().flat_map(|(_, lane)| lane.parked);
        self.to_write.drain(..).chain(self.to_read.drain(..)).chain(parked).collect()
    }
}
