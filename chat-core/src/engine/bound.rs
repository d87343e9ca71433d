//! Elements on the stream of a bound resource.

use super::Engine;
use crate::base::ConnId;
use crate::effect::SettleTo;
use crate::ext::Handle;
use crate::jid::{self, JidRef};
use crate::session::Seat;
use crate::stanza::{Condition, IqType, Kind, PresenceType, Stanza, ns};
use crate::stream::{StreamCondition, StreamError};
use crate::xml::write::respelled;
use crate::xml::{Element, ScanLimits, StanzaView, StreamNs, XmlFault, scan, scan_front};

impl Engine {
    pub(super) fn on_bound_element(&mut self, conn: ConnId, seat: Seat, bytes: &[u8]) {
        let Some((stream_ns, limits)) = self.borrow_ns(conn) else { return };
        match scan(bytes, &stream_ns, &limits) {
            Ok(view) => self.on_bound_view(conn, seat, &view),
            Err(fault) => self.fail(conn, &fault.into()),
        }
        self.after_element(conn, seat, stream_ns);
    }

    /// The element that lies whole at the front of `text`, received by a resource, and how many bytes it had. There need
    /// not be one, and it need not be acceptable: then nothing happened, and the framer has its turn.
    pub(super) fn on_bound_front(&mut self, conn: ConnId, text: &str) -> Option<usize> {
        let session =
            self.sessions.get_mut(conn).filter(|s| s.inbox.is_between() && text.starts_with('<'))?;
        let (seat, max) = (session.seat()?, session.element_max as usize);
        let (stream_ns, limits) = self.borrow_ns(conn)?;
        let len = match scan_front(text, &stream_ns, &limits) {
            Some(view) if view.bytes().len() <= max => {
                self.on_bound_view(conn, seat, &view);
                view.bytes().len()
            }
            _ => {
                self.give_back_ns(conn, stream_ns);
                return None;
            }
        };
        self.after_element(conn, seat, stream_ns);
        Some(len)
    }

    /// What a stream header bound, moved out for as long as a view borrows it: nothing that handles an element opens a
    /// stream on its connection. And the limits of the scan.
    fn borrow_ns(&mut self, conn: ConnId) -> Option<(StreamNs, ScanLimits)> {
        let session = self.sessions.get_mut(conn)?;
        let limits = ScanLimits::from(session.limits(&self.cx.settings));
        Some((std::mem::take(&mut session.ns), limits))
    }

    fn give_back_ns(&mut self, conn: ConnId, stream_ns: StreamNs) {
        if let Some(session) = self.sessions.get_mut(conn) {
            session.ns = stream_ns;
        }
    }

    fn after_element(&mut self, conn: ConnId, seat: Seat, stream_ns: StreamNs) {
        self.give_back_ns(conn, stream_ns);
        // Whatever it was, it waits to be settled, and its answers count.
        self.check_unsettled(conn, seat);
        self.close_overfull(seat.user);
    }

    fn on_bound_view(&mut self, conn: ConnId, seat: Seat, view: &StanzaView<'_>) {
        let Some(lang) = self.sessions.get_mut(conn).map(|session| session.lang.clone()) else { return };
        match view.ns() {
            ns::CLIENT => match respelled(view) {
                None => self.on_stanza(conn, seat, view, lang.as_deref()),
                Some(anew) => self.on_respelled(conn, seat, &anew, lang.as_deref()),
            },
            ns::SM => self.on_sm_element(conn, seat, view),
            _ => self.on_other(conn, seat, view),
        }
    }

