//! What the engine asks of the world, and what comes back.
//!
//! Owns: the vocabulary of requests to stores and authenticators ([`StoreOp`], [`AccountOp`]) and of their answers,
//! the outputs ([`Output`], [`Event`]), the mail between workers ([`Mail`]) and with other nodes ([`NodeMail`]), the outboxes ([`Wires`]), what the
//! engine is told at its start ([`Settings`]), [`Cx`], through which rules cause effects, what is counted meanwhile ([`Counts`]), and what a store has to do
//! ([`ReferenceStore`]).
//! In and out: plain owned data, cheap to clone, safe to send to another thread.
//! Invariants: operations on one bare JID are carried out in the order they were asked, whatever the back end; a
//! request may be repeated under the same id until it is answered, so every operation is idempotent; continuations
//! are data ([`Wait`]), never closures.
//! Not here: what is done with an answer (`engine/`), how a back end does it (`chat-net`).

mod account;
mod counts;
mod cx;
mod elsewhere;
mod mail;
mod moving;
mod node_mail;
mod output;
mod parcel;
#[cfg(feature = "sim")]
mod plant;
mod queues;
mod record;
mod reference;
mod settings;
mod store;
mod tls;
mod wait;
mod wire;

pub use account::{AccountDone, AccountError, AccountOp, AccountResult};
pub use counts::Counts;
pub use cx::{Cx, Deadline};
pub use elsewhere::{Copy, Elsewhere, Few, Word};
pub use mail::{Batch, Envelope, Fate, Mail, Posted, ResourceId, Scanned, SettleTo, Told};
pub use moving::{Copied, Keeper, NotGiven, Queued, SessionState, SmId};
pub use node_mail::{NodeMail, NodeTold};
pub use output::{Event, Output};
pub use parcel::{ATTEMPTS_MAX, Outcome, Parcel, Refused, Targets};
#[cfg(feature = "sim")]
pub use plant::Plant;
pub use queues::{FlightId, Pools, Unacked, Unsettled};
pub use record::{Change, RESOURCE_BYTES_MAX, Record, SmHash, USER_BYTES_MAX};
pub use reference::ReferenceStore;
pub use settings::{Domain, Settings};
pub use store::{Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError, StoreOp, StoreResult};
pub use tls::TlsInfo;
pub use wait::{PendingReply, Request, Wait};
#[cfg(test)]
pub(crate) use wire::SIZES as WIRE_SIZES;
pub use wire::{Promise, Then, WireSink, Wires};
