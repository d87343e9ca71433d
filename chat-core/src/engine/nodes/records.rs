//! Who is where: this worker's own sessions, and those of other nodes.

use super::{Cluster, OWN};
use crate::base::{NodeId, UserId};
use crate::effect::{Change, NodeTold, Record, ResourceId, SmHash};
use crate::engine::Engine;
use crate::jid::Jid;

impl Engine {
    /// Something about a session changed that others may know: they are told, if it is so.
    #[inline]
    pub(in crate::engine) fn note(&mut self, id: UserId, resource: ResourceId) {
        if self.cluster.is_some() {
            self.note_record(id, resource, false);
        }
    }

    /// A client goes on with a session that another node may have as well: that one counts no more.
    pub(in crate::engine) fn note_anew(&mut self, id: UserId, resource: ResourceId) {
        if self.cluster.is_some() {
            self.note_record(id, resource, true);
        }
    }

    fn note_record(&mut self, id: UserId, resource: ResourceId, anew: bool) {
        let Some(user) = self.users.get_mut(id) else { return };
        let Some(index) = user.index(resource) else { return };
        let (jid, resource) = (user.jid.as_str(), &user.resources[index]);
        let Some(Cluster { table, clock, .. }) = self.cluster.as_deref_mut() else { return };
        let before = table.record(OWN, jid, resource.name());
        let bound = match before {
            Some(record) if !anew => record.bound,
            _ => clock.stamp(self.cx.now.utc),
        };
        let change = Change::Put(Record {
            user: jid,
            resource: resource.name(),
            priority: resource.presence.is_some().then_some(resource.priority),
            carbons: resource.carbons,
            sm: resource.sm.as_ref().filter(|sm| sm.can_resume()).map(|sm| SmHash::of(&sm.id)),
            worker: self.cx.settings.worker,
            bound,
        });
        // A record beyond the limits of the table is not told: that session is reached on this node only.
        let applied = table.apply(OWN, &change).unwrap_or_default();
        if applied.changed {
            self.cx.node_mail.put(&NodeTold::Change { node: OWN, change });
        }
        if applied.conflict.is_some() {
            let name = resource.name().to_owned();
            self.give_way(id, &name, applied);
        }
    }

    /// A session is over. `said`: whoever saw it available is told so, too. Of one that goes while its record says that it is
    /// available, nobody has been told.
    #[inline]
    pub(in crate::engine) fn note_gone(&mut self, jid: &Jid, said: bool) {
        let Some(cluster) = &mut self.cluster else { return };
        let bare = jid.as_ref().bare();
        let before = cluster.table.record(OWN, bare.as_str(), jid.resource().unwrap_or_default());
        if let Some(record) = before.filter(|record| said && record.priority.is_some()) {
            let change = Change::Put(Record { priority: None, ..record });
            self.cx.node_mail.put(&NodeTold::Change { node: OWN, change });
        }
        let change = Change::Remove { user: bare.as_str(), resource: jid.resource().unwrap_or_default() };
        if cluster.table.apply(OWN, &change).is_ok_and(|applied| applied.changed) {
            self.cx.node_mail.put(&NodeTold::Change { node: OWN, change });
        }
    }

    /// A node is there.
    pub(super) fn on_node_up(&mut self, node: NodeId, name: &str, version: u16) {
        let Some(cluster) = &mut self.cluster else { return };
        if node == OWN || cluster.table.is_seated(node) {
            return debug_assert!(false, "{node:?} is told to be there twice");
        }
        // Its number was another's, of whom something is left: that goes now.
        while !cluster.table.is_free(node) {
            cluster.purge(self.cx.now.mono, usize::MAX);
        }
        cluster.table.seat(node, name);
        cluster.offers.meet(node, version);
        cluster.chores.early.begin(node);
    }

    /// A node is gone, and its sessions with it.
    pub(super) fn on_node_down(&mut self, node: NodeId) {
        let Some(cluster) = &mut self.cluster else { return };
        if node != OWN && cluster.table.is_seated(node) {
            cluster.table.unseat(node);
            let unanswered = cluster.offers.lose(node);
            self.begin_purge(node);
            self.cx.end_life(node);
            self.lose_node(node);
            self.lose_moves(node);
            unanswered.into_iter().for_each(|offer| self.on_declined(offer));
        }
    }

    /// A session of another node was bound, changed or ended.
    pub(super) fn on_change(&mut self, node: NodeId, change: &Change<'_>) {
        let Some(cluster) = &mut self.cluster else { return };
        if node == OWN || !cluster.table.is_seated(node) {
            return;
        }
        if let Change::Put(record) = change {
            cluster.clock.observe(self.cx.now.utc, record.bound);
        }
        let (Change::Put(Record { user, resource, .. }) | Change::Remove { user, resource }) = *change;
        let before = cluster.table.record(node, user, resource).is_some_and(|r| r.priority.is_some());
        let after = matches!(change, Change::Put(record) if record.priority.is_some());
        if after && !before {
            cluster.newcomers.add(self.cx.now.mono, user, resource);
        }
        if after && cluster.is_strange(self.cx.now.mono, node, user, resource) {
            cluster.add_mover(self.cx.now.mono, user, resource);
            self.arm_chores();
        }
        let Some(cluster) = &mut self.cluster else { return };
        // What is beyond the limits of the table is that node's fault: the session is not known here.
        let applied = cluster.table.apply(node, change).unwrap_or_default();
        if before && !after {
            let said = matches!(change, Change::Put(_));
            if !said {
                cluster.has_left(self.cx.now.mono, node, user, resource);
            }
            self.on_unavailable_elsewhere(node, user, resource, said);
        }
        let Some(id) = self.users.find(user) else { return };
        match change {
            Change::Put(record) => self.departs(id, node, record.resource, record.sm),
            Change::Remove { .. } => self.forget_over(id, node),
        }
        self.give_way(id, resource, applied);
        self.take_turns(id);
        self.seek(id);
        // What waits in the store for somebody to come has somebody now.
        self.spool_begin(id);
    }
}
