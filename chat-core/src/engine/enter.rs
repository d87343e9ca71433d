//! How a client gets a resource (RFC 6120 §7).

use smol_str::SmolStr;

use super::Engine;
use crate::base::{ConnId, Limits, UserId};
use crate::effect::{Event, StoreOp, Wait};
use crate::route::decision::RESOURCES_MAX;
use crate::session::{BindRequest, Phase, Seat, refuse_bind, write_bound};
use crate::stanza::{Condition, ErrorType, StanzaError};
use crate::stream::{StreamCondition, StreamError};
use crate::user::{Parked, Record, Resource};

impl Engine {
    /// A client wants a resource: as soon as its user's record is here, it gets one.
    pub(super) fn on_bind(&mut self, conn: ConnId, request: BindRequest) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let Some(identity) = &session.identity else { return };
        let (bare, domain) = (identity.user.clone(), session.domain);
        session.phase = Phase::Entering;
        session.holds.answer = true;
        let id = match self.users.find(bare.as_str()) {
            Some(id) => id,
            None => self.load(bare.as_ref(), domain),
        };
        let Some(user) = self.users.get_mut(id) else { return };
        if user.record == Record::Ready {
            return self.bind_now(id, conn, &request);
        }
        let waiting = &mut user.parked;
        // More than will get one need not wait; nor do those whose connection is gone meanwhile.
        let limit = resources_max(self.cx.settings.limits_of(domain));
        let sessions = &mut self.sessions;
        waiting.retain(|parked| match parked {
            Parked::Bind(conn, _) => {
                sessions.get_mut(*conn).is_some_and(|s| matches!(s.phase, Phase::Entering))
            }
            Parked::Stanza(_) | Parked::Lost(..) | Parked::Resume { .. } | Parked::Offer { .. } => true,
        });
        if waiting.iter().filter(|parked| matches!(parked, Parked::Bind(..))).count() < limit {
            return waiting.push_back(Parked::Bind(conn, request));
        }
        if let Some(session) = self.sessions.get_mut(conn) {
            session.phase = Phase::Ready;
            session.holds.answer = false;
            refuse_bind(conn, &mut self.cx, &request.id, &full());
            self.released.push(conn);
        }
    }

    pub(super) fn bind_now(&mut self, id: UserId, conn: ConnId, request: &BindRequest) {
        let Some(session) = self.sessions.get_mut(conn).filter(|s| matches!(s.phase, Phase::Entering)) else {
            return;
        };
        session.holds.answer = false;
        let peer = session.peer;
        self.released.push(conn);
        let name: SmolStr = match &request.resource {
            Some(name) => name.as_str().into(),
            None => self.cx.rng.token(),
        };
        let Some(user) = self.users.get_mut(id) else { return };
        let jid = user.jid.join(&name);
        let same = user.resources.iter().position(|r| r.name() == name);
        let limit = resources_max(user.limits(&self.cx.settings));
        if same.is_none() && user.resources.len() >= limit {
            session.phase = Phase::Ready;
            return refuse_bind(conn, &mut self.cx, &request.id, &full());
        }
        if let Some(index) = same {
            // §7.7.2.2: the newer session wins, as users expect whose old connection is dead without knowing it.
            self.displace(id, index);
        }
        let Some(user) = self.users.get_mut(id) else { return };
        let rid = self.cx.next_resource();
        user.resources.push(Resource::new(rid, name, conn));
        user.needed = self.cx.now.mono;
        self.cx.counts.session_begins(user.domain);
        let bare = user.jid.clone();
        // Whose credentials are kept elsewhere exists from the first login on.
        let unknown = !user.exists && !user.ephemeral;
        user.exists = true;
        if self.cluster.is_some() && !user.ephemeral {
            // Another node may have stored something since the record was read.
            user.spool.add();
        }
        if let Some(session) = self.sessions.get_mut(conn) {
            session.phase = Phase::Bound(Seat { user: id, resource: rid });
        }
        if unknown {
            self.cx.store(StoreOp::Touch { user: bare }, Wait::Nobody);
        }
        write_bound(&mut self.cx.wires.sink(conn), &request.id, &jid);
        self.note(id, rid);
        self.cx.event(Event::Bound { jid, peer });
    }

    /// Another client has taken the resource of this session, which ends.
    pub(super) fn displace(&mut self, id: UserId, index: usize) {
        let Some(user) = self.users.get_mut(id) else { return };
        let seat = Seat { user: id, resource: user.resources[index].id };
        let error = StreamError::new(StreamCondition::Conflict, "another client took this resource");
        self.end_session(seat, &error);
    }

    /// A session of this node is over, whatever it was doing; its stream is told why, if there is one.
    pub(super) fn end_session(&mut self, seat: Seat, error: &StreamError) {
        let resource = self.users.get_mut(seat.user).and_then(|user| user.resource(seat.resource));
        let Some(conn) = resource.map(|r| r.conn.or(r.resuming())) else { return };
        match conn.filter(|c| self.sessions.get_mut(*c).is_some_and(|s| s.seat().is_some())) {
            Some(conn) => self.fail(conn, error),
            None => self.leave(seat, None),
        }
    }
}

/// The resources that one user may have.
fn resources_max(limits: &Limits) -> usize {
    usize::from(limits.resources_per_user_max).min(RESOURCES_MAX)
}

/// The user has as many resources as it may (RFC 6120 §7.7.2.3).
fn full() -> StanzaError {
    StanzaError::new(Condition::ResourceConstraint, ErrorType::Wait)
}
