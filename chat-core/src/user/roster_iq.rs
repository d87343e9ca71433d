//! The roster as clients read and change it: RFC 6121 §2.
//!
//! The version that clients see (§2.6) is the number of changes of the stored roster. It also counts requests of
//! strangers, which clients do not see: then a client fetches an unchanged roster once more, and no change escapes it.
//! The roster and every push carry it, whether or not the client asked for it.

use super::change;
use super::outgoing::push;
use super::roster::{Item, Roster};
use super::user_record::{Asked, Change, Contact, User};
use crate::base::limits::{ROSTER_GROUP_BYTES_MAX, ROSTER_NAME_BYTES_MAX};
use crate::effect::{Cx, ResourceId};
use crate::jid::{BareJid, Jid};
use crate::stanza::{Condition, Head, IqType, Kind, Stanza, StanzaError, ns, write_error, write_result};
use crate::user::Urgency;
use crate::xml::escape::escape_text;
use crate::xml::write::put_attr;
use crate::xml::{Element, Sink};

#[cfg(test)]
mod tests;

/// An iq about the roster from one of the user's clients, for the user's own account. Answers to pushes are taken
/// silently.
pub fn on_iq(user: &mut User, resource: ResourceId, iq: &Stanza<'_>, cx: &mut Cx) {
    let Some(index) = user.index(resource) else { return };
    let asked =
        Asked { by: resource, id: iq.view.id().map(|id| id.into_owned()), addressed: iq.to.is_some() };
    let query = Element::of(iq.view);
    let Some(query) = query.child("query", ns::ROSTER) else {
        if let Kind::Iq(IqType::Get | IqType::Set) = iq.kind {
            refuse(user, &asked, &Condition::BadRequest.into(), cx);
        }
        return;
    };
    match iq.kind {
        Kind::Iq(IqType::Get) => {
            user.resources[index].interested = true;
            let payload = match query.attr("ver") {
                Some(known) if known == user.roster.version().to_string() => Vec::new(),
                _ => whole(&user.roster),
            };
            reply(user, &asked, &payload, cx);
        }
        Kind::Iq(IqType::Set) => match read_set(&user.jid, query) {
            Ok(Wish::Put(contact)) => change::enqueue(user, Change::Set { asked, contact }, cx),
            Ok(Wish::Remove(contact)) => change::enqueue(user, Change::Remove { asked, contact }, cx),
            Err(condition) => refuse(user, &asked, &condition.into(), cx),
        },
        _ => {}
    }
}

/// What a roster set wants.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Put(Contact),
    Remove(BareJid),
}

/// Reads the payload of a roster set of this user; errors are those of §2.3.3 and §2.5.3. Whatever the client says of
/// the subscription but `remove` is passed over (§2.1.2.5).
fn read_set(user: &BareJid, query: &Element) -> Result<Wish, Condition> {
    let mut items = query.children().filter(|c| c.is("item", ns::ROSTER));
    let (Some(item), None) = (items.next(), items.next()) else { return Err(Condition::BadRequest) };
    let jid =
        Jid::parse(item.attr("jid").ok_or(Condition::BadRequest)?).map_err(|_| Condition::JidMalformed)?;
    if jid.is_full() {
        return Err(Condition::BadRequest);
    }
    let jid = jid.to_bare();
    if item.attr("subscription") == Some("remove") {
        return Ok(Wish::Remove(jid));
    }
    if jid == *user {
        return Err(Condition::NotAllowed);
    }
    let name = item.attr("name").unwrap_or_default().to_owned();
    let groups: Vec<String> =
        item.children().filter(|c| c.is("group", ns::ROSTER)).map(|g| g.text().into_owned()).collect();
    let bad_group = |g: &String| g.is_empty() || g.len() > ROSTER_GROUP_BYTES_MAX;
    if name.len() > ROSTER_NAME_BYTES_MAX || groups.iter().any(bad_group) {
        return Err(Condition::NotAcceptable);
    }
    let mut sorted: Vec<&String> = groups.iter().collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Condition::BadRequest);
    }
    Ok(Wish::Put(Contact { jid, name, groups }))
}

