//! Presence: RFC 6121 §4 as functions over a loaded user.
//!
//! Presence reaches those who may see it because its sender's home chooses them: subscribers whom the user does not
//! block, the user's own resources, and whom a client wrote to. What arrives is delivered as it comes.
//!
//! Where the RFC leaves a choice, or its rules would cost without use:
//!
//! - A probe goes out from the bare JID (§4.3.1) when the user's first resource, on any node, becomes available. For a further one
//!   it goes out from the full JID, so that the answers reach the one resource that needs them.
//! - A resource gets its own presence back, as every other available one does (§4.2.2, §4.4.2, §4.5.2).
//! - A priority that is no number from -128 to 127 (§4.7.2.3) is answered by `bad-request` and changes nothing.

use std::sync::Arc;

use super::change;
use super::outgoing::{post, post_only, presence, readdressed, refuse_presence, stamped, to_available};
use super::resource::{Resource, Urgency};
use super::user_record::{Change, User};
use crate::base::{NodeId, RareQueue};
use crate::effect::{Cx, Elsewhere, Few, ResourceId, Word};
use crate::jid::{BareJid, Jid, JidRef};
use crate::stanza::{Condition, Kind, PresenceType, Stanza};
use crate::xml::{Element, StanzaView};

#[cfg(test)]
mod tests;

/// What a presence broadcast changed for the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnPresence {
    /// Nothing: refused, or `unavailable` of a resource that was not available.
    Nothing,
    /// It is available, and was not.
    BecameAvailable,
    /// It was available with a negative priority and has one now that is not: it gets messages.
    PriorityRose,
    /// It is still available.
    Updated,
    /// It is no longer available.
    BecameUnavailable,
}

/// A client broadcasts its presence (no `to`): §4.2, §4.4, §4.5. `lang` is the language of its stream; `others`: the user
/// has available resources on other nodes. Other types than available and unavailable change nothing.
pub fn on_own(
    user: &mut User,
    resource: ResourceId,
    stanza: &Stanza<'_>,
    lang: Option<&str>,
    others: bool,
    cx: &mut Cx,
) -> OwnPresence {
    let Some(index) = user.index(resource) else { return OwnPresence::Nothing };
    let from = user.full_jid(index);
    let bytes = stamped(stanza, from.as_str(), None, lang);
    match stanza.kind {
        Kind::Presence(PresenceType::Available) => {
            on_available(user, index, stanza, (from, &bytes), others, cx)
        }
        Kind::Presence(PresenceType::Unavailable) => on_unavailable(user, index, &from, &bytes, cx),
        _ => OwnPresence::Nothing,
    }
}

fn on_available(
    user: &mut User,
    index: usize,
    stanza: &Stanza<'_>,
    (from, bytes): (Jid, &Arc<[u8]>),
    others: bool,
    cx: &mut Cx,
) -> OwnPresence {
    let Some(priority) = priority(stanza.view) else {
        let (own, id) = (user.jid.clone(), stanza.view.id());
        refuse_presence(user, index, own.as_str(), id.as_deref(), &Condition::BadRequest.into(), cx);
        return OwnPresence::Nothing;
    };
    let first = !user.is_available() && !others;
    let resource = &mut user.resources[index];
    let before = resource.presence.replace(bytes.clone()).map(|_| resource.priority);
    resource.priority = priority;
    broadcast(user, cx, &from, bytes, None);
    to_own(user, cx, &from, bytes);
    match before {
        None => {
            probe(user, cx, &if first { user.jid.to_jid() } else { from.clone() }, None);
            greet(user, index, cx);
            if others {
                cx.send_elsewhere(Elsewhere { user: user.id, from, what: Word::Probe, only: None });
            }
            OwnPresence::BecameAvailable
        }
        Some(before) if before < 0 && priority >= 0 => OwnPresence::PriorityRose,
        Some(_) => OwnPresence::Updated,
    }
}

fn on_unavailable(user: &mut User, index: usize, from: &Jid, bytes: &Arc<[u8]>, cx: &mut Cx) -> OwnPresence {
    let resource = &mut user.resources[index];
    let was_available = resource.presence.take().is_some();
    let directed = std::mem::take(&mut resource.directed);
    leave(user, cx, from, bytes, was_available, &directed);
    if !was_available {
        return OwnPresence::Nothing;
    }
    if let Some(copy) = readdressed(bytes, from.as_str()) {
        user.resources[index].send(cx, &copy, None, Urgency::CanWait(from.as_str()));
    }
    OwnPresence::BecameUnavailable
}

