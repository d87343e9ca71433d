//! One resource of a user: a client's session, with or without a connection (RFC 6120 §7).

use std::sync::Arc;

use smol_str::SmolStr;

use super::held::Held;
use crate::base::{ConnId, Mono, RareQueue, Span};
use crate::effect::{Cx, FlightId, ResourceId, SessionState, Settings};
use crate::jid::Jid;
use crate::session::Sm;

/// Whether a stanza may wait for an inactive client to become active (XEP-0352).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency<'a> {
    /// It may not, and neither may what was held back before it.
    Now,
    /// It may; a later stanza with the same key makes it worthless.
    CanWait(&'a str),
}

/// What there is of a resource without connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detached {
    /// Since when.
    pub since: Mono,
    /// The connection that will go on with this session once everything it has sent is settled (XEP-0198 §5).
    pub resuming: Option<ConnId>,
    /// Another node was given this session, and it is not known what it did with it: how many stanzas the client can have got
    /// there of those that were sent here, modulo 2^32.
    pub given: Option<u32>,
}

impl Detached {
    /// From now on.
    pub fn new(since: Mono) -> Self {
        Detached { since, resuming: None, given: None }
    }
}

/// One resource. Fields are in the order of memory: what each message touches comes first, up to whether there is
/// presence (see [`User`](super::User)).
#[derive(Debug)]
#[repr(C)]
pub struct Resource {
    /// Told apart from every other that ever had this name.
    pub id: ResourceId,
    /// The connection; `None` while the session waits to be resumed.
    pub conn: Option<ConnId>,
    /// The priority in its presence (RFC 6121 §4.7.2.3).
    pub priority: i8,
    /// It asked for the roster and gets pushes (RFC 6121 §2.2).
    pub interested: bool,
    /// It asked for the block list and gets pushes (XEP-0191).
    pub wants_blocked: bool,
    /// It gets copies (XEP-0280).
    pub carbons: bool,
    /// The resourcepart. What comes before it is the user's address, which whoever looks at a resource has at hand.
    name: SmolStr,
    /// Stream management, once enabled.
    pub sm: Option<Box<Sm>>,
    /// What it does not need now; `None` while the client is active (XEP-0352).
    pub held: Option<Box<Held>>,
    /// The last available presence it broadcast, `from` stamped, without `to`; `None` if it is not available.
    pub presence: Option<Arc<[u8]>>,
    /// Whom it sent directed presence (RFC 6121 §4.6.3).
    pub directed: RareQueue<Jid>,
    /// Since when there is no connection, if there is none.
    pub detached: Option<Box<Detached>>,
}

impl Resource {
    /// A resource of this prepared name that was just bound.
    pub fn new(id: ResourceId, name: SmolStr, conn: ConnId) -> Self {
        Resource {
            id,
            conn: Some(conn),
            priority: 0,
            interested: false,
            wants_blocked: false,
            carbons: false,
            name,
            sm: None,
            held: None,
            presence: None,
            directed: RareQueue::new(),
            detached: None,
        }
    }

    /// One that another node had, without connection.
    pub fn moved(id: ResourceId, state: &SessionState, now: Mono) -> Self {
        // It has waited elsewhere; more than this node has been there for is not counted.
        let waited = Span(state.max.0.saturating_sub(state.left.0));
        let presence = (!state.presence.is_empty()).then(|| state.presence.as_bytes().into());
        let directed = state.directed.iter().filter_map(|jid| Jid::parse(jid).ok());
        Resource {
            id,
            conn: None,
            priority: state.priority,
            interested: state.interested,
            wants_blocked: state.wants_blocked,
            carbons: state.carbons,
            name: state.resource.as_str().into(),
            sm: Some(Box::new(Sm::moved(state))),
            held: None,
            presence,
            directed: directed.fold(RareQueue::new(), |mut all, jid| {
                all.push_back(jid);
                all
            }),
            detached: Some(Box::new(Detached { given: state.unsure, ..Detached::new(now - waited) })),
        }
    }

    /// Since when it has waited for its client to resume it, if it does.
    pub fn away_since(&self) -> Option<Mono> {
        let resumable = self.sm.as_ref().is_some_and(|sm| sm.can_resume());
        self.detached.as_ref().filter(|_| resumable && self.conn.is_none()).map(|detached| detached.since)
    }

    /// The connection that will go on with this session.
    pub fn resuming(&self) -> Option<ConnId> {
        self.detached.as_ref()?.resuming
    }

    /// The resourcepart.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a stanza to the client: into the outbox, and into the queue of what it has not acknowledged. Without a
    /// connection only the queue gets it. `flight` is the message that this is a copy of.
    pub fn send(&mut self, cx: &mut Cx, stanza: &[u8], flight: Option<FlightId>, urgency: Urgency<'_>) {
        if let Some(held) = &mut self.held {
            match urgency {
                Urgency::CanWait(key) if flight.is_none() => {
                    if !held.hold(key, stanza) {
                        return;
                    }
                    return self.release(cx);
                }
                _ => self.release(cx),
            }
        }
        self.put(cx, stanza, flight);
    }

    /// Sends what was held back (XEP-0352); the client may be inactive still.
    pub fn release(&mut self, cx: &mut Cx) {
        while let Some(stanza) = self.held.as_mut().and_then(|h| h.pop()) {
            self.put(cx, &stanza, None);
        }
    }

    fn put(&mut self, cx: &mut Cx, stanza: &[u8], flight: Option<FlightId>) {
        if let Some(conn) = self.conn {
            cx.wires.write(conn, stanza);
        }
        if let Some(sm) = &mut self.sm {
            sm.push(cx.wires.pools(), stanza, flight);
            if let Some(conn) = self.conn
                && sm.should_request()
            {
                cx.wires.write(conn, b"<r xmlns='urn:xmpp:sm:3'/>");
            }
        }
    }

    /// Whether its queue of unacknowledged stanzas has outgrown the limits of its user's domain. A session without
    /// connection may have a quarter more: its connection was closed for a full queue, and the session is to wait for
    /// its client all the same.
    pub fn is_overfull(&self, domain: u16, settings: &Settings) -> bool {
        let Some(sm) = &self.sm else { return false };
        let limits = settings.limits_of(domain);
        let (stanzas, bytes) = sm.unacked();
        let more = |max: u32| if self.conn.is_none() { max as usize / 4 * 5 } else { max as usize };
        stanzas > more(limits.unacked_stanzas_max) || bytes > more(limits.unacked_bytes_max)
    }
}
