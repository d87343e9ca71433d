//! Sessions that wait for their clients at a node that drains are offered to others.
//!
//! Which nodes take sessions, the agent tells. One that takes an offer says how it calls the session, which from then on moves as if
//! that node had asked for it.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{NodeId, UserId};
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
    /// What has no answer yet: to whom, and which session.
    open: BTreeMap<u64, (NodeId, UserId, ResourceId)>,
}

impl Offers {
    /// Whose turn it is, of those with whom at least this version is spoken.
    fn turn(&mut self, since: u16) -> Option<NodeId> {
        let last = self.last;
        let mut able = self.takers.iter().filter(|node| self.version_of(**node) >= since);
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

    /// A node is gone.
    pub(super) fn lose(&mut self, node: NodeId) {
        self.takers.remove(&node);
        self.versions.remove(&node);
        self.open.retain(|_, (to, ..)| *to != node);
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

    /// Offers a session that waits for its client to the next node.
    pub(in crate::engine) fn offer(&mut self, seat: Seat) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        if cluster.is_held(seat.user, seat.resource) {
            return;
        }
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let Some(resource) = user.resource(seat.resource) else { return };
        let Some(sm) = resource.sm.as_ref().map(|sm| SmHash::of(&sm.id)) else { return };
        let unsure = resource.detached.as_ref().and_then(|detached| detached.given);
        let Some(node) = cluster.offers.turn(SessionState::since_of(unsure)) else { return };
        let offer = cluster.number(self.cx.settings.worker.0, self.cx.settings.workers);
        cluster.offers.open.retain(|_, (.., resource)| *resource != seat.resource);
        cluster.offers.open.insert(offer, (node, seat.user, seat.resource));
        self.cx.node_mail.put(&NodeTold::Offer { node, offer, user: user.jid.as_str(), sm });
    }

    /// A node takes what it was offered, or does not.
    pub(super) fn on_offer_answer(&mut self, node: NodeId, offer: u64, ask: Option<u64>) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let open = cluster.offers.open.remove(&offer);
        let Some(ask) = ask else { return };
        let seat = open.filter(|(to, ..)| *to == node).map(|(_, user, resource)| Seat { user, resource });
        let waits = |seat: &Seat| {
            let user = self.users.get_mut(seat.user);
            let resource = user.and_then(|user| user.resource(seat.resource));
            resource.is_some_and(|resource| resource.away_since().is_some())
        };
        // Its client may have come to another node meanwhile, which has asked for it; or it is over.
        let why = match seat.filter(waits) {
            Some(seat) if !self.is_on_hold(seat.user, seat.resource) && !self.stopping => {
                return self.stop(seat.user, seat.resource, node, ask, &[]);
            }
            Some(_) => NotGiven::Elsewhere,
            None => NotGiven::Unknown(None),
        };
        self.cx.node_mail.put(&NodeTold::Refuse { node, ask, why });
    }
}