/// A client sends presence to somebody (§4.6): available and unavailable only. Who may not see the user's broadcasts
/// is remembered, because the server owes it an `unavailable` in the end.
pub fn on_directed(
    user: &mut User,
    resource: ResourceId,
    stanza: &Stanza<'_>,
    lang: Option<&str>,
    cx: &mut Cx,
) {
    let (Some(index), Some(to)) = (user.index(resource), stanza.to) else { return };
    let sees_broadcasts = user.resources[index].presence.is_some() && may_see(user, to);
    let directed_max = user.limits(&cx.settings).directed_presence_max as usize;
    let directed = &mut user.resources[index].directed;
    match stanza.kind {
        Kind::Presence(PresenceType::Available) => {
            if !sees_broadcasts && !directed.iter().any(|d| *d == to) {
                if directed.len() >= directed_max {
                    let error = Condition::ResourceConstraint.into();
                    return refuse_presence(
                        user,
                        index,
                        to.as_str(),
                        stanza.view.id().as_deref(),
                        &error,
                        cx,
                    );
                }
                directed.push_back(to.to_owned());
            }
        }
        Kind::Presence(PresenceType::Unavailable) => directed.retain(|d| *d != to),
        _ => return,
    }
    let from = user.full_jid(index);
    let bytes = stamped(stanza, from.as_str(), Some(to.as_str()), lang);
    post(cx, from, to.to_owned(), &bytes);
}

/// The session of a resource is over, whose address was `from`, and the resource is no longer among the user's (§4.5.2):
/// whoever saw it learns that it is gone.
pub fn on_gone(user: &mut User, resource: &Resource, from: &Jid, status: Option<&str>, cx: &mut Cx) {
    let bytes = presence(PresenceType::Unavailable, from.as_str(), None, status);
    leave(user, cx, from, &bytes, resource.presence.is_some(), &resource.directed);
}

/// Some have come who may see the user, and are shown what an available resource here said last.
pub fn show(user: &mut User, index: usize, few: Few, cx: &mut Cx) {
    let Some(bytes) = user.resources[index].presence.clone() else { return };
    let from = user.full_jid(index);
    broadcast(user, cx, &from, &bytes, Some(few));
    if few == Few::At(NodeId::OWN) {
        to_own_here(user, cx, &from, &bytes, Some(index));
    }
    let what = Word::Presence(bytes);
    cx.send_elsewhere(Elsewhere { user: user.id, from, what, only: Some(few) });
}

/// Some have come whom a resource that became available did not find: it asks for their presence.
pub fn ask(user: &mut User, index: usize, few: Few, cx: &mut Cx) {
    if user.resources[index].presence.is_some() {
        let from = user.full_jid(index);
        probe(user, cx, &from, Some(few));
        if few == Few::At(NodeId::OWN) {
            greet_own(user, index, cx);
        }
        cx.send_elsewhere(Elsewhere { user: user.id, from, what: Word::Probe, only: Some(few) });
    }
}

/// A session of this address, wherever it is, asks for the presence of one that it may have missed.
pub fn ask_of(jid: &Jid, of: &Jid, few: Few, cx: &mut Cx) {
    let bytes = presence(PresenceType::Probe, jid.as_str(), None, None);
    post_only(cx, jid.clone(), of.clone(), &bytes, Some(few));
}

/// A resource is gone without having said so, as with its node: those who may see it are told, or some of them.
pub fn on_lost(user: &mut User, name: &str, only: Option<Few>, cx: &mut Cx) {
    let from = user.jid.join(name);
    let bytes = presence(PresenceType::Unavailable, from.as_str(), None, None);
    broadcast(user, cx, &from, &bytes, only);
    to_own_only(user, cx, &from, &bytes, only);
}

/// A session of this address is not to be seen any more by a contact, whose clients on one node may not have heard of it.
pub fn hide(from: &Jid, contact: &Jid, node: NodeId, cx: &mut Cx) {
    let bytes = presence(PresenceType::Unavailable, from.as_str(), None, None);
    post_only(cx, from.clone(), contact.clone(), &bytes, Some(Few::At(node)));
}

