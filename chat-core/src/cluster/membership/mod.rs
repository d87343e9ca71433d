//! Membership: which nodes are there.
//!
//! Owns: what this node believes about the life of every other: SWIM (by foca, behind an adapter), corrected by what
//! only this node can know: whether it has a link to them, and whether it was itself asleep.
//! In: links that begin and end, datagrams that they carried, a node that said it leaves, and time. Out: datagrams to
//! send, nodes that are up and down for this node, and nodes that others told of.
//!
//! Invariants:
//! - A node is up for this node if the cluster takes it for alive, and there is a link to it or there was one within the
//!   last [`LINK_GRACE`]. So two nodes that cannot reach each other while both see a third are down for each other, and for
//!   nobody else.
//! - `Up` and `Down` alternate for each name, and each names the life it is about. A later life puts an earlier one down
//!   first. `Up` never comes twice without the `Down` between that lets go of what was kept for the node.
//! - A link that breaks is a hint: the node is suspected at once, and has as long as any suspect to show that it is there. A
//!   link that begins is a proof: whatever was suspected of the node before is not true.
//! - Nobody is judged by a node that did not listen: when a tick was missed, this machine's clock stands still until the
//!   node has kept up for half a second (`clock.rs`).
//! - Datagrams speak for the node at the other end of their link, and for no other.
//! - The same inputs and the same seed give the same outputs. The bytes of datagrams have golden tests (`codec.rs`).
//!
//! Not here: links and who is on them (`cluster/link`, `cluster/handshake`), whom to dial (`cluster/discovery`), what goes
//! with a node that is down (`cluster/registry`, the agent).
//!
//! Followed: Das, Gupta and Motivala, *SWIM* (2002), with suspicion and incarnations; what foca calls an incarnation is a
//! count of refutations here, since that word means the life of a node.
//!
//! # How an agent uses it
//!
//! It says [`Input::Linked`] when a handshake is done and [`Input::Unlinked`] when the last link to a node is gone (not
//! when one of two is). It sends datagrams if there is a link, and drops them if not. At [`Output::Down`] everything that
//! is kept for that life goes: records, envelopes without result, and what the link would send again; a node that comes
//! back up begins anew, also in the same life. At [`Output::Returned`] others had done that with this node. It gives
//! [`Output::Known`] to discovery.

mod clock;
mod codec;
mod swim;
#[cfg(test)]
mod tests;

pub use swim::{DATAGRAM_BYTES_MAX, Seen};

use crate::base::{Mono, Now, Rng, Span};
use crate::cluster::discovery::NodeAddr;
use crate::cluster::identity::{Incarnation, NodeName};
use clock::Clock;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use swim::{Life, SUSPECT, Swim, seen};

/// How long a node stays up without a link to it, as long as the cluster takes it for alive. Long enough for a connection
/// to be noticed dead and made anew, short enough for what waits for the node.
pub const LINK_GRACE: Span = Span::secs(6);
/// How often a node with a link that is no member is asked to be one.
const JOIN_EVERY: Span = Span::millis(500);
/// How often the nodes that are known are told to discovery anew. It keeps them for a day.
const KNOWN_EVERY: Span = Span::secs(3600);

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub name: NodeName,
    /// Its life.
    pub incarnation: Incarnation,
    /// The port where its links arrive, for nodes that only hear of it.
    pub port: u16,
}

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// There is a link to this node, in this life.
    Linked {
        /// Who.
        name: &'a NodeName,
        /// Which life, as its handshake said.
        incarnation: Incarnation,
    },
    /// There is no link to this node any more.
    Unlinked(&'a NodeName),
    /// A datagram came over a link.
    Datagram {
        /// From whom.
        from: &'a NodeName,
        /// What, at most [`DATAGRAM_BYTES_MAX`].
        bytes: &'a [u8],
    },
    /// A node said that it has left.
    Left(&'a NodeName),
    /// This node leaves. It says so to all, and then nothing more.
    Leave,
    /// Time has passed: the deadline of `poll_timeout` was reached.
    Tick,
}

/// What is to be done or believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram, if there is a link.
    Send {
        /// To whom.
        to: NodeName,
        /// What, at most [`DATAGRAM_BYTES_MAX`].
        bytes: Vec<u8>,
    },
    /// A node is there.
    Up {
        /// Who.
        name: NodeName,
        /// Which life.
        incarnation: Incarnation,
    },
    /// A node that was there is not any more.
    Down {
        /// Who.
        name: NodeName,
        /// Which life.
        incarnation: Incarnation,
        /// Why.
        why: Why,
    },
    /// A node exists: something for discovery. Said when it is first heard of, and each hour while it is alive.
    Known(NodeAddr),
    /// There is a link to this node, but the cluster knows of a later life of it. Said once for each link.
    Outlived {
        /// Who.
        name: NodeName,
        /// The later life.
        later: Incarnation,
        /// Whether that is alive, as far as is known: then two nodes bear one name.
        is_alive: bool,
    },
    /// Others had declared this node down while it lived (it was stopped, or cut off); it is back, in the same life.
    Returned,
    /// This node missed its tick by so long, and judges nobody for a while: something for the log.
    Stalled(Span),
    /// A peer sent what is no datagram, or speaks for another: its link is to be closed.
    Fault(NodeName),
}

