//! One pair of nodes: which connection is in use, and what goes over it.

use std::collections::VecDeque;

use super::backoff::Backoff;
use super::conn::{Conn, LinkConn, Stage};
use super::stream::Stream;
use crate::base::limits::{LINK_FRAME_BYTES_MAX, LinkLimits};
use crate::base::{Mono, Rng, Span};
use crate::cluster::handshake::Greeted;
use crate::cluster::identity::{Identity, NodeName};
use crate::cluster::wire::{Bye, Control, FRAME_HEAD_BYTES_MAX, Kind, Refusal, WireFault};

mod close;
mod frames;

/// Connections that may wait for a join besides the one in use; beyond it the oldest goes.
const WAITING_MAX: usize = 4;
/// Bytes for which room is kept once all frames have been looked at.
const ROOM_KEPT: usize = 128 * 1024;

/// Something that happened to a link.
#[derive(Debug)]
pub enum LinkInput<'a> {
    /// Whether this node is to dial when there is no connection. A connection that stands goes on either way.
    Wanted(bool),
    /// The attempt asked for by [`LinkOutput::Dial`] came to nothing, or to another node.
    DialFailed,
    /// A connection whose greeting is over: with what was not sent, and what was received beyond.
    Greeted {
        /// The connection.
        conn: LinkConn,
        /// It is the answer to [`LinkOutput::Dial`].
        asked: bool,
        /// With whom.
        greeted: Greeted,
        /// Bytes of the greeting that have to be sent first.
        unsent: Vec<u8>,
        /// Bytes that were received behind the greeting.
        rest: Vec<u8>,
    },
    /// Bytes that arrived.
    Received {
        /// Over which connection. One that was closed is no error.
        conn: LinkConn,
        /// Any part of what the other node sends.
        bytes: &'a [u8],
    },
    /// No more bytes will arrive over this connection, and none can be sent.
    Closed(LinkConn),
    /// The other node counts as down: what was to be sent to it is given up, and should it come back, both start over.
    GiveUp,
    /// The connection in use, or about to be, ends with this last word, and another is made. Frames that wait go on waiting.
    Part(Bye),
    /// Send what there is, then part.
    Leave,
    /// Time has passed.
    Timer,
}

/// What a link wants, or has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkOutput<'a> {
    /// Dial the other node. Answered by [`LinkInput::Greeted`] or [`LinkInput::DialFailed`], in bounded time.
    Dial,
    /// Close this connection; it is not mentioned any more.
    Close(LinkConn),
    /// Both nodes start over: nothing that was sent before arrives any more, in either direction. What has no result is to
    /// be decided again, what is known of the other node's sessions is void until it says it anew, and this node has to
    /// say its own anew.
    Fresh {
        /// Who it is.
        peer: Identity,
        /// The protocol version until they start over again: a process does not change what it speaks.
        version: u16,
    },
    /// There is a connection. Said again if another takes over.
    Up {
        /// The protocol version from here on: what is written from now on is written at it.
        version: u16,
    },
    /// There is none any more. Numbered frames may be sent all the same: they wait.
    Down(Parting),
    /// A frame of the other node.
    Frame {
        /// Its kind.
        kind: Kind,
        /// What it says.
        body: &'a [u8],
    },
    /// More than half of what may be kept is kept (hold back), or little again (go on).
    Congested(bool),
    /// What was to be sent has been given up: too much was kept. [`LinkOutput::Fresh`] will follow; until then nothing can be
    /// sent.
    GaveUp,
    /// A node of the same name was refused by this one.
    Refused {
        /// Who it says it is.
        peer: Identity,
        /// Why.
        refusal: Refusal,
    },
    /// The other node refuses this one.
    RefusedUs(Refusal),
    /// After [`LinkInput::Leave`]: the other node has everything, and the connection closes.
    Left,
}

/// Why a connection is not in use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Parting {
    /// It ended, without a word.
    #[error("the connection ended")]
    Closed,
    /// Nothing was heard, or no answer came, for too long.
    #[error("the other node is silent")]
    Silent,
    /// The other node does not keep to the protocol.
    #[error("the other node breaks the protocol: {0}")]
    Fault(WireFault),
    /// The other node said why.
    #[error("the other node parts: {0}")]
    Bye(Bye),
    /// This node started over, or left.
    #[error("this node parts")]
    Ours,
}