/// Presence arrives for the user, `to` being its address: available, unavailable and errors go to all available
/// resources (§8.5.2.1.2); a probe, also one for a full JID, is answered (§4.3.2). Subscriptions are
/// [`change::inbound`]; presence behind one of the same contact waits until that is stored.
pub fn on_inbound(user: &mut User, stanza: &Stanza<'_>, cx: &mut Cx) {
    let Kind::Presence(kind) = stanza.kind else { return };
    let urgency = match kind {
        PresenceType::Available | PresenceType::Unavailable => Urgency::CanWait(stanza.from.as_str()),
        PresenceType::Error => Urgency::Now,
        PresenceType::Probe => {
            on_probe(user, stanza, false, cx);
            return;
        }
        _ => return,
    };
    if !user.is_available() {
        return;
    }
    let bytes = stamped(stanza, stanza.from.as_str(), Some(user.jid.as_str()), None);
    if kind != PresenceType::Error && user.awaits_turn(stanza.from.bare()) {
        change::enqueue(user, Change::Presence { from: stanza.from.to_owned(), stanza: bytes }, cx);
    } else {
        to_available(user, cx, &bytes, urgency);
    }
}

/// Somebody asks for the presence of the user (§4.3.2). `elsewhere`: others answer, too, so nothing is said for nobody.
/// Returns whether who asks may know.
pub fn on_probe(user: &mut User, stanza: &Stanza<'_>, elsewhere: bool, cx: &mut Cx) -> bool {
    let asker = stanza.from;
    if user.blocks(asker) {
        return false;
    }
    if !may_see(user, asker) {
        let to = asker.to_bare().to_jid();
        let bytes = presence(PresenceType::Unsubscribed, user.jid.as_str(), Some(to.as_str()), None);
        post(cx, user.jid.to_jid(), to, &bytes);
        return false;
    }
    let wanted = stanza.to.and_then(|to| to.resource());
    let mut answered = false;
    for (index, resource) in user.resources.iter().enumerate() {
        if let Some(bytes) = &resource.presence
            && wanted.is_none_or(|name| name == resource.name())
        {
            answered = true;
            post(cx, user.full_jid(index), asker.to_owned(), bytes);
        }
    }
    if !answered && !elsewhere {
        let from = wanted.map_or_else(|| user.jid.to_jid(), |name| user.jid.join(name));
        let bytes = presence(PresenceType::Unavailable, from.as_str(), None, None);
        post(cx, from, asker.to_owned(), &bytes);
    }
    true
}

/// Whether somebody may ask for the presence of the user.
pub fn may_ask(user: &User, asker: JidRef<'_>) -> bool {
    !user.blocks(asker) && may_see(user, asker)
}

/// The last presence of each available resource goes to a contact who may see it from now on (§3.1.5).
pub(super) fn send_current(user: &User, contact: &Jid, cx: &mut Cx) {
    if user.blocks(contact.as_ref()) {
        return;
    }
    for (index, resource) in user.resources.iter().enumerate() {
        if let Some(bytes) = &resource.presence {
            post(cx, user.full_jid(index), contact.clone(), bytes);
        }
    }
}

/// Each available resource becomes unavailable for a contact who may not see it from now on (§3.2.2, §3.3.3).
pub(super) fn send_unavailable(user: &User, contact: &Jid, cx: &mut Cx) {
    if user.blocks(contact.as_ref()) {
        return;
    }
    for (index, _) in user.resources.iter().enumerate().filter(|(_, r)| r.presence.is_some()) {
        let from = user.full_jid(index);
        let bytes = presence(PresenceType::Unavailable, from.as_str(), None, None);
        post(cx, from, contact.clone(), &bytes);
    }
    let only = Some(Few::At(NodeId::OWN));
    cx.send_elsewhere(Elsewhere { user: user.id, from: contact.clone(), what: Word::Farewell, only });
}

/// Whether the user's broadcasts reach this address.
fn may_see(user: &User, jid: JidRef<'_>) -> bool {
    let bare = jid.bare();
    user.jid == bare || user.roster.subscription(bare.as_str()).from() && !user.blocks(jid)
}

