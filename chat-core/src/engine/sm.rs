//! The elements of stream management (XEP-0198) on a bound stream, and the return to a session.

use super::Engine;
use super::nodes::is_stale;
use crate::base::{ConnId, HashKey, Span, UserId};
use crate::effect::{Event, ResourceId};
use crate::session::{self, Phase, Seat, Sm};
use crate::stanza::ns;
use crate::stream::{StreamCondition, StreamError};
use crate::user::Detached;
use crate::xml::StanzaView;

impl Engine {
    pub(super) fn on_sm_element(&mut self, conn: ConnId, seat: Seat, element: &StanzaView<'_>) {
        let h = element.attr("h").and_then(|h| h.parse::<u32>().ok());
        match (element.name(), h) {
            ("r", _) => self.on_request(conn, seat),
            ("a", Some(h)) => self.on_ack(conn, seat, h),
            ("enable", _) => self.on_enable(conn, seat, element),
            // §5: only an authenticated stream without a resource can resume.
            ("resume", _) => self.sm_failed(conn, "unexpected-request", None),
            _ => self.fail(
                conn,
                &StreamError::new(StreamCondition::InvalidXml, "no element of stream management"),
            ),
        }
    }

    pub(super) fn sm_failed(&mut self, conn: ConnId, condition: &str, h: Option<u32>) {
        let h = h.map_or(String::new(), |h| format!(" h='{h}'"));
        let text = format!("<failed xmlns='{}'{h}><{condition} xmlns='{}'/></failed>", ns::SM, ns::STANZAS);
        self.cx.wires.write(conn, text.as_bytes());
    }

    fn on_enable(&mut self, conn: ConnId, seat: Seat, element: &StanzaView<'_>) {
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let limit = user.limits(&self.cx.settings).resume_timeout_max;
        let Some(resource) = user.resource(seat.resource) else { return };
        if resource.sm.is_some() {
            return self.sm_failed(conn, "unexpected-request", None);
        }
        let resumable = matches!(element.attr("resume").as_deref(), Some("true" | "1")) && limit.0 > 0;
        let wish = element.attr("max").and_then(|m| m.parse::<u32>().ok()).map(|m| Span::secs(u64::from(m)));
        let max = wish.unwrap_or(limit).min(limit);
        // The id is a secret: who knows it may take the session over. The key of message ids comes from it.
        let token = self.cx.rng.token();
        let key = self.cx.rng.hash_key();
        let answer = if resumable {
            format!("<enabled xmlns='{}' id='{token}' resume='true' max='{}'/>", ns::SM, max.as_secs())
        } else {
            format!("<enabled xmlns='{}'/>", ns::SM)
        };
        let HashKey { k0, k1 } = key;
        let id = if resumable { token } else { Default::default() };
        resource.sm = Some(Box::new(Sm::new(id, max, HashKey { k0, k1 })));
        self.cx.wires.write(conn, answer.as_bytes());
        self.note(seat.user, seat.resource);
    }

    /// `<r/>` (§4): answered at once.
    fn on_request(&mut self, conn: ConnId, seat: Seat) {
        let Some(resource) = self.users.get_mut(seat.user).and_then(|u| u.resource(seat.resource)) else {
            return;
        };
        let Some(sm) = &mut resource.sm else {
            return self.sm_failed(conn, "unexpected-request", None);
        };
        let h = sm.asked();
        self.cx.wires.write_fmt(conn, format_args!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
    }

    /// `<a/>` (§4).
    fn on_ack(&mut self, conn: ConnId, seat: Seat, h: u32) {
        let Some(resource) = self.users.get_mut(seat.user).and_then(|u| u.resource(seat.resource)) else {
            return;
        };
        let Some(sm) = &mut resource.sm else {
            return self.sm_failed(conn, "unexpected-request", None);
        };
        let mut acked = std::mem::take(&mut self.acked);
        match sm.acknowledge(self.cx.wires.pools(), h, |entry| acked.push(entry)) {
            Ok(()) => {
                let ask = sm.should_request();
                if ask {
                    self.cx.wires.write(conn, b"<r xmlns='urn:xmpp:sm:3'/>");
                }
                self.on_acked(seat.user, &acked);
            }
            Err(too_high) => self.fail(conn, &too_high_error(too_high)),
        }
        acked.clear();
        self.acked = acked;
    }

    /// A client wants to go on with a session (§5).
    pub(super) fn on_resume(&mut self, conn: ConnId, previd: &str, h: u32) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let Some(identity) = &session.identity else { return };
        let bare = identity.user.clone();
        let found = self.users.find(bare.as_str()).and_then(|id| {
            let user = self.users.get_mut(id)?;
            let matches = |r: &crate::user::Resource| {
                r.sm.as_ref().is_some_and(|sm| sm.can_resume() && sm.id == previd)
            };
            let index = user.resources.iter().position(matches)?;
            let rid = user.resources[index].id;
            let elsewhere = self.is_on_hold(id, rid) || self.is_newer_elsewhere(bare.as_str(), previd);
            (!elsewhere).then_some((id, index))
        });
        let Some((id, index)) = found else {
            if !self.take_elsewhere(conn, &bare, previd, h) {
                let h = self.expired.find(previd, &bare);
                self.resume_refused(conn, h);
            }
            return;
        };
        let Some(user) = self.users.get_mut(id) else { return };
        let resource = &mut user.resources[index];
        let rid = resource.id;
        if is_stale(resource, h) {
            self.leave(Seat { user: id, resource: rid }, None);
            return self.resume_refused(conn, None);
        }
        let Some(sm) = &mut resource.sm else { return };
        let mut acked = Vec::new();
        if let Err(too_high) = sm.acknowledge(self.cx.wires.pools(), h, |entry| acked.push(entry)) {
            return self.fail(conn, &too_high_error(too_high));
        }
        // §5: the old stream, if there still is one, ends; its session goes on here.
        let since = self.cx.now.mono;
        let detached = resource.detached.get_or_insert_with(|| Box::new(Detached::new(since)));
        let old = [resource.conn.take(), detached.resuming.replace(conn)];
        let settled = sm.unsettled().0 == 0;
        for old in old.into_iter().flatten() {
            self.close_replaced(old);
        }
        if let Some(session) = self.sessions.get_mut(conn) {
            session.phase = Phase::Entering;
            session.holds.answer = true;
        }
        self.on_acked(id, &acked);
        if settled {
            self.resume_now(id, rid);
        }
    }

