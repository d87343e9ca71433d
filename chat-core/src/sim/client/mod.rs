//! A client: a small but whole XMPP client that keeps count of what it sends and gets.
//!
//! Owns: the client's side of a stream, of a session and of stream management, and its habits.
//! In: bytes, the end of its connection, and occasions to act. Out: bytes in `out`, and wishes about its connection.
//! Not here: what becomes of its connection (`sim/network.rs`), what is held against the server (`sim/check.rs`).

mod act;
mod login;
mod receive;

use std::collections::{BTreeMap, VecDeque};

use super::auth;
use super::ledger::{Ledger, Tag};
use super::plan::{ClientPlan, Plan};
use crate::base::{ConnId, Mono, Rng, Span};
use crate::sasl::client::ScramClient;
use crate::xml::escape::escape_attr;
use crate::xml::{Element, FrameKind, Framer, Step, StreamNs};

/// How far a client has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No connection.
    Away,
    /// Waits for the features of the first stream, or of the one inside TLS.
    First,
    /// Waits for `<proceed/>`.
    Tls,
    /// Waits for the handshake.
    Handshake,
    /// Waits for a SASL element.
    Sasl,
    /// Waits for the features of the stream after SASL.
    Second,
    /// Waits for `<resumed/>`.
    Resuming,
    /// Waits for its resource.
    Binding,
    /// Has a session.
    Active,
    /// Has closed its stream.
    Closing,
}

/// The status of presence for somebody, rather than for all who may see it.
pub(super) const DIRECTED: u32 = 1;

/// Stream management, the client's half (XEP-0198).
#[derive(Debug, Default)]
pub(super) struct Managed {
    /// Empty if the session cannot be resumed.
    pub(super) id: String,
    /// `<enabled/>` has come.
    pub(super) on: bool,
    /// Stanzas sent since `<enable/>`.
    pub(super) sent: u32,
    /// Of these, acknowledged.
    pub(super) acked: u32,
    /// The others.
    pub(super) unacked: VecDeque<(Option<Tag>, Vec<u8>, Mono)>,
    /// Stanzas received since `<enabled/>`.
    pub(super) got: u32,
    /// Messages among them that the server has not been told of.
    pub(super) loose: Vec<(Tag, usize)>,
}

/// What a client may use.
pub(super) struct Hands<'a> {
    pub(super) now: Mono,
    pub(super) rng: &'a mut Rng,
    pub(super) ledger: &'a mut Ledger,
    pub(super) plan: &'a Plan,
    /// The full JIDs of all clients as far as they have one, and their users.
    pub(super) people: &'a [(usize, String)],
    /// Everything is to become well.
    pub(super) healing: bool,
}

/// A client.
pub(super) struct Client {
    pub(super) number: usize,
    pub(super) plan: ClientPlan,
    pub(super) conn: Option<ConnId>,
    /// Where it was last.
    pub(super) server: Option<usize>,
    /// The node and its life that has its session.
    pub(super) place: (usize, u32),
    /// Names that others took from it.
    taken: u32,
    /// Connections made.
    pub(super) epoch: u64,
    pub(super) stage: Stage,
    framer: Framer,
    pub(super) inbox: Vec<u8>,
    /// Bytes to send.
    pub(super) out: Vec<u8>,
    /// The connection is to be closed, after what is to be sent.
    pub(super) hang_up: bool,
    secured: bool,
    scram: Option<ScramClient>,
    /// The full JID of the session.
    pub(super) jid: String,
    /// Sessions had.
    pub(super) session: u32,
    pub(super) managed: Option<Managed>,
    /// Messages of a session that is over, of which nobody knows what became.
    again: Vec<(Tag, String)>,
    /// What it knows of others: their status by full JID.
    pub(super) view: BTreeMap<String, u32>,
    /// It has said in this session that nobody looks at it (XEP-0352).
    inactive: bool,
    /// What it told others.
    pub(super) status: Option<u32>,
    statuses: u32,
    pub(super) heard: Mono,
    pub(super) probed: Option<Mono>,
    /// When it connected.
    pub(super) since: Mono,
    /// The node drained that had its session, and it was not resumed since.
    pub(super) is_drained: bool,
    /// It wants a connection.
    pub(super) wanted: bool,
    /// It asks for an acknowledgement of everything.
    eager: bool,
    /// It is being wrong on purpose in this connection.
    naughty: bool,
}

