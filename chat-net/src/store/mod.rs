//! Stores: where users, rosters, block lists, credentials and waiting messages are kept.
//!
//! Owns: the trait [`Store`] that carries out the engine's [`StoreOp`]s, the trait [`Accounts`] for credentials (used
//! by `auth::store` and by the operator's commands), the back ends, and the conformance suite they all pass.
//!
//! In: operations with an id, from any worker. Out: one answer for each operation, from any thread, gathered in
//! batches through a [`StoreSink`]: one batch and one wake per worker and commit. No runtime is needed or assumed.
//!
//! Invariants, for every back end:
//! - Operations on one bare JID are carried out in the order they were submitted, whatever their kind.
//! - An operation is all or nothing, and its answer comes after it is as durable as the back end promises.
//! - An operation that was carried out may be repeated: it changes nothing and has the same answer. A repeat takes
//!   its place in the order at the time of the repeat, so a writer does not repeat a `SpoolPut` after it asked for
//!   the `SpoolDelete` of the same message. A repeat of what is still being worked on is dropped: the answer of the
//!   first stands for both.
//! - Nothing queues without bound: beyond it the answer is `Overloaded`, at once.
//! - An operation is answered exactly once, except that answers may get lost with the process.
//!
//! Not here: who waits for an answer and for how long (`chat_core::engine`), deriving keys and checking passwords
//! (`auth`), what the packed blobs mean (`chat_core::user`).
//!
//! Follows docs/ARCHITECTURE.md; XEP-0160 for the spool, RFC 6121 §2.1 for rosters, XEP-0191 for block
//! lists, RFC 5803 for the text form of SCRAM keys.

mod accounts;
mod asynchronous;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod jobs;
mod memory;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod migrate;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::fmt;
use std::sync::Arc;

use chat_core::jid::BareJid;

pub use chat_core::base::RequestId;
pub use chat_core::effect::{Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError, StoreOp, StoreResult};

pub use accounts::{
    Accounts, AccountsAnswer, AccountsDone, AccountsError, AccountsOp, AccountsResult, Credentials, Existing,
};
pub use asynchronous::{AsyncStore, Asynchronous};
pub use memory::Memory;

/// Where the answers of a store go: one for each worker.
///
/// A sink belongs to one run of one engine. A driver that restarts an engine gives the new one a new sink, so that
/// late answers to the old one cannot be mistaken for answers to the new one.
pub trait StoreSink: Send + Sync {
    /// Takes answers, in the order in which the operations were carried out. Called from any thread, also from
    /// inside [`Store::submit`]; must not block and must not call the store.
    fn done(&self, batch: Vec<(RequestId, StoreResult)>);
}

/// What to do when an account was removed by somebody else than the engine.
pub type AccountRemoved = Arc<dyn Fn(&BareJid) + Send + Sync>;

/// What the loss of power may take.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Nothing that was answered: every commit is on the disk first.
    #[default]
    Full,
    /// What was answered in the last seconds before the machine (not just this program) crashed.
    Memory,
}

/// A store of users and their messages.
///
/// To write one in asynchronous code, implement [`AsyncStore`] and wrap it in [`Asynchronous`], which keeps the order
/// and the bounds.
pub trait Store: Send + Sync + 'static {
    /// Begins an operation; never blocks. Its answer goes to `sink` under `id`, which no other unanswered operation
    /// of the same sink has; the same id again is a repeat of the same operation.
    fn submit(&self, id: RequestId, op: Arc<StoreOp>, sink: &Arc<dyn StoreSink>);

    /// Whether writes succeed, as far as the store knows; part of the health check.
    fn healthy(&self) -> bool {
        true
    }

    /// Calls `callback` within a second for each account that somebody removes behind the engine's back
    /// ([`AccountsOp::Purge`]), also when another process does. Called from any thread.
    fn on_account_removed(&self, callback: AccountRemoved) {
        drop(callback);
    }

    /// Blocks until everything submitted so far is answered, then refuses what comes with `Unavailable`.
    fn close(&self) {}
}

impl fmt::Debug for dyn Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
