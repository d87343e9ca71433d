//! One connection: header, TLS, authentication, resource binding, then stanzas, then the end (RFC 6120 §4 to §7).
//!
//! Owns: what is known of one stream before it belongs to a user ([`Session`]), its framing, its negotiation, its
//! deadlines, and the counters of stream management ([`Sm`], XEP-0198).
//! In: bytes, the facts of a TLS handshake, answers of the authenticator. Out: bytes, and an [`Ask`] when only the
//! engine can go on: a client is known, wants a resource, or sent a stanza.
//! Invariants: nothing is routed before a resource is bound; nothing received in clear survives into TLS; every
//! phase has a deadline.
//! Not here: resources and what they receive (`user/`), where stanzas go (`route/`, `engine/`).

mod bind;
mod clock;
mod handover;
mod inbox;
mod negotiate;
mod sasl;
mod sm;

pub use bind::{BindRequest, write_bound};
pub use clock::Wake;
pub use handover::HandOver;
pub use inbox::{Frame, Inbox, Place};
pub use negotiate::{Ask, end, fail, on_element, on_header, on_secured, part, part_soon, refuse_bind};
pub use sasl::{ask_delayed, on_account_answer};
pub use sm::{Sm, TooHigh};

use core::net::IpAddr;

use smol_str::SmolStr;

use crate::base::{ConnId, Limits, Mono, Now, TimerId, TokenBucket, UserId};
use crate::effect::{AccountOp, Cx, Output, ResourceId, Settings, TlsInfo};
use crate::jid::BareJid;
use crate::sasl::Exchange;
use crate::xml::StreamNs;

/// The kind of listener that a connection arrived at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// XMPP clients, plain TCP first (STARTTLS).
    Clients,
    /// XMPP clients, TLS from the first byte (XEP-0368).
    ClientsTls,
}

/// Who a client has proved to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub user: BareJid,
}

/// Where a bound session sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The user.
    pub user: UserId,
    /// The resource.
    pub resource: ResourceId,
}

/// How far a stream has got.
pub enum Phase {
    /// The handshake of direct TLS is under way, or `<proceed/>` was sent.
    Securing,
    /// A stream header is due.
    Header,
    /// The header and the features were exchanged; the client is to authenticate.
    Open,
    /// A SASL exchange is under way.
    Sasl(Box<Exchange>),
    /// The stream after authentication: a resource is to be bound, or a session resumed.
    Ready,
    /// The user's record is being loaded, or the resumed session has yet to settle.
    Entering,
    /// Bound: stanzas flow.
    Bound(Seat),
    /// Its session is on its way to another node: what arrives is not handled any more, and the stream ends without a word.
    Parting,
    /// Our end of the stream is closed; what arrives is ignored.
    Closing,
}

/// Why nothing of what was received is handled for now; any of these stops reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// An answer is awaited without which the next element makes no sense.
    pub answer: bool,
    /// The client sends faster than it may.
    pub rate: bool,
    /// Too many of the client's messages are unsettled.
    pub unsettled: bool,
    /// The connection is on its way to another worker.
    pub moving: bool,
}

impl Holds {
    /// Whether any applies.
    pub fn any(self) -> bool {
        self.answer || self.rate || self.unsettled || self.moving
    }
}

/// What is known of the life of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Something was received, last at that time.
    Heard(Mono),
    /// Nothing was for long: a sign of life was asked for, at that time.
    Asked(Mono),
}

