//! Presence when nodes come and go, a little at a time.
//!
//! - A node has come, or come back, and has told of all its sessions: a second later it gets the presence of the sessions here, for
//!   those there who may see it (RFC 6121 §4.2.2); who came here before asks for theirs ([`early`](super::early)), and who may not see them any more is told so
//!   once more ([`farewells`](super::farewells)). What was changed in the store while the two did not hear of each other is not known, so
//!   what is in memory of it is read again.
//! - A session here has become available: whoever came on other nodes at the same time is shown it ([`newcomers`](super::newcomers)).
//! - A node is gone, and its sessions are not available elsewhere within [`LINK_GRACE`]: those here who saw them learn that they
//!   are gone. Other nodes tell their own.
//! - A session goes to another node: others see it and are seen by it as before ([`movers`](super::movers)).
//! - A session elsewhere ends, its record goes, and its node with what it said: it counts as one that the node took with it.
//! - A session gave way to another of its name: its node says nothing, and its record goes while it still says that it is
//!   available. After the same time each node looks whether the other is available, and tells its own if it is not. What it knows
//!   of the other and what those here have heard of it came the same way, so no later word of it is overtaken.

use std::collections::VecDeque;

use smol_str::SmolStr;

use super::changed::News;
use super::early::Early;
use super::farewells::Farewells;
use super::movers::Movers;
use super::{Cluster, OWN};
use crate::base::limits::{
    CLUSTER_SETTLED, CLUSTER_STEP, CLUSTER_STEP_USERS, LINK_GRACE, NEWCOMER, NODES_MET,
};
use crate::base::{Mono, MsgId, NodeId, TimerId, UserId};
use crate::effect::{Deadline, Few, NodeTold, Parcel, Targets};
use crate::engine::Engine;
use crate::jid::{BareJid, Jid};
use crate::session::Seat;
use crate::stanza::PresenceType;
use crate::user::{Parked, Record, presence, presence_stanza};

/// Records that are looked at in one step, for those of nodes that are gone.
const PURGED: usize = 8 * CLUSTER_STEP_USERS;

/// What is done a little at a time.
#[derive(Debug, Default)]
pub(super) struct Chores {
    /// When the next step is due, if there is one.
    armed: Option<(TimerId, Mono)>,
    /// Who has become available before all sessions of a node were known.
    pub(super) early: Early,
    pub(super) farewells: Farewells,
    pub(super) movers: Movers,
    /// Records of nodes that are gone are removed from then on.
    purge_at: Option<Mono>,
    /// Nodes that get the presence of the sessions here, from when, and how far that is.
    shows: VecDeque<(Mono, NodeId, usize)>,
    /// Sessions here that have become available, and when they are shown to those who have come meanwhile.
    fresh: VecDeque<(Mono, Seat)>,
    /// Users who are read again, and those for whom that has failed.
    stale: VecDeque<UserId>,
    pub(super) again: VecDeque<(Mono, UserId)>,
    /// Sessions that are gone, and when that is told.
    lost: VecDeque<Lost>,
    /// Sessions elsewhere that have said lately that they are gone, and where.
    over: VecDeque<(Mono, NodeId, BareJid, SmolStr)>,
}

/// A session that is gone without having said so.
#[derive(Debug)]
pub(super) struct Lost {
    due: Mono,
    user: BareJid,
    name: SmolStr,
    /// Whom it is told.
    only: Option<Few>,
    /// It was told; it is looked whether that was right.
    said: bool,
}