/// Why a frame is not sent. Nothing has changed, but for [`NotSent::Full`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// It is larger than any frame may be: the caller's fault.
    #[error("the frame is larger than any may be")]
    TooLarge,
    /// The link has not begun, or has to start over first.
    #[error("the link has not begun")]
    NotBegun,
    /// This node said that it leaves.
    #[error("this node leaves")]
    Leaving,
    /// Too much is kept: everything has been given up ([`LinkOutput::GaveUp`]).
    #[error("too much is kept for the other node")]
    Full,
    /// The agreed version does not have frames of this kind: the caller's fault.
    #[error("the other node does not know frames of this kind")]
    Newer,
}

/// What an operator wants to know of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkState {
    /// There is a connection.
    pub connected: bool,
    /// Since when there is one, or there is none.
    pub since: Mono,
    /// The protocol version of the last connection.
    pub version: u16,
    /// How long the last ping took.
    pub delay: Option<Span>,
    /// Bytes kept for the other node.
    pub kept_bytes: usize,
}

#[derive(Debug)]
enum Event {
    Told(LinkOutput<'static>),
    /// A frame whose body lies here.
    Frame {
        kind: Kind,
        start: usize,
        end: usize,
    },
}

/// The link with one other node. See the [module](super).
#[derive(Debug)]
pub struct Link {
    own: NodeName,
    peer_name: NodeName,
    limits: LinkLimits,
    rng: Rng,
    /// The life of the other node that `stream` is with.
    peer: Option<Identity>,
    stream: Stream,
    conns: Vec<Conn>,
    /// Joins sent to that life, and the latest of its own.
    turn: u64,
    turn_seen: u64,
    wanted: bool,
    dialling: bool,
    dial_at: Option<Mono>,
    backoff: Backoff,
    congested: bool,
    leaving: bool,
    left: bool,
    state: LinkState,
    arrived: Vec<u8>,
    events: VecDeque<Event>,
    /// See [`LinkLimits::drops_on_rejoin`].
    #[cfg(feature = "sim")]
    drops_next: bool,
}

impl Link {
    /// The link from the node `own` to the node `peer`, without a connection.
    pub fn new(now: Mono, own: NodeName, peer: NodeName, limits: LinkLimits, rng: Rng) -> Link {
        assert_ne!(own, peer, "a node has no link with itself");
        Link {
            own,
            peer_name: peer,
            limits,
            rng,
            peer: None,
            stream: Stream::new(),
            conns: Vec::new(),
            turn: 0,
            turn_seen: 0,
            wanted: false,
            dialling: false,
            dial_at: None,
            backoff: Backoff::default(),
            congested: false,
            leaving: false,
            left: false,
            state: LinkState { connected: false, since: now, version: 0, delay: None, kept_bytes: 0 },
            arrived: Vec::new(),
            events: VecDeque::new(),
            #[cfg(feature = "sim")]
            drops_next: false,
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Mono, input: LinkInput<'_>) {
        self.pardon_if_late(now);
        match input {
            LinkInput::Wanted(wanted) => {
                if wanted != self.wanted {
                    self.dial_at = None;
                }
                self.wanted = wanted;
                if !wanted {
                    self.take_back_dial();
                }
            }
            LinkInput::DialFailed => {
                self.dialling = false;
                self.dial_later(now);
            }
            LinkInput::Greeted { conn, asked, greeted, unsent, rest } => {
                self.dialling &= !asked;
                self.on_greeted(now, conn, greeted, unsent);
                self.on_received(now, conn, &rest);
            }
            LinkInput::Received { conn, bytes } => self.on_received(now, conn, bytes),
            LinkInput::Closed(conn) => self.on_closed(now, conn, Parting::Closed),
            LinkInput::GiveUp => self.start_over(now),
            LinkInput::Part(bye) => self.part(now, bye),
            LinkInput::Leave => self.leaving = true,
            LinkInput::Timer => {}
        }
        self.on_time(now);
        self.leave_if_done(now);
    }

    /// What is wanted or told next. Frames borrow from the link; when this returns `None` their room is used again.
    pub fn poll_output(&mut self) -> Option<LinkOutput<'_>> {
        match self.events.pop_front() {
            Some(Event::Told(told)) => Some(told),
            Some(Event::Frame { kind, start, end }) => {
                Some(LinkOutput::Frame { kind, body: &self.arrived[start..end] })
            }
            None => {
                self.arrived.clear();
                if self.arrived.capacity() > ROOM_KEPT {
                    self.arrived = Vec::new();
                }
                None
            }
        }
    }

