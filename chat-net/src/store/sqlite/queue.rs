//! What waits, and in which order it may be carried out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_core::base::RequestId;
use chat_core::effect::{StoreError, StoreOp, StoreResult};
use chat_core::jid::BareJid;

use crate::store::{AccountsAnswer, AccountsOp, AccountsResult, StoreSink};

/// Jobs finished under one hold of the lock, so that workers that submit never wait long.
const FINISH_AT_ONCE: usize = 256;

/// An operation and where its answer goes.
pub(super) enum Job {
    Store {
        id: RequestId,
        op: Arc<StoreOp>,
        sink: Arc<dyn StoreSink>,
    },
    Account {
        op: Box<AccountsOp>,
        /// Taken when the answer is given.
        answer: Option<AccountsAnswer>,
    },
}

/// Answers for one sink.
type Batch = Vec<(RequestId, StoreResult)>;

/// The answer to a job.
pub(super) enum Outcome {
    Store(StoreResult),
    Account(AccountsResult),
}

impl Job {
    fn user(&self) -> Option<&BareJid> {
        match self {
            Job::Store { op, .. } => Some(op.user()),
            Job::Account { op, .. } => op.user(),
        }
    }

    pub(super) fn is_write(&self) -> bool {
        match self {
            Job::Store { op, .. } => op.is_write(),
            Job::Account { op, .. } => op.is_write(),
        }
    }

    /// What it holds in memory, roughly.
    fn bytes(&self) -> usize {
        const OVERHEAD: usize = 128;
        OVERHEAD
            + match self {
                Job::Store { op, .. } => match &**op {
                    StoreOp::PutRoster { roster: data, .. } | StoreOp::PutBlocked { blocked: data, .. } => {
                        data.len()
                    }
                    StoreOp::SpoolPut { row, .. } => row.stanza.len(),
                    StoreOp::SpoolDelete { ids, .. } => 16 * ids.len(),
                    StoreOp::LoadUser { .. }
                    | StoreOp::Touch { .. }
                    | StoreOp::SpoolRead { .. }
                    | StoreOp::RemoveUser { .. } => 0,
                },
                Job::Account { op, .. } => match &**op {
                    AccountsOp::Import { accounts, .. } => 1024 * accounts.len(),
                    _ => 1024,
                },
            }
    }

    /// What makes a repeat of an unanswered job recognisable.
    fn key(&self) -> Option<(usize, RequestId)> {
        match self {
            Job::Store { id, sink, .. } => Some((Arc::as_ptr(sink).cast::<()>() as usize, *id)),
            Job::Account { .. } => None,
        }
    }

    /// An answer that the job was not carried out.
    pub(super) fn failure(&self, error: StoreError) -> Outcome {
        match self {
            Job::Store { .. } => Outcome::Store(Err(error)),
            Job::Account { .. } => Outcome::Account(Err(error.into())),
        }
    }

    fn refuse(self, error: StoreError) {
        match self {
            Job::Store { id, sink, .. } => sink.done(vec![(id, Err(error))]),
            Job::Account { answer, .. } => answer.into_iter().for_each(|answer| answer(Err(error.into()))),
        }
    }
}

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
    unanswered_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    to_write: Vec<Job>,
    to_read: VecDeque<Job>,
    lanes: HashMap<BareJid, Lane>,
    keys: HashSet<(usize, RequestId)>,
    /// Jobs that count for the bound, and their bytes: until just before they are answered.
    waiting: usize,
    bytes: usize,
    /// Jobs that are not quite done with: until just after they are answered.
    unfinished: usize,
    closed: bool,
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
        let (for_writer, for_readers) = (Condvar::new(), Condvar::new());
        Queue { state: Mutex::default(), for_writer, for_readers, unanswered_max, bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn submit(&self, job: Job) {
        let mut state = self.state();
        let (key, bytes) = (job.key(), job.bytes());
        if key.is_some_and(|key| state.keys.contains(&key)) {
            return;
        }
        // Something that is too large for the bound all alone is let through alone.
        let full = state.waiting >= self.unanswered_max
            || (state.waiting > 0 && state.bytes + bytes > self.bytes_max);
        if state.closed || full {
            let error = if state.closed { StoreError::Unavailable } else { StoreError::Overloaded };
            drop(state);
            return job.refuse(error);
        }
        state.keys.extend(key);
        state.waiting += 1;
        state.unfinished += 1;
        state.bytes += bytes;
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
            if state.closed && state.unfinished == 0 {
                return Taken::End;
            }
            state = match patience {
                None => self.for_writer.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let waited = self.for_writer.wait_timeout(state, patience);
                    let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() && state.to_write.is_empty() && !state.closed {
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
            if state.closed && state.unfinished == 0 {
                return None;
            }
            state = self.for_readers.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the answers: one batch for each sink. Only then may what waited behind these jobs begin.
    pub(super) fn answer(&self, mut jobs: Vec<Job>, outcomes: Vec<Outcome>, via: Via) {
        assert_eq!(jobs.len(), outcomes.len(), "every job has one outcome");
        self.make_room(&jobs);
        let mut batches: Vec<(&Arc<dyn StoreSink>, Batch)> = Vec::new();
        let mut answers = Vec::new();
        for (job, outcome) in jobs.iter_mut().zip(outcomes) {
            match (job, outcome) {
                (Job::Store { id, sink, .. }, Outcome::Store(result)) => {
                    let sink = &*sink;
                    match batches.iter_mut().find(|(other, _)| Arc::ptr_eq(other, sink)) {
                        Some((_, batch)) => batch.push((*id, result)),
                        None => batches.push((sink, vec![(*id, result)])),
                    }
                }
                (Job::Account { answer, .. }, Outcome::Account(result)) => {
                    answers.extend(answer.take().map(|answer| (answer, result)));
                }
                _ => unreachable!("an outcome is of its job's kind"),
            }
        }
        for (sink, batch) in batches {
            sink.done(batch);
        }
        for (answer, result) in answers {
            answer(result);
        }
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
                if let Some(key) = job.key() {
                    state.keys.remove(&key);
                }
                state.waiting = state.waiting.saturating_sub(1);
                state.bytes = state.bytes.saturating_sub(job.bytes());
            }
        }
    }

    fn finish(&self, jobs: &[Job], via: Via) {
        for jobs in jobs.chunks(FINISH_AT_ONCE) {
            let mut state = self.state();
            for job in jobs {
                state.finish(job, via);
            }
            let (write, end) = (!state.to_write.is_empty(), state.closed && state.unfinished == 0);
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
        self.state().closed = true;
        self.for_writer.notify_one();
        self.for_readers.notify_all();
    }

    /// A thread is gone: nothing will be answered any more but with a refusal.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        let state_now = &mut *state;
        state_now.closed = true;
        let parked = state_now.lanes.drain().flat_map(|(_, lane)| lane.parked);
        let left: Vec<_> =
            state_now.to_write.drain(..).chain(state_now.to_read.drain(..)).chain(parked).collect();
        (state.waiting, state.bytes, state.unfinished) = (0, 0, 0);
        state.keys.clear();
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
        self.unfinished = self.unfinished.saturating_sub(1);
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
