//! How stanzas of a user are addressed and leave: to other users as envelopes, to its own clients as bytes.

use std::sync::Arc;

use super::resource::{Resource, Urgency};
use super::roster::{RosterError, RosterMax};
use super::user_record::User;
use crate::base::Limits;
use crate::effect::{Cx, Envelope, Fate, Few};
use crate::jid::Jid;
use crate::stanza::{Condition, Head, Kind, PresenceType, Stanza, StanzaError, write_error};
use crate::xml::escape::escape_text;
use crate::xml::write::{self, forwarded, put_attr, put_attr_of};
use crate::xml::{ScanLimits, Sink, Stamp, StreamNs, scan};

/// The stanza with these addresses and whatever else it has. Without `to` it can be shared by many receivers. `lang`
/// is the language of the stream it came on (RFC 6120 §8.1.5).
pub(super) fn stamped(stanza: &Stanza<'_>, from: &str, to: Option<&str>, lang: Option<&str>) -> Arc<[u8]> {
    let to = to.map_or(write::Head::Remove, write::Head::Set);
    let stamp = Stamp { from: write::Head::Set(from), to, lang, ..Stamp::default() };
    forwarded(stanza.view, &stamp).into()
}

/// A complete stanza with another `to`. `None` if the bytes are not one element, as those of a damaged store.
pub(crate) fn readdressed(stanza: &[u8], to: &str) -> Option<Vec<u8>> {
    let view = scan(stanza, &StreamNs::client(), &ScanLimits::OWN).ok()?;
    Some(forwarded(&view, &Stamp { to: write::Head::Set(to), ..Stamp::default() }))
}

/// A presence stanza of the server's own making.
pub(crate) fn presence(kind: PresenceType, from: &str, to: Option<&str>, status: Option<&str>) -> Arc<[u8]> {
    let mut out = b"<presence".to_vec();
    for (name, value) in [("type", kind.attr()), ("from", Some(from)), ("to", to)] {
        if let Some(value) = value {
            put_attr(&mut out, name, value);
        }
    }
    match status {
        None => out.put(b"/>"),
        Some(status) => {
            out.put(b"><status>");
            escape_text(&mut out, status);
            out.put(b"</status></presence>");
        }
    }
    out.into()
}

/// Sends a presence stanza to the home of its recipient. What the server sends by itself to a domain that is not
/// served has no way to go and nobody who waits for it.
pub(super) fn post(cx: &mut Cx, from: Jid, to: Jid, stanza: &Arc<[u8]>) {
    post_only(cx, from, to, stanza, None);
}

/// The same, for some of the recipient's resources.
pub(super) fn post_only(cx: &mut Cx, from: Jid, to: Jid, stanza: &Arc<[u8]>, only: Option<Few>) {
    if cx.settings.domain(to.domain()).is_none() {
        return;
    }
    let (id, at) = (cx.message_id(), cx.now.utc);
    let fate = Fate { id, at, settle: None, delayed: false, only };
    cx.post(Envelope { from, to, stanza: stanza.clone(), fate });
}

/// Gives a stanza to all available resources (RFC 6121 §8.5.2.1.2).
pub(super) fn to_available(user: &mut User, cx: &mut Cx, stanza: &[u8], urgency: Urgency<'_>) {
    for resource in user.resources.iter_mut().filter(|r| r.presence.is_some()) {
        resource.send(cx, stanza, None, urgency);
    }
}

/// Gives a stanza to all interested resources (RFC 6121 §2.2).
pub(super) fn to_interested(user: &mut User, cx: &mut Cx, stanza: &[u8]) {
    for resource in user.resources.iter_mut().filter(|r| r.interested) {
        resource.send(cx, stanza, None, Urgency::Now);
    }
}

/// Gives an iq set to those resources that want it, each with its own address and all with the same id.
pub(super) fn push(user: &mut User, cx: &mut Cx, payload: &[u8], wants: fn(&Resource) -> bool) {
    if !user.resources.iter().any(wants) {
        return;
    }
    let id = cx.rng.token();
    let User { resources, jid, .. } = user;
    for resource in resources.iter_mut().filter(|r| wants(r)) {
        let mut out = b"<iq type='set'".to_vec();
        put_attr(&mut out, "id", &id);
        put_attr_of(&mut out, "to", &[jid.as_str(), "/", resource.name()]);
        out.put(b">");
        out.put(payload);
        out.put(b"</iq>");
        resource.send(cx, &out, None, Urgency::Now);
    }
}

/// Answers a presence stanza of the user's client by an error that comes from `from`.
pub(super) fn refuse_presence(
    user: &mut User,
    index: usize,
    from: &str,
    id: Option<&str>,
    error: &StanzaError,
    cx: &mut Cx,
) {
    let to = user.full_jid(index);
    let head = Head { from: Some(from), to: Some(to.as_str()), id };
    let mut out = Vec::new();
    write_error(&mut out, Kind::Presence(PresenceType::Available), &head, error);
    user.resources[index].send(cx, &out, None, Urgency::Now);
}

/// The bounds of a roster.
pub(super) fn roster_max(limits: &Limits) -> RosterMax {
    RosterMax {
        items: limits.roster_items_max,
        requests: limits.roster_requests_max,
        bytes: limits.roster_bytes_max,
    }
}

/// What a roster's refusal is to the client or the contact that asked for the change.
pub(super) fn roster_refusal(error: RosterError) -> StanzaError {
    match error {
        RosterError::Full | RosterError::TooManyRequests | RosterError::TooLarge => {
            Condition::ResourceConstraint.into()
        }
        RosterError::UnknownFormat(_) | RosterError::Damaged => StanzaError::wait(),
    }
}
