//! What the sessions do: one file for each mode.
//!
//! Owns: the modes, the order in which their parts happen (log in, warm up, measure, drain, leave), and the check that
//! everything arrived exactly once and in order.
//! In: options, connections with something to read. Out: a `Report`.
//! Invariants: what is measured is cut out of a steady run: sending goes on at both of its ends. A message that does not
//! arrive never stops the run; it is reported.
//! Not here: how to log in (`xmpp`), sockets (`net`), figures about processes (`measure`).

pub mod acks;
pub mod chat;
mod failure;
pub mod idle;
mod leave;
pub mod ledger;
pub mod letter;
pub mod login;
mod pace;
mod ramp;
mod target;

pub use failure::Failure;
pub use ledger::Faults;
pub use ramp::{Ramp, Session};
pub use target::Target;
