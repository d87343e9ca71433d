//! The queue of changes of a user's roster and block list: each is planned when the one before is done, stored, and
//! only then does anybody hear of it.
//!
//! A change that leaves the stored record as it is takes no time, nor does one of a user of whom nothing is stored.
//! Other nodes hear of each, and read the record again when they hear of one.
//! When the store has another version than ours (a write whose answer was lost, another node), the record is read
//! again, the clients are told what is different, and the change is planned anew; a second conflict is its end.
//! What fails has changed nothing here; its sender is told, and the next change begins.

use std::sync::Arc;

use super::blocked::Blocked;
use super::load::decode;
use super::outgoing::{post, presence, refuse_presence, roster_max, roster_refusal, stamped, to_available};
use super::resource::Urgency;
use super::roster_iq::refuse;
use super::subscription::{self, Subscription};
use super::user_record::{Change, Next, Underway, User};
use crate::base::limits::ROSTER_REQUEST_BYTES_MAX;
use crate::base::{Limits, NodeId};
use crate::effect::{Cx, Loaded, NodeTold, ResourceId, StoreDone, StoreError, StoreOp, StoreResult, Wait};
use crate::jid::Jid;
use crate::stanza::{Condition, Head, Kind, PresenceType, Stanza, StanzaError, write_error};
use crate::xml::{StreamNs, scan};

mod enact;
#[cfg(test)]
mod tests;

/// One of the user's clients manages a subscription (RFC 6121 §3): both addresses become bare (§3.1.2), and the
/// change is queued. Refused are subscriptions to oneself, and new ones to domains that are not served; old ones to
/// such domains can be ended.
pub fn outbound(user: &mut User, resource: ResourceId, stanza: &Stanza<'_>, lang: Option<&str>, cx: &mut Cx) {
    let (Some(index), Some(kind)) = (user.index(resource), kind_of(stanza)) else { return };
    let contact = stanza.to.map_or_else(|| user.jid.clone(), |to| to.to_bare());
    let served = cx.settings.domain(contact.domain()).is_some();
    let refusal = match kind {
        _ if contact == user.jid => Some(Condition::NotAllowed),
        subscription::Kind::Subscribe | subscription::Kind::Subscribed if !served => {
            Some(Condition::RemoteServerNotFound)
        }
        _ => None,
    };
    if let Some(condition) = refusal {
        let id = stanza.view.id();
        return refuse_presence(user, index, contact.as_str(), id.as_deref(), &condition.into(), cx);
    }
    let stanza = stamped(stanza, user.jid.as_str(), Some(contact.as_str()), lang);
    enqueue(user, Change::Outbound { by: resource, kind, contact, stanza }, cx);
}

/// A contact manages a subscription, and its stanza arrives for the user (RFC 6121 §3).
pub fn inbound(user: &mut User, stanza: &Stanza<'_>, cx: &mut Cx) {
    let Some(kind) = kind_of(stanza) else { return };
    let contact = stanza.from.to_bare();
    if contact == user.jid {
        return;
    }
    let stanza = stamped(stanza, contact.as_str(), Some(user.jid.as_str()), None);
    let seen = user.is_available();
    enqueue(user, Change::Inbound { kind, contact, stanza, seen }, cx);
}

/// The account is gone: each contact learns that the subscriptions are (XEP-0077 §3.2, as if the user had removed every
/// item, RFC 6121 §2.5.2).
pub fn dissolve(user: &mut User, cx: &mut Cx) {
    let from = user.jid.clone();
    for item in user.roster.iter() {
        let removal = subscription::removal(item.subscription);
        let kinds = [
            (removal.unsubscribe, PresenceType::Unsubscribe),
            (removal.unsubscribed, PresenceType::Unsubscribed),
        ];
        let Ok(to) = Jid::parse(item.jid) else { continue };
        for (_, kind) in kinds.into_iter().filter(|(due, _)| *due) {
            let bytes = presence(kind, from.as_str(), Some(item.jid), None);
            post(cx, from.to_jid(), to.clone(), &bytes);
        }
    }
}