impl Client {
    pub(super) fn new(number: usize, plan: ClientPlan) -> Self {
        let jid = format!("{}/{}", auth::bare(plan.user), plan.resource.as_deref().unwrap_or("nowhere"));
        Client {
            number,
            plan,
            conn: None,
            server: None,
            place: (0, 0),
            taken: 0,
            epoch: 0,
            stage: Stage::Away,
            framer: Framer::default(),
            inbox: Vec::new(),
            out: Vec::new(),
            hang_up: false,
            secured: false,
            scram: None,
            jid,
            session: 0,
            managed: None,
            again: Vec::new(),
            view: BTreeMap::new(),
            inactive: false,
            status: None,
            statuses: 0,
            heard: Mono(0),
            probed: None,
            since: Mono(0),
            is_drained: false,
            wanted: true,
            eager: false,
            naughty: false,
        }
    }

    /// Whether it has a session on a live stream.
    pub(super) fn is_active(&self) -> bool {
        self.stage == Stage::Active
    }

    /// Whether what the server writes to it has to be acknowledged.
    pub(super) fn is_managed(&self) -> bool {
        self.managed.as_ref().is_some_and(|m| m.on)
    }

    /// By what it can resume its session, if it can.
    pub(super) fn resumable(&self) -> Option<&str> {
        self.managed.as_ref().map(|managed| managed.id.as_str()).filter(|id| !id.is_empty())
    }

    /// The connection is there.
    pub(super) fn on_connected(&mut self, conn: ConnId, hands: &mut Hands<'_>) {
        self.conn = Some(conn);
        self.eager = hands.plan.is_faultless();
        self.epoch += 1;
        self.out.clear();
        self.hang_up = false;
        self.secured = false;
        self.probed = None;
        (self.since, self.heard) = (hands.now, hands.now);
        self.naughty = !hands.healing && !self.eager && hands.rng.below(60) == 0;
        self.open(Stage::First);
    }

    /// The connection is gone.
    pub(super) fn on_closed(&mut self, hands: &mut Hands<'_>) {
        self.conn = None;
        self.stage = Stage::Away;
        self.inbox.clear();
        self.out.clear();
        self.hang_up = false;
        if self.managed.as_ref().is_some_and(|m| m.id.is_empty()) || self.managed.is_none() {
            self.end_session(None, hands);
        }
    }

    /// The client dies and forgets everything; its connection is closed next.
    pub(super) fn on_crash_state(&mut self, hands: &mut Hands<'_>) {
        if let Some(managed) = self.managed.take() {
            for receipt in managed.loose {
                hands.ledger.void(receipt);
            }
        }
        self.again.clear();
        self.view.clear();
        self.status = None;
        self.is_drained = false;
    }

