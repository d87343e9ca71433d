//! The agent: one node's part in the cluster, composed of discovery, links and membership.
//!
//! Owns: which life this node has, what it says of itself, whom it has told the layer above about, and the machines
//! that it composes: [`Discovery`] (whom to dial), [`Links`] (what goes between two nodes) and [`Membership`] (who is
//! alive).
//! In ([`Input`]): what the driver sees of connections and of DNS, what the operator and the node want, time. Out
//! ([`Output`]), in one order: [`Request`]s for the driver, and [`Event`]s for the layer above.
//!
//! What is told above, of each other node: [`Event::Fresh`] when frames can go both ways and everything begins anew,
//! [`Event::PeerUp`] when the cluster takes the node for alive as well, [`Event::PeerDown`] when it counts as down for
//! this node. A node is *met* from the first `Fresh` to the `PeerDown`.
//!
//! Invariants:
//! - Frames come only of nodes that are met, and are taken only for those. `PeerUp` comes after a `Fresh` with the same life,
//!   and once before the `PeerDown`. There may be several `Fresh` of one life; a `Fresh` with another life comes after the
//!   `PeerDown` of the one before.
//! - A node is down for this node when the membership says so: the cluster takes it for dead, or there was no link to it for
//!   6 s. A node that is met but was never up is given up after 6 s without a link, too. Whoever is down is given up by
//!   its link, so that both sides begin anew if it comes back, in whatever life.
//! - The membership alone judges others, on a clock that stands still while this node did not listen; the agent adds no
//!   deadline of its own to that of a node that is up.
//! - A node that leaves has said everything first: its last frame says so, and nobody gives it up before that came.
//! - This node stops ([`Request::Fatal`]) only on the word of nodes that have proved to be members.
//! - Of each kind of trouble with each node there is at most one [`Notice`] a minute, and strangers count as one node.
//!
//! Not here: sockets, TLS, DNS (`chat-net`); each machine's own rules (`cluster/discovery`, `cluster/link`,
//! `cluster/membership`). The replicated registry of sessions has its place between the links and the layer above: it is told
//! what [`Event`] tells, its frames are taken out where `links.rs` takes those of the membership, and what it
//! says goes through [`Agent::send`].

mod leave;
mod life;
mod links;
mod members;
mod notice;
mod peer;
mod status;

#[cfg(test)]
mod tests;

pub use life::Fatal;
pub use notice::{Matter, Notice};
pub use peer::Down;
pub use status::{PeerState, PeerStatus};

use core::net::SocketAddr;
use std::collections::{BTreeMap, VecDeque};

use smol_str::SmolStr;

use super::discovery::{self, Answer, Discovery, NodeAddr, Peer, Query, ResolveError};
use super::handshake::{Myself, Trust};
use super::identity::{BootId, Identity, Incarnation, NodeName};
use super::link::{LinkConn, Links, LinksInput, NotSent};
use super::membership::{self, Membership};
use super::wire::{Kind, RELEASE_BYTES_MAX, Role, Versions, WireFault};
use crate::base::limits::LinkLimits;
use crate::base::{Mono, Now, RequestId, Rng};
use leave::Departure;
use life::Life;
use notice::Notices;
use peer::{Known, Peers};

/// Where the links of nodes arrive unless they say otherwise.
pub const PORT: u16 = 4369;
/// Bytes of frames for which room is kept once all have been looked at.
const ROOM_KEPT: usize = 128 * 1024;

/// What a node has to know to take part.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name.
    pub name: NodeName,
    /// The name of its cluster; empty if it was given none.
    pub cluster: SmolStr,
    /// By what it believes others.
    pub trust: Trust,
    /// What it speaks: [`Versions::OURS`], but for tests.
    pub versions: Versions,
    /// The nodes that the operator lists, siblings among them; this node may be among them.
    pub listed: Vec<NodeAddr>,
    /// A DNS name whose records are watched ([`discovery::Settings::dns`]).
    pub dns: Option<SmolStr>,
    /// The port where its own links arrive, as others are told.
    pub port: u16,
    /// The port of nodes whose list or record names none.
    pub peers_port: u16,
    /// Whether it takes clients, at first.
    pub role: Role,
    /// How many nodes should be active ([`roles`](super::roles)); none: whoever runs them sees to it. The agent itself does nothing
    /// with it.
    pub active_wanted: Option<u16>,
    /// Its release, for people. Cut to [`RELEASE_BYTES_MAX`] bytes.
    pub release: SmolStr,
    /// The limits of its links.
    pub limits: LinkLimits,
}

