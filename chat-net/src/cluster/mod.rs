//! The sockets of a cluster: what carries the links between nodes, and the nodes on them.
//!
//! Owns: TLS between nodes ([`LinkTls`]); one future that listens, dials, and moves bytes between sockets and a machine
//! ([`LinkDriver`]); a node's part in a cluster, which is that with the agent and the exchange of `chat-core` as its machine, on
//! a thread of its own beside the workers of a server ([`Cluster`], [`ClusterHandle`]); and who is asked for names
//! ([`Resolver`]).
//! In: a [`LinkMachine`], listening sockets; for a node its settings, the mail of its workers, and what the operator wants. Out:
//! mail for workers, events, the status, log lines, and how it ended.
//!
//! Invariants: the machine decides, the driver obeys; TLS is version 1.3 without early data and without resumption, so
//! each connection has an exporter of its own; plaintext that the machine handed over is at most one buffer of the TLS
//! library, all else waits in the machine; a connection that fails at any point is told to the machine once. The thread of a
//! node does nothing that blocks, so that nobody takes it for dead while workers are busy.
//! Not here: who is a member, what is dialled when, what bytes mean, which log lines come how often (`chat-core`'s `cluster`);
//! what frames mean to sessions (`chat-core`'s `engine/nodes`).

mod conn;
mod driver;
mod machine;
mod node;
mod resolve;
mod seat;
mod tls;

pub use driver::{LinkDriver, LinkEnd, LinkMachine, LinkRequest};
pub use node::{Cluster, ClusterEnd, ClusterGone, ClusterHandle, ClusterStatus, Standing};
pub use resolve::{Resolve, Resolved, Resolver, Then};
pub use tls::{Authorities, LinkTls};

#[cfg(all(test, feature = "aws-lc-rs"))]
mod tests;
