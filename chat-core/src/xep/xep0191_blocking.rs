//! XEP-0191 (Blocking Command): whom a user blocks can neither reach the user nor be reached, and sees nobody there.
//!
//! The list, its matching and the presence that a change of it sends lie in `user/`, because rosters and broadcasts
//! respect it, too. A block never concerns the user's own resources (§5) nor the user's own server.

use crate::ext::{Answer, Asked, At, Extension, Flow, Iq, Wants};
use crate::jid::Jid;
use crate::stanza::{Condition, ErrorType, IqType, Kind, MessageType, Stanza, StanzaError, ns};
use crate::user::{self, BlockEdit, Change, change};
use crate::xml::Element;

#[cfg(test)]
mod tests;

const NS: &str = ns::BLOCKING;
const ERRORS: &str = "urn:xmpp:blocking:errors";

/// Keeps block lists, and keeps off who is on them.
pub struct Blocking;

impl Extension for Blocking {
    fn name(&self) -> &'static str {
        "xep0191_blocking"
    }
    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn account_features(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn iq_namespaces(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn on_iq(&mut self, iq: &Iq<'_>, at: &mut At<'_>) -> Answer {
        if iq.asked != Asked::Own {
            return Answer::NotMine;
        }
        if iq.gets("blocklist", NS) {
            return list(at);
        }
        match edit(iq) {
            Some(Ok(edit)) => order(iq, edit, at),
            Some(Err(condition)) => condition.into(),
            None => Answer::NotMine,
        }
    }
    fn wants(&self) -> Wants {
        Wants { outbound: true, inbound: true, delivered: false }
    }
    /// §3.3: nothing goes to who is blocked, and the user is told why.
    fn on_outbound(&mut self, stanza: &Stanza<'_>, at: &mut At<'_>) -> Flow {
        match (&at.user, stanza.to) {
            (Some(user), Some(to)) if user.blocks(to) => Flow::Bounce(
                StanzaError::new(Condition::NotAcceptable, ErrorType::Cancel).specific("blocked", ERRORS),
            ),
            _ => Flow::Go,
        }
    }
    /// §3.3: the user seems to be offline.
    fn on_inbound(&mut self, stanza: &Stanza<'_>, at: &mut At<'_>) -> Flow {
        if !at.user.as_ref().is_some_and(|user| user.blocks(stanza.from)) {
            return Flow::Go;
        }
        match stanza.kind {
            Kind::Presence(_)
            | Kind::Iq(IqType::Result | IqType::Error)
            | Kind::Message(MessageType::Error) => Flow::Drop,
            Kind::Message(_) | Kind::Iq(IqType::Get | IqType::Set) => {
                Flow::Bounce(Condition::ServiceUnavailable.into())
            }
        }
    }
}

fn items(name: &str, jids: &[Jid]) -> Element {
    let item = |jid: &Jid| Element::new("item", NS).with_attr("jid", jid.as_str());
    Element::new(name, NS).with_children(jids.iter().map(item))
}

/// §3.2. Who asked for the list is told of its changes (§3.3).
fn list(at: &mut At<'_>) -> Answer {
    let Some((resource, _)) = at.resource() else { return Answer::NotMine };
    resource.wants_blocked = true;
    match &at.user {
        Some(user) => Answer::element(&items("blocklist", user.blocked.jids())),
        None => Answer::NotMine,
    }
}

/// What an iq wants of the list; `None` if nothing.
fn edit(iq: &Iq<'_>) -> Option<Result<BlockEdit, Condition>> {
    let block = iq.sets("block", NS);
    if !block && !iq.sets("unblock", NS) {
        return None;
    }
    let empty = iq.payload.children().next().is_none();
    Some(match jids(&iq.payload) {
        _ if empty && !block => Ok(BlockEdit::Clear),              // §3.5
        Ok(jids) if jids.is_empty() => Err(Condition::BadRequest), // §3.3
        Ok(jids) if block => Ok(BlockEdit::Add(jids)),
        Ok(jids) => Ok(BlockEdit::Remove(jids)),
        Err(condition) => Err(condition),
    })
}

/// The addresses of the items, prepared.
fn jids(payload: &Element) -> Result<Vec<Jid>, Condition> {
    let jid = |item: &Element| {
        let text = item.attr("jid").ok_or(Condition::BadRequest)?;
        Jid::parse(text).map_err(|_| Condition::JidMalformed)
    };
    payload.children().filter(|child| child.is("item", NS)).map(jid).collect()
}

/// The change takes its turn after those that wait; the answer and the pushes follow when it is durable.
fn order(iq: &Iq<'_>, edit: BlockEdit, at: &mut At<'_>) -> Answer {
    let (Some(user), Some(by)) = (at.user.as_deref_mut(), at.resource) else { return Answer::NotMine };
    let told = match &edit {
        BlockEdit::Add(jids) => items("block", jids),
        BlockEdit::Remove(jids) => items("unblock", jids),
        BlockEdit::Clear => items("unblock", &[]),
    };
    let mut push = Vec::new();
    told.write(ns::CLIENT, &mut push);
    let id = iq.stanza.view.id().map(Into::into);
    let asked = user::Asked { by, id, addressed: iq.stanza.to.is_some() };
    change::enqueue(user, Change::Block { asked, edit, push: push.into() }, at.cx);
    Answer::Later
}
