//! What the engine asks of the world, and what comes back.
//!
//! Owns: the vocabulary of requests to stores and authenticators ([`StoreOp`], [`AccountOp`]) and of their answers.
//! In and out: plain owned data, cheap to clone, safe to send to another thread.
//! Invariants: operations on one bare JID are carried out in the order they were asked, whatever the back end; a
//! request may be repeated under the same id until it is answered, so every operation is idempotent.
//! Not here: who is waiting for an answer (`engine/`), how a back end does it (`chat-net`).

mod account;
mod store;
mod tls;

pub use account::{AccountDone, AccountError, AccountOp, AccountResult};
pub use store::{Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError, StoreOp, StoreResult};
pub use tls::TlsInfo;