    /// The next output, if it is a frame of such a kind.
    pub(super) fn poll_frame(&mut self, is_such: fn(Kind) -> bool) -> Option<(Kind, &[u8])> {
        let is_next = |event: &mut Event| matches!(event, Event::Frame { kind, .. } if is_such(*kind));
        match self.events.pop_front_if(is_next)? {
            Event::Frame { kind, start, end } => Some((kind, &self.arrived[start..end])),
            Event::Told(_) => unreachable!("what is told is no frame"),
        }
    }

    /// Whether [`Link::poll_output`] has something.
    pub fn has_output(&self) -> bool {
        !self.events.is_empty()
    }

    /// When to call [`Link::handle`] again at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let dial = self.dial_due().map(|at| (at, "a node is to be dialled"));
        self.conns.iter().map(|c| c.deadline(&self.limits)).chain(dial).min_by_key(|(at, _)| *at)
    }

    /// Whether [`Link::poll_dirty`] has something.
    pub fn is_dirty(&self) -> bool {
        self.conns.iter().any(|c| c.dirty)
    }

    /// The next connection that has something to send; each once, until more is to be sent.
    pub fn poll_dirty(&mut self) -> Option<LinkConn> {
        let conn = self.conns.iter_mut().find(|c| c.dirty)?;
        conn.dirty = false;
        conn.waits_since = None;
        Some(conn.id)
    }

    /// Bytes to send over a connection, from the first, as slices; how many. None if it is gone.
    pub fn outgoing<'a>(&'a self, conn: LinkConn, out: &mut [&'a [u8]]) -> usize {
        let Some(conn) = self.conns.iter().find(|c| c.id == conn) else { return 0 };
        let numbered = conn.stage == Stage::Joined;
        let begun = if numbered { self.stream.out.rest_of_begun() } else { 0 };
        let mut n = self.stream.out.slices(0, begun, out);
        if n < out.len() && !conn.control().is_empty() {
            out[n] = conn.control();
            n += 1;
        }
        if numbered {
            n += self.stream.out.slices(begun, self.stream.out.unsent() - begun, &mut out[n..]);
        }
        n
    }

    /// The first `n` bytes of what [`Link::outgoing`] gave have been sent. Nothing else may have been called in between.
    pub fn sent(&mut self, now: Mono, conn: LinkConn, n: usize) {
        let Some(i) = self.index(conn) else { return };
        let conn = &mut self.conns[i];
        let numbered = conn.stage == Stage::Joined;
        let begun = if numbered { self.stream.out.rest_of_begun().min(n) } else { 0 };
        self.stream.out.sent(begun);
        let control = conn.control().len().min(n - begun);
        conn.control_sent(control);
        if numbered {
            self.stream.out.sent(n - begun - control);
        }
        if matches!(conn.stage, Stage::Ending(_)) && conn.control().is_empty() {
            self.end_now(i);
        }
        self.leave_if_done(now);
    }

    /// Whether a frame can be sent now; the error says why not.
    pub fn can_send(&self) -> Result<(), NotSent> {
        if self.leaving {
            Err(NotSent::Leaving)
        } else if self.stream.intact {
            Ok(())
        } else {
            Err(NotSent::NotBegun)
        }
    }

    /// Sends a frame that arrives once and in order, unless the link starts over. It goes at once, or, if its kind
    /// [can wait](Kind::can_wait), with the next that does, and within [`LinkLimits::linger`].
    ///
    /// # Panics
    /// If its kind is not numbered.
    pub fn send(&mut self, now: Mono, kind: Kind, body: &[u8]) -> Result<(), NotSent> {
        assert!(kind.is_numbered(), "{kind:?} is sent as a datagram");
        if body.len() + FRAME_HEAD_BYTES_MAX > LINK_FRAME_BYTES_MAX {
            return Err(NotSent::TooLarge);
        }
        self.can_send()?;
        if kind.since() > self.state.version {
            return Err(NotSent::Newer);
        }
        if self.stream.out.len() + body.len() + FRAME_HEAD_BYTES_MAX > self.limits.resend_bytes_max {
            self.start_over(now);
            return Err(NotSent::Full);
        }
        self.stream.out.push(kind, body);
        if !self.congested && self.stream.out.len() > self.limits.resend_bytes_max / 2 {
            self.congested = true;
            self.tell(LinkOutput::Congested(true));
        }
        let may_wait = kind.can_wait() && self.stream.out.unsent() < self.limits.linger_bytes;
        if let Some(conn) = self.joined_mut() {
            if !may_wait {
                conn.dirty = true;
            } else if !conn.dirty {
                conn.waits_since.get_or_insert(now);
            }
        }
        Ok(())
    }