/// Answers an iq by a result, if its client is still there.
pub(super) fn reply(user: &mut User, asked: &Asked, payload: &[u8], cx: &mut Cx) {
    answer(user, asked, cx, |out, head| write_result(out, head, payload));
}

/// Answers an iq by an error, if its client is still there.
pub(super) fn refuse(user: &mut User, asked: &Asked, error: &StanzaError, cx: &mut Cx) {
    answer(user, asked, cx, |out, head| write_error(out, Kind::Iq(IqType::Error), head, error));
}

fn answer(user: &mut User, asked: &Asked, cx: &mut Cx, write: impl FnOnce(&mut Vec<u8>, &Head<'_>)) {
    let Some(index) = user.index(asked.by) else { return };
    let to = user.full_jid(index);
    let from = asked.addressed.then(|| user.jid.as_str());
    let mut out = Vec::new();
    write(&mut out, &Head { from, to: Some(to.as_str()), id: asked.id.as_deref() });
    user.resources[index].send(cx, &out, None, Urgency::Now);
}

/// Tells the interested resources what the roster says of a contact now (§2.1.6): the item, or that it is gone.
pub(super) fn push_item(user: &mut User, contact: &str, cx: &mut Cx) {
    if !user.resources.iter().any(|r| r.interested) {
        return;
    }
    let mut payload = Vec::new();
    open_query(&user.roster, &mut payload);
    match user.roster.get(contact).filter(|item| item.subscription.listed()) {
        Some(item) => write_item(&item, &mut payload),
        None => {
            payload.put(b"<item");
            put_attr(&mut payload, "jid", contact);
            payload.put(b" subscription='remove'/>");
        }
    }
    payload.put(b"</query>");
    push(user, cx, &payload, |r| r.interested);
}

/// Tells the interested resources of every difference between the user's roster and the one they were told of.
pub(super) fn push_differences(user: &mut User, before: &Roster, cx: &mut Cx) {
    let visible = |roster: &Roster, jid: &str| {
        roster.get(jid).filter(|i| i.subscription.listed()).map(|item| {
            let mut out = Vec::new();
            write_item(&item, &mut out);
            out
        })
    };
    let both = before.iter().chain(user.roster.iter());
    let mut changed: Vec<String> = both
        .filter(|i| visible(before, i.jid) != visible(&user.roster, i.jid))
        .map(|i| i.jid.to_owned())
        .collect();
    changed.sort_unstable();
    changed.dedup();
    for contact in changed {
        push_item(user, &contact, cx);
    }
}

/// The payload that answers a roster get (§2.1.4).
fn whole(roster: &Roster) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 * roster.len());
    open_query(roster, &mut out);
    for item in roster.iter().filter(|i| i.subscription.listed()) {
        write_item(&item, &mut out);
    }
    out.put(b"</query>");
    out
}

fn open_query(roster: &Roster, out: &mut Vec<u8>) {
    out.put(b"<query");
    put_attr(out, "xmlns", ns::ROSTER);
    put_attr(out, "ver", &roster.version().to_string());
    out.put(b">");
}

/// §2.1.2.
fn write_item(item: &Item<'_>, out: &mut Vec<u8>) {
    out.put(b"<item");
    put_attr(out, "jid", item.jid);
    if !item.name.is_empty() {
        put_attr(out, "name", item.name);
    }
    put_attr(out, "subscription", item.subscription.attribute());
    if item.subscription.ask() {
        out.put(b" ask='subscribe'");
    }
    if item.subscription.approved() {
        out.put(b" approved='true'");
    }
    let mut groups = item.groups.iter().peekable();
    if groups.peek().is_none() {
        return out.put(b"/>");
    }
    out.put(b">");
    for group in groups {
        out.put(b"<group>");
        escape_text(out, group);
        out.put(b"</group>");
    }
    out.put(b"</item>");
}
