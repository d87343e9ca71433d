//! The node that has a session which another is to have: it stops the session, gives it, and waits until it is taken.

use std::collections::VecDeque;
use std::sync::Arc;

use super::moves::{Behind, Given, HOLD_WAIT, Hold};
use super::{Cluster, OWN};
use crate::base::limits::SESSION_STATE_BYTES_MAX;
use crate::base::{ConnId, MsgId, NodeId, UserId};
use crate::effect::{Copied, Keeper, NodeTold, NotGiven, Queued, ResourceId, SessionState, SmHash, Unacked};
use crate::engine::Engine;
use crate::jid::BareJid;
use crate::session::{self, Seat};
use crate::user::{Detached, Flight, RECENT_MAX, Resource, SpoolState, User};

impl Engine {
    /// Another node has a client that wants to go on with a session of this one.
    pub(super) fn on_session_ask(&mut self, node: NodeId, ask: u64, user: &str, id: &str, h: u32) {
        if let Err(why) = self.hold_for(node, ask, user, id, h) {
            self.cx.node_mail.put(&NodeTold::Refuse { node, ask, why });
        }
    }

    fn hold_for(&mut self, node: NodeId, ask: u64, bare: &str, sm: &str, h: u32) -> Result<(), NotGiven> {
        let is_it = |r: &Resource| r.sm.as_ref().is_some_and(|s| s.can_resume() && s.id == sm);
        let found = self.users.find(bare).and_then(|id| {
            let user = self.users.get_mut(id)?;
            user.resources.iter().find(|r| is_it(r)).map(|r| (id, r.id))
        });
        let Some((id, rid)) = found else { return Err(self.not_here(node, bare, sm)) };
        if let Some(afar) = self.cluster.as_deref_mut().and_then(|cluster| cluster.users.get_mut(&id))
            && let Some(hold) = afar.hold_of_mut(rid)
        {
            if hold.node != node || hold.is_lost {
                let behind = hold.behind.replace(Behind { node, ask, h });
                self.refuse_behind(behind, NotGiven::Unable);
                return Ok(());
            }
            // It asks anew, so it has forgotten what it asked before.
            let stream = hold.stream.take();
            afar.holds.retain(|hold| hold.resource != rid);
            self.cut(stream);
        }
        let Some(resource) = self.users.get_mut(id).and_then(|user| user.resource(rid)) else {
            return Err(NotGiven::Unknown(None));
        };
        if is_stale(resource, h) {
            self.leave(Seat { user: id, resource: rid }, None);
            return Err(NotGiven::Unknown(None));
        }
        let Some(sm) = &mut resource.sm else { return Err(NotGiven::Unknown(None)) };
        let mut acked = Vec::new();
        sm.acknowledge(self.cx.wires.pools(), h, |entry| acked.push(entry))
            .map_err(|e| NotGiven::TooHigh { h: e.h, sent: e.sent })?;
        self.stop(Seat { user: id, resource: rid }, node, ask, &acked, false);
        Ok(())
    }

    /// Why a session is not given that is not here.
    fn not_here(&self, node: NodeId, bare: &str, sm: &str) -> NotGiven {
        let seen = self.cluster.as_ref().and_then(|c| c.table.resumable(bare, SmHash::of(sm)));
        if seen.is_some_and(|entry| entry.node != OWN && entry.node != node) {
            return NotGiven::Elsewhere;
        }
        let h = BareJid::parse(bare).ok().and_then(|user| self.expired.find(sm, &user));
        NotGiven::Unknown(h)
    }