fn kind_of(stanza: &Stanza<'_>) -> Option<subscription::Kind> {
    match stanza.kind {
        Kind::Presence(PresenceType::Subscribe) => Some(subscription::Kind::Subscribe),
        Kind::Presence(PresenceType::Subscribed) => Some(subscription::Kind::Subscribed),
        Kind::Presence(PresenceType::Unsubscribe) => Some(subscription::Kind::Unsubscribe),
        Kind::Presence(PresenceType::Unsubscribed) => Some(subscription::Kind::Unsubscribed),
        _ => None,
    }
}

/// Queues a change. Beyond `loading_stanzas_max` waiting ones it is refused with `resource-constraint`.
pub fn enqueue(user: &mut User, change: Change, cx: &mut Cx) {
    if user.changes.len() >= cx.settings.limits.loading_stanzas_max as usize {
        return deny(user, &change, &Condition::ResourceConstraint.into(), cx);
    }
    user.changes.push_back(change);
    if user.underway.is_none() {
        run(user, false, cx);
    }
}

/// What is stored has changed without our doing: it is read again, before any change that comes from now on.
pub fn refresh(user: &mut User, cx: &mut Cx) {
    if user.underway.is_none() && !user.ephemeral {
        cx.store(StoreOp::LoadUser { user: user.jid.clone() }, Wait::Change(user.id));
        user.underway = Some(Box::new(Underway { next: Next::Reload, reloaded: false }));
    }
}

/// The store has answered what was asked with [`Wait::Change`]; an engine that no longer waits for the answer gives
/// an error in its place.
pub fn on_stored(user: &mut User, result: StoreResult, cx: &mut Cx) {
    let Some(underway) = user.underway.take() else { return };
    let Underway { next, reloaded } = *underway;
    match (next, result) {
        (Next::Reload, Ok(StoreDone::User(loaded))) if reload(user, &loaded, cx) => run(user, reloaded, cx),
        // What is made of an old version is refused.
        (Next::Reload, _) if !reloaded => run(user, false, cx),
        (next @ (Next::Roster(_) | Next::Blocked(_)), Ok(_)) => {
            if cx.is_clustered() {
                tell(user, &next, cx);
            }
            if let Some(change) = user.changes.pop_front() {
                enact::enact(user, Some(next), change, cx);
            }
            run(user, false, cx);
        }
        (Next::Roster(_) | Next::Blocked(_), Err(StoreError::Conflict)) if !reloaded => {
            cx.store(StoreOp::LoadUser { user: user.jid.clone() }, Wait::Change(user.id));
            user.underway = Some(Box::new(Underway { next: Next::Reload, reloaded: true }));
        }
        _ => {
            if let Some(change) = user.changes.pop_front() {
                deny(user, &change, &StanzaError::wait(), cx);
            }
            run(user, false, cx);
        }
    }
}

/// Carries out changes from the front of the queue until one waits for the store.
fn run(user: &mut User, mut reloaded: bool, cx: &mut Cx) {
    while let Some(change) = user.changes.front() {
        match plan(user, change, user.limits(&cx.settings)) {
            Ok(Some(next)) if !user.ephemeral => {
                let op = operation(user, &next);
                cx.store(op, Wait::Change(user.id));
                user.underway = Some(Box::new(Underway { next, reloaded }));
                return;
            }
            planned => {
                let Some(change) = user.changes.pop_front() else { return };
                match planned {
                    Ok(next) => enact::enact(user, next, change, cx),
                    Err(error) => deny(user, &change, &error, cx),
                }
            }
        }
        reloaded = false;
    }
}