impl Chores {
    /// When to go on.
    fn next(&self, now: Mono) -> Option<Mono> {
        let soon = now + CLUSTER_STEP;
        if !self.stale.is_empty() {
            return Some(soon);
        }
        let purge = self.purge_at.filter(|_| !self.early.is_filling());
        let show = self.shows.front().map(|(due, ..)| *due);
        let lost = self.lost.front().map(|lost| lost.due);
        let again = self.again.front().map(|(due, _)| *due);
        let fresh = self.fresh.front().map(|(due, _)| *due);
        let (early, farewells, movers) = (self.early.next(), self.farewells.next(), self.movers.next());
        [purge, show, early, farewells, movers, lost, again, fresh]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.max(soon))
    }

    /// Whether nothing is left to do.
    #[cfg(test)]
    pub(super) fn is_done(&self) -> bool {
        self.next(Mono(0)).is_none() && self.purge_at.is_none()
    }
}

impl Cluster {
    /// Whether a session with this full JID is available, here or elsewhere.
    pub(super) fn is_available(&self, user: &str, name: &str) -> bool {
        self.table.get(user, name).is_some_and(|entry| entry.record.priority.is_some())
    }

    /// Removes records of nodes that are gone, and notes whose sessions nobody else has.
    pub(super) fn purge(&mut self, now: Mono, users: usize) -> bool {
        let lost = &mut self.chores.lost;
        self.table.purge(users, |user, name| {
            if let Ok(user) = BareJid::parse(user) {
                lost.push_back(Lost {
                    due: now,
                    user,
                    name: name.into(),
                    only: Some(Few::At(OWN)),
                    said: false,
                });
            }
        })
    }
}

impl Engine {
    /// The agent has told of all sessions of a node.
    pub(super) fn on_node_whole(&mut self, node: NodeId) {
        let now = self.cx.now.mono;
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        if !cluster.table.is_seated(node) {
            return;
        }
        cluster.chores.early.whole(now, node);
        cluster.chores.farewells.whole(now, node);
        cluster.chores.movers.whole(now, node);
        cluster.sweep.hasten(now, node);
        cluster.chores.shows.push_back((now + CLUSTER_SETTLED, node, 0));
        cluster.chores.stale = self.users.iter().map(|user| user.id).collect();
        self.arm_chores();
    }

    /// A node is gone: its records go when its sessions had time to come back.
    pub(super) fn begin_purge(&mut self, node: NodeId) {
        let at = self.cx.now.mono + LINK_GRACE;
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        cluster.chores.purge_at = Some(at);
        // What they said to others came behind their records, and may be lost.
        let over = std::mem::take(&mut cluster.chores.over).into_iter();
        let (lost, over) = over.partition::<VecDeque<_>, _>(|(_, n, ..)| *n == node);
        cluster.chores.over = over;
        for (_, _, user, name) in lost {
            let only = Some(Few::At(OWN));
            cluster.chores.lost.push_back(Lost { due: at, user, name, only, said: false });
        }
        cluster.chores.early.end(node);
        cluster.chores.farewells.end(node);
        cluster.chores.movers.end(node);
        cluster.chores.shows.retain(|(_, n, _)| *n != node);
        self.arm_chores();
    }