/// One connection.
///
/// Fields are in the order of memory, what each stanza touches first: with a million connections none of it is in a
/// cache, and these are three lines.
#[repr(C, align(64))]
pub struct Session {
    /// Its id.
    pub conn: ConnId,
    /// Whether the client is alive.
    pub sign: Sign,
    /// How fast the client may send.
    pub bucket: TokenBucket,
    /// How far the stream has got.
    pub phase: Phase,
    /// What was received and not handled yet.
    pub inbox: Inbox,
    /// When the timer fires.
    armed: Mono,
    /// Who the client is; known after authentication.
    pub identity: Option<Box<Identity>>,
    /// Why input waits.
    pub holds: Holds,
    /// The bytes that one element may have.
    pub element_max: u32,
    /// The domain the client asked for, as an index into the settings; known after the first header.
    pub domain: u16,
    /// Whether the driver was told to read.
    pub reading: bool,
    /// Our header of the current stream has been sent.
    pub opened: bool,
    /// Whether TLS protects the stream.
    pub secure: bool,
    /// Failed attempts to log in.
    pub failures: u8,
    /// Prefixes that the stream header declared.
    pub ns: StreamNs,
    /// `xml:lang` of the stream (RFC 6120 §4.7.4).
    pub lang: Option<SmolStr>,
    /// When the outbox was last seen to shrink, or first seen not to become empty, and how many bytes had been sent
    /// then. `None` while it is empty: a long silence is no proof that the peer does not read.
    pub progress: Option<(Mono, u64)>,
    /// A question to the authenticator that waits until then, because others failed before it.
    pub delayed: Option<Box<(Mono, AccountOp)>>,
    /// The account of the attempt to log in that is under way.
    pub claimed: Option<Box<BareJid>>,
    /// What is known of the TLS connection; wiped after authentication.
    pub tls: Option<Box<TlsInfo>>,
    /// When the connection began, or when it was told to close.
    pub since: Mono,
    timer: Option<TimerId>,
    /// The other end.
    pub peer: IpAddr,
}

impl Session {
    /// A connection that was just accepted.
    pub fn new(conn: ConnId, listener: Listener, peer: IpAddr, now: Now, settings: &Settings) -> Self {
        let rate = settings.limits.rate_bytes_per_second;
        let direct = listener == Listener::ClientsTls;
        Session {
            conn,
            sign: Sign::Heard(now.mono),
            bucket: TokenBucket::new(rate, burst(rate)),
            phase: if direct { Phase::Securing } else { Phase::Header },
            inbox: Inbox::default(),
            armed: Mono::NEVER,
            identity: None,
            holds: Holds::default(),
            element_max: settings.limits.stanza_bytes_unauthenticated_max,
            domain: 0,
            reading: true,
            opened: false,
            secure: false,
            failures: 0,
            ns: StreamNs::default(),
            lang: None,
            progress: None,
            delayed: None,
            claimed: None,
            tls: None,
            since: now.mono,
            timer: None,
            peer,
        }
    }

    /// Where it sits, if a resource is bound.
    pub fn seat(&self) -> Option<Seat> {
        match self.phase {
            Phase::Bound(seat) => Some(seat),
            _ => None,
        }
    }

    /// Tells the driver whether to read, if that has changed.
    pub fn set_reading(&mut self, cx: &mut Cx) {
        let on = !self.holds.any();
        if self.reading != on {
            self.reading = on;
            cx.outputs.push_back(Output::Reading { conn: self.conn, on });
        }
    }

    /// The limits that hold for it: the engine's until the client is known, then those of its domain.
    pub fn limits<'a>(&self, settings: &'a Settings) -> &'a Limits {
        match self.identity {
            Some(_) => settings.limits_of(self.domain),
            None => &settings.limits,
        }
    }

    /// The client is known: from here on its domain says how much and how fast it may send, and how much may wait
    /// for it.
    fn on_identified(&mut self, cx: &mut Cx) {
        let limits = self.limits(&cx.settings);
        let (rate, outbox) = (limits.rate_bytes_per_second, limits.outbox_bytes_max);
        self.element_max = limits.stanza_bytes_max;
        self.bucket.change(cx.now.mono, rate, burst(rate));
        cx.wires.allow(self.conn, outbox);
    }
}

/// What a client may send at once, in bytes, at this rate in bytes per second.
fn burst(rate: u32) -> u32 {
    rate.saturating_mul(4)
}
