//! Which life this node has, and whether its name is its own.
//!
//! A node whose clock went back begins with a number that others take for old. Whoever remembers a later one says so,
//! and the node begins another life. A node whose name another one bears is refused by whoever is linked with that one;
//! of two that are alive the later has to stop.

use std::collections::VecDeque;

use super::peer::Down;
use super::{Agent, Event, Matter, Request, membership};
use crate::base::{Mono, Now, Span};
use crate::cluster::discovery;
use crate::cluster::identity::{BootId, Identity, Incarnation, NodeName};
use crate::cluster::wire::Refusal;

/// How long a node that came later is refused before it stops. Somebody who is linked with the life before of a node
/// notices within 3 s, or 6 s if he was asleep, that it is gone.
const LATER_PATIENCE: Span = Span::secs(10);
/// How long a node that came earlier is refused, without anybody who takes it, before it stops: it was away, and another
/// took its place.
const EARLIER_PATIENCE: Span = Span::secs(30);
/// A refusal this long after the one before begins the count anew: links dial again sooner.
const REFUSALS_APART: Span = Span::secs(10);
/// Refusals before a node stops.
const REFUSALS_MIN: u32 = 3;
/// Lives within [`LIVES_WITHIN`]; one more, and two nodes outbid each other. One is enough if all is well.
const LIVES_MAX: usize = 3;
/// See [`LIVES_MAX`].
const LIVES_WITHIN: Span = Span::secs(600);

/// Why this node cannot be part of the cluster. The operator has to see to it; nothing is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// Another node has the same name and was there before, or took its place.
    #[error(
        "another live node of the cluster is called {name} (its incarnation is {theirs}, this node's {own}): each needs \
         a name of its own, and this one stops"
    )]
    NameTaken {
        /// The name of both.
        name: NodeName,
        /// The other's life.
        theirs: Incarnation,
        /// This node's life.
        own: Incarnation,
    },
    /// A later life was remembered again and again.
    #[error(
        "nodes of the cluster know ever later incarnations of {name}: two nodes seem to have this name, and this one stops"
    )]
    Outbid {
        /// The name.
        name: NodeName,
    },
}

/// What others have said against this node's name and life.
#[derive(Debug, Default)]
pub(super) struct Life {
    refused: Option<Refused>,
    /// When this node began lives after its first.
    begun: VecDeque<Mono>,
}

/// Others say that the name is taken.
#[derive(Debug)]
struct Refused {
    since: Mono,
    last: Mono,
    times: u32,
    by: NodeName,
}

impl Life {
    /// Somebody takes this node for who it is.
    pub(super) fn on_accepted(&mut self, by: &NodeName) {
        if self.refused.as_ref().is_some_and(|r| r.by == *by) {
            self.refused = None;
        }
    }

    /// The name is taken, says this node. For how long and how often that has been said.
    fn on_refused(&mut self, now: Mono, by: &NodeName) -> (Span, u32) {
        let refused = self.refused.take().filter(|r| now.since(r.last) <= REFUSALS_APART);
        let Refused { since, times, .. } =
            refused.unwrap_or(Refused { since: now, last: now, times: 0, by: by.clone() });
        self.refused = Some(Refused { since, last: now, times: times + 1, by: by.clone() });
        (now.since(since), times + 1)
    }

    /// Whether there may be another life.
    fn begin(&mut self, now: Mono) -> bool {
        self.begun.retain(|at| now.since(*at) < LIVES_WITHIN);
        self.begun.push_back(now);
        self.begun.len() <= LIVES_MAX
    }
}

impl Agent {
    /// A member refuses this node.
    pub(super) fn on_refused(&mut self, now: Now, by: &NodeName, refusal: Refusal) {
        match refusal {
            Refusal::Stale(remembered) => return self.on_stale(now, by, remembered),
            Refusal::NameTaken(theirs) => {
                self.on_name_taken(now, by, theirs, theirs <= self.identity.incarnation);
            }
            _ => {}
        }
        self.notice(now, Matter::RefusedUs { by: by.clone(), refusal });
    }

    /// A member has this node's own name.
    pub(super) fn on_namesake(&mut self, now: Now, other: &Identity) {
        let own = &self.identity;
        // The other one comes to the opposite result.
        if (own.incarnation, own.boot) > (other.incarnation, other.boot) {
            self.on_name_taken(now, &other.name, other.incarnation, true);
        }
    }

    fn on_name_taken(&mut self, now: Now, by: &NodeName, theirs: Incarnation, is_later: bool) {
        let is_alone = self.links.iter().all(|(_, link)| !link.state().connected);
        if !is_later && !is_alone {
            return;
        }
        let (span, times) = self.life.on_refused(now.mono, by);
        let patience = if is_later { LATER_PATIENCE } else { EARLIER_PATIENCE };
        if span >= patience && times >= REFUSALS_MIN {
            let Identity { name, incarnation: own, .. } = self.identity.clone();
            self.stop(Fatal::NameTaken { name, theirs, own });
        }
    }

    /// A member remembers a later life of this node.
    fn on_stale(&mut self, now: Now, by: &NodeName, remembered: Incarnation) {
        if remembered < self.identity.incarnation || self.departure.is_some() {
            // Said to the life before.
            return;
        }
        if !self.life.begin(now.mono) {
            return self.stop(Fatal::Outbid { name: self.identity.name.clone() });
        }
        for name in self.met() {
            self.put_down(now, &name, Down::OwnLife);
        }
        let incarnation = self.identity.incarnation.over(remembered);
        self.identity.incarnation = incarnation;
        self.identity.boot = BootId::random(&mut self.rng);
        self.notice(now, Matter::NewLife { by: by.clone(), incarnation });
        self.tell(Event::NewLife(self.identity.clone()));
        let linked: Vec<NodeName> = (self.links.iter())
            .filter(|(_, link)| link.state().connected)
            .map(|(name, _)| name.clone())
            .collect();
        self.links.begin_life(now.mono, incarnation, self.identity.boot);
        self.membership = membership(&self.settings, incarnation, self.rng.fork());
        for peer in self.peers.values_mut() {
            peer.alive = None;
        }
        for name in linked {
            self.discovery.handle(now, discovery::Input::Lost(&name));
        }
    }

    /// This node cannot go on.
    fn stop(&mut self, why: Fatal) {
        self.is_over = true;
        self.request(Request::Fatal(why));
    }
}
