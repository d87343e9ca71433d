//! A node that drains offers its sessions to others (DESIGN §6).
//!
//! Which nodes take sessions, the agent tells. They are asked by turns, one after the other, until one takes it: then it says how it
//! calls the session, which from then on moves as if that node had asked for it; but for its stream, which ends without a word.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::NodeId;
use crate::base::limits::OFFERS_MAX;
use crate::effect::{NodeTold, NotGiven, ResourceId, SessionState, SmHash};
use crate::engine::Engine;
use crate::session::Seat;

/// What is known of those that take sessions, and what they were offered.
#[derive(Debug, Default)]
pub(in crate::engine) struct Offers {
    takers: BTreeSet<NodeId>,
    /// What is spoken with those that are there.
    versions: BTreeMap<NodeId, u16>,
    /// Who was offered something last.
    last: Option<NodeId>,
    /// By what the offer is called.
    open: BTreeMap<u64, Open>,
}

/// A session that was offered.
#[derive(Debug)]
struct Open {
    seat: Seat,
    node: NodeId,
    /// Who does not take it.
    asked: Vec<NodeId>,
    /// It was taken, and stands still until it is there.
    is_taken: bool,
}

impl Offers {
    /// Whose turn it is, of those that were not asked and with whom at least this version is spoken.
    fn turn(&mut self, asked: &[NodeId], since: u16) -> Option<NodeId> {
        let last = self.last;
        let takes = |node: &&NodeId| !asked.contains(node) && self.version_of(**node) >= since;
        let mut able = self.takers.iter().filter(takes);
        let next = able.clone().find(|node| last.is_none_or(|last| **node > last));
        let next = next.or_else(|| able.next()).copied()?;
        self.last = Some(next);
        Some(next)
    }

    /// A node is there, with which this version is spoken.
    pub(super) fn meet(&mut self, node: NodeId, version: u16) {
        self.versions.insert(node, version);
    }

    /// The version that is spoken with a node; 0 if it is not there.
    pub(super) fn version_of(&self, node: NodeId) -> u16 {
        self.versions.get(&node).copied().unwrap_or(0)
    }

    /// A node is gone. What it was offered and has not answered.
    pub(super) fn lose(&mut self, node: NodeId) -> Vec<u64> {
        self.takers.remove(&node);
        self.versions.remove(&node);
        let lost = self.open.iter().filter(|(_, open)| open.node == node && !open.is_taken);
        lost.map(|(offer, _)| *offer).collect()
    }
}

impl Engine {
    /// A node takes sessions from now on, or takes none.
    pub(super) fn on_takes(&mut self, node: NodeId, takes: bool) {
        let Some(cluster) = self.cluster.as_deref_mut().filter(|c| c.table.is_seated(node)) else { return };
        match takes {
            true => cluster.offers.takers.insert(node),
            false => cluster.offers.takers.remove(&node),
        };
    }

    /// Whether there is a node that takes sessions.
    pub(in crate::engine) fn has_takers(&self) -> bool {
        self.cluster.as_deref().is_some_and(|cluster| !cluster.offers.takers.is_empty())
    }

    /// Whether so many sessions are on their way that others have to wait.
    pub(in crate::engine) fn is_giving_enough(&mut self) -> bool {
        let open = |engine: &Engine| engine.cluster.as_deref().map_or(0, |cluster| cluster.offers.open.len());
        if open(self) < OFFERS_MAX {
            return false;
        }
        self.forget_given();
        open(self) >= OFFERS_MAX
    }

    /// The sessions that were offered and are not elsewhere yet.
    pub(in crate::engine) fn offered(&mut self) -> BTreeSet<ResourceId> {
        self.forget_given();
        let open = self.cluster.iter().flat_map(|cluster| cluster.offers.open.values());
        open.map(|open| open.seat.resource).collect()
    }

    /// What was taken and is there, or here again, is an offer no more.
    fn forget_given(&mut self) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let mut open = std::mem::take(&mut cluster.offers.open);
        open.retain(|_, open| !open.is_taken || cluster.is_held(open.seat.user, open.seat.resource));
        cluster.offers.open = open;
    }

    /// Offers a session that can be resumed to the next node of those that were not `asked`. Says whether there is one.
    pub(in crate::engine) fn offer(&mut self, seat: Seat, asked: Vec<NodeId>) -> bool {
        let Some(cluster) = self.cluster.as_deref_mut() else { return false };
        let Some(user) = self.users.get_mut(seat.user) else { return false };
        let Some(resource) = user.resource(seat.resource) else { return false };
        let sm = resource.sm.as_ref().filter(|sm| sm.can_resume());
        let Some(sm) = sm.map(|sm| SmHash::of(&sm.id)) else { return false };
        let unsure = resource.detached.as_ref().and_then(|detached| detached.given);
        let Some(node) = cluster.offers.turn(&asked, SessionState::since_of(unsure)) else { return false };
        let offer = cluster.number();
        cluster.offers.open.retain(|_, open| open.seat.resource != seat.resource);
        cluster.offers.open.insert(offer, Open { seat, node, asked, is_taken: false });
        self.cx.node_mail.put(&NodeTold::Offer { node, offer, user: user.jid.as_str(), sm });
        true
    }

    /// A node takes what it was offered, or does not.
    pub(super) fn on_offer_answer(&mut self, node: NodeId, offer: u64, ask: Option<u64>) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let open = cluster.offers.open.get_mut(&offer).filter(|open| open.node == node && !open.is_taken);
        let seat = open.as_ref().map(|open| open.seat);
        let Some(ask) = ask else { return self.on_declined(offer) };
        let can_resume = |seat: &Seat| {
            let resource = self.users.get_mut(seat.user).and_then(|user| user.resource(seat.resource));
            resource.and_then(|resource| resource.sm.as_ref()).is_some_and(|sm| sm.can_resume())
        };
        // Its client may have come to another node meanwhile, which has asked for it; or it is over.
        let why = match seat.filter(can_resume) {
            Some(seat) if !self.is_on_hold(seat.user, seat.resource) && !self.stopping => {
                if let Some(open) = self.cluster.as_deref_mut().and_then(|c| c.offers.open.get_mut(&offer)) {
                    open.is_taken = true;
                }
                return self.stop(seat, node, ask, &[], true);
            }
            Some(_) => NotGiven::Elsewhere,
            None => NotGiven::Unknown(None),
        };
        if let Some(cluster) = self.cluster.as_deref_mut().filter(|_| seat.is_some()) {
            cluster.offers.open.remove(&offer);
        }
        self.cx.node_mail.put(&NodeTold::Refuse { node, ask, why });
    }

    /// A node does not take a session, or is gone: another one may.
    pub(super) fn on_declined(&mut self, offer: u64) {
        let is_draining = self.is_draining();
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Some(Open { seat, node, mut asked, .. }) = cluster.offers.open.remove(&offer) else { return };
        asked.push(node);
        if is_draining && !self.is_on_hold(seat.user, seat.resource) {
            self.offer(seat, asked);
        }
    }
}
