//! All links of a node, and the connections that are not yet known to belong to one.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::conn::LinkConn;
use super::dials::Dials;
use super::machine::{Link, LinkInput, LinkOutput, NotSent};
use crate::base::limits::{CLUSTER_NODES_MAX, LinkLimits};
use crate::base::{Mono, Rng};
use crate::cluster::discovery::Peer;
use crate::cluster::handshake::{
    CertificateFault, Channel, Greeted, Handshake, HandshakeError, HandshakeInput, Myself, Side,
};
use crate::cluster::identity::{BootId, Identity, Incarnation, NodeName};
use crate::cluster::wire::{Bye, Kind, Refusal};

/// Links that are remembered, those without connection included: they know the lives that the names have had. Beyond it the
/// one that has been idle longest is forgotten.
const LINKS_KEPT_MAX: usize = 2 * CLUSTER_NODES_MAX;

/// Something that happened to the links of a node.
#[derive(Debug)]
pub enum LinksInput<'a> {
    /// Keep a link to this peer, at one of these addresses: each time they change.
    Want {
        /// Whom.
        peer: Peer,
        /// Where, at least one.
        addresses: &'a [SocketAddr],
    },
    /// Do not dial this peer any more. A connection that stands goes on.
    Forget(Peer),
    /// A connection to the address of a [`LinksOutput::Dial`] stands, and its TLS is done.
    Dialled {
        /// Its number, chosen by the driver, never used before.
        conn: LinkConn,
        /// Who was meant.
        peer: Peer,
        /// Where.
        address: SocketAddr,
        /// What the driver knows of the connection.
        channel: Channel,
    },
    /// The attempt came to nothing.
    DialFailed(Peer),
    /// TLS came to nothing, because one side does not believe the other's certificate.
    Unbelieved {
        /// Who was meant, if this node dialled: that attempt is over.
        meant: Option<Peer>,
        /// Where the other side is.
        address: SocketAddr,
        /// Who does not believe whom, and why.
        fault: CertificateFault,
    },
    /// Somebody dialled, and its TLS is done.
    Accepted {
        /// Its number, chosen by the driver, never used before.
        conn: LinkConn,
        /// What the driver knows of the connection.
        channel: Channel,
    },
    /// Bytes that arrived over a connection; one that was closed is no error.
    Received {
        /// Which.
        conn: LinkConn,
        /// Any part of what the other node sends.
        bytes: &'a [u8],
    },
    /// A connection is gone. Also said of connections that were closed by [`LinksOutput::Close`], or not.
    Closed(LinkConn),
    /// The same, and TLS has told why: who listens looks at a certificate when the TLS of who dials is done already.
    Denied {
        /// Which.
        conn: LinkConn,
        /// Who does not believe whom, and why.
        fault: CertificateFault,
    },
    /// This node counts as down ([`LinkInput::GiveUp`]).
    GiveUp(&'a NodeName),
    /// The connection with this node ends, with this last word ([`LinkInput::Part`]).
    Part(&'a NodeName, Bye),
    /// Part from all, once they have everything.
    Leave,
    /// Time has passed.
    Timer,
}

/// What the links of a node want, or have to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinksOutput<'a> {
    /// Dial this address, and do TLS. Answered by [`LinksInput::Dialled`] or [`LinksInput::DialFailed`], in bounded time.
    Dial {
        /// Whom, for the answer.
        peer: Peer,
        /// Where.
        address: SocketAddr,
    },
    /// Close this connection; it is not mentioned any more.
    Close(LinkConn),
    /// A connection that this node dialled led to this node, which may be itself: for discovery.
    Met {
        /// Where it was dialled.
        address: SocketAddr,
        /// Who is there.
        name: NodeName,
    },
    /// A connection did not come to be one between nodes of this cluster.
    Unfit {
        /// Whom this node meant, if it dialled.
        meant: Option<Peer>,
        /// Who the other side says it is: not proved.
        claimed: Option<Identity>,
        /// Why. Both sides have a sentence for it.
        error: HandshakeError,
    },
    /// The same, before anybody said who he is.
    Unbelieved {
        /// Whom this node meant, if it dialled.
        meant: Option<Peer>,
        /// Where the other side is.
        address: SocketAddr,
        /// Who does not believe whom, and why. Both sides have a sentence for it.
        fault: CertificateFault,
    },
    /// Of one link. Never [`LinkOutput::Dial`] or [`LinkOutput::Close`], which come out as above.
    Link {
        /// With which node.
        peer: &'a NodeName,
        /// What.
        output: LinkOutput<'a>,
    },
}

