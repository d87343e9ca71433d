//! Sessions that move from node to node: what the giver and the taker remember while they do, and for how long.

use smol_str::SmolStr;

use super::Cluster;
use crate::base::{ConnId, Mono, NodeId, Span, UserId};
use crate::effect::{ResourceId, SmHash};
use crate::engine::Engine;

/// How long a client that resumes waits for a node that says nothing (DESIGN §6).
pub(super) const RESUME_WAIT: Span = Span::secs(8);
/// How long it waits on when the node that was asked is gone: a link that starts over loses what was asked, and the node is
/// back at once.
pub(super) const GONE_WAIT: Span = Span::secs(1);
/// How long a session stands still for another node. Whoever takes it says so within `RESUME_WAIT`, or that it does not; only
/// a node that forgets whom it talks to says neither.
pub(super) const HOLD_WAIT: Span = Span::secs(30);
/// Sessions that were taken lately and may turn out to be over where they came from.
pub(super) const TAKEN_MAX: usize = 256;

/// A session that is to come here.
#[derive(Debug)]
pub(super) struct Taking {
    /// What it is called towards the node that was asked, or offered it; 0 if none is.
    pub(super) ask: u64,
    /// What the client presented; empty while it was only offered.
    pub(super) id: SmolStr,
    pub(super) sm: SmHash,
    /// The client, if it is here, and how many stanzas it has got.
    pub(super) conn: Option<ConnId>,
    pub(super) h: u32,
    /// Who was asked. None: it is waited until it is seen somewhere.
    pub(super) at: Option<NodeId>,
    pub(super) until: Mono,
}

/// A session of this node that another is to have: it stands still.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) resource: ResourceId,
    /// By what it is looked for.
    pub(super) sm: SmHash,
    pub(super) node: NodeId,
    /// What the taker calls it.
    pub(super) ask: u64,
    /// What it was given, once its client's stanzas are settled.
    pub(super) given: Option<Given>,
    /// Who asked after that.
    pub(super) behind: Option<Behind>,
    /// The node is gone. It may come back with the session.
    pub(super) is_lost: bool,
    /// It has ended meanwhile: if it is taken, the taker has to end it, too.
    pub(super) is_over: bool,
    /// It has been told so.
    pub(super) is_void: bool,
    /// The stream of its client, which ends without a word when the session is elsewhere, or is not to be.
    pub(super) stream: Option<ConnId>,
    pub(super) until: Mono,
}

/// What a node was given of a session.
#[derive(Debug)]
pub(super) struct Given {
    /// Of each stanza of its queue then the envelope that this node will wait for the result of.
    pub(super) envelopes: Vec<Option<u64>>,
    /// How many stanzas its client was sent, or was to be, until then.
    pub(super) sent: u32,
}

/// A node that asked for a session while another was given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) node: NodeId,
    pub(super) ask: u64,
    pub(super) h: u32,
}

/// A session that was taken lately: from whom, what it was called, and which it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) node: NodeId,
    pub(super) ask: u64,
    pub(super) user: UserId,
    pub(super) resource: ResourceId,
}

impl Cluster {
    /// Whether a session stands still because another node is to have it.
    pub(in crate::engine) fn is_held(&self, id: UserId, resource: ResourceId) -> bool {
        self.users.get(&id).is_some_and(|afar| afar.hold_of(resource).is_some())
    }

    /// The next moment at which something about moving sessions of a user takes too long.
    pub(super) fn moves_due(&self, id: UserId) -> Option<Mono> {
        let afar = self.users.get(&id)?;
        let takings = afar.takings.iter().map(|taking| taking.until);
        takings.chain(afar.holds.iter().map(|hold| hold.until)).min()
    }

    /// Remembers a session that was taken.
    pub(super) fn remember_taken(&mut self, taken: Taken) {
        if self.taken.len() >= TAKEN_MAX {
            self.taken.pop_front();
        }
        self.taken.push_back(taken);
    }
}

impl Engine {
    /// Whether this session stands still because another node is to have it.
    #[inline]
    pub(in crate::engine) fn is_on_hold(&self, id: UserId, resource: ResourceId) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.is_held(id, resource))
    }

    /// When something about moving sessions of a user has to be looked at.
    #[inline]
    pub(in crate::engine) fn moves_due(&self, id: UserId) -> Option<Mono> {
        self.cluster.as_ref().and_then(|cluster| cluster.moves_due(id))
    }

    /// Time has passed for a user: whoever waits too long for a session, or with one, does so no longer.
    pub(in crate::engine) fn on_moves_due(&mut self, id: UserId) {
        let now = self.cx.now.mono;
        while let Some(afar) = self.cluster.as_deref_mut().and_then(|cluster| cluster.users.get_mut(&id)) {
            if let Some(i) = afar.takings.iter().position(|taking| taking.until <= now) {
                self.give_up_taking(id, i);
            } else if let Some(i) = afar.holds.iter().position(|hold| hold.until <= now) {
                self.thaw(id, i, true);
            } else {
                return;
            }
        }
    }

    /// A node is gone: what it was asked for it will not give, and what it was given it may have or not.
    pub(super) fn lose_moves(&mut self, node: NodeId) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        cluster.taken.retain(|taken| taken.node != node);
        let moving = |afar: &super::afar::Afar| !afar.takings.is_empty() || !afar.holds.is_empty();
        let users: Vec<UserId> =
            cluster.users.iter().filter(|(_, afar)| moving(afar)).map(|(id, _)| *id).collect();
        for id in users {
            self.lose_moves_of(id, node);
        }
    }

    fn lose_moves_of(&mut self, id: UserId, node: NodeId) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Some(afar) = cluster.users.get_mut(&id) else { return };
        for taking in afar.takings.iter_mut().filter(|taking| taking.at == Some(node)) {
            cluster.asks.remove(&taking.ask);
            (taking.at, taking.ask) = (None, 0);
            taking.until = taking.until.min(self.cx.now.mono + GONE_WAIT);
        }
        for hold in &mut afar.holds {
            hold.behind = hold.behind.filter(|behind| behind.node != node);
            if hold.node == node {
                // What was not given yet is not taken. What was may be: a link that starts over tells so at once.
                let wait = if hold.given.is_some() && !hold.is_over { GONE_WAIT } else { Span(0) };
                hold.until = hold.until.min(self.cx.now.mono + wait);
                hold.is_lost = true;
            }
        }
        self.on_moves_due(id);
        self.seek(id);
        self.arm_user(id);
    }
}
