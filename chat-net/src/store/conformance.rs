//! What every store must do: one suite for all back ends, also for an embedder's own (feature `conformance`).
//!
//! Call [`run`] in a test, with a function that opens an empty store. It panics with the name of the case that
//! failed.

mod accounts;
mod order;
mod spool;
mod users;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use chat_core::base::{MsgId, RequestId, Utc};
use chat_core::effect::{Loaded, SpoolRow, SpoolSeq, StoreDone, StoreOp, StoreResult};
use chat_core::jid::BareJid;

use super::{Accounts, Store, StoreSink};

/// An empty store to try.
pub struct Subject {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its credentials, if it keeps any.
    pub accounts: Option<Arc<dyn Accounts>>,
}

type Case = (&'static str, fn(&Bench));

/// Runs every case on a store of its own.
///
/// # Panics
/// When the store does not conform.
pub fn run(open: &dyn Fn() -> Subject) {
    for (name, case) in users::CASES.iter().chain(spool::CASES).chain(order::CASES).chain(accounts::CASES) {
        eprintln!("conformance: {name}");
        case(&Bench::new(open()));
    }
}

/// A sink that keeps all answers until somebody asks for them.
#[derive(Default)]
pub struct Collect {
    answers: Mutex<Answers>,
    arrived: Condvar,
}

#[derive(Default)]
struct Answers {
    by_id: HashMap<RequestId, StoreResult>,
    order: Vec<RequestId>,
}

impl StoreSink for Collect {
    fn done(&self, batch: Vec<(RequestId, StoreResult)>) {
        assert!(!batch.is_empty(), "an empty batch wakes a worker for nothing");
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, result) in batch {
            answers.order.push(id);
            let twice = answers.by_id.insert(id, result);
            assert!(twice.is_none(), "{id:?} was answered twice");
        }
        self.arrived.notify_all();
    }
}

impl Collect {
    /// Waits for an answer and takes it.
    ///
    /// # Panics
    /// When there is none within ten seconds.
    pub fn wait(&self, id: RequestId) -> StoreResult {
        self.wait_for(id, Duration::from_secs(10)).unwrap_or_else(|| panic!("no answer to {id:?}"))
    }

    /// Waits for an answer and takes it, if it comes in time.
    pub fn wait_for(&self, id: RequestId, time: Duration) -> Option<StoreResult> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |answers: &mut Answers| !answers.by_id.contains_key(&id);
        let waited = self.arrived.wait_timeout_while(answers, time, missing);
        waited.unwrap_or_else(PoisonError::into_inner).0.by_id.remove(&id)
    }

    /// The ids of all answers so far, in the order of their arrival.
    pub fn order(&self) -> Vec<RequestId> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).order.clone()
    }
}

/// A store, somebody who asks it, and short ways to ask.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) accounts: Option<Arc<dyn Accounts>>,
    pub(crate) collect: Arc<Collect>,
    sink: Arc<dyn StoreSink>,
    next: AtomicU64,
}

impl Bench {
    pub(crate) fn new(subject: Subject) -> Bench {
        let collect = Arc::new(Collect::default());
        let (sink, next) = (collect.clone(), AtomicU64::new(1));
        Bench { store: subject.store, accounts: subject.accounts, collect, sink, next }
    }

    /// Begins an operation under a fresh id.
    pub(crate) fn begin(&self, op: StoreOp) -> RequestId {
        let id = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        self.store.submit(id, Arc::new(op), &self.sink);
        id
    }

    pub(crate) fn ask(&self, op: StoreOp) -> StoreResult {
        self.collect.wait(self.begin(op))
    }

    /// Asks for a write that must be carried out.
    #[track_caller]
    pub(crate) fn done(&self, op: StoreOp) {
        let result = self.ask(op);
        assert!(matches!(result, Ok(StoreDone::Done)), "{result:?}");
    }

    #[track_caller]
    pub(crate) fn load(&self, user: &BareJid) -> Loaded {
        match self.ask(StoreOp::LoadUser { user: user.clone() }) {
            Ok(StoreDone::User(loaded)) => loaded,
            other => panic!("LoadUser gave {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn read(
        &self,
        user: &BareJid,
        after: SpoolSeq,
        rows: u32,
        bytes: u32,
    ) -> Vec<(SpoolSeq, SpoolRow)> {
        let op = StoreOp::SpoolRead { user: user.clone(), after, rows_max: rows, bytes_max: bytes };
        match self.ask(op) {
            Ok(StoreDone::Spool(rows)) => rows,
            other => panic!("SpoolRead gave {other:?}"),
        }
    }

    /// Those of these users who have rows.
    #[track_caller]
    pub(crate) fn waiting(&self, users: &[BareJid]) -> Vec<BareJid> {
        match self.ask(StoreOp::SpoolWaiting { users: users.to_vec() }) {
            Ok(StoreDone::Waiting(mut found)) => {
                found.sort_by_key(|user| users.iter().position(|u| u == user));
                found
            }
            other => panic!("SpoolWaiting gave {other:?}"),
        }
    }

    /// The ids of all rows of a user's spool, oldest first.
    #[track_caller]
    pub(crate) fn spooled(&self, user: &BareJid) -> Vec<u128> {
        let (mut ids, mut after) = (Vec::new(), SpoolSeq(0));
        loop {
            let page = self.read(user, after, 100, u32::MAX);
            let Some((last, _)) = page.last() else { return ids };
            assert!(*last > after, "numbers rise");
            after = *last;
            ids.extend(page.into_iter().map(|(_, row)| row.id.0));
        }
    }
}

pub(crate) fn jid(text: &str) -> BareJid {
    BareJid::parse(text).expect("the suite's JIDs are valid")
}

pub(crate) fn row(id: u128, stanza: &[u8]) -> SpoolRow {
    SpoolRow { id: MsgId(id), at: Utc(1_700_000_000_123), stanza: stanza.into() }
}

pub(crate) fn put(user: &BareJid, id: u128, stanza: &[u8]) -> StoreOp {
    StoreOp::SpoolPut { user: user.clone(), row: row(id, stanza), rows_max: 10_000 }
}

pub(crate) fn roster(user: &BareJid, expected: u64, roster: &[u8]) -> StoreOp {
    StoreOp::PutRoster { user: user.clone(), expected, roster: roster.into() }
}

pub(crate) fn blocked(user: &BareJid, expected: u64, blocked: &[u8]) -> StoreOp {
    StoreOp::PutBlocked { user: user.clone(), expected, blocked: blocked.into() }
}
