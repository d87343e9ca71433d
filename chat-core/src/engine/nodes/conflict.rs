//! The same full JID twice: here and on another node, after a split, or because a client came back elsewhere.
//!
//! The later bind counts (`route/registry`), and both nodes know which it is. That of the earlier ends its session here; what its
//! client has not acknowledged goes to whoever counts, and nobody is told that the resource is gone, because it is not. A session that
//! was given to another node wins over nothing here until that says that it has it: it is the one that stands still here, or it is
//! over here, and will be there.

use super::OWN;
use crate::base::UserId;
use crate::engine::Engine;
use crate::jid::JidRef;
use crate::route::registry::Applied;

impl Engine {
    /// A record was told, of an own session or of another's. If an own one does not count any more, it ends.
    pub(super) fn give_way(&mut self, id: UserId, name: &str, applied: Applied) {
        if applied.conflict.is_none_or(|conflict| conflict.loser != OWN) {
            return;
        }
        #[cfg(feature = "sim")]
        if self.cx.settings.has(crate::effect::Plant::WrongWinner) {
            return;
        }
        let Some(user) = self.users.get_mut(id) else { return };
        let Some(index) = user.resources.iter().position(|r| r.name() == name) else { return };
        let Some(cluster) = self.cluster.as_deref() else { return };
        let winner = cluster.table.get(user.jid.as_str(), name).and_then(|entry| entry.record.sm);
        let afar = cluster.users.get(&id);
        if winner.is_some_and(|sm| afar.is_some_and(|afar| afar.is_given(sm))) {
            return;
        }
        self.displace(id, index);
    }

    /// Whether a session elsewhere has this full JID.
    pub(in crate::engine) fn is_bound_elsewhere(&self, jid: JidRef<'_>) -> bool {
        let Some(cluster) = self.cluster.as_deref() else { return false };
        let entry = cluster.table.get(jid.bare().as_str(), jid.resource().unwrap_or_default());
        entry.is_some_and(|entry| entry.node != OWN)
    }
}
