//! Connections: accepted, read, timed, lost.

use core::net::IpAddr;

use super::Engine;
use crate::base::ConnId;
use crate::effect::{Then, TlsInfo};
use crate::session::{self, Ask, Frame, HandOver, Listener, Phase, Place, Session, Wake};
use crate::stream::{StreamCondition, StreamError};
use crate::xml::{FrameKind, utf8};

impl Engine {
    pub(super) fn on_accepted(&mut self, conn: ConnId, listener: Listener, peer: IpAddr) {
        self.cx.wires.open(conn);
        let session = Session::new(conn, listener, peer, self.cx.now, &self.cx.settings);
        self.sessions.insert(session);
        self.rearm(conn);
        self.may_begin(conn);
    }

    pub(super) fn on_adopted(&mut self, conn: ConnId, state: HandOver) {
        self.cx.wires.open(conn);
        let (session, unread) = state.unpack(conn, &mut self.cx);
        self.sessions.insert(session);
        self.rearm(conn);
        self.may_begin(conn);
        self.pump(conn, &unread);
    }

    pub(super) fn on_secured(&mut self, conn: ConnId, tls: TlsInfo) {
        if let Some(session) = self.sessions.get_mut(conn) {
            session::on_secured(session, tls);
        }
    }

    pub(super) fn on_received(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        session.on_heard(&self.cx);
        match session.phase {
            Phase::Closing | Phase::Parting => return,
            // RFC 6120 §5.3.1: nothing may follow <starttls/> in the clear.
            Phase::Securing => return self.on_lost(conn),
            _ => {}
        }
        if session.bucket.take(self.cx.now.mono, bytes.len()).is_some() {
            session.holds.rate = true;
        }
        self.pump(conn, bytes);
    }

    /// Handles what waits on a connection and then `input`, as far as it can be handled now; the rest waits.
    pub(super) fn pump(&mut self, conn: ConnId, input: &[u8]) {
        let mut scratch = std::mem::take(&mut self.frame);
        // Looked at as text once, for all stanzas in it. If it is none, perhaps because a character was cut, it is
        // framed first, like what is received before there is a resource.
        let text = self.sessions.get_mut(conn).and_then(|session| session.seat()).and_then(|_| utf8(input));
        let mut at = 0;
        while let Some(session) = self.sessions.get_mut(conn) {
            if matches!(session.phase, Phase::Closing | Phase::Parting) {
                break;
            }
            let holds = session.holds;
            if holds.answer || holds.unsettled || holds.moving {
                session.inbox.hold(self.cx.wires.pool(), &input[at..]);
                break;
            }
            if let Some(len) = text.and_then(|text| self.on_bound_front(conn, &text[at..])) {
                at += len;
                self.drain_local();
                continue;
            }
            let Some(session) = self.sessions.get_mut(conn) else { break };
            let max = session.element_max as usize;
            match session.inbox.next(self.cx.wires.pool(), input, &mut at, &mut scratch, max) {
                Ok(None) => break,
                Err(error) => {
                    self.fail(conn, &error);
                    break;
                }
                Ok(Some(Frame { kind, place })) => {
                    let frame = match place {
                        Place::Input(range) => &input[range],
                        Place::Scratch => &scratch[..],
                    };
                    self.on_frame(conn, kind, frame);
                    self.drain_local();
                    let Some(session) = self.sessions.get_mut(conn) else { break };
                    // RFC 6120 §5.3.1: what was sent in clear must never look as if it came through TLS.
                    if matches!(session.phase, Phase::Securing)
                        && (at < input.len() || !session.inbox.is_empty())
                    {
                        self.on_lost(conn);
                        break;
                    }
                }
            }
        }
        self.frame = scratch;
        if let Some(session) = self.sessions.get_mut(conn) {
            session.set_reading(&mut self.cx);
            session.arm(&mut self.cx);
        }
    }

    /// Mail of this worker to itself is handled before the next stanza, so that order is kept.
    fn drain_local(&mut self) {
        use crate::effect::Mail;
        while let Some(mail) = self.cx.local.pop_front() {
            match mail {
                Mail::Stanza(envelope) => self.deliver_posted(envelope.posted()),
                Mail::Settled(settle) => self.on_settled(settle),
            }
        }
    }