    /// Sends a datagram if there is a connection with room for it. Nobody is told whether it arrives.
    ///
    /// # Panics
    /// If its kind is numbered, or the link's own, or the frame is larger than any may be.
    pub fn send_datagram(&mut self, kind: Kind, body: &[u8]) -> bool {
        assert!(!kind.is_numbered() && !kind.is_control(), "{kind:?} is no datagram");
        let room = self.limits.control_bytes_max;
        let conn = self.joined_mut().filter(|c| c.control().len() + body.len() <= room);
        conn.map(|conn| {
            conn.say_raw(kind, body);
            conn.dirty = true;
        })
        .is_some()
    }

    /// The life of the other node that the link is with, once one was met.
    pub fn peer(&self) -> Option<&Identity> {
        self.peer.as_ref()
    }

    /// How it is.
    pub fn state(&self) -> LinkState {
        LinkState { kept_bytes: self.stream.out.len(), ..self.state }
    }

    /// Whether nothing is left of it: no connection, and none wanted.
    pub fn is_idle(&self) -> bool {
        self.conns.is_empty() && !self.wanted && !self.dialling && self.events.is_empty()
    }

    /// Whether it has said all that it had to say, after [`LinkInput::Leave`], and no connection is left.
    pub fn has_parted(&self) -> bool {
        self.left && self.conns.is_empty()
    }

