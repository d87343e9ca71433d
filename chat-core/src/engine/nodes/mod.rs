//! Other nodes, as one worker sees them: who is where, and what goes there.
//!
//! Owns: [`Cluster`], the records of all sessions of the users whose home this worker is on this node, its own among them.
//! In: what the agent tells ([`NodeTold`]), and every change of a session here. Out: the same changes, for the agent.
//! Invariants: an engine without [`Settings::cluster`](crate::effect::Settings::cluster) has none of this and pays one branch;
//! the record of an own session says what its [`Resource`](crate::user::Resource) says, after each input; what is told of
//! nodes that are not there changes nothing.
//! Not here: the table itself (`route/registry`), how news get from node to node (`cluster`).

mod records;

#[cfg(test)]
mod tests;

use crate::base::{HashKey, HlcClock, NodeId};
use crate::effect::{NodeMail, NodeTold};
use crate::engine::Engine;
use crate::route::registry::Table;

/// This node among all.
const OWN: NodeId = NodeId(0);

/// What a worker knows of other nodes.
pub(super) struct Cluster {
    /// Who is where: the users whose home this worker is.
    table: Table,
    /// Makes the times of binds, by which nodes agree on what was later.
    clock: HlcClock,
    /// Records of nodes that are gone are being removed.
    removing: bool,
}

impl Cluster {
    /// A node of this name, that knows of no other.
    pub(super) fn new(own: &str, key: HashKey) -> Self {
        let mut table = Table::new(key);
        table.seat(OWN, own);
        Cluster { table, clock: HlcClock::default(), removing: false }
    }
}

impl Engine {
    /// The agent has news. What follows from them for this worker comes after all of them.
    pub(super) fn on_cluster(&mut self, mail: &mut NodeMail) {
        if self.cluster.is_some() {
            for told in mail.iter() {
                match told {
                    NodeTold::Up { node, name } => self.on_node_up(node, name),
                    NodeTold::Down { node } => self.on_node_down(node),
                    NodeTold::Change { node, change } => self.on_change(node, &change),
                }
            }
        }
        mail.clear();
    }
}
