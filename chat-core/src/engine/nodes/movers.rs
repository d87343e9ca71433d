//! Sessions that go from one node to another, and what they might miss, or others of them.
//!
//! Who sees whom was settled between the old node and the others: by what was broadcast, by what was asked, and by what nodes show
//! each other when they meet ([`shown`](super::shown)). If a node had met the old one only a moment ago, or did not see it at all,
//! that may not have happened, and nobody else makes up for it. So such a node asks the new one, once the session is there: that
//! shows the session to those who are at the asking node, and asks for their presence in its name. The new node does both for its own.
//!
//! Presence that is on its way to the old node meanwhile is passed on. It may come after later presence that went straight to the
//! new node; so the session asks once more for what is true.

use std::collections::VecDeque;

use smol_str::SmolStr;

use super::newcomers::Newcomers;
use super::{Cluster, OWN};
use crate::base::limits::{CLUSTER_SETTLED, CLUSTER_STEP_USERS, LINK_GRACE, NODES_MET};
use crate::base::{Mono, NodeId, UserId};
use crate::effect::{ATTEMPTS_MAX, Few, NodeTold, Parcel, ResourceId, Targets};
use crate::engine::Engine;
use crate::jid::{BareJid, Jid, JidRef};
use crate::session::Seat;
use crate::user::presence;

/// What is to be made up for. There is no more of it than has come in a second.
#[derive(Debug, Default)]
pub(super) struct Movers {
    /// Nodes that were met, and when.
    met: VecDeque<(Mono, NodeId)>,
    /// Sessions that nodes that were met before have no more.
    left: Newcomers,
    /// Sessions that have moved.
    moved: VecDeque<(Mono, BareJid, SmolStr)>,
    /// Whom presence missed, whose it was, and which node said it.
    missed: VecDeque<(Mono, Jid, Jid, NodeId)>,
}

impl Movers {
    /// A node has told of all its sessions.
    pub(super) fn whole(&mut self, now: Mono, node: NodeId) {
        self.end(node);
        while self.met.pop_front_if(|(at, _)| *at + NODES_MET <= now).is_some() {}
        self.met.push_back((now, node));
    }

    /// A node is gone.
    pub(super) fn end(&mut self, node: NodeId) {
        self.met.retain(|(_, n)| *n != node);
    }

    fn has_met(&self, now: Mono, node: NodeId) -> bool {
        self.met.iter().any(|(at, n)| *n == node && *at + NODES_MET > now)
    }

    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Mono> {
        let (moved, missed) = (self.moved.front(), self.missed.front());
        moved.map(|(due, ..)| *due).into_iter().chain(missed.map(|(due, ..)| *due)).min()
    }
}

impl Cluster {
    /// Whether the sessions of a node may not have been shown to those here, nor the other way round.
    fn is_new(&self, now: Mono, node: NodeId) -> bool {
        !self.table.is_seated(node)
            || self.chores.early.is_filling_at(node)
            || self.chores.movers.has_met(now, node)
    }

    /// A session of a node is available that was not known at all, so it came from another node: whether it may not have been seen
    /// there. Those of a node that is still telling of its sessions are shown when it has.
    pub(super) fn is_strange(&self, now: Mono, node: NodeId, user: &str, name: &str) -> bool {
        if self.table.record(node, user, name).is_some() || self.chores.early.is_filling_at(node) {
            return false;
        }
        match self.table.get(user, name) {
            Some(before) => before.node != OWN && self.is_new(now, before.node),
            // Its old node may have said first that it has it no more; in a moment those here would be told that it is gone.
            None => self.chores.movers.left.newest(user, name).is_none_or(|at| at + LINK_GRACE <= now),
        }
    }

    /// A node has a session no more, and did not say that it is gone.
    pub(super) fn has_left(&mut self, now: Mono, node: NodeId, user: &str, name: &str) {
        if !self.is_new(now, node) {
            self.chores.movers.left.add(now, user, name);
        }
    }

    /// It will be made up for.
    pub(super) fn add_mover(&mut self, now: Mono, user: &str, name: &str) {
        if let Ok(user) = BareJid::parse(user) {
            self.chores.movers.moved.push_back((now + CLUSTER_SETTLED, user, name.into()));
        }
    }
}

impl Engine {
    /// A session has come here from another node.
    pub(super) fn has_moved_here(&mut self, id: UserId, resource: ResourceId, from: NodeId) {
        let now = self.cx.now.mono;
        let Some(user) = self.users.get_mut(id) else { return };
        let Some(r) = user.resource(resource).filter(|r| r.presence.is_some()) else { return };
        let (name, bare) = (SmolStr::new(r.name()), user.jid.clone());
        // Its old node does not do so any more.
        self.show_later(Seat { user: id, resource });
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        if cluster.is_new(now, from) {
            cluster.add_mover(now, bare.as_str(), &name);
            self.arm_chores();
        }
    }

    /// Makes up for some of it.
    pub(super) fn meet_movers(&mut self) {
        let now = self.cx.now.mono;
        for _ in 0..CLUSTER_STEP_USERS {
            let Some(cluster) = self.cluster.as_deref_mut() else { return };
            let movers = &mut cluster.chores.movers;
            if let Some((_, user, name)) = movers.moved.pop_front_if(|(due, ..)| *due <= now) {
                self.meet(&user, &name);
            } else if let Some((_, jid, of, node)) = movers.missed.pop_front_if(|(due, ..)| *due <= now) {
                presence::ask_of(&jid, &of, Few::At(node), &mut self.cx);
            } else {
                return;
            }
        }
    }

    /// Presence has come for sessions that are not here. Those that went to another node a moment ago get it there.
    pub(super) fn pass_presence_on(&mut self, node: NodeId, parcel: &Parcel<'_>) {
        if !parcel.stanza.starts_with("<presence") {
            return;
        }
        let (to, from) = (JidRef::of_prepared(parcel.to).bare(), JidRef::of_prepared(parcel.from));
        if from.is_bare() || parcel.attempt >= ATTEMPTS_MAX {
            return;
        }
        let due = self.cx.now.mono + CLUSTER_SETTLED;
        let bare = to.as_str();
        let Some(cluster) = self.cluster.as_deref_mut().filter(|c| c.leavers.has_any(bare)) else { return };
        cluster.leavers.expire(self.cx.now.mono);
        for name in parcel.targets.iter() {
            if !cluster.leavers.has(bare, name) || cluster.table.record(OWN, bare, name).is_some() {
                continue;
            }
            cluster.chores.movers.missed.push_back((due, to.to_bare().join(name), from.to_owned(), node));
            let Some(entry) = cluster.table.get(bare, name) else { continue };
            let (node, worker) = (entry.node, entry.record.worker);
            let (mut targets, attempt) = (String::new(), parcel.attempt + 1);
            Targets::push(&mut targets, name);
            let envelope = cluster.number();
            let parcel = Parcel { envelope, worker, attempt, targets: Targets(&targets), ..*parcel };
            self.cx.node_mail.put(&NodeTold::Parcel { node, parcel });
        }
        self.arm_chores();
    }
}