    /// A stanza that was spelled oddly. What grows too much by that, or could not be read again, is refused here and not
    /// lost on its way.
    fn on_respelled(&mut self, conn: ConnId, seat: Seat, bytes: &[u8], lang: Option<&str>) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let max = session.limits(&self.cx.settings).stanza_bytes_max as usize;
        let fault = match scan(bytes, &StreamNs::client(), &ScanLimits::WIDEST) {
            Ok(view) if bytes.len() <= max => return self.on_stanza(conn, seat, &view, lang),
            Ok(_) => XmlFault::Policy("a stanza that grows too much when its prefixes are written out"),
            Err(fault) => fault,
        };
        self.fail(conn, &fault.into());
    }

    /// An element that is no stanza: an extension's, or nobody's (RFC 6120 §4.9.3.24).
    fn on_other(&mut self, conn: ConnId, seat: Seat, view: &StanzaView<'_>) {
        let element = Element::of(view);
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let mut at = Handle { cx: &mut self.cx, user, resource: Some(seat.resource) };
        if !self.host.on_element(&element, &mut at) {
            let text = "neither a stanza nor anything else known here";
            self.fail(conn, &StreamError::new(StreamCondition::UnsupportedStanzaType, text));
        }
    }

    fn on_stanza(&mut self, conn: ConnId, seat: Seat, view: &StanzaView<'_>, lang: Option<&str>) {
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let Some(index) = user.index(seat.resource) else { return };
        let mut sender = std::mem::take(&mut self.sender);
        let from = user.full_jid_in(index, &mut sender);
        self.on_stanza_from(conn, seat, index, view, from, lang);
        self.sender = sender;
    }

    /// The same; `index` is that of the resource, and `from` its address.
    fn on_stanza_from(
        &mut self,
        conn: ConnId,
        seat: Seat,
        index: usize,
        view: &StanzaView<'_>,
        from: JidRef<'_>,
        lang: Option<&str>,
    ) {
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let type_ = view.type_();
        let kind = match Kind::read(view.name(), type_.as_deref()) {
            None => {
                let text = "a stanza is a message, a presence or an iq";
                return self.fail(conn, &StreamError::new(StreamCondition::UnsupportedStanzaType, text));
            }
            Some(kind) => kind,
        };
        let settle = user.resources[index].sm.as_mut().map(|sm| {
            let seq = sm.receive(self.cx.wires.pools(), view.bytes().len() as u32);
            (sm.message_id(seq, view.bytes()), seq)
        });
        #[cfg(feature = "sim")]
        if self.cx.settings.has(crate::effect::Plant::AckEarly)
            && let Some((_, seq)) = settle
            && let Some(sm) = user.resources[index].sm.as_mut()
        {
            sm.settle(self.cx.wires.pools(), seq);
        }
        let settle = settle.map(|(id, seq)| {
            let worker = self.cx.settings.worker;
            (id, SettleTo::Client { worker, user: seat.user, resource: seat.resource, seq })
        });
        // RFC 6120 §8.1.2.1: a client may say who it is, but only the truth.
        #[cfg(feature = "sim")]
        let trusted = match self.cx.settings.has(crate::effect::Plant::TrustFrom) {
            true => view.from().and_then(|f| jid::Jid::parse(&f).ok()),
            false => None,
        };
        #[cfg(feature = "sim")]
        let from = trusted.as_ref().map_or(from, |claimed| claimed.as_ref());
        if let Some(claimed) = view.from()
            && !is_sender(&claimed, from)
        {
            let text = "'from' is neither your full nor your bare JID";
            return self.fail(conn, &StreamError::new(StreamCondition::InvalidFrom, text));
        }
        let to_text = view.to();
        let mut scratch = String::new();
        let to = match to_text.as_deref().map(|t| jid::parse(t, &mut scratch)).transpose() {
            Ok(to) => to,
            Err(_) => {
                let kind = kind.unwrap_or(Kind::Iq(IqType::Get));
                self.refuse_own(seat, kind, view, to_text.as_deref(), Condition::JidMalformed.into());
                return self.cx.settled(settle.map(|s| s.1));
            }
        };
        let Ok(kind) = kind else {
            let kind = if view.name() == "presence" {
                Kind::Presence(PresenceType::Available)
            } else {
                Kind::Iq(IqType::Get)
            };
            self.refuse_own(seat, kind, view, to_text.as_deref(), Condition::BadRequest.into());
            return self.cx.settled(settle.map(|s| s.1));
        };
        let stanza = Stanza { view, kind, from, to };
        self.on_client_stanza(seat, &stanza, lang, settle);
    }

    /// A client that sends more than can be made safe waits (docs/ARCHITECTURE.md).
    fn check_unsettled(&mut self, conn: ConnId, seat: Seat) {
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let Some(sm) = user.resource(seat.resource).and_then(|r| r.sm.as_ref()) else { return };
        let (stanzas, bytes) = sm.unsettled();
        let limits = user.limits(&self.cx.settings);
        if (stanzas >= limits.unsettled_stanzas_max || bytes >= limits.unsettled_bytes_max)
            && let Some(session) = self.sessions.get_mut(conn)
        {
            session.holds.unsettled = true;
        }
    }
}

/// Whether a `from` that a client wrote is its full or its bare JID.
fn is_sender(claimed: &str, full: JidRef<'_>) -> bool {
    let mut scratch = String::new();
    match jid::parse(claimed, &mut scratch) {
        Ok(claimed) => claimed == full || claimed == full.bare(),
        Err(_) => false,
    }
}