    pub(super) fn arm_chores(&mut self) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let sweep = cluster.sweep.next().map(|at| at.max(self.cx.now.mono + CLUSTER_STEP));
        let next = [cluster.chores.next(self.cx.now.mono), sweep];
        let Some(at) = next.into_iter().flatten().min() else { return };
        if let Some((timer, armed)) = cluster.chores.armed {
            if armed <= at {
                return;
            }
            self.cx.timers.cancel(timer);
        }
        cluster.chores.armed = Some((self.cx.timers.set(at, Deadline::Cluster, "cluster"), at));
    }

    /// The next step.
    pub(in crate::engine) fn on_cluster_time(&mut self) {
        let now = self.cx.now.mono;
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        cluster.chores.armed = None;
        if !cluster.chores.early.is_filling() && cluster.chores.purge_at.is_some_and(|at| at <= now) {
            let more = cluster.purge(now, PURGED);
            cluster.chores.purge_at = cluster.chores.purge_at.filter(|_| more);
        }
        self.say_farewell_again();
        self.show_some();
        self.ask_some();
        self.show_to_newcomers();
        self.meet_movers();
        self.read_some_again();
        self.tell_lost();
        self.sweep_some();
        self.arm_chores();
    }

    /// Some of the sessions here show themselves to a node that has come.
    fn show_some(&mut self) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let now = self.cx.now.mono;
        let Some((due, node, place)) = cluster.chores.shows.pop_front_if(|(due, ..)| *due <= now) else {
            return;
        };
        let mut some: Vec<(UserId, SmolStr)> = Vec::new();
        let next = cluster.table.walk(place, OWN, |record| {
            if record.priority.is_some()
                && let Some(id) = self.users.find(record.user)
            {
                some.push((id, record.resource.into()));
            }
            some.len() < CLUSTER_STEP_USERS
        });
        if let Some(next) = next {
            cluster.chores.shows.push_front((due, node, next));
        }
        for (id, name) in some {
            let Some(user) = self.users.get_mut(id) else { continue };
            if let Some(index) = user.resources.iter().position(|r| r.name() == name) {
                presence::show(user, index, Few::At(node), &mut self.cx);
            }
        }
    }

    /// A session here has become available.
    pub(in crate::engine) fn show_later(&mut self, seat: Seat) {
        let due = self.cx.now.mono + NEWCOMER;
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.chores.fresh.push_back((due, seat));
            cluster.chores.early.add(seat);
            self.arm_chores();
        }
    }

    fn show_to_newcomers(&mut self) {
        let now = self.cx.now.mono;
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        cluster.newcomers.expire(now);
        for _ in 0..CLUSTER_STEP_USERS {
            let Some(cluster) = self.cluster.as_deref_mut() else { return };
            let Some((_, seat)) = cluster.chores.fresh.pop_front_if(|(due, _)| *due <= now) else { return };
            if let Some(user) = self.users.get_mut(seat.user)
                && let Some(index) = user.index(seat.resource)
            {
                presence::show(user, index, Few::Newcomers, &mut self.cx);
            }
        }
    }

    fn read_some_again(&mut self) {
        let now = self.cx.now.mono;
        while let Some(cluster) = self.cluster.as_deref_mut()
            && let Some((_, id)) = cluster.chores.again.pop_front_if(|(due, _)| *due <= now)
        {
            self.catch_up(id, false);
        }
        for _ in 0..CLUSTER_STEP_USERS {
            let Some(cluster) = self.cluster.as_deref_mut() else { return };
            let Some(id) = cluster.chores.stale.pop_front() else { return };
            cluster.news.insert(id, News::UNKNOWN);
            self.catch_up(id, false);
        }
    }

    /// Sessions of a node that is gone, and whom nobody has seen since: whoever saw them learns it.
    fn tell_lost(&mut self) {
        let now = self.cx.now.mono;
        for _ in 0..CLUSTER_STEP_USERS {
            let Some(cluster) = self.cluster.as_deref_mut() else { return };
            let Some(lost) = cluster.chores.lost.pop_front_if(|lost| lost.due <= now) else { return };
            match (cluster.is_available(lost.user.as_str(), &lost.name), lost.said) {
                (false, false) => self.tell_lost_one(lost),
                (true, true) => self.mend(&lost),
                _ => {}
            }
        }
    }

    fn tell_lost_one(&mut self, lost: Lost) {
        let jid = lost.user.as_ref();
        let id = match self.users.find(jid.as_str()) {
            Some(id) => id,
            None => {
                let Some(domain) = self.cx.settings.domain_index(jid.domain()) else { return };
                self.load(jid, domain)
            }
        };
        let Some(user) = self.users.get_mut(id) else { return };
        match user.record {
            Record::Ready => presence::on_lost(user, &lost.name, lost.only, &mut self.cx),
            Record::Loading => user.parked.push_back(Parked::Lost(lost.name, lost.only)),
        }
        self.evict_if_nobody(id);
    }

    /// A session here has ended, but another has its name: nobody is told now.
    pub(in crate::engine) fn tell_later(&mut self, jid: &Jid, available: bool) {
        if available {
            let (user, name) = (jid.to_bare(), jid.resource().unwrap_or_default());
            self.on_lost_parked(&user, name.into(), Some(Few::At(OWN)));
        }
    }

    /// A session elsewhere is not available any more, and its node has `said` so or not. If another has its name, what was said
    /// is wrong, and has to be mended.
    pub(super) fn on_unavailable_elsewhere(&mut self, node: NodeId, user: &str, name: &str, said: bool) {
        let now = self.cx.now.mono;
        let due = now + LINK_GRACE;
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        if said && !cluster.is_available(user, name) {
            let over = &mut cluster.chores.over;
            while over.pop_front_if(|(at, ..)| *at + NODES_MET <= now).is_some() {}
            if let Ok(user) = BareJid::parse(user) {
                over.push_back((now, node, user, name.into()));
            }
            return;
        }
        if let Ok(user) = BareJid::parse(user) {
            let only = Some(Few::At(OWN));
            cluster.chores.lost.push_back(Lost { due, user, name: name.into(), only, said });
        }
        self.arm_chores();
    }

    /// Somebody said that a resource is gone that is not: those here are shown it once more, by its node.
    fn mend(&mut self, lost: &Lost) {
        #[cfg(feature = "sim")]
        if self.cx.settings.has(crate::effect::Plant::BelieveLoser) {
            return;
        }
        self.meet(&lost.user, &lost.name);
    }

    /// A session is shown to those here, and asks for their presence, by its node.
    pub(super) fn meet(&mut self, user: &BareJid, name: &str) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let (bare, full) = (user.as_str(), user.join(name));
        let Some(entry) = cluster.table.get(bare, name) else { return };
        let (node, worker) = (entry.node, entry.record.worker);
        if node == OWN {
            return self.meet_at(user, name, OWN);
        }
        let probe = presence_stanza(PresenceType::Probe, bare, Some(full.as_str()), None);
        let parcel = Parcel {
            envelope: cluster.number(),
            attempt: 1,
            worker,
            id: MsgId(0),
            at: self.cx.now.utc,
            delayed: false,
            awaited: false,
            from: bare,
            to: full.as_str(),
            targets: Targets::default(),
            stanza: str::from_utf8(&probe).unwrap_or_default(),
        };
        self.cx.node_mail.put(&NodeTold::Parcel { node, parcel });
    }

    /// A session here shows itself to those on one node who may see it, and asks for their presence.
    pub(super) fn meet_at(&mut self, user: &BareJid, name: &str, node: NodeId) {
        let Some(id) = self.users.find(user.as_str()) else { return };
        let Some(user) = self.users.get_mut(id) else { return };
        if let Some(index) = user.resources.iter().position(|r| r.name() == name) {
            presence::show(user, index, Few::At(node), &mut self.cx);
            presence::ask(user, index, Few::At(node), &mut self.cx);
        }
    }

    /// The record of a user is here, one of whose sessions was gone when it was asked for.
    pub(in crate::engine) fn on_lost_found(&mut self, id: UserId, name: &str, only: Option<Few>) {
        let Some(user) = self.users.get_mut(id) else { return };
        if !self.cluster.as_deref().is_some_and(|cluster| cluster.is_available(user.jid.as_str(), name)) {
            presence::on_lost(user, name, only, &mut self.cx);
        }
    }

    /// The same, but the record cannot be read: later.
    pub(in crate::engine) fn on_lost_parked(&mut self, user: &BareJid, name: SmolStr, only: Option<Few>) {
        let due = self.cx.now.mono + LINK_GRACE;
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.chores.lost.push_back(Lost { due, user: user.clone(), name, only, said: false });
        }
        self.arm_chores();
    }
}
