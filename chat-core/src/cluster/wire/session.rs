//! A session on its way to another node: it is asked for or offered, given in parts, and taken or not.

use super::envelope::ADDRESS_BYTES_MAX;
use super::{Reader, WireFault, Writer};
use crate::base::limits::{
    LINK_FRAME_BYTES_MAX, SESSION_ID_BYTES_MAX, SESSION_PART_BYTES, SESSION_STATE_BYTES_MAX,
};
use crate::base::{HashKey, MsgId, Span, Utc};
use crate::effect::{
    Copied, Keeper, NotGiven, Queued, RESOURCE_BYTES_MAX, SessionState, SmHash, SmId, USER_BYTES_MAX,
};
use crate::user::RECENT_MAX;

/// Times of a session in milliseconds: 34 years, more than any is kept, and few enough to be counted in nanoseconds.
const MILLIS_MAX: u64 = 1 << 40;
/// Bytes that an address takes at least, and a stanza in a queue: its length and that it is no copy.
const ADDRESS_BYTES_MIN: usize = 2;
const QUEUED_BYTES_MIN: usize = 2;
/// Bytes of the identity of a message.
const ID_BYTES: usize = 16;

/// A client is at this node that wants to go on with a session of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionAsk<'a> {
    /// What the taker calls it.
    pub ask: u64,
    /// A prepared bare JID.
    pub user: &'a str,
    /// What the client presents; at most [`SESSION_ID_BYTES_MAX`] bytes.
    pub id: SmId<'a>,
    /// How many stanzas it has got.
    pub h: u32,
}

/// A part of a session, in order, none between of another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPart<'a> {
    /// What the taker calls it.
    pub ask: u64,
    /// Nothing of it follows.
    pub is_last: bool,
    /// At most [`SESSION_PART_BYTES`].
    pub bytes: &'a [u8],
}

/// A session is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRefuse {
    /// What the taker calls it.
    pub ask: u64,
    /// Why.
    pub why: NotGiven,
}

/// A session was taken ([`Kind::SessionInstalled`](super::Kind::SessionInstalled)), or is not wanted any more
/// ([`Kind::SessionRelease`](super::Kind::SessionRelease)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionWord<'a> {
    /// What the taker calls it.
    pub ask: u64,
    /// A prepared bare JID.
    pub user: &'a str,
}

/// A session may go on at the other node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOffer<'a> {
    /// What the giver calls it.
    pub offer: u64,
    /// A prepared bare JID.
    pub user: &'a str,
    /// By what it is looked for.
    pub sm: SmHash,
}

/// Whether an offer is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionAnswer {
    /// What the giver calls it.
    pub offer: u64,
    /// If so, what the taker calls it.
    pub ask: Option<u64>,
}

impl<'a> SessionAsk<'a> {
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        let mut w = Writer::new(out, version);
        w.number(self.ask);
        w.text(self.user);
        w.text(self.id.0);
        w.number(self.h.into());
    }

    /// Reads a body of a version.
    pub fn read(body: &'a [u8], version: u16) -> Result<SessionAsk<'a>, WireFault> {
        let mut r = Reader::new(body, version);
        let (ask, user) = (r.number()?, r.text(USER_BYTES_MAX)?);
        let (id, h) = (SmId(r.text(SESSION_ID_BYTES_MAX)?), r.number32()?);
        r.end()?;
        Ok(SessionAsk { ask, user, id, h })
    }
}

impl<'a> SessionPart<'a> {
    /// The parts of a whole session.
    pub fn cut(ask: u64, bytes: &'a [u8]) -> impl Iterator<Item = SessionPart<'a>> {
        let last = bytes.len().div_ceil(SESSION_PART_BYTES).saturating_sub(1);
        let parts = bytes.chunks(SESSION_PART_BYTES).enumerate();
        parts.map(move |(i, bytes)| SessionPart { ask, is_last: i == last, bytes })
    }

    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        let mut w = Writer::new(out, version);
        w.number(self.ask);
        w.flag(self.is_last);
        w.bytes(self.bytes);
    }