impl Settings {
    /// Those of a node that knows of no other: active, on a port that is not known yet, everything else as usual.
    pub fn new(name: NodeName, trust: Trust) -> Settings {
        Settings {
            name,
            cluster: SmolStr::default(),
            trust,
            versions: Versions::OURS,
            listed: Vec::new(),
            dns: None,
            port: 0,
            peers_port: PORT,
            role: Role::Active,
            active_wanted: None,
            release: SmolStr::default(),
            limits: LinkLimits::default(),
        }
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// What the driver saw of connections.
    Connection(LinksInput<'a>),
    /// The answer to [`Request::Resolve`].
    Resolved {
        /// Which request.
        id: RequestId,
        /// What DNS said.
        result: Result<Answer<'a>, ResolveError>,
    },
    /// The operator changed the lists: this is now what they say together.
    Listed(&'a [NodeAddr]),
    /// This node takes clients, or takes them no more ([`roles`](super::roles)).
    Role(Role),
    /// This node gives its sessions away, or has thought better of it.
    Draining(bool),
    /// This node cannot do its work, or can again. Others are told, as far as their release knows of it.
    Ailing(bool),
    /// This node has to begin anew with another: what goes between the two cannot be relied on. [`Event::Fresh`] follows, or
    /// [`Event::PeerDown`] if there is no link for too long; until then nothing arrives, and nothing can be sent.
    Anew {
        /// Which.
        node: &'a NodeName,
        /// The other node is to blame, because it sent this; none if this node is.
        fault: Option<WireFault>,
    },
    /// This node has nothing left to do: it says what it has to say, and leaves. Answered by [`Request::Left`] within
    /// seconds; nothing is sent after it.
    Leave,
    /// Time has passed: the deadline of `poll_timeout` was reached.
    Tick,
}

/// What comes out, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// For the driver.
    Driver(Request),
    /// For the layer above.
    Above(Event<'a>),
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Ask DNS, and answer with [`Input::Resolved`].
    Resolve {
        /// The name of the request.
        id: RequestId,
        /// What to ask for.
        query: Query,
    },
    /// Dial; answered by [`LinksInput::Dialled`] or [`LinksInput::DialFailed`], in bounded time.
    Dial {
        /// Whom, for the answer.
        peer: Peer,
        /// Where.
        address: SocketAddr,
    },
    /// Close this connection once what was written is sent; it is not mentioned any more.
    Close(LinkConn),
    /// Tell the operator.
    Notice(Notice),
    /// This node cannot be part of the cluster: it has to stop, with this sentence. The agent does nothing more.
    Fatal(Fatal),
    /// After [`Input::Leave`]: everything has been said, or it took too long. The agent does nothing more.
    Left,
}

/// What the layer above has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// This node is another life from now on, since a later one than it had was remembered. All nodes that were met
    /// have been put down before.
    NewLife(Identity),
    /// Both nodes begin anew with each other: nothing that was sent before arrives any more, in either direction. What
    /// has no result is to be decided again, what is known of the other node's sessions is void until it says it anew,
    /// and this node has to say its own anew.
    Fresh {
        /// Who.
        peer: Identity,
        /// The protocol version at which frames are written and read until the next of these.
        version: u16,
    },
    /// The node is alive.
    PeerUp(Identity),
    /// The node is down for this node: what is known of it is void, what was sent to it is not to be counted on.
    PeerDown {
        /// Who, in the life that was met.
        node: Identity,
        /// Why.
        why: Down,
    },
    /// A frame of the node, of a numbered kind.
    Frame {
        /// From whom.
        from: &'a NodeName,
        /// Its kind.
        kind: Kind,
        /// What it says.
        body: &'a [u8],
    },
    /// Much waits for the node: hold back; or little again: go on.
    Congested {
        /// Who.
        node: NodeName,
        /// Whether to hold back.
        is_congested: bool,
    },
    /// What the node says of itself, when that is new.
    Says {
        /// Who.
        node: NodeName,
        /// Whether it takes clients.
        role: Role,
        /// Whether it gives its sessions away: it takes none.
        is_draining: bool,
        /// Whether it cannot do its work; nodes of older releases do not say.
        is_ailing: bool,
    },
}

/// What waits to be polled.
#[derive(Debug)]
enum Queued {
    Request(Request),
    Event(Event<'static>),
    /// The body lies here.
    Frame {
        from: NodeName,
        kind: Kind,
        start: usize,
        end: usize,
    },
}

/// The machine. See the [module](self).
pub struct Agent {
    settings: Settings,
    identity: Identity,
    discovery: Discovery,
    links: Links,
    membership: Membership,
    peers: Peers,
    life: Life,
    notices: Notices,
    rng: Rng,
    outputs: VecDeque<Queued>,
    /// Bodies of frames that wait to be polled.
    arrived: Vec<u8>,
    /// Of whom the frame is that was polled last.
    polled: Option<NodeName>,
    is_draining: bool,
    is_ailing: bool,
    departure: Option<Departure>,
    /// It has left, or has to stop.
    is_over: bool,
}

impl Agent {
    /// A node that begins a life now. `rng` has to be a secret: it draws what tells this process from others.
    pub fn new(now: Now, mut settings: Settings, mut rng: Rng) -> Agent {
        settings.release = SmolStr::new(cut(&settings.release, RELEASE_BYTES_MAX));
        let identity = Identity {
            name: settings.name.clone(),
            incarnation: Incarnation::at_start(now.utc),
            boot: BootId::random(&mut rng),
        };
        let me = Myself {
            identity: identity.clone(),
            versions: settings.versions,
            cluster: settings.cluster.clone(),
            trust: settings.trust.clone(),
        };
        let dialled = discovery::Settings {
            own: settings.name.clone(),
            listed: settings.listed.clone(),
            dns: settings.dns.clone(),
            port: settings.peers_port,
        };
        let mut agent = Agent {
            discovery: Discovery::new(now, dialled, rng.fork()),
            links: Links::new(me, settings.limits, rng.fork()),
            membership: membership(&settings, identity.incarnation, rng.fork()),
            peers: BTreeMap::new(),
            life: Life::default(),
            notices: Notices::default(),
            outputs: VecDeque::new(),
            arrived: Vec::new(),
            polled: None,
            is_draining: false,
            is_ailing: false,
            departure: None,
            is_over: false,
            identity,
            settings,
            rng,
        };
        agent.settle(now);
        agent
    }

    /// Something happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        if self.is_over {
            return;
        }
        // The links look at the time whatever they are told.
        let is_for_links = matches!(input, Input::Connection(_));
        match input {
            Input::Connection(input) => self.links.handle(now.mono, input),
            Input::Resolved { id, result } => {
                self.discovery.handle(now, discovery::Input::Resolved { id, result });
            }
            Input::Listed(nodes) => self.discovery.handle(now, discovery::Input::Listed(nodes)),
            Input::Role(role) => self.on_role(now, role),
            Input::Draining(is_draining) => self.on_draining(now, is_draining),
            Input::Ailing(is_ailing) => self.on_ailing(now, is_ailing),
            Input::Anew { node, fault } => self.on_anew(now, node, fault),
            Input::Leave => self.on_leave(now),
            Input::Tick => {}
        }
        self.settle(now);
        self.on_time(now, is_for_links);
        self.settle(now);
        self.part_if_done(now.mono);
    }

    /// What is to be done or told next. To be called until it returns `None` after every input. Frames borrow from the
    /// agent; when this returns `None` their room is used again.
    pub fn poll_output(&mut self) -> Option<Output<'_>> {
        Some(match self.outputs.pop_front() {
            Some(Queued::Request(request)) => Output::Driver(request),
            Some(Queued::Event(event)) => Output::Above(event),
            Some(Queued::Frame { from, kind, start, end }) => {
                let from = &*self.polled.insert(from);
                Output::Above(Event::Frame { from, kind, body: &self.arrived[start..end] })
            }
            None => {
                self.arrived.clear();
                if self.arrived.capacity() > ROOM_KEPT {
                    self.arrived = Vec::new();
                }
                return None;
            }
        })
    }