/// `unavailable` for everybody who saw the resource. Who is both a subscriber and a receiver of directed presence gets
/// one of them.
fn leave(
    user: &mut User,
    cx: &mut Cx,
    from: &Jid,
    bytes: &Arc<[u8]>,
    was_available: bool,
    directed: &RareQueue<Jid>,
) {
    if was_available {
        broadcast(user, cx, from, bytes, None);
        to_own(user, cx, from, bytes);
    }
    for to in directed.iter() {
        if !(was_available && may_see(user, to.as_ref())) {
            post(cx, from.clone(), to.clone(), bytes);
        }
    }
}

/// To the subscribers; to some of their resources, if it is for them `only`.
fn broadcast(user: &User, cx: &mut Cx, from: &Jid, bytes: &Arc<[u8]>, only: Option<Few>) {
    for contact in user.roster.subscribers() {
        // A stored JID that is none can only come from outside this code; it has nobody behind it.
        if let Ok(to) = Jid::parse(contact)
            && !user.blocks(to.as_ref())
        {
            post_only(cx, from.clone(), to, bytes, only);
        }
    }
}

/// To the user's own available resources, also on other nodes.
fn to_own(user: &mut User, cx: &mut Cx, from: &Jid, bytes: &Arc<[u8]>) {
    to_own_only(user, cx, from, bytes, None);
}

/// The same, on other nodes to some of them.
fn to_own_only(user: &mut User, cx: &mut Cx, from: &Jid, bytes: &Arc<[u8]>, only: Option<Few>) {
    if cx.is_clustered() {
        let what = Word::Presence(bytes.clone());
        cx.send_elsewhere(Elsewhere { user: user.id, from: from.clone(), what, only });
    }
    to_own_here(user, cx, from, bytes, None);
}

/// To the user's own available resources here, without the one that has said it, if it has seen that.
fn to_own_here(user: &mut User, cx: &mut Cx, from: &Jid, bytes: &[u8], but: Option<usize>) {
    let mut to = String::new();
    for index in 0..user.resources.len() {
        if user.resources[index].presence.is_some()
            && but != Some(index)
            && let Some(copy) = readdressed(bytes, user.full_jid_in(index, &mut to).as_str())
        {
            user.resources[index].send(cx, &copy, None, Urgency::CanWait(from.as_str()));
        }
    }
}

/// Asks for the presence of those whom the user may see (§4.3.1), or of some of their resources.
fn probe(user: &User, cx: &mut Cx, from: &Jid, only: Option<Few>) {
    let bytes = presence(PresenceType::Probe, from.as_str(), None, None);
    for contact in user.roster.subscriptions() {
        if let Ok(to) = Jid::parse(contact)
            && !user.blocks(to.as_ref())
        {
            post_only(cx, from.clone(), to, &bytes, only);
        }
    }
}

/// What waits for a resource that has become available: the presence of the user's others, and subscription requests
/// that are not answered (§3.1.3).
fn greet(user: &mut User, index: usize, cx: &mut Cx) {
    greet_own(user, index, cx);
    let User { roster, resources, blocked, jid, .. } = user;
    for (contact, request) in roster.requests() {
        let shown = BareJid::parse(contact).is_ok_and(|contact| !blocked.blocks(contact.as_ref()));
        if let Some(request) = readdressed(request, jid.as_str()).filter(|_| shown) {
            resources[index].send(cx, &request, None, Urgency::Now);
        }
    }
}

/// The presence of the user's other resources here, for one of them.
fn greet_own(user: &mut User, index: usize, cx: &mut Cx) {
    let mut me = String::new();
    for other in (0..user.resources.len()).filter(|other| *other != index) {
        let me = user.full_jid_in(index, &mut me);
        let copy = user.resources[other].presence.as_ref();
        if let Some(copy) = copy.and_then(|bytes| readdressed(bytes, me.as_str())) {
            let from = user.full_jid(other);
            user.resources[index].send(cx, &copy, None, Urgency::CanWait(from.as_str()));
        }
    }
}

/// The priority that a presence stanza gives (§4.7.2.3); 0 if it gives none, `None` if it is no xs:byte.
fn priority(view: &StanzaView<'_>) -> Option<i8> {
    let Some(child) = view.children().find(|c| c.is("priority", view.ns())) else { return Some(0) };
    let plain = child.bytes.strip_prefix(b"<priority>").and_then(|rest| rest.strip_suffix(b"</priority>"));
    let plain = plain.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    plain.or_else(|| Element::of(view).child("priority", view.ns())?.text().trim().parse().ok())
}