    fn on_frame(&mut self, conn: ConnId, kind: FrameKind, frame: &[u8]) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        match kind {
            FrameKind::Space => {}
            FrameKind::End => self.on_end(conn),
            FrameKind::Header => {
                let ask = match session.phase {
                    Phase::Header => session::on_header(session, &mut self.cx, frame),
                    _ => StreamError::new(StreamCondition::BadFormat, "a stream is open already").into(),
                };
                self.on_ask(conn, ask);
            }
            FrameKind::Element => match session.seat() {
                Some(seat) => self.on_bound_element(conn, seat, frame),
                None => {
                    let ask = session::on_element(session, &mut self.cx, frame);
                    self.on_ask(conn, ask);
                }
            },
        }
    }

    pub(super) fn on_ask(&mut self, conn: ConnId, ask: Ask) {
        match ask {
            Ask::Nothing => {}
            Ask::Authenticated => self.go_home(conn),
            Ask::Bind(request) => self.on_bind(conn, request),
            Ask::Resume { previd, h } => self.on_resume(conn, &previd, h),
            Ask::Register { id, user, password } => self.on_register(conn, id, user, password),
            Ask::Fail(error) => self.fail(conn, &error),
            Ask::End => self.on_end(conn),
        }
    }

    /// The client is known: its connection belongs to its user's home.
    fn go_home(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let Some(identity) = &session.identity else { return };
        let home = self.cx.settings.home(identity.user.as_str());
        if home != self.cx.settings.worker {
            session.holds.moving = true;
            self.cx.wires.then(conn, Then::HandOver(home), &mut self.cx.outputs);
        }
    }

    /// The client closed its stream (RFC 6120 §4.4).
    fn on_end(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let seat = session.seat();
        session::end(session, &mut self.cx);
        if let Some(seat) = seat {
            self.leave(seat, None);
        }
        self.rearm(conn);
    }

    /// Ends a stream with an error; whatever sat on it is over.
    pub(super) fn fail(&mut self, conn: ConnId, error: &StreamError) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let seat = session.seat();
        session::fail(session, &mut self.cx, error);
        match seat {
            Some(seat) => self.leave(seat, None),
            None => self.give_up_resuming(conn),
        }
        self.rearm(conn);
    }

    /// The connection is gone, without a word: a session that can be resumed waits for its client.
    pub(super) fn on_lost(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let seat = session.seat();
        let lost = self.cx.wires.abort(conn, &mut self.cx.outputs);
        if seat.is_none() {
            self.give_up_resuming(conn);
        }
        let known = self.sessions.get_mut(conn).and_then(|s| Some((s.identity.take()?, s.domain)));
        self.forget(conn);
        match (seat, known) {
            (Some(seat), _) => self.detach(seat, lost),
            (None, Some((identity, domain))) => self.unwritten(&identity.user, domain, lost),
            (None, None) => {}
        }
    }

    /// Forgets a connection whose outbox is closed.
    pub(super) fn forget(&mut self, conn: ConnId) {
        if let Some(mut session) = self.sessions.remove(conn) {
            session.disarm(&mut self.cx);
            session.inbox.clear(self.cx.wires.pool());
        }
    }

    pub(super) fn on_conn_time(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        match session.on_timer(&mut self.cx) {
            Wake::Nothing => return,
            Wake::Fail(error) => self.fail(conn, &error),
            Wake::Drop => return self.on_lost(conn),
            Wake::Read => session.set_reading(&mut self.cx),
            Wake::Login => session::ask_delayed(session, &mut self.cx),
            Wake::Probe => self.probe(conn),
        }
        self.rearm(conn);
    }

    pub(super) fn rearm(&mut self, conn: ConnId) {
        if let Some(session) = self.sessions.get_mut(conn) {
            session.arm(&mut self.cx);
        }
    }

    /// Nothing has come from a client for long: whatever it answers, it is alive.
    fn probe(&mut self, conn: ConnId) {
        let Some(seat) = self.sessions.get_mut(conn).and_then(|s| s.seat()) else { return };
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let Some(index) = user.index(seat.resource) else { return };
        if user.resources[index].sm.is_some() {
            self.cx.wires.write(conn, b"<r xmlns='urn:xmpp:sm:3'/>");
            return;
        }
        let (jid, domain) = (user.full_jid(index), user.jid.domain().to_owned());
        let id = self.cx.rng.token();
        let mut ping = b"<iq type='get' id='".to_vec();
        ping.extend_from_slice(id.as_bytes());
        ping.push(b'\'');
        crate::xml::write::put_attr(&mut ping, "from", &domain);
        crate::xml::write::put_attr(&mut ping, "to", jid.as_str());
        ping.extend_from_slice(b"><ping xmlns='urn:xmpp:ping'/></iq>");
        self.cx.wires.write(conn, &ping);
    }
}
