//! From a client: what it sent, to whom, and through which hooks (RFC 6121 §8.1, RFC 6120 §10).

use super::Engine;
use super::deliver::Meta;
use super::nodes::Turn;
use crate::base::{MsgId, WorkerId};
use crate::effect::{Envelope, Fate, Posted, SettleTo};
use crate::ext::{Asked, Flow, Handle};
use crate::jid::{Jid, JidRef};
use crate::session::Seat;
use crate::stanza::{
    Condition, Head, IqType, Kind, MessageType, PresenceType, Stanza, StanzaError, write_error,
};
use crate::user::presence::OwnPresence;
use crate::user::{self, Urgency, presence};
use crate::xml::{self, Stamp, StanzaView, forward};

impl Engine {
    /// A stanza from a bound client. `settle` names it if the client manages its stream.
    pub(super) fn on_client_stanza(
        &mut self,
        seat: Seat,
        stanza: &Stanza<'_>,
        lang: Option<&str>,
        settle: Option<(MsgId, SettleTo)>,
    ) {
        self.cx.counts.received(stanza.kind);
        let id = settle.map_or_else(|| self.cx.message_id(), |s| s.0);
        let settle = settle.map(|s| s.1);
        let own = stanza.from.bare();
        let to_own = stanza.to.is_none_or(|to| to == own);
        if to_own && let Kind::Presence(kind) = stanza.kind {
            self.own_presence(seat, stanza, kind, lang);
            return self.cx.settled(settle);
        }
        if to_own && let Kind::Iq(kind) = stanza.kind {
            self.own_iq(seat, stanza, kind);
            return self.cx.settled(settle);
        }
        // RFC 6121 §8.1.1.1: a message without `to` is for the sender's own bare JID.
        let stanza = &Stanza { to: Some(stanza.to.unwrap_or(own)), ..*stanza };
        if self.cluster.is_some() && matches!(stanza.kind, Kind::Message(_)) {
            self.look_for_copies(seat.user);
        }
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let mut at = Handle { cx: &mut self.cx, user, resource: Some(seat.resource) };
        match self.host.on_outbound(stanza, &mut at) {
            Flow::Go => {}
            Flow::Drop => return self.cx.settled(settle),
            Flow::Bounce(error) => {
                self.bounce_to(seat, stanza, &error);
                return self.cx.settled(settle);
            }
        }
        // Extensions may have given something to the sender's other resources.
        if self.cluster.is_some() {
            self.send_copies(seat.user);
        }
        self.close_overfull(seat.user);
        if let Kind::Presence(kind) = stanza.kind {
            self.presence_to(seat, stanza, kind, lang);
            return self.cx.settled(settle);
        }
        let meta =
            Meta { id, at: self.cx.now.utc, settle, delayed: false, lang, only: None, turn: Turn::FIRST };
        self.send_on(stanza, meta);
    }

    /// To the home of the recipient, which may be here; to the server itself; or nowhere.
    pub(super) fn send_on(&mut self, stanza: &Stanza<'_>, meta: Meta<'_>) {
        let Some(to) = stanza.to else { return };
        if self.cx.settings.domain(to.domain()).is_none() {
            // RFC 6120 §10.4: no federation yet, so every other domain is one that cannot be found.
            self.bounce(stanza, &Condition::RemoteServerNotFound.into());
            return self.cx.settled(meta.settle);
        }
        if to.local().is_none() {
            self.serve_domain(stanza);
            return self.cx.settled(meta.settle);
        }
        let home = self.cx.settings.home(to.bare().as_str());
        if home == self.cx.settings.worker {
            return self.deliver(stanza, meta);
        }
        self.mail(home, stanza, to, meta);
    }

    /// To another worker: what was found in the stanza goes with it, so that it is not scanned again there.
    fn mail(&mut self, home: WorkerId, stanza: &Stanza<'_>, to: JidRef<'_>, meta: Meta<'_>) {
        self.cx.counts.stanzas_mailed += 1;
        let batch = self.cx.batch(home);
        let (from, fate) = (stanza.from, meta.fate());
        if batch.put_scanned(from, to, meta.lang, stanza.view, fate) {
            return;
        }
        let mut stamped = self.cx.buffer();
        put_stamped(stanza, to, &meta, &mut stamped);
        self.cx.batch(home).put(Posted { from, to, stanza: &stamped, fate });
        self.cx.keep_buffer(stamped);
    }

    /// Presence without `to` (RFC 6121 §4.2, §4.4, §4.5).
    fn own_presence(&mut self, seat: Seat, stanza: &Stanza<'_>, kind: PresenceType, lang: Option<&str>) {
        let others = self.cluster.is_some() && self.is_available_elsewhere(seat.user);
        let Some(user) = self.users.get_mut(seat.user) else { return };
        match kind {
            PresenceType::Available | PresenceType::Unavailable if stanza.to.is_none() => {
                if self.cluster.is_some() && !user.ephemeral && !user.receives() {
                    // While nobody was here, other nodes may have stored something.
                    user.spool.add();
                }
                let own = presence::on_own(user, seat.resource, stanza, lang, others, &mut self.cx);
                if own == OwnPresence::BecameAvailable {
                    self.show_later(seat);
                }
                self.note(seat.user, seat.resource);
                self.spool_begin(seat.user);
                self.take_held(seat.user);
                // The others may be slow, this one is not yet.
                self.spool_next(seat.user);
            }
            // To one's own bare JID: a probe asks for one's other resources (§4.3.1).
            PresenceType::Probe | PresenceType::Available | PresenceType::Unavailable => {
                let own = user.jid.clone();
                let stanza = Stanza { to: Some(own.as_ref()), ..*stanza };
                presence::on_inbound(user, &stanza, &mut self.cx);
            }
            // Subscriptions to oneself, and errors, mean nothing.
            _ => {}
        }
    }

