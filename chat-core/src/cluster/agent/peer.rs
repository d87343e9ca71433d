//! What the agent knows of each other node, and has told the layer above about it.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::{Agent, Event};
use crate::base::limits::CLUSTER_NODES_MAX;
use crate::base::{Mono, Now};
use crate::cluster::identity::{Identity, Incarnation, NodeName};
use crate::cluster::link::LinksInput;
use crate::cluster::membership::{LINK_GRACE, Why};
use crate::cluster::wire::Role;

/// Nodes that are remembered, those that are gone included: as many as links are. Beyond it the one that has been gone
/// longest is forgotten.
const PEERS_KEPT_MAX: usize = 2 * CLUSTER_NODES_MAX;

/// Why a node is down for this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Down {
    /// It said that it leaves, after everything else.
    #[error("it has left")]
    Left,
    /// It did not answer: it died, was stopped, or is cut off.
    #[error("it does not answer")]
    Silent,
    /// It is alive for others, but there was no link to it for 6 s.
    #[error("there is no link to it")]
    NoLink,
    /// It has begun a later life.
    #[error("it has started anew")]
    Replaced,
    /// This node has begun a later life.
    #[error("this node has taken a later incarnation")]
    OwnLife,
}

impl From<Why> for Down {
    fn from(why: Why) -> Down {
        match why {
            Why::Left => Down::Left,
            Why::Silent => Down::Silent,
            Why::NoLink => Down::NoLink,
            Why::Replaced => Down::Replaced,
        }
    }
}

/// One other node.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The life that the layer above has met.
    pub(super) met: Option<Identity>,
    /// The protocol version that was agreed with it.
    pub(super) version: u16,
    /// Whether it was told that it is up.
    pub(super) is_up: bool,
    /// The life that is alive for the membership, and linked.
    pub(super) alive: Option<Incarnation>,
    /// It has said that it leaves.
    pub(super) has_left: bool,
    pub(super) role: Option<Role>,
    pub(super) is_draining: bool,
    pub(super) is_ailing: bool,
    pub(super) release: SmolStr,
    /// Why it is down, if it was there before.
    pub(super) down: Option<Down>,
    /// When it came up, went down, or was first heard of.
    pub(super) since: Mono,
}

/// All of them, by name.
pub(super) type Peers = BTreeMap<NodeName, Known>;

/// What is known of a node, which may be nothing yet.
pub(super) fn known<'a>(peers: &'a mut Peers, now: Mono, name: &NodeName) -> &'a mut Known {
    if !peers.contains_key(name) && peers.len() >= PEERS_KEPT_MAX {
        let gone = peers.iter().filter(|(_, p)| p.met.is_none() && p.alive.is_none());
        let oldest = gone.min_by_key(|(_, p)| p.since).map(|(name, _)| name.clone());
        if let Some(oldest) = oldest {
            peers.remove(&oldest);
        }
    }
    peers.entry(name.clone()).or_insert_with(|| Known { since: now, ..Known::default() })
}

impl Agent {
    /// A link begins anew, with this life, at this version.
    pub(super) fn on_fresh(&mut self, now: Now, identity: Identity, version: u16) {
        let met = self.known(now, &identity.name).met.clone();
        if met.is_some_and(|met| met != identity) {
            self.put_down(now, &identity.name, Down::Replaced);
        }
        let peer = self.known(now, &identity.name);
        peer.met = Some(identity.clone());
        peer.version = version;
        peer.has_left = false;
        peer.role = None;
        peer.is_draining = false;
        peer.is_ailing = false;
        self.tell(Event::Fresh { peer: identity.clone(), version });
        self.introduce(now, &identity.name);
        self.up_if_so(now, &identity.name);
    }

    /// It is up if it is met and alive, both in the same life.
    pub(super) fn up_if_so(&mut self, now: Now, name: &NodeName) {
        let peer = self.known(now, name);
        let Some(met) = peer.met.clone() else { return };
        if !peer.is_up && peer.alive == Some(met.incarnation) {
            peer.is_up = true;
            peer.down = None;
            peer.since = now.mono;
            self.tell(Event::PeerUp(met));
        }
    }

    /// It is down for the layer above, if that has met it.
    pub(super) fn put_down(&mut self, now: Now, name: &NodeName, why: Down) {
        let Some(peer) = self.peers.get_mut(name) else { return };
        let Some(node) = peer.met.take() else { return };
        peer.is_up = false;
        peer.down = Some(why);
        peer.since = now.mono;
        self.tell(Event::PeerDown { node, why });
    }

    /// Those that are met but not up, with the moment when they have been without a link for too long. Of those that are
    /// up the membership keeps count.
    fn unlinked(&self) -> impl Iterator<Item = (&NodeName, Mono)> {
        let waiting = self.peers.iter().filter(|(_, p)| p.met.is_some() && p.alive.is_none());
        waiting.filter_map(|(name, _)| {
            let state = self.links.get(name)?.state();
            (!state.connected).then_some((name, state.since + LINK_GRACE))
        })
    }

    pub(super) fn unlinked_due(&self) -> Option<(Mono, &'static str)> {
        self.unlinked().map(|(_, at)| (at, "a node is without a link for too long")).min()
    }

    pub(super) fn give_up_unlinked(&mut self, now: Now) {
        let due: Vec<NodeName> =
            self.unlinked().filter(|(_, at)| *at <= now.mono).map(|(name, _)| name.clone()).collect();
        for name in due {
            self.put_down(now, &name, Down::NoLink);
            self.links.handle(now.mono, LinksInput::GiveUp(&name));
        }
    }
}