    /// A session stands still from now on: its stream ends, and what comes for it waits in its queue. `quietly`: its client has not come
    /// elsewhere, so it is told what is safe, and nothing else, before its stream ends.
    pub(super) fn stop(&mut self, seat: Seat, node: NodeId, ask: u64, acked: &[Unacked], quietly: bool) {
        let Seat { user: id, resource: rid } = seat;
        let now = self.cx.now.mono;
        let Some(resource) = self.users.get_mut(id).and_then(|user| user.resource(rid)) else { return };
        let detached = resource.detached.get_or_insert_with(|| Box::new(Detached::new(now)));
        let old = [resource.conn.take(), detached.resuming.take()];
        let stream = old[0].filter(|_| quietly);
        let Some(sm) = resource.sm.as_ref().map(|sm| SmHash::of(&sm.id)) else { return };
        // XEP-0352 §5: a resumed session is active until it says otherwise.
        resource.release(&mut self.cx);
        resource.held = None;
        if let Some(cluster) = self.cluster.as_deref_mut() {
            let hold = Hold {
                resource: rid,
                sm,
                node,
                ask,
                given: None,
                behind: None,
                is_lost: false,
                is_over: false,
                is_void: false,
                stream,
                until: now + HOLD_WAIT,
            };
            cluster.afar(id).holds.push(hold);
        }
        for old in old.into_iter().flatten() {
            match self.sessions.get_mut(old).filter(|_| quietly) {
                Some(session) if Some(old) == stream => session::part_soon(session, &mut self.cx),
                Some(_) => self.cut(Some(old)),
                None => self.close_replaced(old),
            }
        }
        self.on_acked(id, acked);
        self.give_if_settled(id, rid);
        self.arm_user(id);
    }

    /// Something that its client asked for may be done: if it was the last, the session is given.
    pub(in crate::engine) fn give_if_settled(&mut self, id: UserId, rid: ResourceId) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Some(hold) = cluster.users.get(&id).and_then(|afar| afar.hold_of(rid)) else { return };
        let Some(user) = self.users.get_mut(id) else { return };
        if hold.given.is_some() || user.changes.iter().any(|change| change.by() == Some(rid)) {
            return;
        }
        let (node, ask) = (hold.node, hold.ask);
        let Some((state, given)) = picture(user, rid, self.cx.now.mono, || cluster.number()) else { return };
        let version = cluster.offers.version_of(node);
        if weight(&state) > SESSION_STATE_BYTES_MAX || state.since() > version {
            self.cx.node_mail.put(&NodeTold::Refuse { node, ask, why: NotGiven::Unable });
            if let Some(i) = self.place_of_hold(id, rid) {
                self.thaw(id, i, false);
            }
            return;
        }
        if let Some(hold) = cluster.users.get_mut(&id).and_then(|afar| afar.hold_of_mut(rid)) {
            hold.given = Some(given);
            if let Some(conn) = hold.stream {
                let h = state.received;
                self.cx.wires.write_fmt(conn, format_args!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
            }
        }
        self.cx.node_mail.put(&NodeTold::State { node, ask, state: &Arc::new(state) });
    }

    /// The same for all of a user's sessions that stand still.
    pub(in crate::engine) fn give_settled(&mut self, id: UserId) {
        let Some(afar) = self.cluster.as_deref().and_then(|cluster| cluster.users.get(&id)) else { return };
        let holds: Vec<ResourceId> = afar.holds.iter().map(|hold| hold.resource).collect();
        for rid in holds {
            self.give_if_settled(id, rid);
        }
    }

    fn place_of_hold(&self, id: UserId, rid: ResourceId) -> Option<usize> {
        let afar = self.cluster.as_deref()?.users.get(&id)?;
        afar.holds.iter().position(|hold| hold.resource == rid && !hold.is_over)
    }

    /// The taker does not take it after all.
    pub(super) fn on_release(&mut self, node: NodeId, ask: u64, user: &str) {
        if let Some((id, i)) = self.find_hold(node, ask, user) {
            self.thaw(id, i, false);
        }
    }

    /// The taker has it.
    pub(super) fn on_installed(&mut self, node: NodeId, ask: u64, user: &str) {
        // If there is no such hold, the record of the taker was enough.
        let Some((id, i)) = self.find_hold(node, ask, user) else { return };
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Some(hold) = cluster.users.get_mut(&id).and_then(|afar| afar.holds.get_mut(i)) else { return };
        if hold.is_over {
            // Remembered until the taker has heard it: its session wins over nothing here.
            hold.is_void = true;
            return self.cx.node_mail.put(&NodeTold::Refuse { node, ask, why: NotGiven::Void });
        }
        self.depart(id, i);
    }