    /// The next output, if it is for the driver: whom to dial, what to close.
    pub(super) fn poll_request(&mut self) -> Option<LinkOutput<'static>> {
        let is_request =
            |event: &mut Event| matches!(event, Event::Told(LinkOutput::Dial | LinkOutput::Close(_)));
        match self.events.pop_front_if(is_request)? {
            Event::Told(told) => Some(told),
            Event::Frame { .. } => unreachable!("a frame is no request"),
        }
    }

    fn tell(&mut self, told: LinkOutput<'static>) {
        self.events.push_back(Event::Told(told));
    }

    fn index(&self, conn: LinkConn) -> Option<usize> {
        self.conns.iter().position(|c| c.id == conn)
    }

    fn joined_mut(&mut self) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|c| c.stage == Stage::Joined)
    }

    /// A dial that nobody was asked for yet is not asked for.
    fn take_back_dial(&mut self) {
        let before = self.events.len();
        self.events.retain(|event| !matches!(event, Event::Told(LinkOutput::Dial)));
        self.dialling &= self.events.len() == before;
    }

    fn dial_due(&self) -> Option<Mono> {
        let used = self.conns.iter().any(|c| matches!(c.stage, Stage::Joined | Stage::Asked(_)));
        if !self.wanted || self.dialling || used || self.left {
            return None;
        }
        Some(self.dial_at.unwrap_or(Mono(0)))
    }

    fn dial_later(&mut self, now: Mono) {
        let mut wait = self.backoff.next(&self.limits, &mut self.rng);
        // Both nodes notice a cut at the same time. The one whose connection would win goes first.
        if self.own > self.peer_name {
            wait = Span(wait.0 + self.limits.dial_wait_min.0);
        }
        self.dial_at = Some(now + wait);
    }

    fn on_time(&mut self, now: Mono) {
        if self.dial_due().is_some_and(|at| now >= at) {
            self.dialling = true;
            self.tell(LinkOutput::Dial);
        }
        let due: Vec<LinkConn> =
            (self.conns.iter()).filter(|c| now >= c.deadline(&self.limits).0).map(|c| c.id).collect();
        for conn in due {
            self.on_deadline(now, conn);
        }
    }

    fn on_deadline(&mut self, now: Mono, conn: LinkConn) {
        let Some(i) = self.index(conn) else { return };
        match self.conns[i].stage {
            Stage::Ending(_) => self.end_now(i),
            Stage::Waiting => self.end(now, i, Bye::Silent),
            Stage::Asked(_) => {
                self.end(now, i, Bye::Silent);
                self.dial_later(now);
            }
            Stage::Joined if now >= self.conns[i].broken_at(&self.limits) => {
                self.lose(now, i, Parting::Silent, Some(Bye::Silent));
            }
            Stage::Joined => {
                if self.conns[i].receipt_since.is_some_and(|since| now >= since + self.limits.receipt_after) {
                    self.write_receipt(i);
                }
                self.conns[i].ping(now, &self.limits, false);
                let is_due = |since: Mono| now >= since + self.limits.linger;
                self.conns[i].dirty |=
                    !self.conns[i].control().is_empty() || self.conns[i].waits_since.is_some_and(is_due);
            }
        }
    }

    /// A turn that comes far too late: whatever the other nodes said meanwhile waits to be read.
    fn pardon_if_late(&mut self, now: Mono) {
        let due = self.conns.iter().map(|c| c.deadline(&self.limits).0).min();
        if due.is_some_and(|due| now.since(due) > self.limits.missed_turn_min) {
            self.conns.iter_mut().for_each(|c| c.pardon(now));
        }
    }

    /// A node that is who it says it is.
    fn on_greeted(&mut self, now: Mono, id: LinkConn, greeted: Greeted, unsent: Vec<u8>) {
        assert_eq!(greeted.peer.name, self.peer_name, "a connection was given to the link of another node");
        let judged = self.judge(now, &greeted.peer);
        self.conns.push(Conn::new(now, id, greeted.version, unsent));
        let i = self.conns.len() - 1;
        self.conns[i].dirty = !self.conns[i].control().is_empty();
        if let Err(refusal) = judged {
            self.tell(LinkOutput::Refused { peer: greeted.peer, refusal });
            self.end(now, i, Bye::Refused(refusal));
            if greeted.dialled {
                self.dial_later(now);
            }
            return;
        }
        self.meet(now, greeted.peer);
        let i = self.index(id).expect("the connection was just added");
        let used = self.conns.iter().any(|c| matches!(c.stage, Stage::Joined | Stage::Asked(_)));
        if self.left {
            self.end(now, i, Bye::Leaving);
        } else if !greeted.dialled {
            self.limit_waiting(now);
        } else if used {
            self.end(now, i, Bye::Duplicate);
        } else {
            let join = self.next_join();
            self.conns[i].enter(now, Stage::Asked(join), &self.limits);
            self.conns[i].say(Control::Join(join));
            self.conns[i].dirty = true;
        }
    }

    /// Whether this life of the other node may be the one to be linked with.
    fn judge(&mut self, now: Mono, peer: &Identity) -> Result<(), Refusal> {
        let Some(known) = self.peer.clone() else { return Ok(()) };
        if known.boot == peer.boot {
            return Ok(());
        }
        let limits = self.limits;
        // If the old life does not answer, its connection is gone soon, and the new one is welcome.
        if let Some(conn) = self.joined_mut() {
            conn.ping(now, &limits, true);
            conn.dirty = true;
            if conn.is_lively(now, &limits) {
                return Err(Refusal::NameTaken(known.incarnation));
            }
        }
        if peer.incarnation <= known.incarnation { Err(Refusal::Stale(known.incarnation)) } else { Ok(()) }
    }

    /// The link is with this life of the other node from here on.
    fn meet(&mut self, now: Mono, peer: Identity) {
        if self.peer.as_ref().is_some_and(|known| known.boot != peer.boot) {
            let others: Vec<LinkConn> = self.conns.iter().rev().skip(1).map(|c| c.id).collect();
            for other in others {
                self.on_closed(now, other, Parting::Closed);
                self.tell(LinkOutput::Close(other));
            }
            self.stream = Stream::new();
            self.turn_seen = 0;
            self.uncongest();
        }
        self.peer = Some(peer);
    }

    fn limit_waiting(&mut self, now: Mono) {
        let waiting = self.conns.iter().filter(|c| c.stage == Stage::Waiting);
        if waiting.clone().count() > WAITING_MAX {
            let oldest = waiting.min_by_key(|c| (c.since, c.id)).map(|c| c.id);
            let i = oldest.and_then(|id| self.index(id)).expect("one of several is the oldest");
            self.end(now, i, Bye::Duplicate);
        }
    }
}
