//! Sessions here that have become available before all sessions of another node were known.
//!
//! Such a node's sessions have shown themselves to whom they knew here ([`shown`](super::shown)), and those that came later asked
//! for the presence of sessions that nobody knew yet. So they ask once more when all are known: that node, and no other.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::limits::{CLUSTER_SETTLED, CLUSTER_STEP_USERS};
use crate::base::{Mono, NodeId, UserId};
use crate::effect::{Few, ResourceId};
use crate::engine::Engine;
use crate::session::Seat;
use crate::user::presence;

/// Who has come while the sessions of some nodes are not all known.
#[derive(Debug, Default)]
pub(super) struct Early {
    nodes: BTreeMap<NodeId, Wait>,
}

#[derive(Debug, Default)]
struct Wait {
    /// When all sessions of the node are known to all workers; `None` as long as it is still telling them.
    due: Option<Mono>,
    seats: BTreeSet<(UserId, ResourceId)>,
}

impl Early {
    /// A node has come, or come back: it will tell of its sessions.
    pub(super) fn begin(&mut self, node: NodeId) {
        self.nodes.insert(node, Wait::default());
    }

    /// It has told of all.
    pub(super) fn whole(&mut self, now: Mono, node: NodeId) {
        self.nodes.entry(node).or_default().due = Some(now + CLUSTER_SETTLED);
    }

    /// It is gone.
    pub(super) fn end(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    /// Whether some node is still telling of its sessions.
    pub(super) fn is_filling(&self) -> bool {
        self.nodes.values().any(|wait| wait.due.is_none())
    }

    /// Whether this one is.
    pub(super) fn is_filling_at(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|wait| wait.due.is_none())
    }

    /// A session here has become available.
    pub(super) fn add(&mut self, seat: Seat) {
        for wait in self.nodes.values_mut() {
            wait.seats.insert((seat.user, seat.resource));
        }
    }

    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Mono> {
        self.nodes.values().filter_map(|wait| wait.due).min()
    }

    /// Who asks a node now.
    fn pop(&mut self, now: Mono) -> Option<(NodeId, Seat)> {
        loop {
            let due = |wait: &Wait| wait.due.is_some_and(|due| due <= now);
            let (node, wait) = self.nodes.iter_mut().find(|(_, wait)| due(wait))?;
            let node = *node;
            match wait.seats.pop_first() {
                Some((user, resource)) => return Some((node, Seat { user, resource })),
                None => self.nodes.remove(&node),
            };
        }
    }
}

impl Engine {
    /// Some of those who came early ask.
    pub(super) fn ask_some(&mut self) {
        let now = self.cx.now.mono;
        for _ in 0..CLUSTER_STEP_USERS {
            let Some(cluster) = self.cluster.as_deref_mut() else { return };
            let Some((node, seat)) = cluster.chores.early.pop(now) else { return };
            if let Some(user) = self.users.get_mut(seat.user)
                && let Some(index) = user.index(seat.resource)
            {
                presence::ask(user, index, Few::At(node), &mut self.cx);
            }
        }
    }
}