/// What a change makes of the record as it is now; `None` if it leaves it as it is.
fn plan(user: &User, change: &Change, limits: &Limits) -> Result<Option<Next>, StanzaError> {
    let max = roster_max(limits);
    let (contact, state, request): (_, _, &[u8]) = match change {
        Change::Set { contact, .. } => {
            let mut roster = user.roster.clone();
            let groups: Vec<&str> = contact.groups.iter().map(String::as_str).collect();
            roster.set_item(contact.jid.as_str(), &contact.name, &groups, max).map_err(roster_refusal)?;
            return Ok(bumped(user, roster));
        }
        Change::Remove { contact, .. } if !user.roster.subscription(contact.as_str()).listed() => {
            return Err(Condition::ItemNotFound.into());
        }
        Change::Remove { contact, .. } => (contact, Subscription::ABSENT, b""),
        Change::Presence { .. } => return Ok(None),
        Change::Outbound { kind, contact, .. } => {
            (contact, subscription::outbound(user.roster.subscription(contact.as_str()), *kind).next, b"")
        }
        Change::Inbound { kind, contact, stanza, .. } => {
            let next = subscription::inbound(user.roster.subscription(contact.as_str()), *kind).next;
            (contact, next, stanza)
        }
        Change::Block { edit, .. } => {
            let jids = user.blocked.edited(edit);
            if jids.len() > limits.blocked_max as usize {
                return Err(Condition::ResourceConstraint.into());
            }
            return Ok((jids != user.blocked.jids()).then_some(Next::Blocked(jids)));
        }
    };
    if state == user.roster.subscription(contact.as_str()) {
        return Ok(None);
    }
    let short;
    let request = if request.len() > ROSTER_REQUEST_BYTES_MAX && state.pending_in() {
        short = presence(PresenceType::Subscribe, contact.as_str(), Some(user.jid.as_str()), None);
        &short
    } else {
        request
    };
    let mut roster = user.roster.clone();
    roster.set_subscription(contact.as_str(), state, request, max).map_err(roster_refusal)?;
    Ok(bumped(user, roster))
}

/// The changed roster with the next version; `None` if it is not changed.
fn bumped(user: &User, mut roster: super::roster::Roster) -> Option<Next> {
    if roster == user.roster {
        return None;
    }
    roster.set_version(user.roster.version() + 1);
    Some(Next::Roster(roster))
}

fn operation(user: &User, next: &Next) -> StoreOp {
    let jid = user.jid.clone();
    match next {
        Next::Roster(roster) => StoreOp::PutRoster {
            user: jid,
            expected: user.roster.version(),
            roster: roster.as_bytes().into(),
        },
        Next::Blocked(jids) => StoreOp::PutBlocked {
            user: jid,
            expected: user.blocked.version(),
            blocked: Blocked::encode(jids).into(),
        },
        Next::Reload => StoreOp::LoadUser { user: jid },
    }
}

/// The record as the store has it; whether it could be read.
fn reload(user: &mut User, loaded: &Loaded, cx: &mut Cx) -> bool {
    let Ok((roster, blocked)) = decode(loaded) else { return false };
    enact::become_stored(user, roster, blocked, cx);
    true
}

/// Other nodes hear of a change before anything that follows from it.
fn tell(user: &User, next: &Next, cx: &mut Cx) {
    let (mut roster, mut blocked) = (user.roster.version(), user.blocked.version());
    match next {
        Next::Roster(next) => roster = next.version(),
        Next::Blocked(_) => blocked += 1,
        Next::Reload => {}
    }
    let told = NodeTold::UserChanged { node: NodeId::default(), user: user.jid.as_str(), roster, blocked };
    cx.node_mail.put(&told);
}

/// Tells whoever wanted a change that it was not made. Presence for which there is no room to wait is not lost: it
/// comes too early.
fn deny(user: &mut User, change: &Change, error: &StanzaError, cx: &mut Cx) {
    match change {
        Change::Set { asked, .. } | Change::Remove { asked, .. } | Change::Block { asked, .. } => {
            refuse(user, asked, error, cx);
        }
        Change::Outbound { by, contact, stanza, .. } => {
            let Some(index) = user.index(*by) else { return };
            let id = id_of(stanza);
            refuse_presence(user, index, contact.as_str(), id.as_deref(), error, cx);
        }
        Change::Inbound { contact, stanza, .. } => {
            let (from, to, id) = (user.jid.to_jid(), contact.to_jid(), id_of(stanza));
            let head = Head { from: Some(from.as_str()), to: Some(to.as_str()), id: id.as_deref() };
            let mut out = Vec::new();
            write_error(&mut out, Kind::Presence(PresenceType::Subscribe), &head, error);
            post(cx, from.clone(), to.clone(), &Arc::from(out));
        }
        Change::Presence { from, stanza } => {
            to_available(user, cx, stanza, Urgency::CanWait(from.as_str()));
        }
    }
}

fn id_of(stanza: &[u8]) -> Option<String> {
    let view = scan(stanza, &StreamNs::client(), &Default::default()).ok()?;
    view.id().map(|id| id.into_owned())
}

/// The address of somebody in the roster.
fn jid_of(contact: &str) -> Option<Jid> {
    Jid::parse(contact).ok()
}
