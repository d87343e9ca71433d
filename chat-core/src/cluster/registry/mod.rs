//! The registry: who is where.
//!
//! Owns: the records of all sessions of the cluster: which node and worker has a full JID, whether routing may choose it,
//! and by what it can be resumed. [`Table`] keeps them, [`Log`] tells the others of this node's own, [`Replica`] reads
//! what another tells of its, [`HlcClock`] says what was later.
//! In: changes of own sessions, frames of other nodes, nodes that begin and end. Out: frames to send, changes to apply,
//! who gives way when a full JID is bound twice, and the full JIDs that vanish with a node.
//!
//! Invariants:
//! - One writer for each record: a node's records are changed by that node alone. There is no consensus, no tombstone and
//!   no merging. Two nodes with the same full JID have a record each.
//! - Changes go down the same ordered link as a node's messages, in frames that are numbered. A link that goes on needs
//!   nothing; one that starts over begins with a snapshot; a number that is missing leads to another.
//! - When nothing is on its way, every table holds exactly the records of all live nodes.
//! - Of a full JID that is bound twice the later bind counts, by hybrid logical clock, and then the greater name of a node;
//!   so all nodes agree, each for itself.
//! - Records of a node that is down are not seen from that moment on; removing them, and telling who was lost, is done in
//!   small steps.
//! - What others tell is bounded: resources of a user at a node, bytes of a node in a table, snapshots that are asked for.
//! - Snapshots and lookups come in an order that no hash decides.
//!
//! Not here: the sessions themselves (`user`, `session`), the choice among them (`route`), links (`cluster/link`), closing
//! the loser and presence that comes and goes with records (`engine`).
//!
//! # How an agent uses it
//!
//! Each worker keeps a [`Table`] for the users whose home it is, of all nodes, its own included; the agent keeps one [`Log`],
//! which holds this node's own records again so that it can make snapshots without asking, and for each other node a
//! [`Replica`]. Between the agent and its workers changes go as a [`Batch`]. Nodes are counted
//! ([`NodeId`](crate::base::NodeId), 0 is this one).
//!
//! | when | then |
//! |---|---|
//! | a session of this node is bound, changes, moves, ends | the worker applies it to its table as node 0; [`LogInput::Changed`] |
//! | a link is fresh | `unseat` the number the node had, seat one that is free in all tables; a new [`Replica`]; [`LogInput::Fresh`] |
//! | a frame of the registry comes | [`Replica::receive`]; what is [`Received::Changes`] goes to the tables, each change to the home of its user, and its stamp to [`HlcClock::observe`] |
//! | these are `afresh` | before that, `unseat` and another number |
//! | it is [`Received::Gap`] | send what it asks, as [`RegistryReset`](super::wire::Kind::RegistryReset) |
//! | such a reset comes | [`LogInput::Reset`] |
//! | [`Log::wants_room`], and the link is not congested | [`LogInput::Room`] |
//! | a turn ends | [`LogInput::Flush`], then [`Log::poll_output`] until nothing comes |
//! | a node is down | `unseat`; [`LogInput::Gone`]; forget its replica |
//! | a link gave up | [`LogInput::Gone`]; its records stay until the link is fresh or the node down |
//! | [`Replica::is_whole`] of all that have one, and there is time | [`Table::purge`], a few hundred users, until it says no |
//!
//! # Gaps
//!
//! The link numbers its frames and loses none. The registry numbers its own again, for each node, and so finds a bug on
//! either side instead of living on with half of the truth: any frame may be missing, the first or last part of a snapshot
//! and the request to start over among them, and the next one that comes mends it ([`Replica::receive`]).
//!
//! # Memory
//!
//! A session of a user who has no other takes 16 bytes in the list, 9 to 18 in the index, and a piece of about 55
//! (`pack.rs`), which the allocator rounds up; a test measures it. It takes that once on each other node, in the table of
//! one worker, and twice on its own.

mod batch;
mod domains;
mod frame;
mod hlc;
mod index;
mod log;
mod pack;
mod record;
mod replica;
mod table;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Changes};
pub use hlc::{Hlc, HlcClock};
pub use log::{Log, LogInput, LogOutput};
pub use record::{Change, RESOURCE_BYTES_MAX, Record, SmHash, USER_BYTES_MAX};
pub use replica::{Received, Replica};
pub use table::{Applied, Conflict, Entry, Refused, Sessions, Table};
