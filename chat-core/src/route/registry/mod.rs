//! The registry: who is where.
//!
//! Owns: [`Table`], the records of all sessions of the cluster that one worker, or the agent, knows: which node and worker
//! has a full JID, whether routing may choose it, and by what it can be resumed.
//! In: changes of own sessions and of those of other nodes, nodes that begin and end. Out: who counts, who gives way when
//! a full JID is bound twice, and the full JIDs that vanish with a node.
//!
//! Invariants:
//! - One writer for each record: a node's records are changed by that node alone. There is no consensus, no tombstone and
//!   no merging. Two nodes with the same full JID have a record each.
//! - Of a full JID that is bound twice the later bind counts, by hybrid logical clock, and then the greater name of a node;
//!   so all nodes agree, each for itself.
//! - Records of a node that is down are not seen from that moment on; removing them, and telling who was lost, is done in
//!   small steps.
//! - What others tell is bounded: resources of a user at a node, bytes of a node in a table.
//! - Walks and lookups come in an order that no hash decides.
//!
//! Not here: the sessions themselves (`user`, `session`), the choice among them (`route/decision.rs`), how changes get from
//! node to node (`cluster/registry`), what a worker does with it (`engine`). What a record is stands in `effect`, because
//! outputs speak of it.
//!
//! # Memory
//!
//! A session of a user who has no other takes 16 bytes in the list, 9 to 18 in the index, and a piece of about 55
//! (`pack.rs`), which the allocator rounds up; a test measures it.

mod domains;
mod index;
mod pack;
mod table;
#[cfg(test)]
mod tests;

pub use crate::effect::{Change, RESOURCE_BYTES_MAX, Record, SmHash, USER_BYTES_MAX};
pub use table::{Applied, Conflict, Entry, Refused, Sessions, Table};
