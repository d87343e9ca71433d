//! When a message is safe, and who is told (docs/ARCHITECTURE.md).

use super::Engine;
use crate::base::{ConnId, UserId};
use crate::effect::{FlightId, Promise, ResourceId, SettleTo, StoreOp, Unacked, Wait};
use crate::user::{Promised, SpoolState, User};

impl Engine {
    /// A message that a client of ours sent is settled.
    pub(super) fn on_settled(&mut self, settle: SettleTo) {
        let SettleTo::Client { worker, user: id, resource: rid, seq } = settle else { return };
        if worker != self.cx.settings.worker {
            return self.cx.settled(Some(settle));
        }
        let Some(user) = self.users.get_mut(id) else { return };
        let limits = user.limits(&self.cx.settings);
        let Some(resource) = user.resource(rid) else { return };
        let Some(sm) = &mut resource.sm else { return };
        if !sm.settle(self.cx.wires.pools(), seq) {
            return;
        }
        let (stanzas, bytes) = sm.unsettled();
        if let Some(conn) = resource.conn {
            if stanzas < limits.unsettled_stanzas_max
                && bytes < limits.unsettled_bytes_max
                && let Some(session) = self.sessions.get_mut(conn)
                && session.holds.unsettled
            {
                session.holds.unsettled = false;
                self.released.push(conn);
            }
            let ack = (id, rid);
            if !self.acks.contains(&ack) {
                self.acks.push(ack);
            }
        }
        if stanzas == 0 && resource.resuming().is_some() {
            self.resume_now(id, rid);
        } else if stanzas == 0 && resource.conn.is_none() {
            self.give_if_settled(id, rid);
        }
    }

    /// `h` rose: a client that asked for it hears so.
    pub(super) fn send_ack(&mut self, user: UserId, resource: ResourceId) {
        let Some(resource) = self.users.get_mut(user).and_then(|u| u.resource(resource)) else { return };
        let (Some(sm), Some(conn)) = (&mut resource.sm, resource.conn) else { return };
        if let Some(h) = sm.owes_ack() {
            self.cx.wires.write_fmt(conn, format_args!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
        }
    }

    /// The client of a resource acknowledged copies of these messages.
    pub(super) fn on_acked(&mut self, id: UserId, acked: &[Unacked]) {
        let Some(user) = self.users.get_mut(id) else { return };
        let mut delete = Vec::new();
        for key in acked.iter().filter_map(|u| u.flight) {
            let Some(flight) = user.flights.get_mut(key) else { continue };
            flight.acked = true;
            if matches!(flight.settle, Some(SettleTo::Node { .. })) || flight.spool == SpoolState::Elsewhere {
                // That node may send it again all the same: if it does not hear of this, or has heard of another session's end.
                user.gone.insert(self.cx.now.mono, flight.id);
            }
            self.cx.settled(flight.settle.take());
            // One that was refused may be there all the same, if an answer was lost.
            if matches!(flight.spool, SpoolState::Written | SpoolState::Refused) {
                delete.push(flight.id);
                flight.spool = SpoolState::Absent;
                user.gone.insert(self.cx.now.mono, flight.id);
            }
            user.flights.drop_copy(&mut self.user_pools, key);
        }
        if !delete.is_empty() {
            let op = StoreOp::SpoolDelete { user: user.jid.clone(), ids: delete };
            self.cx.store(op, Wait::Nobody);
            self.arm_user(id);
        }
        self.spool_next(id);
    }

    /// Messages for a client without stream management were written: that is all that was promised.
    pub(super) fn on_written(&mut self, conn: ConnId, written: &[Promise]) {
        if written.is_empty() {
            return;
        }
        let ids: Vec<_> = written.iter().filter(|p| p.row).map(|p| p.id).collect();
        for promise in written {
            self.cx.settled(promise.settle);
        }
        let Some(identity) = self.sessions.get_mut(conn).and_then(|s| s.identity.as_ref()) else { return };
        let delete = (!ids.is_empty()).then(|| StoreOp::SpoolDelete { user: identity.user.clone(), ids });
        if let Some(id) = self.users.find(identity.user.as_str())
            && let Some(user) = self.users.get_mut(id)
        {
            let afar = |p: &Promise| matches!(p.settle, Some(SettleTo::Node { .. }));
            for promise in written.iter().filter(|p| p.shared || p.row || afar(p)) {
                match user.flights.find(promise.id) {
                    Some((_, flight)) => flight.had = true,
                    None => user.gone.insert(self.cx.now.mono, promise.id),
                }
            }
            // Promises that are kept leave the front of the queue: it stays as short as what is on its way.
            let written = |p: &Promised| !self.cx.wires.is_promised(p.1, p.2);
            while user.promised.pop_front_if(&mut self.user_pools.promised, written).is_some() {}
            if user.gone.expires().is_some() && user.timer.is_none() {
                self.arm_user(id);
            }
        }
        if let Some(op) = delete {
            self.cx.store(op, Wait::Nobody);
        }
    }

    /// Messages that no client acknowledged in time are written to the spool, so that their senders need not wait.
    pub(super) fn spool_due(&mut self, id: UserId) {
        let Some(user) = self.users.get_mut(id) else { return };
        let mut due = Vec::new();
        while let Some((key, flight)) = user.flights.pop_due(&mut self.user_pools, self.cx.now.mono) {
            due.push((key, flight));
        }
        for (key, flight) in due {
            let Some(user) = self.users.get_mut(id) else { return };
            if user.ephemeral {
                // Nothing of such a user is stored: the promise ends with the queue.
                if let Some(flight) = user.flights.get_mut(key) {
                    flight.spool = SpoolState::Absent;
                    let settle = flight.settle.take();
                    self.cx.settled(settle);
                }
                continue;
            }
            let mut bytes = Vec::new();
            copy_of(user, key, &mut bytes);
            if bytes.is_empty()
                && let Some(copy) = self.cluster.as_ref().and_then(|cluster| cluster.copy_of(id, key))
            {
                bytes.extend_from_slice(copy);
            }
            self.spool(id, &bytes, flight.id, flight.at, flight.settle, false);
        }
        self.promises_due(id);
    }

    /// The same for messages that clients without stream management are slow to read.
    fn promises_due(&mut self, id: UserId) {
        let now = self.cx.now.mono;
        while let Some(user) = self.users.get_mut(id)
            && let Some((_, conn, msg)) =
                user.promised.pop_front_if(&mut self.user_pools.promised, |p| p.0 <= now)
        {
            // Written to another of the user's clients, which fulfils the promise for all.
            if user.gone.contains(msg) {
                continue;
            }
            let Some((promise, bytes)) = self.cx.wires.to_row(conn, msg) else { continue };
            // One row stands for all to whom the message is promised.
            for other in user.resources.iter().filter(|_| promise.shared).filter_map(|r| r.conn) {
                self.cx.wires.to_row(other, msg);
            }
            if user.ephemeral {
                self.cx.settled(promise.settle);
            } else {
                self.spool(id, &bytes, promise.id, promise.at, promise.settle, false);
            }
        }
    }
}

/// The bytes of a message from the queue of whichever resource has a copy.
fn copy_of(user: &User, key: FlightId, out: &mut Vec<u8>) {
    for sm in user.resources.iter().filter_map(|r| r.sm.as_ref()) {
        if let Some(index) = sm.entries().position(|e| e.flight == Some(key)) {
            return sm.copy(index, out);
        }
    }
}