    /// Reads a body of a version.
    pub fn read(body: &'a [u8], version: u16) -> Result<SessionPart<'a>, WireFault> {
        let mut r = Reader::new(body, version);
        let part = SessionPart { ask: r.number()?, is_last: r.flag()?, bytes: r.bytes(SESSION_PART_BYTES)? };
        r.end()?;
        Ok(part)
    }
}

impl SessionRefuse {
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        let mut w = Writer::new(out, version);
        w.number(self.ask);
        match self.why {
            NotGiven::Unknown(None) => w.byte(1),
            NotGiven::Unknown(Some(h)) => {
                w.byte(2);
                w.number(h.into());
            }
            NotGiven::Elsewhere => w.byte(3),
            NotGiven::TooHigh { h, sent } => {
                w.byte(4);
                w.number(h.into());
                w.number(sent.into());
            }
            NotGiven::Unable => w.byte(5),
            NotGiven::Void => w.byte(6),
        }
    }

    /// Reads a body of a version.
    pub fn read(body: &[u8], version: u16) -> Result<SessionRefuse, WireFault> {
        let mut r = Reader::new(body, version);
        let ask = r.number()?;
        let why = match r.byte()? {
            1 => NotGiven::Unknown(None),
            2 => NotGiven::Unknown(Some(r.number32()?)),
            3 => NotGiven::Elsewhere,
            4 => NotGiven::TooHigh { h: r.number32()?, sent: r.number32()? },
            5 => NotGiven::Unable,
            6 => NotGiven::Void,
            _ => return Err(WireFault::Value),
        };
        r.end()?;
        Ok(SessionRefuse { ask, why })
    }
}

impl<'a> SessionWord<'a> {
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        let mut w = Writer::new(out, version);
        w.number(self.ask);
        w.text(self.user);
    }

    /// Reads a body of a version.
    pub fn read(body: &'a [u8], version: u16) -> Result<SessionWord<'a>, WireFault> {
        let mut r = Reader::new(body, version);
        let (ask, user) = (r.number()?, r.text(USER_BYTES_MAX)?);
        r.end()?;
        Ok(SessionWord { ask, user })
    }
}

impl<'a> SessionOffer<'a> {
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        let mut w = Writer::new(out, version);
        w.number(self.offer);
        w.text(self.user);
        w.raw(&self.sm.0.to_be_bytes());
    }

    /// Reads a body of a version.
    pub fn read(body: &'a [u8], version: u16) -> Result<SessionOffer<'a>, WireFault> {
        let mut r = Reader::new(body, version);
        let (offer, user) = (r.number()?, r.text(USER_BYTES_MAX)?);
        let sm = SmHash(u32::from_be_bytes(r.array()?));
        r.end()?;
        Ok(SessionOffer { offer, user, sm })
    }
}

impl SessionAnswer {
    /// Appends the body, as of a version.
    pub fn write(&self, out: &mut Vec<u8>, version: u16) {
        let mut w = Writer::new(out, version);
        w.number(self.offer);
        w.flag(self.ask.is_some());
        if let Some(ask) = self.ask {
            w.number(ask);
        }
    }

    /// Reads a body of a version.
    pub fn read(body: &[u8], version: u16) -> Result<SessionAnswer, WireFault> {
        let mut r = Reader::new(body, version);
        let offer = r.number()?;
        let ask = if r.flag()? { Some(r.number()?) } else { None };
        r.end()?;
        Ok(SessionAnswer { offer, ask })
    }
}

