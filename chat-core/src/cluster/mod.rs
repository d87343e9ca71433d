//! The cluster: how nodes find each other, trust each other, know who is alive, and tell each other who is where.
//!
//! Owns: the names of nodes and their lives ([`identity`]), whom to dial ([`discovery`]), what nodes say to each other
//! as bytes ([`wire`]), how they come to believe each other ([`handshake`]), the links between them ([`link`]), who is
//! alive ([`membership`]), how each tells the others of its sessions ([`registry`]), what makes one node of these
//! ([`agent`]), what passes between that and the workers ([`exchange`]), both together ([`member`]), and
//! which nodes take clients ([`roles`]).
//! In: settings, time, randomness, answers of DNS, and bytes that links carried, all as arguments. Out: what is to be
//! asked, dialled, sent, and believed, as values.
//!
//! Invariants:
//! - Every part is a machine of its own, tested alone, with the one face of this crate (`handle`, `poll_output`,
//!   `poll_timeout`); none knows a socket, and none calls another: the agent of a node composes them. It has no other
//!   rules than how they fit together, and whose name is whose.
//! - What one node believes about another always names the life it is about: a name with its incarnation. What was
//!   said about an earlier life never touches a later one.
//! - Everything that other nodes, DNS or an operator's list can make grow has a limit of the section for clusters in
//!   `base/limits.rs`.
//! - Bytes that leave a node are stable: they have golden tests, since nodes of two versions talk to each other.
//!
//! Not here: sockets, TLS and DNS queries (`chat-net`), what a worker does with a stanza that came from another node
//! (`engine`), where the settings come from (`chat-bin`).

pub mod agent;
pub mod discovery;
pub mod exchange;
pub mod handshake;
pub mod identity;
pub mod link;
pub mod member;
pub mod membership;
pub mod registry;
pub mod roles;
#[cfg(any(test, feature = "sim"))]
pub(crate) mod testing;
pub mod wire;

pub use identity::{BootId, Identity, Incarnation, NodeName, NodeNameError};