/// Why a node is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It said that it leaves.
    Left,
    /// It did not answer: it died, was stopped, or is cut off.
    Silent,
    /// It is alive for others, but there was no link to it for [`LINK_GRACE`].
    NoLink,
    /// It has begun a later life.
    Replaced,
}

/// What this node believes about another: for people who ask for the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub name: NodeName,
    /// Its latest life that was heard of.
    pub incarnation: Incarnation,
    /// What the cluster thinks of it.
    pub seen: Seen,
    /// Whether there is a link.
    pub is_linked: bool,
    /// Whether it is up for this node.
    pub is_up: bool,
}

/// The machine. See the [module](self).
pub struct Membership {
    own: NodeName,
    swim: Swim,
    clock: Clock,
    peers: BTreeMap<NodeName, Peer>,
    outputs: VecDeque<Output>,
    /// When to ask those with a link who are no members.
    join_at: Option<Mono>,
    known_at: Option<Mono>,
    has_left: bool,
}

/// What only this node knows of another.
#[derive(Default)]
struct Peer {
    link: Option<Incarnation>,
    /// When the last link was lost.
    unlinked: Option<Mono>,
    /// The life that was said to be up.
    up: Option<Incarnation>,
    /// Until when it has to show that it is there, and how often it had refuted before.
    suspected: Option<(Mono, u16)>,
    has_left: bool,
    was_known: bool,
    was_outlived: bool,
}

