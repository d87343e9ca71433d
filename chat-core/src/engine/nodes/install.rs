//! A session of another node goes on here.

use super::moves::{Taken, Taking};
use crate::base::{NodeId, UserId};
use crate::effect::{Copied, Event, FlightId, Keeper, NodeTold, Outcome, SessionState, SettleTo, SmHash};
use crate::engine::Engine;
use crate::route::decision::RESOURCES_MAX;
use crate::user::{Flight, RECENT_MAX, Record, Resource, SpoolState};

impl Engine {
    /// The session that was waited for.
    pub(super) fn on_session_state(&mut self, node: NodeId, ask: u64, state: &SessionState) {
        let found = self.find_taking(node, ask);
        let Some((id, taking)) = found.and_then(|(id, i)| Some((id, self.end_taking(id, i)?))) else {
            let user = &state.user;
            return self.cx.node_mail.put(&NodeTold::Release { node, ask, user });
        };
        if self.stopping || !self.is_welcome(id, &taking, state) {
            let user = &state.user;
            self.cx.node_mail.put(&NodeTold::Release { node, ask, user });
            if let Some(conn) = taking.conn {
                self.resume_failed(conn, None);
            }
            return self.arm_user(id);
        }
        self.install(id, node, &taking, state);
    }

    /// Whether it is the session that was asked for, and there is a place for it.
    fn is_welcome(&mut self, id: UserId, taking: &Taking, state: &SessionState) -> bool {
        let Some(user) = self.users.get_mut(id) else { return false };
        let named = user.jid.with_resource(&state.resource);
        user.record == Record::Ready
            && user.jid.as_str() == state.user
            && !state.id.is_empty()
            && (taking.id.is_empty() || taking.id == state.id)
            && taking.sm == SmHash::of(&state.id)
            && named.is_ok_and(|jid| jid.resource() == Some(&state.resource))
            && !user.resources.iter().any(|r| r.name() == state.resource)
            && user.resources.len() < RESOURCES_MAX
    }

    fn install(&mut self, id: UserId, node: NodeId, taking: &Taking, state: &SessionState) {
        let rid = self.cx.next_resource();
        let Some(user) = self.users.get_mut(id) else { return };
        let resource = Resource::moved(rid, state, self.cx.now.mono);
        let jid = user.jid.join(&state.resource);
        user.resources.push(resource);
        self.cx.counts.session_begins(user.domain);
        for msg in state.recent.iter().take(RECENT_MAX) {
            if !user.gone.contains(*msg) {
                user.gone.insert(self.cx.now.mono, *msg);
            }
        }
        user.needed = self.cx.now.mono;
        if !user.ephemeral {
            // Another node may have stored something since the record was read.
            user.spool.add();
        }
        // First where it is, then that it was taken, then what becomes of its messages.
        self.note(id, rid);
        let (ask, user) = (taking.ask, state.user.as_str());
        self.cx.node_mail.put(&NodeTold::Installed { node, ask, user });
        for queued in &state.queue {
            let flight = queued.copy.and_then(|copy| self.adopt(id, node, copy));
            let resource = self.users.get_mut(id).and_then(|user| user.resource(rid));
            if let Some(sm) = resource.and_then(|resource| resource.sm.as_mut()) {
                sm.push(self.cx.wires.pools(), queued.stanza.as_bytes(), flight);
            }
        }
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.remember_taken(Taken { node, ask, user: id, resource: rid });
        }
        self.has_moved_here(id, rid, node);
        match taking.conn {
            Some(conn) => self.on_resume(conn, &state.id, taking.h),
            None => self.cx.event(Event::Detached { jid }),
        }
        self.spool_begin(id);
        self.take_turns(id);
        self.take_held(id);
        self.seek(id);
        self.arm_user(id);
    }

    /// A copy of a message that came with a session from that node; its flight here, if somebody cares what becomes of it.
    fn adopt(&mut self, id: UserId, node: NodeId, copy: Copied) -> Option<FlightId> {
        let Copied { id: msg, at, keeper } = copy;
        let life = self.cx.life(node);
        let settle = match keeper {
            Keeper::Giver(envelope) => Some(SettleTo::Node { node, life, envelope }),
            Keeper::Row | Keeper::Other => None,
        };
        let user = self.users.get_mut(id)?;
        if user.gone.contains(msg) {
            // Another client has it already.
            self.cx.answer(settle, Outcome::Settled);
            return None;
        }
        if let Some((key, flight)) = user.flights.find(msg) {
            flight.copies += 1;
            let row = keeper == Keeper::Row;
            if row && matches!(flight.spool, SpoolState::Elsewhere | SpoolState::Refused) {
                flight.spool = SpoolState::Written;
            }
            if flight.acked {
                self.cx.answer(settle, Outcome::Settled);
            } else if matches!(flight.settle, Some(SettleTo::Client { .. })) {
                self.cx.answer(settle, Outcome::Moved);
            } else if settle.is_some() {
                // One ack is good for both.
                let before = std::mem::replace(&mut flight.settle, settle);
                self.cx.answer(before, Outcome::Moved);
            }
            return Some(key);
        }
        let spool = match keeper {
            Keeper::Giver(_) => SpoolState::Elsewhere,
            Keeper::Row => SpoolState::Written,
            Keeper::Other => SpoolState::Refused,
        };
        let flight = Flight { id: msg, at, settle, copies: 1, acked: false, had: false, tried: false, spool };
        Some(user.flights.insert(&mut self.user_pools, flight, self.cx.now.mono, Default::default()))
    }
}
