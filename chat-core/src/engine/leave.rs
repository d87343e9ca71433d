//! How a session ends, and what becomes of what its client never acknowledged.

use super::Engine;
use super::deliver::{Meta, OWN};
use crate::base::{Mono, MsgId, UserId, Utc};
use crate::effect::{Deadline, Event, Promise, SettleTo};
use crate::jid;
use crate::session::Seat;
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::user::{Record, SpoolState, presence};
use crate::xml::{StreamNs, scan};

/// A message that was given to nobody in the end.
struct Orphan {
    id: MsgId,
    at: Utc,
    settle: Option<SettleTo>,
    bytes: Vec<u8>,
}

impl Engine {
    /// The connection below a session is gone. A session that can be resumed waits (XEP-0198 §5).
    pub(super) fn detach(&mut self, seat: Seat, unwritten: Vec<(Promise, Vec<u8>)>) {
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let Some(index) = user.index(seat.resource) else { return };
        let resumable = user.resources[index].sm.as_ref().is_some_and(|sm| sm.can_resume());
        if !resumable || self.stopping {
            return self.leave(seat, Some(unwritten));
        }
        let resource = &mut user.resources[index];
        resource.conn = None;
        resource.detached = Some(self.cx.now.mono);
        let jid = user.full_jid(index);
        self.cx.event(Event::Detached { jid });
        self.orphans(seat.user, orphans_of(unwritten));
        self.arm_user(seat.user);
    }

    /// A session is over: the resource goes, those who saw it are told, and its unacknowledged messages go elsewhere.
    pub(super) fn leave(&mut self, seat: Seat, unwritten: Option<Vec<(Promise, Vec<u8>)>>) {
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let Some(index) = user.index(seat.resource) else { return };
        let jid = user.full_jid(index);
        let mut resource = user.resources.remove(index);
        user.needed = self.cx.now.mono;
        let mut orphans = orphans_of(unwritten.unwrap_or_default());
        if let Some(mut sm) = resource.sm.take() {
            if sm.can_resume() {
                // `h` may be told later only if nothing is open behind it.
                if sm.unsettled().0 == 0 {
                    self.expired.insert(self.cx.now.mono, sm.id.clone(), user.jid.clone(), sm.h());
                }
            }
            let mut bytes = Vec::new();
            while let Some(entry) = sm.pop(self.cx.wires.pool(), &mut bytes) {
                let Some(key) = entry.flight else {
                    orphans.push(Orphan { id: MsgId(0), at: Utc(0), settle: None, bytes: bytes.clone() });
                    continue;
                };
                let Some(flight) = user.flights.drop_copy(key) else { continue };
                match flight.spool {
                    _ if flight.acked || flight.copies > 0 => {}
                    SpoolState::Written | SpoolState::Writing => user.spool.waiting = true,
                    SpoolState::Absent => orphans.push(Orphan {
                        id: flight.id,
                        at: flight.at,
                        settle: flight.settle,
                        bytes: bytes.clone(),
                    }),
                }
            }
        }
        if let Some(conn) = resource.resuming.take() {
            self.sm_gone(conn);
        }
        if let Some(user) = self.users.get_mut(seat.user) {
            presence::on_gone(user, &resource, None, &mut self.cx);
        }
        self.cx.event(Event::Unbound { jid });
        self.orphans(seat.user, orphans);
        self.spool_begin(seat.user);
        self.arm_user(seat.user);
    }

    /// The session that a client waits to resume is over.
    fn sm_gone(&mut self, conn: crate::base::ConnId) {
        if let Some(session) = self.sessions.get_mut(conn) {
            session.phase = crate::session::Phase::Ready;
            session.holds.answer = false;
            let failed = b"<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
            self.cx.wires.write(conn, failed);
            self.released.push(conn);
        }
    }

