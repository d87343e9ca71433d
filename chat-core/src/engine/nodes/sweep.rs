//! Rows that wait for users who are here, and of which nobody told.
//!
//! Whoever writes a row for a user who is elsewhere tells that node (`Engine::poke`), but nobody acknowledges it: it may be lost
//! with a node, a link, or a split. So every [`SPOOL_SWEEP`], and when a node has come back, this worker asks the store which of
//! its users have rows, some users at a time; rows that are on their way to a client are not given twice (`engine/spool.rs`).

use super::OWN;
use crate::base::limits::{CLUSTER_SETTLED, SPOOL_SWEEP, SPOOL_SWEEP_USERS};
use crate::base::{Mono, NodeId};
use crate::effect::{StoreDone, StoreOp, StoreResult, Wait};
use crate::engine::Engine;
use crate::jid::BareJid;

/// How far a worker is.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// When to go on; never, before another node was met, and while the store is asked.
    due: Option<Mono>,
    /// Where in the list of all sessions.
    place: usize,
    /// The store is asked.
    asked: bool,
}

impl Sweep {
    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Mono> {
        self.due.filter(|_| !self.asked)
    }

    /// Begins soon: a node has come back, and may have stored something meanwhile.
    pub(super) fn hasten(&mut self, now: Mono, node: NodeId) {
        let soon = now + CLUSTER_SETTLED;
        if node != OWN && self.place == 0 {
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
    }
}

impl Engine {
    /// Asks for some of the users.
    pub(super) fn sweep_some(&mut self) {
        let now = self.cx.now.mono;
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        if self.stopping {
            cluster.sweep.due = None;
        }
        if cluster.sweep.next().is_none_or(|due| due > now) {
            return;
        }
        #[cfg(feature = "sim")]
        if self.cx.settings.has(crate::effect::Plant::NoSweep) {
            cluster.sweep.due = None;
            return;
        }
        let mut users: Vec<BareJid> = Vec::new();
        let next = cluster.table.walk(cluster.sweep.place, OWN, |record| {
            let known = users.last().is_some_and(|user| user.as_str() == record.user);
            if !known
                && record.priority.is_some_and(|priority| priority >= 0)
                && let Some(id) = self.users.find(record.user)
                && let Some(user) = self.users.get_mut(id).filter(|user| !user.ephemeral)
            {
                users.push(user.jid.clone());
            }
            users.len() < SPOOL_SWEEP_USERS
        });
        cluster.sweep.place = next.unwrap_or(0);
        cluster.sweep.due = Some(if next.is_some() { now } else { now + SPOOL_SWEEP });
        if !users.is_empty() {
            cluster.sweep.asked = true;
            self.cx.store(StoreOp::SpoolWaiting { users }, Wait::Sweep);
        }
    }

    /// The store says who has rows. If it cannot, the next sweep finds them.
    pub(in crate::engine) fn on_swept(&mut self, result: StoreResult) {
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.sweep.asked = false;
        }
        if let Ok(StoreDone::Waiting(users)) = result {
            users.iter().for_each(|user| self.on_poke(user.as_str()));
        }
        self.arm_chores();
    }
}