    /// When to call [`Agent::handle`] again at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        if self.is_over {
            return None;
        }
        let machines =
            [self.discovery.poll_timeout(), self.links.poll_timeout(), self.membership.poll_timeout()];
        let own = [self.unlinked_due(), self.departure_due()];
        machines.into_iter().chain(own).flatten().min_by_key(|(at, _)| *at)
    }

    /// The next connection that has something to send ([`Links::poll_dirty`]).
    pub fn poll_dirty(&mut self) -> Option<LinkConn> {
        self.links.poll_dirty()
    }

    /// Bytes to send over a connection ([`Links::outgoing`]).
    pub fn outgoing<'a>(&'a self, conn: LinkConn, out: &mut [&'a [u8]]) -> usize {
        self.links.outgoing(conn, out)
    }

    /// The first `n` bytes of them have been sent ([`Links::sent`]).
    pub fn sent(&mut self, now: Now, conn: LinkConn, n: usize) {
        self.links.sent(now.mono, conn, n);
        if !self.is_over {
            self.settle(now);
            self.part_if_done(now.mono);
        }
    }

    /// Sends a frame to a node that is met. It arrives once and in order, unless the two begin anew.
    ///
    /// # Panics
    /// If its kind is not numbered, or is one of the agent's own ([`Kind::Leaving`], [`Kind::Status`], [`Kind::Health`]).
    pub fn send(&mut self, now: Now, node: &NodeName, kind: Kind, body: &[u8]) -> Result<(), NotSent> {
        assert!(
            !matches!(kind, Kind::Leaving | Kind::Status | Kind::Health),
            "{kind:?} is what the agent says"
        );
        if self.departure.is_some() || self.is_over {
            return Err(NotSent::Leaving);
        }
        if self.peers.get(node).is_none_or(|peer| peer.met.is_none()) {
            return Err(NotSent::NotBegun);
        }
        let sent = self.links.send(now.mono, node, kind, body);
        // The other machines have said what they had to say.
        if self.links.has_output() {
            self.settle(now);
        }
        sent
    }

    /// Who this node is, in its present life.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    fn request(&mut self, request: Request) {
        self.outputs.push_back(Queued::Request(request));
    }

    fn tell(&mut self, event: Event<'static>) {
        self.outputs.push_back(Queued::Event(event));
    }

    fn notice(&mut self, now: Now, matter: Matter) {
        if let Some(notice) = self.notices.pass(now.mono, matter) {
            self.request(Request::Notice(notice));
        }
    }

    /// What one machine says is told to the others, until none has anything to say.
    fn settle(&mut self, now: Now) {
        // Links first: what they asked for must have left before discovery changes its mind.
        while !self.is_over
            && (self.take_from_links(now) || self.take_from_members(now) || self.take_from_discovery(now))
        {
        }
    }

    fn take_from_discovery(&mut self, now: Now) -> bool {
        let Some(output) = self.discovery.poll_output() else { return false };
        match output {
            discovery::Output::Resolve { id, query } => self.request(Request::Resolve { id, query }),
            discovery::Output::Dial { peer, addresses } => {
                self.links.handle(now.mono, LinksInput::Want { peer, addresses: &addresses });
            }
            discovery::Output::Forget { peer } => self.links.handle(now.mono, LinksInput::Forget(peer)),
            // Discovery counts its minutes itself.
            discovery::Output::Notice(notice) => {
                let matter = Matter::Discovery(notice);
                self.request(Request::Notice(Notice { matter, unsaid: 0 }));
            }
        }
        true
    }

    fn on_time(&mut self, now: Now, links_know: bool) {
        let due = |next: Option<(Mono, &str)>| next.is_some_and(|(at, _)| at <= now.mono);
        if due(self.discovery.poll_timeout()) {
            self.discovery.handle(now, discovery::Input::Tick);
        }
        if due(self.membership.poll_timeout()) {
            self.membership.handle(now, membership::Input::Tick);
        }
        if !links_know && due(self.links.poll_timeout()) {
            self.links.handle(now.mono, LinksInput::Timer);
        }
        self.settle(now);
        self.give_up_unlinked(now);
        self.hurry_departure(now);
    }

    fn known(&mut self, now: Now, name: &NodeName) -> &mut Known {
        peer::known(&mut self.peers, now.mono, name)
    }
}

/// A membership that knows nobody, for one life of this node.
fn membership(settings: &Settings, incarnation: Incarnation, rng: Rng) -> Membership {
    let own = membership::Settings { name: settings.name.clone(), incarnation, port: settings.port };
    Membership::new(own, rng)
}

/// The first `most` bytes of a text, or fewer, so that no letter is cut.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}