impl Membership {
    /// A node that knows nobody.
    pub fn new(settings: Settings, rng: Rng) -> Self {
        let Settings { name, incarnation, port } = settings;
        let life = Life { name: name.clone(), incarnation, port, returned: 0 };
        Membership {
            own: name,
            swim: Swim::new(life, rng),
            clock: Clock::default(),
            peers: BTreeMap::new(),
            outputs: VecDeque::new(),
            join_at: None,
            known_at: None,
            has_left: false,
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        if self.has_left {
            return;
        }
        let (time, missed) = self.clock.read(now.mono, self.due().map(|(at, _)| at));
        if let Some(missed) = missed {
            self.outputs.push_back(Output::Stalled(missed));
        }
        let mut changed = true;
        match input {
            Input::Linked { name, incarnation } => self.linked(time, name, incarnation),
            Input::Unlinked(name) => self.unlinked(time, name),
            Input::Datagram { from, bytes } => {
                if self.swim.received(time, from, bytes).is_err() {
                    self.outputs.push_back(Output::Fault(from.clone()));
                }
                changed = false;
            }
            Input::Left(name) => self.left(time, name),
            Input::Leave => {
                self.swim.leave(time);
                self.has_left = true;
                return self.send();
            }
            Input::Tick => changed = false,
        }
        // Nothing is due on a clock that stands still.
        if self.clock.held().is_none() {
            self.swim.run(time);
            changed |= self.run(time);
        }
        self.send();
        if self.swim.take_returned() {
            self.outputs.push_back(Output::Returned);
        }
        if self.swim.take_changed() | changed {
            self.publish(time);
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Membership::handle`] again at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        match self.clock.held() {
            _ if self.has_left => None,
            Some(until) => Some((until, "membership: catching up")),
            None => self.due().map(|(at, why)| (self.clock.real(at), why)),
        }
    }

    /// What this node believes about all others, by name.
    pub fn members(&self) -> Vec<MemberView> {
        let mut all: Vec<MemberView> = self.swim.members().map(|m| self.view(m)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The latest life of a node that was heard of, alive or not: a node that comes must have a later one, or be it.
    pub fn remembered(&self, name: &NodeName) -> Option<Incarnation> {
        self.swim.member(name).map(|m| m.id().incarnation)
    }

    fn view(&self, member: &foca::Member<Life>) -> MemberView {
        let peer = self.peers.get(&member.id().name);
        MemberView {
            name: member.id().name.clone(),
            incarnation: member.id().incarnation,
            seen: seen(member.state()),
            is_linked: peer.is_some_and(|p| p.link.is_some()),
            is_up: peer.is_some_and(|p| p.up.is_some()),
        }
    }

    fn linked(&mut self, time: Mono, name: &NodeName, incarnation: Incarnation) {
        if *name == self.own {
            return;
        }
        let peer = self.peers.entry(name.clone()).or_default();
        (peer.link, peer.unlinked, peer.suspected) = (Some(incarnation), None, None);
        peer.has_left = false;
        // Two nodes that have just joined hands are alive. What was said of the other while it could not hear it, it would not
        // refute in time.
        let member = self.swim.member(name).filter(|m| m.id().incarnation == incarnation).cloned();
        if let Some(member) = member.filter(|m| seen(m.state()) == Seen::Suspect) {
            self.swim.judge(time, &member, Seen::Alive);
        }
        self.swim.announce(time, name, incarnation);
        self.join_at.get_or_insert(time + JOIN_EVERY);
    }

    fn unlinked(&mut self, time: Mono, name: &NodeName) {
        let Some(peer) = self.peers.get_mut(name) else { return };
        let Some(incarnation) = peer.link.take() else { return };
        peer.unlinked = Some(time);
        let member = self.swim.member(name).filter(|m| m.id().incarnation == incarnation).cloned();
        let Some(member) = member.filter(|m| seen(m.state()) != Seen::Down) else { return };
        peer.suspected = Some((time + SUSPECT, member.incarnation()));
        self.swim.judge(time, &member, Seen::Suspect);
    }

    fn left(&mut self, time: Mono, name: &NodeName) {
        let Some(member) = self.swim.member(name).cloned() else { return };
        self.peers.entry(name.clone()).or_default().has_left = true;
        self.swim.judge(time, &member, Seen::Down);
    }

    /// Does what is due; says whether anything may have changed.
    fn run(&mut self, time: Mono) -> bool {
        let late = |p: &Peer| p.suspected.is_some_and(|(until, _)| until <= time);
        let overdue: Vec<NodeName> =
            self.peers.iter().filter(|(_, p)| late(p)).map(|(n, _)| n.clone()).collect();
        for name in &overdue {
            let peer = self.peers.get_mut(name).expect("it was found a moment ago");
            let (_, refutations) = peer.suspected.take().expect("it is overdue");
            // Whoever refuted meanwhile is there, only not for this node.
            let member = self.swim.member(name).filter(|m| m.incarnation() == refutations).cloned();
            if let Some(member) = member.filter(|m| seen(m.state()) == Seen::Suspect) {
                self.swim.judge(time, &member, Seen::Down);
            }
        }
        if self.join_at.is_some_and(|at| at <= time) {
            self.join(time);
        }
        let retell = self.known_at.is_some_and(|at| at <= time);
        if retell {
            self.peers.values_mut().for_each(|p| p.was_known = false);
        }
        let unlinked = self.peers.values().filter_map(|p| p.unlinked).any(|at| at + LINK_GRACE <= time);
        retell || unlinked || !overdue.is_empty()
    }

    /// Asks those with a link who are no members, or were declared down, to join.
    fn join(&mut self, time: Mono) {
        self.join_at = None;
        for (name, peer) in &self.peers {
            let Some(incarnation) = peer.link else { continue };
            let member = self.swim.member(name).filter(|m| m.id().incarnation >= incarnation);
            if member.is_none_or(|m| seen(m.state()) == Seen::Down) && !peer.has_left {
                self.swim.announce(time, name, incarnation);
                self.join_at = Some(time + JOIN_EVERY);
            }
        }
    }

    fn send(&mut self) {
        while let Some((to, bytes)) = self.swim.sent() {
            self.outputs.push_back(Output::Send { to, bytes });
        }
    }

    /// Says what is different from what was said before.
    fn publish(&mut self, time: Mono) {
        let members = self.swim.members();
        let members: BTreeMap<NodeName, (Life, Seen)> =
            members.map(|m| (m.id().name.clone(), (m.id().clone(), seen(m.state())))).collect();
        let names: BTreeSet<NodeName> = members.keys().chain(self.peers.keys()).cloned().collect();
        for name in names {
            let peer = self.peers.entry(name.clone()).or_default();
            let member = members.get(&name);
            if peer.unlinked.is_some_and(|at| at + LINK_GRACE <= time) {
                peer.unlinked = None;
            }
            let alive = member.filter(|(_, seen)| *seen != Seen::Down).map(|(life, _)| life);
            let now = alive.map(|life| life.incarnation).filter(|i| {
                let grace = peer.link.is_none() && peer.up == Some(*i) && peer.unlinked.is_some();
                peer.link == Some(*i) || grace
            });
            if let Some(life) = alive.filter(|_| !peer.was_known) {
                peer.was_known = true;
                let port = Some(life.port).filter(|p| *p > 0);
                self.outputs.push_back(Output::Known(NodeAddr { node: name.clone(), port }));
                self.known_at.get_or_insert(time + KNOWN_EVERY);
            }
            if peer.up != now {
                if let Some(incarnation) = peer.up {
                    let later = member.map(|(life, _)| life.incarnation).max(peer.link);
                    let why = match alive {
                        _ if later > Some(incarnation) => Why::Replaced,
                        None if peer.has_left => Why::Left,
                        None => Why::Silent,
                        Some(_) => Why::NoLink,
                    };
                    self.outputs.push_back(Output::Down { name: name.clone(), incarnation, why });
                }
                if let Some(incarnation) = now {
                    peer.has_left = false;
                    self.outputs.push_back(Output::Up { name: name.clone(), incarnation });
                }
                peer.up = now;
            }
            let later = member.filter(|(life, _)| peer.link.is_some_and(|link| life.incarnation > link));
            if let Some((life, seen)) = later.filter(|_| !peer.was_outlived) {
                let (later, is_alive) = (life.incarnation, *seen != Seen::Down);
                self.outputs.push_back(Output::Outlived { name: name.clone(), later, is_alive });
            }
            peer.was_outlived = later.is_some();
            // A member with a link that was declared down is asked to come back.
            if peer.link.is_some() && alive.is_none() && !peer.has_left {
                self.join_at.get_or_insert(time + JOIN_EVERY);
            }
            if member.is_none() && peer.link.is_none() {
                self.peers.remove(&name);
            }
        }
        if self.known_at.is_some_and(|at| at <= time) {
            self.known_at = Some(time + KNOWN_EVERY);
        }
    }

    /// The next deadline on this machine's clock.
    fn due(&self) -> Option<(Mono, &'static str)> {
        let peers = self.peers.values();
        let suspected = peers.clone().filter_map(|p| Some(p.suspected?.0)).min();
        let unlinked = peers.filter_map(|p| Some(p.unlinked? + LINK_GRACE)).min();
        let all = [
            (self.swim.next(), "membership: a timer of SWIM"),
            (suspected, "membership: a suspect had its time"),
            (unlinked, "membership: no link for too long"),
            (self.join_at, "membership: ask to join"),
            (self.known_at, "membership: tell who is known"),
        ];
        all.into_iter().filter_map(|(at, why)| Some((at?, why))).min_by_key(|(at, _)| *at)
    }
}