    /// A node has ended a session of a user: if it had been given one that was over here, that is done with.
    pub(super) fn forget_over(&mut self, id: UserId, node: NodeId) {
        loop {
            let Some(user) = self.users.get_mut(id) else { return };
            let Some(cluster) = self.cluster.as_deref() else { return };
            let Some(afar) = cluster.users.get(&id) else { return };
            let is_there =
                |sm| cluster.table.of(user.jid.as_str()).any(|e| e.node == node && e.record.sm == Some(sm));
            let is_done = |hold: &Hold| hold.is_void && hold.node == node && !is_there(hold.sm);
            let Some(i) = afar.holds.iter().position(is_done) else { return };
            self.thaw(id, i, false);
        }
    }

    fn find_hold(&self, node: NodeId, ask: u64, user: &str) -> Option<(UserId, usize)> {
        let id = self.users.find(user)?;
        let afar = self.cluster.as_deref()?.users.get(&id)?;
        Some((id, afar.holds.iter().position(|hold| hold.node == node && hold.ask == ask && !hold.is_lost)?))
    }

    /// A session is nobody else's any more. `unsure`: who was given it cannot say whether it has it.
    pub(super) fn thaw(&mut self, id: UserId, i: usize, unsure: bool) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Some(afar) = cluster.users.get_mut(&id) else { return };
        let hold = afar.holds.remove(i);
        self.cut(hold.stream);
        let bare = self.users.get_mut(id).map(|user| user.jid.clone());
        let resource = self.users.get_mut(id).and_then(|user| user.resource(hold.resource));
        let mut sm = None;
        if let Some(resource) = resource {
            sm = resource.sm.as_ref().map(|sm| sm.id.clone());
            if let (Some(detached), Some(given), true) = (&mut resource.detached, &hold.given, unsure) {
                // Of what was sent after it was given the first time nobody else knows.
                detached.given.get_or_insert(given.sent);
            }
        }
        match (hold.behind, bare, sm) {
            (Some(Behind { node, ask, h }), Some(bare), Some(sm)) => {
                self.on_session_ask(node, ask, bare.as_str(), &sm, h);
            }
            (behind, ..) => self.refuse_behind(behind, NotGiven::Unknown(None)),
        }
        self.seek(id);
        self.forget_afar(id);
        self.arm_user(id);
    }

    /// A session ends that stands still: whoever gets it has to end it, too.
    pub(in crate::engine) fn end_hold(&mut self, id: UserId, rid: ResourceId) {
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let Some(afar) = cluster.users.get_mut(&id) else { return };
        let Some(hold) = afar.hold_of_mut(rid) else { return };
        hold.is_over = true;
        let stream = hold.stream.take();
        let (node, ask, given, behind) = (hold.node, hold.ask, hold.given.is_some(), hold.behind.take());
        if !given {
            afar.holds.retain(|hold| hold.resource != rid);
            self.cx.node_mail.put(&NodeTold::Refuse { node, ask, why: NotGiven::Unknown(None) });
        }
        self.cut(stream);
        self.refuse_behind(behind, NotGiven::Unknown(None));
    }

    /// The stream of a client ends without a word: its session goes on.
    pub(super) fn cut(&mut self, stream: Option<ConnId>) {
        if let Some(session) = stream.and_then(|conn| self.sessions.get_mut(conn)) {
            session::part(session, &mut self.cx);
            session.arm(&mut self.cx);
        }
    }

    pub(super) fn refuse_behind(&mut self, behind: Option<Behind>, why: NotGiven) {
        if let Some(Behind { node, ask, .. }) = behind {
            self.cx.node_mail.put(&NodeTold::Refuse { node, ask, why });
        }
    }

    /// Forgets what is elsewhere of a user if nothing is.
    pub(super) fn forget_afar(&mut self, id: UserId) {
        if self.cluster.as_deref_mut().is_some_and(|cluster: &mut Cluster| cluster.forget_idle(id)) {
            self.arm_user(id);
        }
    }
}

