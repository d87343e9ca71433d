//! Queries that the server answers, for itself or for an account (RFC 6121 §8.5.2.1.3, RFC 6120 §8.2.3).

use super::Engine;
use crate::effect::{AccountOp, AccountResult, PendingReply, Wait};
use crate::ext::{Answer, Asked, Iq};
use crate::jid::BareJid;
use crate::sasl::Secret;
use crate::session::Seat;
use crate::stanza::{Condition, Head, IqType, Kind, Stanza, StanzaError, ns, write_error, write_result};
use crate::user::{Urgency, roster_iq};
use crate::xml::Element;

impl Engine {
    /// An iq of type get or set that asks the server or an account. `seat` is the sender's, if the account asked is
    /// its own.
    pub(super) fn serve_iq(&mut self, stanza: &Stanza<'_>, asked: Asked, seat: Option<Seat>) {
        let element = Element::of(stanza.view);
        let set = stanza.kind == Kind::Iq(IqType::Set);
        // RFC 6120 §8.2.3: exactly one child.
        let mut children = element.children();
        let (Some(payload), None) = (children.next(), children.next()) else {
            return self.answer(stanza, seat, Answer::Error(Condition::BadRequest.into()));
        };
        if payload.ns == ns::ROSTER {
            return self.roster_iq(stanza, seat);
        }
        // RFC 3921 §3: establishing a session is a no-op.
        if payload.is("session", ns::SESSION) && set {
            return self.answer(stanza, seat, Answer::Result(Vec::new()));
        }
        let user = match (seat, asked) {
            (Some(seat), _) => Some(seat.user),
            // Who asks the server, if it is a client of this worker.
            (None, Asked::Server) => self.users.find(stanza.from.bare().as_str()),
            (None, _) => stanza.to.and_then(|to| self.users.find(to.bare().as_str())),
        };
        let iq = Iq { stanza: *stanza, payload: payload.clone(), set, asked };
        let user = user.and_then(|u| self.users.get_mut(u));
        let resource = match (seat, asked, &user) {
            (Some(seat), ..) => Some(seat.resource),
            (None, Asked::Server, Some(user)) => {
                let name = stanza.from.resource();
                user.resources.iter().find(|r| Some(r.name()) == name).map(|r| r.id)
            }
            _ => None,
        };
        let domain = match (&user, asked) {
            (Some(user), Asked::Own | Asked::Other) => Some(user.domain),
            _ => self.cx.settings.domain_index(stanza.to.unwrap_or(stanza.from).domain()),
        };
        let answer = match domain {
            Some(domain) => self.host.on_iq(domain, &iq, &mut self.cx, user, resource),
            None => Answer::NotMine,
        };
        self.answer(stanza, seat, answer);
    }

    fn roster_iq(&mut self, stanza: &Stanza<'_>, seat: Option<Seat>) {
        let Some(seat) = seat else {
            // RFC 6121 §2.1.5, §2.3.3: somebody else's roster.
            return self.answer(stanza, None, Answer::Error(Condition::Forbidden.into()));
        };
        if let Some(user) = self.users.get_mut(seat.user) {
            roster_iq::on_iq(user, seat.resource, stanza, &mut self.cx);
        }
    }

    fn answer(&mut self, stanza: &Stanza<'_>, seat: Option<Seat>, answer: Answer) {
        let id = stanza.view.id();
        let head =
            Head { from: stanza.to.map(|t| t.as_str()), to: Some(stanza.from.as_str()), id: id.as_deref() };
        let mut out = Vec::new();
        match answer {
            Answer::Later => return,
            Answer::Result(payload) => write_result(&mut out, &head, &payload),
            Answer::Error(error) => write_error(&mut out, stanza.kind, &head, &error),
            // RFC 6120 §8.2.3: what nobody understands.
            Answer::NotMine => {
                write_error(&mut out, stanza.kind, &head, &Condition::ServiceUnavailable.into());
            }
        }
        if let Some(seat) = seat
            && let Some(user) = self.users.get_mut(seat.user)
            && let Some(resource) = user.resource(seat.resource)
        {
            resource.send(&mut self.cx, &out, None, Urgency::Now);
            return self.close_overfull(seat.user);
        }
        let from = stanza.to.map_or_else(|| stanza.from.bare().to_owned(), |t| t.to_owned());
        self.reply(from, stanza.from, out);
    }

    /// Somebody wants an account before logging in (XEP-0077 §3.1).
    pub(super) fn on_register(
        &mut self,
        conn: crate::base::ConnId,
        id: String,
        user: BareJid,
        password: Secret,
    ) {
        if let Some(session) = self.sessions.get_mut(conn) {
            session.holds.answer = true;
            self.cx.account(AccountOp::Register { user, password }, Wait::Register { conn, id });
        }
    }

    /// The account was made, or not.
    pub(super) fn on_registered(&mut self, conn: crate::base::ConnId, id: &str, result: AccountResult) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        session.holds.answer = false;
        let head = Head { from: None, to: None, id: Some(id) };
        let mut sink = self.cx.wires.sink(conn);
        match result {
            Ok(_) => write_result(&mut sink, &head, b""),
            Err(error) => write_error(&mut sink, Kind::Iq(IqType::Set), &head, &account_error(error)),
        }
        self.released.push(conn);
    }

    /// An account was changed or removed at its owner's wish (XEP-0077 §3.2, §3.3).
    pub(super) fn on_account_changed(
        &mut self,
        id: crate::base::UserId,
        reply: &PendingReply,
        result: AccountResult,
    ) {
        let Some(user) = self.users.get_mut(id) else { return };
        user.account_changes = false;
        let from = reply.from.as_ref().map(|from| from.as_str());
        let head = Head { from, to: Some(reply.to.as_str()), id: reply.id.as_deref() };
        let mut out = Vec::new();
        let removed = result.is_ok() && reply.removes;
        match result {
            Ok(_) => write_result(&mut out, &head, b""),
            Err(error) => write_error(&mut out, Kind::Iq(IqType::Set), &head, &account_error(error)),
        }
        let asker = reply.to.resource().unwrap_or_default();
        if let Some(resource) = user.resources.iter_mut().find(|r| r.name() == asker) {
            resource.send(&mut self.cx, &out, None, Urgency::Now);
        }
        if removed {
            let jid = user.jid.clone();
            self.remove_account(&jid);
        }
        self.close_overfull(id);
    }
}

/// What an iq is told of a failure of the authenticator.
fn account_error(error: crate::effect::AccountError) -> StanzaError {
    use crate::effect::AccountError;
    match error {
        AccountError::Refused | AccountError::Disabled => Condition::NotAuthorized.into(),
        AccountError::Exists => Condition::Conflict.into(),
        AccountError::BadPassword => Condition::NotAcceptable.into(),
        AccountError::Unsupported => Condition::NotAllowed.into(),
        AccountError::Unavailable => StanzaError::wait(),
    }
}