/// Appends a whole session as of a version, to be sent in parts. What the version cannot say is not written: whoever gives a
/// session asks [`SessionState::since`] before.
pub fn write_session(state: &SessionState, out: &mut Vec<u8>, version: u16) {
    let mut w = Writer::new(out, version);
    w.text(&state.user);
    w.text(&state.resource);
    w.text(&state.id);
    w.raw(&state.key.k0.to_be_bytes());
    w.raw(&state.key.k1.to_be_bytes());
    w.number(state.max.as_millis());
    w.number(state.left.as_millis());
    w.number(state.received.into());
    w.number(state.acked.into());
    w.byte(state.priority.cast_unsigned());
    w.flag(state.interested);
    w.flag(state.wants_blocked);
    w.flag(state.carbons);
    w.text(&state.presence);
    w.number(state.directed.len() as u64);
    state.directed.iter().for_each(|jid| w.text(jid));
    w.number(state.queue.len() as u64);
    for Queued { stanza, copy } in &state.queue {
        w.text(stanza);
        match copy.map(|copy| copy.keeper) {
            None => w.byte(0),
            Some(Keeper::Row) => w.byte(1),
            Some(Keeper::Other) => w.byte(2),
            Some(Keeper::Giver(envelope)) => {
                w.byte(3);
                w.number(envelope);
            }
        }
        if let Some(copy) = copy {
            w.raw(&copy.id.0.to_be_bytes());
            w.signed(copy.at.0);
        }
    }
    w.number(state.recent.len() as u64);
    state.recent.iter().for_each(|id| w.raw(&id.0.to_be_bytes()));
    if w.is_since(2) {
        w.flag(state.unsure.is_some());
        if let Some(sent) = state.unsure {
            w.number(sent.into());
        }
    }
}

/// Reads a whole session of a version.
pub fn read_session(bytes: &[u8], version: u16) -> Result<SessionState, WireFault> {
    let mut r = Reader::new(bytes, version);
    let user = r.text(USER_BYTES_MAX)?.to_owned();
    let resource = r.text(RESOURCE_BYTES_MAX)?.to_owned();
    let id = r.text(SESSION_ID_BYTES_MAX)?.to_owned();
    let key = HashKey { k0: u64::from_be_bytes(r.array()?), k1: u64::from_be_bytes(r.array()?) };
    let max = Span::millis(r.number_to(MILLIS_MAX)?);
    let left = Span::millis(r.number_to(max.as_millis())?);
    let (received, acked) = (r.number32()?, r.number32()?);
    let priority = r.byte()?.cast_signed();
    let (interested, wants_blocked, carbons) = (r.flag()?, r.flag()?, r.flag()?);
    let presence = r.text(LINK_FRAME_BYTES_MAX)?.to_owned();
    let n = r.count(SESSION_STATE_BYTES_MAX, ADDRESS_BYTES_MIN)?;
    let mut directed = Vec::with_capacity(n);
    for _ in 0..n {
        let jid = r.text(ADDRESS_BYTES_MAX)?;
        if jid.is_empty() {
            return Err(WireFault::Value);
        }
        directed.push(jid.to_owned());
    }
    let n = r.count(SESSION_STATE_BYTES_MAX, QUEUED_BYTES_MIN)?;
    let mut queue = Vec::with_capacity(n.min(SESSION_PART_BYTES));
    for _ in 0..n {
        queue.push(read_queued(&mut r)?);
    }
    let n = r.count(RECENT_MAX, ID_BYTES)?;
    let mut recent = Vec::with_capacity(n);
    for _ in 0..n {
        recent.push(MsgId(u128::from_be_bytes(r.array()?)));
    }
    let unsure = if r.is_since(2) && r.flag()? { Some(r.number32()?) } else { None };
    r.end()?;
    Ok(SessionState {
        user,
        resource,
        id,
        key,
        max,
        left,
        received,
        acked,
        priority,
        interested,
        wants_blocked,
        carbons,
        presence,
        directed,
        queue,
        recent,
        unsure,
    })
}

fn read_queued(r: &mut Reader<'_>) -> Result<Queued, WireFault> {
    let stanza = r.text(LINK_FRAME_BYTES_MAX)?.to_owned();
    let keeper = match r.byte()? {
        0 => return Ok(Queued { stanza, copy: None }),
        1 => Keeper::Row,
        2 => Keeper::Other,
        3 => Keeper::Giver(r.number()?),
        _ => return Err(WireFault::Value),
    };
    let (id, at) = (MsgId(u128::from_be_bytes(r.array()?)), Utc(r.signed()?));
    Ok(Queued { stanza, copy: Some(Copied { id, at, keeper }) })
}
