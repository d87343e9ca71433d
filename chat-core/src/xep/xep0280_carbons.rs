//! XEP-0280 (Message Carbons): a conversation is on all of a user's clients, whichever takes part in it.
//!
//! Who asked for it gets a copy of each eligible message that another of the user's resources sent (§8), or that
//! came for the user and was given to other resources only (§7). Copies are made by the server and given straight to
//! the user's own resources, so they can neither be copied again nor bounce; a stanza from elsewhere that looks like
//! a copy is refused, because clients have believed such things (§11).
//!
//! - A message to oneself is copied once, as received, to those who neither sent nor got it.
//! - A message that waits for the user (XEP-0160) is copied when somebody gets it: then it is known who did not.
//! - Errors name no message, so those of bare JIDs of accounts and rooms are copied: they answer what was sent to a
//!   bare JID, as conversations are. `urn:xmpp:carbons:rules:0` promises more (§6.2) and is not announced.

use crate::effect::Cx;
use crate::ext::{Answer, Asked, At, Extension, Flow, Iq, Wants};
use crate::jid::JidRef;
use crate::route::decision::Resources;
use crate::stanza::{Condition, Kind, MessageType, Stanza, ns};
use crate::user::{Resource, Urgency, User};
use crate::xml::write::{put_attr, put_attr_of};
use crate::xml::{Element, Head, Sink, Stamp, StanzaView, forward};

#[cfg(test)]
mod tests;

const NS: &str = "urn:xmpp:carbons:2";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Payloads of conversations, without a body (§6.1): XEP-0184, XEP-0085, XEP-0333.
const CONVERSATION: [&str; 3] =
    ["urn:xmpp:receipts", "http://jabber.org/protocol/chatstates", "urn:xmpp:chat-markers:0"];

/// Copies messages to the user's other resources.
pub struct Carbons;

impl Extension for Carbons {
    fn name(&self) -> &'static str {
        "xep0280_carbons"
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
        let carbons = match () {
            () if iq.sets("enable", NS) => true,
            () if iq.sets("disable", NS) => false,
            () => return Answer::NotMine,
        };
        match (iq.asked, at.resource()) {
            // §10.1: asking again is no error.
            (Asked::Own, Some((resource, _))) => {
                resource.carbons = carbons;
                Answer::done()
            }
            _ => Answer::NotMine,
        }
    }
    fn wants(&self) -> Wants {
        Wants { outbound: true, inbound: true, delivered: true }
    }
    fn on_outbound(&mut self, stanza: &Stanza<'_>, at: &mut At<'_>) -> Flow {
        let sender = at.resource;
        if let (Kind::Message(kind), Some(user)) = (stanza.kind, at.user.as_deref_mut())
            && stanza.to.is_some_and(|to| user.jid != to.bare())
            && (!at.cx.copies.is_empty() || user.resources.iter().any(|r| r.carbons && Some(r.id) != sender))
            && is_eligible(stanza, kind, false)
        {
            copy(stanza, "sent", user, at.cx, |_, r| Some(r.id) != sender);
        }
        Flow::Go
    }
    fn on_inbound(&mut self, stanza: &Stanza<'_>, _: &mut At<'_>) -> Flow {
        let copy = matches!(stanza.kind, Kind::Message(_))
            && stanza.view.children().any(|c| c.ns == NS && matches!(c.name, "received" | "sent"));
        if copy { Flow::Bounce(Condition::PolicyViolation.into()) } else { Flow::Go }
    }
    fn on_delivered(&mut self, stanza: &Stanza<'_>, to: Option<Resources>, at: &mut At<'_>) {
        let (Kind::Message(kind), Some(user), Some(got)) = (stanza.kind, at.user.as_deref_mut(), to) else {
            return;
        };
        if at.cx.copies.is_empty() && !user.resources.iter().any(|r| r.carbons) {
            return;
        }
        // To oneself: not back to the resource that sent it.
        let own = (user.jid == stanza.from.bare()).then(|| stanza.from.resource()).flatten();
        let lacks = |i: usize, r: &Resource| !got.contains(i) && Some(r.name()) != own;
        let lacking = |user: &User| user.resources.iter().enumerate().any(|(i, r)| r.carbons && lacks(i, r));
        if (!at.cx.copies.is_empty() || lacking(user)) && is_eligible(stanza, kind, true) {
            copy(stanza, "received", user, at.cx, lacks);
        }
    }
}

