//! What follows a change that is durable: the record becomes the new one, and everybody hears of it.

use std::sync::Arc;

use super::jid_of;
use crate::effect::{Cx, Elsewhere, Word};
use crate::jid::{BareJid, Jid};
use crate::stanza::{PresenceType, ns};
use crate::user::blocked::Blocked;
use crate::user::outgoing::{post, presence, push, to_available, to_interested};
use crate::user::presence::{send_current, send_unavailable};
use crate::user::resource::Urgency;
use crate::user::roster::Roster;
use crate::user::roster_iq::{push_differences, push_item, reply};
use crate::user::subscription::{self, Kind, Outcome, SendPresence};
use crate::user::user_record::{Asked, Change, Next, User};
use crate::xml::Element;

#[cfg(test)]
mod tests;

/// The first change is made. `next` is what it makes of the record; `None` if that stays as it is.
pub(super) fn enact(user: &mut User, next: Option<Next>, change: Change, cx: &mut Cx) {
    match change {
        Change::Set { asked, contact } => {
            become_next(user, next);
            reply(user, &asked, b"", cx);
            push_item(user, contact.jid.as_str(), cx);
        }
        Change::Remove { asked, contact } => remove(user, next, &asked, &contact, cx),
        Change::Outbound { kind, contact, stanza, .. } => {
            let outcome = subscription::outbound(user.roster.subscription(contact.as_str()), kind);
            become_next(user, next);
            follow(user, &outcome, kind, &contact, &stanza, cx);
        }
        Change::Inbound { kind, contact, stanza, seen } => {
            let outcome = subscription::inbound(user.roster.subscription(contact.as_str()), kind);
            become_next(user, next);
            follow(user, &outcome, kind, &contact, &stanza, cx);
            // Somebody came while it was being stored, and did not ask for the presence of this contact.
            if kind == Kind::Subscribed && !seen && user.is_available() {
                post_own(user, PresenceType::Probe, &contact, cx);
            }
        }
        Change::Presence { from, stanza } => {
            to_available(user, cx, &stanza, Urgency::CanWait(from.as_str()));
        }
        Change::Block { asked, push, .. } => block(user, next, &asked, &push, cx),
    }
}

fn become_next(user: &mut User, next: Option<Next>) {
    match next {
        Some(Next::Roster(roster)) => user.roster = roster,
        Some(Next::Blocked(jids)) => user.blocked = Blocked::new(user.blocked.version() + 1, jids),
        Some(Next::Reload) | None => {}
    }
}

/// RFC 6121 §2.5.2.
fn remove(user: &mut User, next: Option<Next>, asked: &Asked, contact: &BareJid, cx: &mut Cx) {
    let sends = subscription::removal(user.roster.subscription(contact.as_str()));
    become_next(user, next);
    reply(user, asked, b"", cx);
    if sends.unavailable {
        send_unavailable(user, &contact.to_jid(), cx);
    }
    for (wanted, kind) in
        [(sends.unsubscribe, PresenceType::Unsubscribe), (sends.unsubscribed, PresenceType::Unsubscribed)]
    {
        if wanted {
            post_own(user, kind, contact, cx);
        }
    }
    push_item(user, contact.as_str(), cx);
}

/// The effects of a subscription stanza, in the order that [`subscription`] gives.
fn follow(
    user: &mut User,
    outcome: &Outcome,
    kind: Kind,
    contact: &BareJid,
    stanza: &Arc<[u8]>,
    cx: &mut Cx,
) {
    if outcome.presence == Some(SendPresence::Unavailable) {
        send_unavailable(user, &contact.to_jid(), cx);
    }
    if outcome.route {
        post(cx, user.jid.to_jid(), contact.to_jid(), stanza);
    }
    if let Some(answer) = outcome.reply {
        post_own(user, presence_type(answer), contact, cx);
    }
    if outcome.deliver {
        match kind {
            Kind::Subscribe => to_available(user, cx, stanza, Urgency::Now),
            Kind::Subscribed | Kind::Unsubscribe | Kind::Unsubscribed => to_interested(user, cx, stanza),
        }
        let (user, from) = (user.id, contact.to_jid());
        cx.send_elsewhere(Elsewhere { user, from, what: Word::Stanza(stanza.clone()), only: None });
    }
    if outcome.push {
        push_item(user, contact.as_str(), cx);
    }
    if outcome.presence == Some(SendPresence::Current) {
        send_current(user, &contact.to_jid(), cx);
    }
}

/// A subscription stanza of the server's own making, in the name of the user.
fn post_own(user: &User, kind: PresenceType, contact: &BareJid, cx: &mut Cx) {
    let stanza = presence(kind, user.jid.as_str(), Some(contact.as_str()), None);
    post(cx, user.jid.to_jid(), contact.to_jid(), &stanza);
}

fn presence_type(kind: Kind) -> PresenceType {
    match kind {
        Kind::Subscribe => PresenceType::Subscribe,
        Kind::Subscribed => PresenceType::Subscribed,
        Kind::Unsubscribe => PresenceType::Unsubscribe,
        Kind::Unsubscribed => PresenceType::Unsubscribed,
    }
}

