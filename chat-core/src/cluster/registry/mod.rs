//! The registry between nodes: how each tells the others of its sessions.
//!
//! Owns: the log of this node's own sessions ([`Log`]), what is read of another's ([`Replica`]), and the bytes of both.
//! In: changes of own sessions, frames of other nodes, links that begin and end. Out: frames to send, changes to apply.
//!
//! Invariants:
//! - Changes go down the same ordered link as a node's messages, in frames that are numbered. A link that goes on needs
//!   nothing; one that starts over begins with a snapshot; a number that is missing leads to another.
//! - When nothing is on its way, every table holds exactly the records of all live nodes.
//! - What others tell is bounded: changes in a frame, snapshots that are asked for.
//! - Snapshots come in an order that no hash decides.
//!
//! Not here: the table of records, and who of two counts (`route/registry`); links (`cluster/link`); closing the loser, and
//! presence that comes and goes with records (`engine`).
//!
//! # How an agent uses it
//!
//! Each worker keeps a [`Table`](crate::route::registry::Table) for the users whose home it is, of all nodes, its own included,
//! and sees to it itself; the agent keeps one [`Log`], which holds this node's own records again so that it can make snapshots
//! without asking, and for each other node a [`Replica`]. Between the agent and its workers changes go as
//! [`NodeMail`](crate::effect::NodeMail). Nodes are counted ([`NodeId`](crate::base::NodeId), 0 is this one).
//!
//! | when | then |
//! |---|---|
//! | a worker says that a session of its own changed | [`LogInput::Changed`] |
//! | a link is fresh | tell all workers that the number the node had is down, and that another is up, which no live node has; a new [`Replica`]; [`LogInput::Fresh`] |
//! | a frame of the registry comes | [`Replica::receive`]; what is [`Received::Changes`] goes to the workers, each change to the home of its user |
//! | these are `afresh` | before that, down and another number |
//! | it is [`Received::Gap`] | send what it asks, as [`RegistryReset`](super::wire::Kind::RegistryReset) |
//! | such a reset comes | [`LogInput::Reset`] |
//! | [`Log::wants_room`], and the link is not congested | [`LogInput::Room`] |
//! | a turn ends | [`LogInput::Flush`], then [`Log::poll_output`] until nothing comes |
//! | a node is down | tell all workers; [`LogInput::Gone`]; forget its replica |
//! | a link gave up | [`LogInput::Gone`]; its records stay until the link is fresh or the node down |
//!
//! # Gaps
//!
//! The link numbers its frames and loses none. The registry numbers its own again, for each node, and so finds a bug on
//! either side instead of living on with half of the truth: any frame may be missing, the first or last part of a snapshot
//! and the request to start over among them, and the next one that comes mends it ([`Replica::receive`]).

mod batch;
mod codec;
mod frame;
mod log;
mod replica;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Changes};
pub use log::{Log, LogInput, LogOutput};
pub use replica::{Received, Replica};