    /// The session is over. `h` says how much the server had, if it is known.
    fn end_session(&mut self, h: Option<u32>, hands: &mut Hands<'_>) {
        self.session += 1;
        self.inactive = false;
        self.status = None;
        hands.ledger.drains.ended += u64::from(std::mem::take(&mut self.is_drained));
        self.view.clear();
        let Some(mut managed) = self.managed.take() else { return };
        if let Some(h) = h {
            self.take_ack(&mut managed, h, false, hands);
        }
        for (tag, bytes, _) in managed.unacked {
            if let Some(tag) = tag {
                self.again.push((tag, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        for receipt in managed.loose {
            // It has shown them to its user; that the server does not know is no reason to forget.
            hands.ledger.void(receipt);
        }
    }

    /// Bytes arrive.
    pub(super) fn on_bytes(&mut self, bytes: &[u8], hands: &mut Hands<'_>) {
        self.heard = hands.now;
        self.probed = None;
        let mut rest = bytes;
        while !rest.is_empty() && self.stage != Stage::Away {
            match self.framer.push(rest) {
                Err(fault) => {
                    return hands.ledger.fail(format!("client {} cannot read: {fault}", self.number));
                }
                Ok(Step::Need) => {
                    self.inbox.extend_from_slice(rest);
                    return;
                }
                Ok(Step::Frame { kind, end }) => {
                    let mut frame = std::mem::take(&mut self.inbox);
                    frame.extend_from_slice(&rest[..end]);
                    rest = &rest[end..];
                    self.on_frame(kind, &frame, hands);
                }
            }
        }
    }

    fn on_frame(&mut self, kind: FrameKind, frame: &[u8], hands: &mut Hands<'_>) {
        match kind {
            FrameKind::Space | FrameKind::Header => {}
            FrameKind::End => {
                if self.stage != Stage::Closing {
                    self.out.extend_from_slice(b"</stream:stream>");
                }
                self.hang_up = true;
            }
            FrameKind::Element => match Element::parse(frame, &StreamNs::client()) {
                Ok(element) => self.on_element(&element, hands),
                Err(fault) => {
                    let text = String::from_utf8_lossy(frame).into_owned();
                    hands.ledger.fail(format!("client {} got {text}: {fault}", self.number));
                }
            },
        }
    }

    fn on_element(&mut self, element: &Element, hands: &mut Hands<'_>) {
        if element.is("error", crate::stanza::ns::STREAM) {
            // The session is over for the server; whatever it did not acknowledge is open.
            let conflict = element.children().any(|c| c.name == "conflict");
            if let Some(managed) = &mut self.managed
                && !conflict
            {
                managed.id.clear();
            }
            if conflict && hands.plan.cluster.is_some() {
                // Somebody else has its name, and keeps it.
                self.taken += 1;
                self.plan.resource = Some(format!("r{}n{}", self.number, self.taken));
            }
            if hands.plan.is_faultless() && !self.naughty && hands.healing {
                hands.ledger.fail(format!("client {} got {}", self.number, show(element)));
            }
            return;
        }
        match self.stage {
            Stage::Active | Stage::Closing => self.on_stanza(element, hands),
            _ => self.on_login(element, hands),
        }
    }

    /// Begins a stream.
    fn open(&mut self, stage: Stage) {
        self.framer.restart();
        self.inbox.clear();
        self.stage = stage;
        let header = format!(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{}' version='1.0'>",
            auth::DOMAIN
        );
        self.out.extend_from_slice(header.as_bytes());
    }

    /// Sends a stanza, and keeps it until it is acknowledged.
    fn send(&mut self, bytes: &[u8], tag: Option<Tag>, now: Mono) {
        self.out.extend_from_slice(bytes);
        if let Some(managed) = &mut self.managed {
            managed.sent = managed.sent.wrapping_add(1);
            managed.unacked.push_back((tag, bytes.to_vec(), now));
            if self.eager {
                self.out.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
            }
        }
    }

    /// The server has acknowledged `h` stanzas.
    fn take_ack(&self, managed: &mut Managed, h: u32, known: bool, hands: &mut Hands<'_>) {
        let (acked, sent) = (managed.acked, managed.sent);
        if h < acked || h > sent {
            let who = self.number;
            return hands.ledger.fail(format!("h={h} for client {who}, which had {acked} and sent {sent}"));
        }
        for _ in acked..h {
            if let Some((Some(tag), ..)) = managed.unacked.pop_front() {
                hands.ledger.acknowledged(tag, known);
            }
        }
        managed.acked = h;
    }

    /// Tells the server what it has.
    fn acknowledge(&mut self, hands: &mut Hands<'_>) {
        let Some(managed) = self.managed.as_mut().filter(|m| m.on) else { return };
        let text = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", managed.got);
        self.out.extend_from_slice(text.as_bytes());
        for receipt in managed.loose.drain(..) {
            hands.ledger.firm(receipt);
        }
    }

    /// What it has asked the server to acknowledge for too long.
    pub(super) fn is_behind(&self, now: Mono, patience: Span) -> Option<&[u8]> {
        let managed = self.managed.as_ref().filter(|m| m.on)?;
        let (_, bytes, at) = managed.unacked.front()?;
        (self.is_active() && now.since(*at) > patience).then_some(bytes)
    }
}

/// An attribute.
fn attr(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(format!(" {name}='").as_bytes());
    escape_attr(out, value);
    out.push(b'\'');
}

/// An element as text.
fn show(element: &Element) -> String {
    String::from_utf8_lossy(&element.to_bytes()).into_owned()
}