    /// Presence to somebody (RFC 6121 §3, §4.6).
    fn presence_to(&mut self, seat: Seat, stanza: &Stanza<'_>, kind: PresenceType, lang: Option<&str>) {
        let Some(to) = stanza.to else { return };
        let served = self.cx.settings.domain(to.domain()).is_some();
        if !served && !stanza.kind.is_subscription() {
            return self.bounce_to(seat, stanza, &Condition::RemoteServerNotFound.into());
        }
        let Some(user) = self.users.get_mut(seat.user) else { return };
        match kind {
            PresenceType::Available | PresenceType::Unavailable => {
                presence::on_directed(user, seat.resource, stanza, lang, &mut self.cx);
            }
            // Servers probe, not clients (§4.3.1); one that does learns no more than its own server would.
            PresenceType::Probe if !user.roster.subscription(to.bare().as_str()).to() => {}
            PresenceType::Probe | PresenceType::Error => {
                let meta = Meta {
                    id: MsgId(0),
                    at: self.cx.now.utc,
                    settle: None,
                    delayed: false,
                    lang,
                    only: None,
                    turn: Turn::FIRST,
                };
                self.send_on(stanza, meta);
            }
            _ => user::change::outbound(user, seat.resource, stanza, lang, &mut self.cx),
        }
    }

    /// An iq to one's own account.
    fn own_iq(&mut self, seat: Seat, stanza: &Stanza<'_>, kind: IqType) {
        match kind {
            IqType::Get | IqType::Set => {
                self.serve_iq(stanza, Asked::Own, Some(seat));
                // It may have switched carbons on or off (XEP-0280).
                self.note(seat.user, seat.resource);
            }
            // The answer to a roster push, or to nothing.
            IqType::Result | IqType::Error => {}
        }
    }

    /// To one of our domains (RFC 6121 §8.4; RFC 6120 §10.5.1, §10.5.2).
    fn serve_domain(&mut self, stanza: &Stanza<'_>) {
        match stanza.kind {
            Kind::Iq(IqType::Get | IqType::Set) => self.serve_iq(stanza, Asked::Server, None),
            Kind::Message(MessageType::Chat | MessageType::Normal | MessageType::Groupchat) => {
                self.bounce(stanza, &Condition::ServiceUnavailable.into());
            }
            _ => {}
        }
    }

    /// An error for a stanza whose sender is a client at this worker, whatever its addresses are worth.
    pub(super) fn refuse_own(
        &mut self,
        seat: Seat,
        kind: Kind,
        view: &StanzaView<'_>,
        to: Option<&str>,
        error: StanzaError,
    ) {
        if !kind.may_be_answered() {
            return;
        }
        let Some(user) = self.users.get_mut(seat.user) else { return };
        let Some(index) = user.index(seat.resource) else { return };
        let full = user.full_jid(index);
        let id = view.id();
        let mut out = Vec::new();
        // What the client wrote as `to` comes back as `from`, so that it knows its own words (RFC 6120 §8.3.1).
        write_error(&mut out, kind, &Head { from: to, to: Some(full.as_str()), id: id.as_deref() }, &error);
        user.resources[index].send(&mut self.cx, &out, None, Urgency::Now);
    }

    /// An error for a stanza whose sender is a client at this worker.
    fn bounce_to(&mut self, seat: Seat, stanza: &Stanza<'_>, error: &StanzaError) {
        self.refuse_own(seat, stanza.kind, stanza.view, stanza.to.map(|t| t.as_str()), *error);
    }

    /// An error for the sender of a stanza, wherever it is (RFC 6120 §8.3).
    pub(super) fn bounce(&mut self, stanza: &Stanza<'_>, error: &StanzaError) {
        if !stanza.kind.may_be_answered() {
            return;
        }
        self.cx.counts.bounces += 1;
        let id = stanza.view.id();
        let from = stanza.to.map(|t| t.as_str());
        let head = Head { from, to: Some(stanza.from.as_str()), id: id.as_deref() };
        let mut out = Vec::new();
        write_error(&mut out, stanza.kind, &head, error);
        let from = stanza.to.map_or_else(|| stanza.from.bare().to_owned(), |t| t.to_owned());
        self.reply(from, stanza.from, out);
    }

    /// Sends what we wrote ourselves to somebody.
    pub(super) fn reply(&mut self, from: Jid, to: JidRef<'_>, bytes: Vec<u8>) {
        if self.cx.settings.domain(to.domain()).is_none() || to.local().is_none() {
            return;
        }
        let envelope = Envelope {
            from,
            to: to.to_owned(),
            stanza: bytes.into(),
            fate: Fate {
                id: self.cx.message_id(),
                at: self.cx.now.utc,
                settle: None,
                delayed: false,
                only: None,
            },
        };
        self.cx.post(envelope);
    }
}

/// Writes a stanza as it travels: `from` stamped, `to` prepared.
pub(super) fn put_stamped(stanza: &Stanza<'_>, to: JidRef<'_>, meta: &Meta<'_>, out: &mut Vec<u8>) {
    let stamp = Stamp {
        to: xml::Head::Set(to.as_str()),
        from: xml::Head::Set(stanza.from.as_str()),
        lang: meta.lang,
        ..Stamp::default()
    };
    forward(stanza.view, &stamp, out);
}
