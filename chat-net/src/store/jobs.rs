//! What a store with a queue has to do: operations with where their answers go, and the bounds on them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use chat_core::base::RequestId;
use chat_core::effect::{StoreError, StoreOp, StoreResult};
use chat_core::jid::BareJid;

use super::{AccountsAnswer, AccountsOp, AccountsResult, StoreSink};

/// An operation and where its answer goes.
pub(super) enum Job {
    Store {
        id: RequestId,
        op: Arc<StoreOp>,
        sink: Arc<dyn StoreSink>,
    },
    Account {
        op: Box<AccountsOp>,
        /// Taken when the answer is given. Never locked: so jobs can be looked at from several threads.
        answer: Mutex<Option<AccountsAnswer>>,
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
    pub(super) fn account(op: AccountsOp, answer: AccountsAnswer) -> Job {
        Job::Account { op: Box::new(op), answer: Mutex::new(Some(answer)) }
    }

    pub(super) fn user(&self) -> Option<&BareJid> {
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
                    StoreOp::SpoolWaiting { users } => 64 * users.len(),
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

    /// Answers at once that the job was not carried out.
    pub(super) fn refuse(self, error: StoreError) {
        match self {
            Job::Store { id, sink, .. } => sink.done(vec![(id, Err(error))]),
            Job::Account { mut answer, .. } => {
                taken(&mut answer).into_iter().for_each(|answer| answer(Err(error.into())));
            }
        }
    }
}

fn taken(answer: &mut Mutex<Option<AccountsAnswer>>) -> Option<AccountsAnswer> {
    answer.get_mut().unwrap_or_else(PoisonError::into_inner).take()
}

/// Gives the answers: one batch for each sink.
pub(super) fn give(jobs: &mut [Job], outcomes: Vec<Outcome>) {
    assert_eq!(jobs.len(), outcomes.len(), "every job has one outcome");
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
                answers.extend(taken(answer).map(|answer| (answer, result)));
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
}

/// What becomes of a job that is submitted.
pub(super) enum Entry {
    /// It counts from now on.
    Taken,
    /// A repeat of what is under way: the answer to the first is the answer to both.
    Repeat,
    /// It is answered so at once.
    Refused(StoreError),
}

/// The jobs that count for the bounds.
pub(super) struct Ledger {
    keys: HashSet<(usize, RequestId)>,
    /// Jobs that count, and their bytes: until just before they are answered.
    waiting: usize,
    bytes: usize,
    /// Jobs that are not quite done with: until just after they are answered.
    unfinished: usize,
    closed: bool,
    waiting_max: usize,
    bytes_max: usize,
}

impl Ledger {
    pub(super) fn new(waiting_max: usize, bytes_max: usize) -> Ledger {
        let (keys, closed) = (HashSet::new(), false);
        Ledger { keys, waiting: 0, bytes: 0, unfinished: 0, closed, waiting_max, bytes_max }
    }

    pub(super) fn enter(&mut self, job: &Job) -> Entry {
        let (key, bytes) = (job.key(), job.bytes());
        if key.is_some_and(|key| self.keys.contains(&key)) {
            return Entry::Repeat;
        }
        // Something that is too large for the bound all alone is let through alone.
        let full =
            self.waiting >= self.waiting_max || (self.waiting > 0 && self.bytes + bytes > self.bytes_max);
        if self.closed {
            return Entry::Refused(StoreError::Unavailable);
        }
        if full {
            return Entry::Refused(StoreError::Overloaded);
        }
        self.keys.extend(key);
        self.waiting += 1;
        self.unfinished += 1;
        self.bytes += bytes;
        Entry::Taken
    }

    /// Just before the answer: whoever hears it may ask again at once, under the same id too.
    pub(super) fn make_room(&mut self, job: &Job) {
        if let Some(key) = job.key() {
            self.keys.remove(&key);
        }
        self.waiting = self.waiting.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(job.bytes());
    }

    /// Just after the answer.
    pub(super) fn finish(&mut self) {
        self.unfinished = self.unfinished.saturating_sub(1);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn is_over(&self) -> bool {
        self.closed && self.unfinished == 0
    }

    /// Refuses what comes from now on. What is there is still answered.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// The same, and nobody is left who would answer what is there.
    pub(super) fn abandon(&mut self) {
        self.closed = true;
        (self.waiting, self.bytes, self.unfinished) = (0, 0, 0);
        self.keys.clear();
    }
}
