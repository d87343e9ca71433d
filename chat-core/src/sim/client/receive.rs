//! What a client does with what it gets in a session.

use super::{Client, DIRECTED, Hands, Stage, attr, show};
use crate::sim::auth::{bare, user_of};
use crate::sim::ledger::Tag;
use crate::sim::plan::Acks;
use crate::stanza::ns;
use crate::xml::Element;

impl Client {
    pub(super) fn on_stanza(&mut self, element: &Element, hands: &mut Hands<'_>) {
        // A client with stream management that has closed its stream looks at nothing any more.
        if self.stage == Stage::Closing && self.is_managed() {
            return;
        }
        if element.ns == ns::SM {
            return self.on_managed(element, hands);
        }
        if let Some(managed) = self.managed.as_mut().filter(|m| m.on) {
            managed.got = managed.got.wrapping_add(1);
        }
        if let Some(to) = element.attr("to")
            && to != self.jid
            && to != bare(self.plan.user)
        {
            // The server may have been asked for another resource of the user's.
            if user_of(to) != Some(self.plan.user) {
                hands.ledger.fail(format!("client {} got {}", self.number, show(element)));
            }
        }
        match element.name.as_str() {
            "message" => self.on_message(element, hands),
            "presence" => self.on_presence(element, hands),
            "iq" => self.on_iq(element, hands),
            _ => hands.ledger.fail(format!("client {} got {}", self.number, show(element))),
        }
    }

    fn on_managed(&mut self, element: &Element, hands: &mut Hands<'_>) {
        match element.name.as_str() {
            "enabled" => {
                if let Some(managed) = &mut self.managed {
                    managed.on = true;
                    managed.id = element.attr("id").unwrap_or_default().to_owned();
                }
            }
            "r" => {
                let willing = match self.plan.acks {
                    // At night nobody is quick, and messages are stored that wait for an ack.
                    _ if hands.healing => !hands.plan.has_night(),
                    Acks::Prompt => true,
                    Acks::Lazy => hands.rng.below(3) == 0,
                    Acks::Never => false,
                };
                if willing && self.stage == Stage::Active {
                    self.acknowledge(hands);
                }
            }
            "a" => {
                let (Some(h), Some(mut managed)) =
                    (element.attr("h").and_then(|h| h.parse().ok()), self.managed.take())
                else {
                    return hands.ledger.fail(format!("client {} got {}", self.number, show(element)));
                };
                // The last words on a stream whose session goes on elsewhere: errors may come with it there.
                let known = !self.is_drained;
                self.take_ack(&mut managed, h, known, hands);
                self.managed = Some(managed);
            }
            _ => hands.ledger.fail(format!("client {} got {}", self.number, show(element))),
        }
    }

    fn on_message(&mut self, element: &Element, hands: &mut Hands<'_>) {
        let from = element.attr("from").unwrap_or_default();
        if element.attr("type") == Some("error") {
            if let Some(tag) = element.attr("id").and_then(Tag::parse) {
                hands.ledger.bounced(tag, self.number);
            }
            return;
        }
        let Some(tag) = element.child("body", ns::CLIENT).and_then(|b| Tag::parse(&b.text())) else { return };
        let delayed = element.has_child("delay", ns::DELAY);
        let firm = !self.is_managed();
        let receipt = hands.ledger.received(tag, self.number, self.plan.user, from, delayed, firm);
        if let (Some(receipt), false, Some(managed)) = (receipt, firm, &mut self.managed) {
            managed.loose.push(receipt);
        }
    }

    fn on_presence(&mut self, element: &Element, hands: &mut Hands<'_>) {
        let Some(from) = element.attr("from") else {
            return hands.ledger.fail(format!("client {} got {}", self.number, show(element)));
        };
        let type_ = element.attr("type");
        if type_ == Some("subscribe") {
            return self.on_subscribe(from, hands);
        }
        if !matches!(type_, None | Some("unavailable")) {
            return;
        }
        if let Some(other) = user_of(from)
            && other != self.plan.user
            && !hands.ledger.allowed.contains(&(self.plan.user, other))
        {
            let text = format!("client {} may not see {}", self.number, show(element));
            hands.ledger.fail(text);
        }
        let status = element.child("status", ns::CLIENT).and_then(|s| s.text().parse().ok());
        if status == Some(DIRECTED) {
            // Said to this user alone, it says nothing of what others see. But who is inactive gets only the last presence of each,
            // which may stand for another.
            if self.inactive {
                self.view.insert(from.to_owned(), DIRECTED);
            }
        } else if type_.is_none() {
            self.view.insert(from.to_owned(), status.unwrap_or_default());
        } else if from == self.jid {
            // Who is unavailable is not told who comes and goes.
            self.view.clear();
        } else {
            self.view.remove(from);
        }
    }

    /// Somebody wants to see this user's presence.
    fn on_subscribe(&mut self, from: &str, hands: &mut Hands<'_>) {
        let Some(other) = user_of(from) else { return };
        if self.stage != Stage::Active {
            return;
        }
        let answer = if hands.rng.below(8) == 0 { "unsubscribed" } else { "subscribed" };
        if answer == "subscribed" {
            hands.ledger.allowed.insert((other, self.plan.user));
        }
        let text = format!("<presence to='{}' type='{answer}'/>", bare(other));
        self.send(text.as_bytes(), None, hands.now);
    }

    fn on_iq(&mut self, element: &Element, hands: &mut Hands<'_>) {
        let id = element.attr("id").unwrap_or_default();
        match element.attr("type") {
            Some("get" | "set") => {
                let mut out = b"<iq type='result'".to_vec();
                attr(&mut out, "id", id);
                if let Some(from) = element.attr("from") {
                    attr(&mut out, "to", from);
                }
                out.extend_from_slice(b"/>");
                if self.stage == Stage::Active {
                    self.send(&out, None, hands.now);
                }
            }
            _ => {
                if let Some(query) = id.strip_prefix('q').and_then(|n| n.parse().ok()) {
                    hands.ledger.answered(query, self.number);
                }
            }
        }
    }
}