/// Whether a client may have gone on elsewhere with a session that another node was given: then what is here is old. Whoever goes on with
/// a session is sent first what was in its queue, and only then how much of what it sends there is safe: who has not got all of the
/// first has not heard the second.
pub(in crate::engine) fn is_stale(resource: &Resource, h: u32) -> bool {
    let given = resource.detached.as_ref().and_then(|detached| detached.given);
    given.is_some_and(|given| h.wrapping_sub(given).cast_signed() >= 0)
}

/// A session as another node is to have it. `None` if its client's stanzas are not all settled.
fn picture(
    user: &mut User,
    rid: ResourceId,
    now: crate::base::Mono,
    mut number: impl FnMut() -> u64,
) -> Option<(SessionState, Given)> {
    let index = user.index(rid)?;
    let bare = user.jid.as_str().to_owned();
    let mut recent: VecDeque<MsgId> = user.gone.iter().collect();
    let User { resources, flights, .. } = user;
    let resource = &mut resources[index];
    let waited = resource.detached.as_ref().map_or_else(Default::default, |d| now.since(d.since));
    let sm = resource.sm.as_mut().filter(|sm| sm.unsettled().0 == 0)?;
    let mut bytes = Vec::new();
    sm.resend(&mut bytes);
    let (mut rest, mut envelopes, mut queue) = (&bytes[..], Vec::new(), Vec::new());
    for entry in sm.entries() {
        let (stanza, later) = rest.split_at_checked(entry.len as usize)?;
        rest = later;
        let flight = entry.flight.and_then(|key| flights.get_mut(key));
        if let Some(flight) = flight.as_ref().filter(|flight| flight.acked || flight.had) {
            // Somebody has it, and its row may still be there when the taker looks for rows.
            recent.push_back(flight.id);
        }
        let copy = flight.and_then(|flight| copied(flight, stanza, &mut number));
        envelopes.push(match copy {
            Some(Copied { keeper: Keeper::Giver(envelope), .. }) => Some(envelope),
            _ => None,
        });
        queue.push(Queued { stanza: String::from_utf8_lossy(stanza).into_owned(), copy });
    }
    recent.drain(..recent.len().saturating_sub(RECENT_MAX));
    let (acked, sent) = sm.sent();
    let state = SessionState {
        user: bare,
        id: sm.id.to_string(),
        key: sm.key(),
        max: sm.max,
        left: crate::base::Span(sm.max.0.saturating_sub(waited.0)),
        received: sm.h(),
        acked,
        resource: resource.name().to_owned(),
        priority: resource.priority,
        interested: resource.interested,
        wants_blocked: resource.wants_blocked,
        carbons: resource.carbons,
        presence: resource
            .presence
            .as_ref()
            .map_or_else(String::new, |p| String::from_utf8_lossy(p).into_owned()),
        directed: resource.directed.iter().map(|jid| jid.as_str().to_owned()).collect(),
        queue,
        recent: recent.into(),
        unsure: resource.detached.as_ref().and_then(|detached| detached.given),
    };
    Some((state, Given { envelopes, sent }))
}

/// Who answers for a message from now on. An iq is the taker's affair alone, and so is what somebody has got already.
fn copied(flight: &Flight, stanza: &[u8], number: &mut impl FnMut() -> u64) -> Option<Copied> {
    if flight.acked || flight.had {
        return None;
    }
    let keeper = match flight.spool {
        SpoolState::Written | SpoolState::Refused => Keeper::Row,
        SpoolState::Elsewhere if is_message(stanza) => Keeper::Other,
        SpoolState::Elsewhere => return None,
        SpoolState::Absent | SpoolState::Writing => Keeper::Giver(number()),
    };
    Some(Copied { id: flight.id, at: flight.at, keeper })
}

pub(super) fn is_message(stanza: &[u8]) -> bool {
    stanza.starts_with(b"<message")
}

fn weight(state: &SessionState) -> usize {
    let queue: usize = state.queue.iter().map(|q| q.stanza.len() + 64).sum();
    let directed: usize = state.directed.iter().map(|d| d.len() + 8).sum();
    queue + 16 * state.recent.len() + directed + state.presence.len() + 8192
}