/// A connection whose greeting is not over, or whose last words are not sent.
#[derive(Debug)]
struct Greeting {
    handshake: Handshake,
    meant: Option<(Peer, SocketAddr)>,
    /// It failed; at this moment it is closed at the latest.
    ending: Option<Mono>,
    dirty: bool,
}

/// All links of a node. See the [module](super).
#[derive(Debug)]
pub struct Links {
    me: Myself,
    limits: LinkLimits,
    rng: Rng,
    links: BTreeMap<NodeName, Link>,
    dials: Dials,
    greetings: BTreeMap<LinkConn, Greeting>,
    conns: BTreeMap<LinkConn, NodeName>,
    outputs: VecDeque<LinksOutput<'static>>,
    /// Links that may have outputs, and that may have bytes to send.
    told: BTreeSet<NodeName>,
    dirty: BTreeSet<NodeName>,
    leaving: bool,
}

impl Links {
    /// No links yet. `rng` is forked for each.
    pub fn new(me: Myself, limits: LinkLimits, rng: Rng) -> Links {
        Links {
            me,
            limits,
            rng,
            links: BTreeMap::new(),
            dials: Dials::default(),
            greetings: BTreeMap::new(),
            conns: BTreeMap::new(),
            outputs: VecDeque::new(),
            told: BTreeSet::new(),
            dirty: BTreeSet::new(),
            leaving: false,
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Mono, input: LinksInput<'_>) {
        match input {
            LinksInput::Want { peer, addresses } => self.on_want(now, peer, addresses),
            LinksInput::Forget(peer) => {
                self.dials.forget(&peer);
                if let Peer::Named(name) = peer {
                    self.link_input(now, &name, LinkInput::Wanted(false));
                }
            }
            LinksInput::Dialled { conn, peer, address, channel } => {
                let name = if let Peer::Named(name) = &peer { Some(name.clone()) } else { None };
                self.greet(now, conn, Side::Dialler(name), channel, Some((peer, address)));
            }
            LinksInput::DialFailed(peer) => self.dial_failed(now, &peer),
            LinksInput::Unbelieved { meant, address, fault } => {
                self.on_unbelieved(now, meant, address, fault)
            }
            LinksInput::Accepted { conn, channel } => self.greet(now, conn, Side::Listener, channel, None),
            LinksInput::Received { conn, bytes } => self.on_received(now, conn, bytes),
            LinksInput::Closed(conn) => self.on_closed(now, conn, HandshakeInput::Closed),
            LinksInput::Denied { conn, fault } => self.on_closed(now, conn, HandshakeInput::Denied(fault)),
            LinksInput::GiveUp(name) => {
                let name = name.clone();
                self.link_input(now, &name, LinkInput::GiveUp);
            }
            LinksInput::Part(name, bye) => {
                let name = name.clone();
                self.link_input(now, &name, LinkInput::Part(bye));
            }
            LinksInput::Leave => self.on_leave(now),
            LinksInput::Timer => {}
        }
        self.on_time(now);
    }

    /// What is wanted or told next. To be called until it returns `None` after every input.
    pub fn poll_output(&mut self) -> Option<LinksOutput<'_>> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        while let Some(name) = self.told.first().cloned() {
            let link = self.links.get_mut(&name).expect("what tells something is there");
            match link.poll_request() {
                Some(LinkOutput::Close(conn)) => {
                    self.conns.remove(&conn);
                    return Some(LinksOutput::Close(conn));
                }
                Some(_) => {
                    let address = self.dials.next_address(&name);
                    let address = address.expect("a link is wanted only with an address");
                    return Some(LinksOutput::Dial { peer: Peer::Named(name), address });
                }
                None if link.has_output() => {
                    let (peer, link) = self.links.range_mut(name..).next().expect("it was just seen");
                    return link.poll_output().map(|output| LinksOutput::Link { peer, output });
                }
                None => {
                    // So it knows that its frames have been looked at.
                    let nothing = link.poll_output();
                    debug_assert_eq!(nothing, None);
                    self.told.remove(&name);
                }
            }
        }
        None
    }

    /// Takes the next outputs of the link that has just told one, as long as they are frames of such kinds.
    pub fn pass_on_more(
        &mut self,
        peer: &NodeName,
        is_such: fn(Kind) -> bool,
        mut to: impl FnMut(Kind, &[u8]),
    ) {
        let Some(link) = self.links.get_mut(peer) else { return };
        while let Some((kind, body)) = link.poll_frame(is_such) {
            to(kind, body);
        }
    }

    /// Whether [`Links::poll_output`] may have something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty() || !self.told.is_empty()
    }

    /// When to call [`Links::handle`] again at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let links = self.links.values().filter_map(Link::poll_timeout);
        let greetings = self.greetings.values().filter_map(|g| match g.ending {
            Some(at) => Some((at, "a refused connection says its last words")),
            None => g.handshake.poll_timeout(),
        });
        let dials = self.dials.poll_timeout().filter(|_| !self.leaving);
        links.chain(greetings).chain(dials).min_by_key(|(at, _)| *at)
    }

    /// The next connection that has something to send; each once, until more is to be sent.
    pub fn poll_dirty(&mut self) -> Option<LinkConn> {
        if let Some((conn, greeting)) = self.greetings.iter_mut().find(|(_, g)| g.dirty) {
            greeting.dirty = false;
            return Some(*conn);
        }
        while let Some(name) = self.dirty.first() {
            if let Some(conn) = self.links.get_mut(name).and_then(Link::poll_dirty) {
                return Some(conn);
            }
            self.dirty.pop_first();
        }
        None
    }

    /// Bytes to send over a connection, from the first, as slices; how many. None if it is gone.
    pub fn outgoing<'a>(&'a self, conn: LinkConn, out: &mut [&'a [u8]]) -> usize {
        if let Some(greeting) = self.greetings.get(&conn) {
            let bytes = greeting.handshake.outgoing();
            return match out.first_mut() {
                Some(place) if !bytes.is_empty() => {
                    *place = bytes;
                    1
                }
                _ => 0,
            };
        }
        self.conns.get(&conn).and_then(|name| self.links.get(name)).map_or(0, |l| l.outgoing(conn, out))
    }

    /// The first `n` bytes of what [`Links::outgoing`] gave have been sent. Nothing else may have been called in between.
    pub fn sent(&mut self, now: Mono, conn: LinkConn, n: usize) {
        if let Some(greeting) = self.greetings.get_mut(&conn) {
            greeting.handshake.sent(n);
            if greeting.ending.is_some() && greeting.handshake.outgoing().is_empty() {
                self.close_greeting(conn);
            }
        } else if let Some(name) = self.conns.get(&conn)
            && let Some(link) = self.links.get_mut(name)
        {
            link.sent(now, conn, n);
            if link.has_output() {
                self.told.insert(name.clone());
            }
        }
    }

    /// Sends a frame that arrives once and in order, unless the link starts over ([`Link::send`]).
    pub fn send(&mut self, now: Mono, peer: &NodeName, kind: Kind, body: &[u8]) -> Result<(), NotSent> {
        let link = self.links.get_mut(peer).ok_or(NotSent::NotBegun)?;
        let before = (link.has_output(), link.is_dirty());
        let sent = link.send(now, kind, body);
        // What it was marked for before it still is.
        if before != (link.has_output(), link.is_dirty()) {
            self.mark(peer);
        }
        sent
    }

    /// Sends a datagram if there is a connection with room for it ([`Link::send_datagram`]).
    pub fn send_datagram(&mut self, peer: &NodeName, kind: Kind, body: &[u8]) -> bool {
        let sent = self.links.get_mut(peer).is_some_and(|link| link.send_datagram(kind, body));
        self.mark(peer);
        sent
    }

    /// The link with a node, if there is one: for its state, and for whether it can send.
    pub fn get(&self, peer: &NodeName) -> Option<&Link> {
        self.links.get(peer)
    }

    /// All links, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeName, &Link)> {
        self.links.iter()
    }

    /// This node begins another life, because a peer remembers a later one than its own ([`Refusal::Stale`]). A life does
    /// not change its number in the middle: all connections are closed, nothing that was to be sent is, and links begin
    /// anew. Nothing more is told of the life before.
    pub fn begin_life(&mut self, now: Mono, incarnation: Incarnation, boot: BootId) {
        self.me.identity.incarnation = incarnation;
        self.me.identity.boot = boot;
        let greetings: Vec<LinkConn> = self.greetings.keys().copied().collect();
        for conn in greetings {
            let greeting = &self.greetings[&conn];
            let meant = greeting.meant.clone().filter(|_| greeting.ending.is_none());
            self.close_greeting(conn);
            if let Some((peer, _)) = meant {
                self.dial_failed(now, &peer);
            }
        }
        for link in self.links.values_mut() {
            link.begin_anew(now);
        }
        let names: Vec<NodeName> = self.links.keys().cloned().collect();
        for name in names {
            self.link_input(now, &name, LinkInput::Timer);
        }
    }

    fn on_want(&mut self, now: Mono, peer: Peer, addresses: &[SocketAddr]) {
        if addresses.is_empty() {
            return;
        }
        self.dials.want(now, peer.clone(), addresses);
        if let Peer::Named(name) = peer
            && name != self.me.identity.name
        {
            self.open(now, &name);
            self.link_input(now, &name, LinkInput::Wanted(true));
        }
    }

    fn greet(
        &mut self,
        now: Mono,
        conn: LinkConn,
        side: Side,
        channel: Channel,
        meant: Option<(Peer, SocketAddr)>,
    ) {
        let timeout = self.limits.greeting_timeout;
        let mut handshake = Handshake::new(now, self.me.clone(), side, channel, timeout);
        if meant.is_none() && self.greetings.len() >= self.limits.greetings_max {
            handshake.refuse(Refusal::Busy);
        }
        self.greetings.insert(conn, Greeting { handshake, meant, ending: None, dirty: true });
        self.look_at_greeting(now, conn);
    }

    fn on_received(&mut self, now: Mono, conn: LinkConn, bytes: &[u8]) {
        if let Some(greeting) = self.greetings.get_mut(&conn) {
            greeting.handshake.handle(now, HandshakeInput::Received(bytes));
            self.look_at_greeting(now, conn);
        } else if let Some(name) = self.conns.get(&conn).cloned() {
            self.link_input(now, &name, LinkInput::Received { conn, bytes });
        }
    }

    fn on_unbelieved(
        &mut self,
        now: Mono,
        meant: Option<Peer>,
        address: SocketAddr,
        fault: CertificateFault,
    ) {
        if let Some(peer) = &meant {
            self.dial_failed(now, peer);
        }
        self.outputs.push_back(LinksOutput::Unbelieved { meant, address, fault });
    }

    /// `end`: what the greeting is told, if there is one.
    fn on_closed(&mut self, now: Mono, conn: LinkConn, end: HandshakeInput<'_>) {
        if let Some(greeting) = self.greetings.get_mut(&conn) {
            greeting.handshake.handle(now, end);
            self.look_at_greeting(now, conn);
            self.close_greeting(conn);
        } else if let Some(name) = self.conns.remove(&conn) {
            self.link_input(now, &name, LinkInput::Closed(conn));
        }
    }

    /// A greeting may be over.
    fn look_at_greeting(&mut self, now: Mono, conn: LinkConn) {
        let Some(greeting) = self.greetings.get_mut(&conn) else { return };
        greeting.dirty = true;
        match greeting.handshake.poll_output() {
            None => {}
            Some(Ok(greeted)) => {
                let greeting = self.greetings.remove(&conn).expect("it was just seen");
                self.on_greeted(now, conn, greeting, greeted);
            }
            Some(Err(error)) => {
                greeting.ending = Some(now + self.limits.farewell_timeout);
                let (meant, claimed) = (greeting.meant.clone(), greeting.handshake.claimed().cloned());
                let nothing_to_say = greeting.handshake.outgoing().is_empty();
                if let Some((peer, address)) = &meant {
                    let itself = HandshakeError::Refused(Refusal::Itself);
                    if error == itself || error == HandshakeError::RefusedUs(Refusal::Itself) {
                        let name = self.me.identity.name.clone();
                        self.outputs.push_back(LinksOutput::Met { address: *address, name });
                    }
                    self.dial_failed(now, peer);
                }
                let meant = meant.map(|(peer, _)| peer);
                self.outputs.push_back(LinksOutput::Unfit { meant, claimed, error });
                if nothing_to_say {
                    self.close_greeting(conn);
                }
            }
        }
    }

    fn on_greeted(&mut self, now: Mono, conn: LinkConn, greeting: Greeting, greeted: Greeted) {
        let (unsent, rest) = greeting.handshake.into_parts();
        let name = greeted.peer.name.clone();
        let mut asked = false;
        if let Some((peer, address)) = greeting.meant {
            asked = matches!(peer, Peer::Named(_));
            self.dials.ended(now, address, true, &self.limits, &mut self.rng);
            self.outputs.push_back(LinksOutput::Met { address, name: name.clone() });
        }
        self.open(now, &name);
        self.conns.insert(conn, name.clone());
        self.link_input(now, &name, LinkInput::Greeted { conn, asked, greeted, unsent, rest });
    }

    fn close_greeting(&mut self, conn: LinkConn) {
        if self.greetings.remove(&conn).is_some() {
            self.outputs.push_back(LinksOutput::Close(conn));
        }
    }

    fn dial_failed(&mut self, now: Mono, peer: &Peer) {
        match peer {
            Peer::Named(name) => self.link_input(now, name, LinkInput::DialFailed),
            Peer::Address(address) => {
                self.dials.ended(now, *address, false, &self.limits, &mut self.rng);
            }
        }
    }

    fn on_leave(&mut self, now: Mono) {
        self.leaving = true;
        let names: Vec<NodeName> = self.links.keys().cloned().collect();
        for name in names {
            self.link_input(now, &name, LinkInput::Leave);
        }
    }

    fn on_time(&mut self, now: Mono) {
        let dialling = !self.leaving;
        while let Some(address) = dialling.then(|| self.dials.poll_due(now)).flatten() {
            self.outputs.push_back(LinksOutput::Dial { peer: Peer::Address(address), address });
        }
        let late: Vec<LinkConn> = (self.greetings.iter())
            .filter(|(_, g)| {
                g.ending.or_else(|| g.handshake.poll_timeout().map(|(at, _)| at)).is_some_and(|at| now >= at)
            })
            .map(|(conn, _)| *conn)
            .collect();
        for conn in late {
            let greeting = self.greetings.get_mut(&conn).expect("it was just seen");
            if greeting.ending.is_some() {
                self.close_greeting(conn);
            } else {
                greeting.handshake.handle(now, HandshakeInput::Timer);
                self.look_at_greeting(now, conn);
            }
        }
        let due = |link: &Link| link.poll_timeout().is_some_and(|(at, _)| now >= at);
        let names: Vec<NodeName> =
            self.links.iter().filter(|(_, link)| due(link)).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.link_input(now, &name, LinkInput::Timer);
        }
    }

    /// Makes the link with a node, if there is none.
    fn open(&mut self, now: Mono, name: &NodeName) {
        if self.links.contains_key(name) {
            return;
        }
        if self.links.len() >= LINKS_KEPT_MAX {
            let idle = self.links.iter().filter(|(_, link)| link.is_idle());
            let oldest = idle.min_by_key(|(_, link)| link.state().since).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.links.remove(&oldest);
                self.told.remove(&oldest);
                self.dirty.remove(&oldest);
            }
        }
        let own = self.me.identity.name.clone();
        let mut link = Link::new(now, own, name.clone(), self.limits, self.rng.fork());
        if self.leaving {
            link.handle(now, LinkInput::Leave);
        }
        self.links.insert(name.clone(), link);
        self.mark(name);
    }

    fn link_input(&mut self, now: Mono, name: &NodeName, input: LinkInput<'_>) {
        if let Some(link) = self.links.get_mut(name) {
            link.handle(now, input);
            self.mark(name);
        }
    }

    /// This link may have something to tell, or to send.
    fn mark(&mut self, name: &NodeName) {
        let Some(link) = self.links.get(name) else { return };
        if link.has_output() && !self.told.contains(name) {
            self.told.insert(name.clone());
        }
        if link.is_dirty() && !self.dirty.contains(name) {
            self.dirty.insert(name.clone());
        }
    }
}