/// XEP-0191 §3.3 to §3.5: who is blocked sees the user go, as far as it may see the user at all; who is no longer
/// blocked sees the user again.
fn block(user: &mut User, next: Option<Next>, asked: &Asked, payload: &[u8], cx: &mut Cx) {
    if let Some(Next::Blocked(jids)) = next {
        let after = Blocked::new(user.blocked.version() + 1, jids);
        block_from_now_on(user, after, cx);
    }
    reply(user, asked, b"", cx);
    push(user, cx, payload, |r| r.wants_blocked);
}

fn block_from_now_on(user: &mut User, after: Blocked, cx: &mut Cx) {
    let audience = audience(user, &after);
    for jid in audience.iter().filter(|jid| after.blocks(jid.as_ref())) {
        send_unavailable(user, jid, cx);
    }
    forget_directed(user, &after, cx);
    user.blocked = after;
    for jid in &audience {
        send_current(user, jid, cx);
    }
}

/// The record is what the store has, and another changed it. The clients here hear of all that is different; whoever may see
/// the user from now on sees them, and who may no more sees them go, as it is for the clients of whoever made the change. Whom the
/// user may see from now on is asked: a client here that came before did not know that.
pub(super) fn become_stored(user: &mut User, roster: Roster, blocked: Blocked, cx: &mut Cx) {
    let (roster_before, blocked_before) = (user.roster.clone(), user.blocked.clone());
    let sees = |roster: &Roster, contact: &str| roster.subscription(contact).from();
    for contact in roster_before.subscribers().filter(|c| !sees(&roster, c)).filter_map(jid_of) {
        send_unavailable(user, &contact, cx);
    }
    user.roster = roster;
    if user.blocked != blocked {
        block_from_now_on(user, blocked, cx);
    }
    for contact in user.roster.subscribers().filter(|c| !sees(&roster_before, c)).filter_map(jid_of) {
        send_current(user, &contact, cx);
    }
    if user.is_available() {
        let saw = |contact: &str| roster_before.subscription(contact).to();
        for contact in user.roster.subscriptions().filter(|c| !saw(c)).filter_map(jid_of) {
            post_own(user, PresenceType::Probe, &contact.to_bare(), cx);
        }
    }
    push_differences(user, &roster_before, cx);
    push_blocked_differences(user, &blocked_before, cx);
}

/// Tells those who know the block list what is different (XEP-0191 §3.3, §3.4).
fn push_blocked_differences(user: &mut User, before: &Blocked, cx: &mut Cx) {
    let after = user.blocked.clone();
    for (name, of, than) in [("block", &after, before), ("unblock", before, &after)] {
        let items: Vec<Element> = of
            .jids()
            .iter()
            .filter(|jid| !than.has(jid.as_str()))
            .map(|jid| Element::new("item", ns::BLOCKING).with_attr("jid", jid.as_str()))
            .collect();
        if !items.is_empty() {
            let mut payload = Vec::new();
            Element::new(name, ns::BLOCKING).with_children(items).write(ns::CLIENT, &mut payload);
            push(user, cx, &payload, |r| r.wants_blocked);
        }
    }
}

/// Those who may see the user and for whom another list makes a difference: subscribers, and single resources of
/// subscribers that one of the lists names.
fn audience(user: &User, after: &Blocked) -> Vec<Jid> {
    let named = user
        .blocked
        .jids()
        .iter()
        .chain(after.jids())
        .filter(|jid| jid.is_full() && user.roster.subscription(jid.bare().as_str()).from());
    let mut all: Vec<Jid> = user.roster.subscribers().filter_map(jid_of).chain(named.cloned()).collect();
    all.retain(|jid| user.blocked.blocks(jid.as_ref()) != after.blocks(jid.as_ref()));
    all.sort_unstable();
    all.dedup();
    // Who is told by the bare JID is not told once more by a full one.
    let bare: Vec<Jid> = all.iter().filter(|jid| jid.is_bare()).cloned().collect();
    all.retain(|jid| {
        jid.is_bare() || bare.binary_search_by(|b| b.as_str().cmp(jid.bare().as_str())).is_err()
    });
    all
}

/// Receivers of directed presence who are blocked from now on get the `unavailable` that the server owes them. A block
/// never concerns the user's own resources (XEP-0191 §5).
fn forget_directed(user: &mut User, after: &Blocked, cx: &mut Cx) {
    let own = user.jid.clone();
    for index in 0..user.resources.len() {
        let from = user.full_jid(index);
        let directed = &mut user.resources[index].directed;
        let stays = |jid: &Jid| !after.blocks(jid.as_ref()) || own == jid.bare();
        let gone: Vec<Jid> = directed.iter().filter(|jid| !stays(jid)).cloned().collect();
        if gone.is_empty() {
            continue;
        }
        directed.retain(stays);
        let bytes = presence(PresenceType::Unavailable, from.as_str(), None, None);
        for to in gone {
            post(cx, from.clone(), to, &bytes);
        }
    }
}
