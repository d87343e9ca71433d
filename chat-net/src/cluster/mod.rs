//! The sockets of a cluster: what carries the links between nodes.
//!
//! Owns: TLS between nodes ([`LinkTls`]), and one future that listens, dials, and moves bytes between sockets and a machine
//! ([`LinkDriver`]).
//! In: a [`LinkMachine`] (the links of `chat-core`, or an agent around them), listening sockets. Out: nothing; the machine
//! has its own ways of speaking to the rest of the node ([`LinkMachine::poll_inbox`]).
//!
//! Invariants: the machine decides, the driver obeys; TLS is version 1.3 without early data and without resumption, so
//! each connection has an exporter of its own; plaintext that the machine handed over is at most one buffer of the TLS
//! library, all else waits in the machine; a connection that fails at any point is told to the machine once.
//! Not here: who is a member, what is dialled when, what bytes mean (`chat-core`'s `cluster`); DNS.

mod conn;
mod driver;
mod tls;

pub use driver::{LinkDriver, LinkMachine, LinkRequest};
pub use tls::LinkTls;

#[cfg(all(test, feature = "aws-lc-rs"))]
mod tests;