    /// There is no such session. The client may have waited for it.
    fn resume_refused(&mut self, conn: ConnId, h: Option<u32>) {
        match self.sessions.get_mut(conn).map(|session| matches!(session.phase, Phase::Entering)) {
            Some(true) => self.resume_failed(conn, h),
            _ => self.sm_failed(conn, "item-not-found", h),
        }
    }

    /// Ends a stream whose session has gone elsewhere.
    pub(super) fn close_replaced(&mut self, conn: ConnId) {
        if let Some(session) = self.sessions.get_mut(conn) {
            session.phase = Phase::Ready;
            let error = StreamError::new(StreamCondition::Conflict, "the session went on elsewhere");
            session::fail(session, &mut self.cx, &error);
            self.rearm(conn);
        }
    }

    /// A connection ends that waits to go on with a session: the session waits for another, and not for ever.
    pub(super) fn give_up_resuming(&mut self, conn: ConnId) {
        let Some(identity) = self.sessions.get_mut(conn).and_then(|s| s.identity.as_ref()) else { return };
        let Some(id) = self.users.find(identity.user.as_str()) else { return };
        let Some(user) = self.users.get_mut(id) else { return };
        let detached = user.resources.iter_mut().filter_map(|r| r.detached.as_mut());
        if let Some(detached) = detached.into_iter().find(|d| d.resuming == Some(conn)) {
            detached.resuming = None;
            self.arm_user(id);
        }
        self.leave_taking(id, conn);
    }

    /// Everything the client has sent is settled, so `h` is exact and nothing is sent twice: the session goes on.
    pub(super) fn resume_now(&mut self, id: UserId, rid: ResourceId) {
        let Some(user) = self.users.get_mut(id) else { return };
        let Some(index) = user.index(rid) else { return };
        let jid = user.full_jid(index);
        let resource = &mut user.resources[index];
        let resuming = resource.detached.as_mut().and_then(|d| d.resuming.take());
        let (Some(conn), Some(sm)) = (resuming, &mut resource.sm) else { return };
        let Some(session) = self.sessions.get_mut(conn).filter(|s| matches!(s.phase, Phase::Entering)) else {
            // The new connection broke meanwhile: the session waits for another.
            return self.arm_user(id);
        };
        session.phase = Phase::Bound(Seat { user: id, resource: rid });
        session.holds.answer = false;
        resource.conn = Some(conn);
        let unsure = resource.detached.take().is_some_and(|detached| detached.given.is_some());
        let h = sm.h();
        let text = format!("<resumed xmlns='{}' previd='{}' h='{h}'/>", ns::SM, sm.id);
        self.cx.wires.write(conn, text.as_bytes());
        let mut again = Vec::new();
        sm.resend(&mut again);
        #[cfg(feature = "sim")]
        if self.cx.settings.has(crate::effect::Plant::DropOnResume)
            && let Some(first) = sm.entries().next()
        {
            again.drain(..first.len as usize);
        }
        self.cx.wires.write_beyond(conn, &again);
        if sm.should_request() {
            self.cx.wires.write(conn, b"<r xmlns='urn:xmpp:sm:3'/>");
        }
        // XEP-0352 §5: a resumed session is active until it says otherwise.
        resource.release(&mut self.cx);
        resource.held = None;
        self.cx.event(Event::Resumed { jid });
        self.released.push(conn);
        if unsure {
            self.note_anew(id, rid);
        }
        self.spool_next(id);
    }
}

/// §4: a client that acknowledges what it never got.
pub(super) fn too_high_error(error: session::TooHigh) -> StreamError {
    let specific = format!(
        "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='{}' send-count='{}'/>",
        error.h, error.sent
    );
    StreamError {
        condition: StreamCondition::UndefinedCondition,
        text: error.to_string().into(),
        specific: Some(specific),
    }
}