/// Whether a message is part of a conversation between people (§6.1), and may be copied (§9).
fn is_eligible(stanza: &Stanza<'_>, kind: MessageType, inbound: bool) -> bool {
    let view = stanza.view;
    let mut conversation = false;
    let mut room = false;
    for child in view.children() {
        match (child.ns, child.name) {
            (NS, "private") | ("urn:xmpp:hints", "no-copy") => return false,
            // XEP-0249: an invitation to a room.
            ("jabber:x:conference", "x") => conversation = true,
            (MUC_USER, "x") => room = true,
            (ns, _) if CONVERSATION.contains(&ns) => conversation = true,
            (ns, "body") => conversation |= ns == view.ns(),
            _ => {}
        }
    }
    // The room itself sends private messages to all of a user's resources that are in it.
    let from_room = room && inbound && stanza.to.is_some_and(JidRef::is_full);
    match kind {
        MessageType::Chat => !from_room || is_invitation(view),
        MessageType::Normal if from_room => is_invitation(view),
        MessageType::Normal => conversation || room && is_invitation(view),
        MessageType::Groupchat => false,
        MessageType::Headline => view.children().any(|c| CONVERSATION.contains(&c.ns)),
        MessageType::Error => inbound && stanza.from.is_bare() && stanza.from.local().is_some(),
    }
}

/// A mediated invitation to a room (XEP-0045 §7.8.2).
fn is_invitation(view: &StanzaView<'_>) -> bool {
    let message = Element::of(view);
    message.child("x", MUC_USER).is_some_and(|x| x.has_child("invite", MUC_USER))
}

/// Gives a copy to each resource that asked for copies and is chosen.
fn copy(
    stanza: &Stanza<'_>,
    direction: &str,
    user: &mut User,
    cx: &mut Cx,
    chosen: impl Fn(usize, &Resource) -> bool,
) {
    let User { resources, jid, .. } = user;
    let head = |resource: &str, out: &mut Vec<u8>| {
        out.extend_from_slice(b"<message");
        put_attr(out, "from", jid.as_str());
        put_attr_of(out, "to", &[jid.as_str(), "/", resource]);
    };
    // What all copies end with, and behind it each copy in its turn.
    let mut out = cx.buffer();
    put_tail(stanza, direction, &mut out);
    let tail = out.len();
    for (_, resource) in resources.iter_mut().enumerate().filter(|(i, r)| r.carbons && chosen(*i, r)) {
        out.truncate(tail);
        head(resource.name(), &mut out);
        out.extend_from_within(..tail);
        resource.send(cx, &out[tail..], None, Urgency::Now);
    }
    for copy in &mut cx.copies {
        head(&copy.resource, &mut copy.stanza);
        copy.stanza.extend_from_slice(&out[..tail]);
    }
    cx.keep_buffer(out);
}

/// What is the same in all copies: everything behind the addresses.
fn put_tail(stanza: &Stanza<'_>, direction: &str, out: &mut Vec<u8>) {
    // §7, §8: the type of the copy is that of the message.
    if let Some(type_) = stanza.view.type_() {
        put_attr(out, "type", &type_);
    }
    for part in ["><", direction, " xmlns='", NS, "'><forwarded xmlns='urn:xmpp:forward:0'>"] {
        out.put(part.as_bytes());
    }
    let stamp = Stamp {
        from: Head::Set(stanza.from.as_str()),
        to: stanza.to.map_or(Head::Keep, |to| Head::Set(to.as_str())),
        xmlns: Some(ns::CLIENT),
        ..Stamp::default()
    };
    forward(stanza.view, &stamp, out);
    for part in ["</forwarded></", direction, "></message>"] {
        out.put(part.as_bytes());
    }
}