    /// What a session took with it finds another way: a message to another resource or to the spool, a query back to
    /// who asked.
    fn orphans(&mut self, id: UserId, orphans: Vec<Orphan>) {
        let ns = StreamNs::client();
        for orphan in orphans {
            let Ok(view) = scan(&orphan.bytes, &ns, &OWN) else { continue };
            let type_ = view.type_();
            let Some(Ok(kind)) = Kind::read(view.name(), type_.as_deref()) else { continue };
            let (from_text, to_text) = (view.from(), view.to());
            let (mut a, mut b) = (String::new(), String::new());
            let from = from_text.as_deref().and_then(|f| jid::parse(f, &mut a).ok());
            let to = to_text.as_deref().and_then(|t| jid::parse(t, &mut b).ok());
            let (Some(from), Some(to)) = (from, to) else { continue };
            let stanza = Stanza { view: &view, kind, from, to: Some(to) };
            match kind {
                Kind::Iq(IqType::Get | IqType::Set) => {
                    self.bounce(&stanza, &Condition::ServiceUnavailable.into());
                }
                Kind::Message(_) if orphan.at != Utc(0) => {
                    let meta = Meta {
                        id: orphan.id,
                        at: orphan.at,
                        settle: orphan.settle,
                        delayed: true,
                        lang: None,
                    };
                    self.redeliver(id, &stanza, meta);
                }
                _ => {}
            }
        }
    }

    fn redeliver(&mut self, id: UserId, stanza: &Stanza<'_>, meta: Meta<'_>) {
        let bare = stanza.to.map(|t| t.bare());
        let stanza = Stanza { to: bare, ..*stanza };
        if self.stopping {
            return self.keep(id, &stanza, meta);
        }
        self.carry_out(id, &stanza, meta);
    }

    /// The user's deadline has come, or is early.
    pub(super) fn on_user_time(&mut self, id: UserId) {
        let now = self.cx.now.mono;
        let Some(user) = self.users.get_mut(id) else { return };
        user.timer = None;
        let over: Vec<Seat> = user
            .resources
            .iter()
            .filter(|r| {
                r.detached
                    .is_some_and(|at| at + r.sm.as_ref().map_or_else(Default::default, |s| s.max) <= now)
            })
            .filter(|r| r.resuming.is_none())
            .map(|r| Seat { user: id, resource: r.id })
            .collect();
        for seat in over {
            self.leave(seat, None);
        }
        self.spool_due(id);
        let Some(user) = self.users.get_mut(id) else { return };
        let limits = &self.cx.settings.limits;
        if user.is_unneeded() && now.since(user.needed) >= limits.user_cache_timeout {
            self.users.remove(id);
            return;
        }
        self.arm_user(id);
    }

    /// Makes sure that the user's timer fires in time.
    pub(super) fn arm_user(&mut self, id: UserId) {
        let Some(user) = self.users.get_mut(id) else { return };
        let limits = &self.cx.settings.limits;
        let mut next: Option<(Mono, &'static str)> = None;
        let mut earlier = |at: Mono, why| {
            if next.is_none_or(|n| at < n.0) {
                next = Some((at, why));
            }
        };
        if let Some(at) = user.flights.next_due() {
            earlier(at, "spool");
        }
        for r in &user.resources {
            if let (Some(since), Some(sm), None) = (r.detached, &r.sm, r.resuming) {
                earlier(since + sm.max, "resume");
            }
        }
        if user.is_unneeded() {
            earlier(user.needed + limits.user_cache_timeout, "forget");
        }
        let Some((at, why)) = next else { return };
        if let Some((timer, armed)) = user.timer {
            if armed <= at {
                return;
            }
            self.cx.timers.cancel(timer);
        }
        user.timer = Some((self.cx.timers.set(at, Deadline::User(id), why), at));
    }
}

impl crate::user::User {
    /// Whether nothing is going on that needs the record in memory.
    fn is_unneeded(&self) -> bool {
        self.resources.is_empty()
            && self.flights.is_empty()
            && self.changes.is_empty()
            && matches!(self.record, Record::Ready)
    }
}

fn orphans_of(unwritten: Vec<(Promise, Vec<u8>)>) -> Vec<Orphan> {
    unwritten
        .into_iter()
        .map(|(p, bytes)| Orphan { id: p.id, at: p.at, settle: Some(p.settle), bytes })
        .collect()
}
