//! How a session ends, and what becomes of what its client never acknowledged.

use super::Engine;
use super::deliver::Meta;
use super::nodes::Turn;
use crate::base::{Mono, MsgId, UserId, Utc};
use crate::effect::{Deadline, Event, Outcome, Promise, SettleTo, StoreOp, Wait};
use crate::jid::{self, BareJid};
use crate::session::Seat;
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::user::{Detached, Record, SpoolState, presence};
use crate::xml::{ScanLimits, StreamNs, scan};

/// A message that a client without stream management had, and nobody else any more.
pub(super) struct Had {
    pub(super) id: MsgId,
    /// Who waits to hear that it is safe.
    pub(super) settle: Option<SettleTo>,
    /// It has a row in the spool.
    pub(super) row: bool,
}

/// A message that was given to nobody in the end.
struct Orphan {
    id: MsgId,
    at: Utc,
    settle: Option<SettleTo>,
    /// It came from a row of the spool, which is still there.
    row: bool,
    /// Other clients got it, too.
    shared: bool,
    bytes: Vec<u8>,
}

impl Orphan {
    /// What stood in the queue of a session that is over.
    fn left(id: MsgId, at: Utc, settle: Option<SettleTo>, bytes: &[u8]) -> Self {
        Orphan { id, at, settle, row: false, shared: false, bytes: bytes.to_vec() }
    }
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
        resource.detached = Some(Box::new(Detached::new(self.cx.now.mono)));
        let jid = user.full_jid(index);
        self.cx.event(Event::Detached { jid });
        self.orphans(seat.user, orphans_of(unwritten));
        self.spool_begin(seat.user);
        self.arm_user(seat.user);
    }

    /// A session is over: the resource goes, those who saw it are told, and its unacknowledged messages go elsewhere.
    pub(super) fn leave(&mut self, seat: Seat, unwritten: Option<Vec<(Promise, Vec<u8>)>>) {
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let Some(index) = user.index(seat.resource) else { return };
        let jid = user.full_jid(index);
        let mut resource = user.resources.remove(index);
        self.cx.counts.session_ends(user.domain);
        user.needed = self.cx.now.mono;
        self.end_hold(seat.user, seat.resource);
        // Before anything that is said of its messages: who hears of them knows that it is gone.
        let yields = self.is_bound_elsewhere(jid.as_ref());
        #[cfg(feature = "sim")]
        let (yields, loses) = {
            use crate::effect::Plant;
            let has = |plant| self.cx.settings.has(plant);
            (yields && !has(Plant::BelieveLoser), yields && has(Plant::DropWithLoser))
        };
        self.note_gone(&jid, !yields);
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let mut orphans = orphans_of(unwritten.unwrap_or_default());
        let (mut had, mut lost, mut tried) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(mut sm) = resource.sm.take() {
            if sm.can_resume() {
                // `h` may be told later only if nothing is open behind it, and it is not the other one's that has risen.
                let given = resource.detached.as_ref().is_some_and(|detached| detached.given.is_some());
                if sm.unsettled().0 == 0 && !yields && !given {
                    self.expired.insert(self.cx.now.mono, sm.id.clone(), user.jid.clone(), sm.h());
                }
            }
            let mut bytes = Vec::new();
            while let Some(entry) = sm.pop(self.cx.wires.pools(), &mut bytes) {
                #[cfg(feature = "sim")]
                if loses && let Some(key) = entry.flight {
                    let flight = user.flights.drop_copy(&mut self.user_pools, key);
                    self.cx.settled(flight.and_then(|f| f.settle));
                    continue;
                }
                let Some(key) = entry.flight else {
                    orphans.push(Orphan::left(MsgId(0), Utc(0), None, &bytes));
                    continue;
                };
                if let Some(flight) = user.flights.get_mut(key)
                    && flight.copies > 1
                    && matches!(flight.settle, Some(SettleTo::Node { .. }))
                {
                    // Others here have it, and may be slow: its node need not wait for them with what comes next.
                    lost.push((None, flight.settle.take()));
                }
                if let Some(flight) = user.flights.get_mut(key) {
                    flight.tried = true;
                }
                let Some(flight) = user.flights.drop_copy(&mut self.user_pools, key) else { continue };
                if !flight.acked {
                    tried.push(flight.id);
                }
                match flight.spool {
                    _ if flight.acked || flight.copies > 0 => {}
                    // Another client, without stream management, had it: as good as acknowledged.
                    spool if flight.had => {
                        let row = matches!(spool, SpoolState::Written | SpoolState::Refused);
                        had.push(Had { id: flight.id, settle: flight.settle, row });
                    }
                    SpoolState::Refused => lost.push((None, flight.settle)),
                    SpoolState::Elsewhere => lost.push((Some(flight.id), flight.settle)),
                    SpoolState::Written | SpoolState::Writing => {
                        user.spool.add();
                        lost.push((None, flight.settle));
                    }
                    SpoolState::Absent => {
                        orphans.push(Orphan::left(flight.id, flight.at, flight.settle, &bytes));
                    }
                }
            }
        }
        if let Some(conn) = resource.resuming() {
            self.resume_failed(conn, None);
        }
        if yields {
            self.tell_later(&jid, resource.presence.is_some());
        } else if let Some(user) = self.users.get_mut(seat.user) {
            presence::on_gone(user, &resource, &jid, None, &mut self.cx);
        }
        self.cx.event(Event::Unbound { jid });
        tried.into_iter().for_each(|msg| self.was_tried(msg));
        self.end_had(seat.user, had);
        for (id, settle) in lost {
            // If it came from another node: that decides again.
            if id.is_none_or(|id| !self.entrust(seat.user, id, settle)) {
                self.cx.answer(settle, Outcome::Lost);
            }
        }
        self.orphans(seat.user, orphans);
        self.spool_begin(seat.user);
        // Reading may have waited for this very client.
        self.spool_next(seat.user);
        // The same resource may be bound elsewhere, and count from now on.
        self.take_turns(seat.user);
        self.take_held(seat.user);
        self.arm_user(seat.user);
    }

    /// The session that a client waits to resume is not to be had. `h`: how many of its stanzas were settled when it ended, if
    /// that is known.
    pub(super) fn resume_failed(&mut self, conn: crate::base::ConnId, h: Option<u32>) {
        if let Some(session) = self.sessions.get_mut(conn) {
            if !matches!(session.phase, crate::session::Phase::Entering) {
                return;
            }
            session.phase = crate::session::Phase::Ready;
            session.holds.answer = false;
            self.sm_failed(conn, "item-not-found", h);
            self.released.push(conn);
        }
    }

    /// What a session took with it finds another way: a message to another resource or to the spool, a query back to
    /// who asked.
    fn orphans(&mut self, id: UserId, orphans: Vec<Orphan>) {
        let ns = StreamNs::client();
        for orphan in orphans {
            if orphan.row {
                // Who waits, if anybody does, is the node from which it came as well.
                self.cx.answer(orphan.settle, Outcome::Lost);
                self.end_row(id, orphan.id);
                continue;
            }
            if orphan.shared && self.has_elsewhere(id, orphan.id) {
                // Another client has it, or will, and its promise is the same.
                continue;
            }
            if orphan.at != Utc(0) && self.entrust(id, orphan.id, orphan.settle) {
                continue;
            }
            if matches!(orphan.settle, Some(SettleTo::Node { .. })) {
                self.cx.answer(orphan.settle, Outcome::Lost);
                continue;
            }
            let Ok(view) = scan(&orphan.bytes, &ns, &ScanLimits::OWN) else {
                debug_assert!(false, "a queue holds what is no stanza: {:?}", orphan.bytes);
                self.cx.settled(orphan.settle);
                continue;
            };
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
                        only: None,
                        turn: Turn::FIRST,
                    };
                    self.redeliver(id, &stanza, meta);
                }
                _ => {}
            }
        }
    }

    /// A row was not written to a client: it waits for another, unless another has it.
    fn end_row(&mut self, id: UserId, row: MsgId) {
        let Some(user) = self.users.get_mut(id) else { return };
        if user.gone.contains(row) {
            let op = StoreOp::SpoolDelete { user: user.jid.clone(), ids: vec![row] };
            self.cx.store(op, Wait::Nobody);
        } else {
            self.take_back(id);
        }
    }

    /// Whether another client of the user has a message that was promised to several, or has it in its outbox.
    fn has_elsewhere(&mut self, id: UserId, msg: MsgId) -> bool {
        let Some(user) = self.users.get_mut(id) else { return false };
        user.gone.contains(msg)
            || user.flights.find(msg).is_some()
            || user.resources.iter().filter_map(|r| r.conn).any(|c| self.cx.wires.is_promised(c, msg))
    }

    /// Messages that a client without stream management had, and nobody else any more.
    pub(super) fn end_had(&mut self, id: UserId, had: Vec<Had>) {
        if let Some(user) = self.users.get_mut(id) {
            let rows: Vec<MsgId> = had.iter().filter(|h| h.row).map(|h| h.id).collect();
            for had in had.iter().filter(|h| h.row || self.cluster.is_some()) {
                // It may come again, from another node or out of a page that was read before.
                user.gone.insert(self.cx.now.mono, had.id);
            }
            if !rows.is_empty() {
                let op = StoreOp::SpoolDelete { user: user.jid.clone(), ids: rows };
                self.cx.store(op, Wait::Nobody);
            }
        }
        for had in had {
            self.cx.settled(had.settle);
        }
    }

    /// What was still to be written to a connection that was closing finds another way.
    pub(super) fn unwritten(&mut self, jid: &BareJid, domain: u16, unwritten: Vec<(Promise, Vec<u8>)>) {
        if unwritten.is_empty() {
            return;
        }
        let id = match self.users.find(jid.as_str()) {
            Some(id) => id,
            None => self.load(jid.as_ref(), domain),
        };
        let orphans = orphans_of(unwritten);
        self.orphans(id, orphans);
        self.spool_begin(id);
        self.arm_user(id);
    }

    fn redeliver(&mut self, id: UserId, stanza: &Stanza<'_>, meta: Meta<'_>) {
        let bare = stanza.to.map(|t| t.bare());
        let stanza = Stanza { to: bare, ..*stanza };
        if self.users.get_mut(id).is_some_and(|u| u.record == Record::Loading) {
            return self.park(id, &stanza, meta);
        }
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
        if user.spool_at_rest() {
            user.gone.expire(now);
        }
        let over: Vec<Seat> = user
            .resources
            .iter()
            .filter(|r| {
                let max = r.sm.as_ref().map_or_else(Default::default, |sm| sm.max);
                r.detached.as_ref().is_some_and(|d| d.resuming.is_none() && d.since + max <= now)
            })
            .map(|r| Seat { user: id, resource: r.id })
            .collect();
        let over: Vec<Seat> = over.into_iter().filter(|s| !self.is_on_hold(id, s.resource)).collect();
        for seat in over {
            self.leave(seat, None);
        }
        self.on_moves_due(id);
        self.spool_due(id);
        if let Some(user) = self.users.get_mut(id)
            && user.spool_retry.take_if(|at| *at <= now).is_some()
        {
            user.spool.add();
            self.spool_begin(id);
        }
        let Some(user) = self.users.get_mut(id) else { return };
        let limits = &self.cx.settings.limits;
        if user.is_unneeded() && now.since(user.needed) >= limits.user_cache_timeout && !self.is_afar(id) {
            self.users.remove(id);
            return;
        }
        self.arm_user(id);
    }

    /// Forgets at once an address that is nobody's: whoever writes to a million of them fills no memory.
    pub(super) fn evict_if_nobody(&mut self, id: UserId) {
        if self.users.get_mut(id).is_some_and(|u| !u.exists || u.ephemeral) {
            self.forget_user(id);
        }
    }

    /// Drops the record of a user that nobody needs now.
    pub(super) fn forget_user(&mut self, id: UserId) {
        if !self.is_afar(id)
            && let Some(user) = self.users.get_mut(id)
            && user.is_unneeded()
        {
            if let Some((timer, _)) = user.timer.take() {
                self.cx.timers.cancel(timer);
            }
            self.users.remove(id);
        }
    }

    /// Makes sure that the user's timer fires in time.
    pub(super) fn arm_user(&mut self, id: UserId) {
        let (afar, moves) = (self.is_afar(id), self.moves_due(id));
        let cluster = self.cluster.as_deref().filter(|_| moves.is_some());
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
        if let Some((at, ..)) = user.promised.front() {
            earlier(*at, "spool");
        }
        if let Some(at) = user.spool_retry {
            earlier(at, "spool again");
        }
        if let Some(at) = user.gone.expires().filter(|_| user.spool_at_rest()) {
            earlier(at, "recent messages");
        }
        if let Some(at) = moves {
            earlier(at, "moves");
        }
        for r in user.resources.iter() {
            if let (Some(detached), Some(sm)) = (&r.detached, &r.sm)
                && detached.resuming.is_none()
                && !cluster.is_some_and(|cluster| cluster.is_held(id, r.id))
            {
                earlier(detached.since + sm.max, "resume");
            }
        }
        if user.is_unneeded() && !afar {
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
            && self.promised.is_empty()
            && self.changes.is_empty()
            && self.spool.writing == 0
            && self.record == Record::Ready
    }
}

fn orphans_of(unwritten: Vec<(Promise, Vec<u8>)>) -> Vec<Orphan> {
    unwritten
        .into_iter()
        .map(|(p, bytes)| Orphan {
            id: p.id,
            at: p.at,
            settle: p.settle,
            row: p.row,
            shared: p.shared,
            bytes,
        })
        .collect()
}
