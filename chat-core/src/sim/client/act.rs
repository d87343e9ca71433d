//! What a client does of its own accord.

use super::{Client, DIRECTED, Hands, Stage, attr};
use crate::base::Span;
use crate::sim::auth::bare;
use crate::sim::ledger::{Fate, Tag};

/// What an act does to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Did {
    /// Nothing.
    Something,
    /// The client closed its stream.
    LoggedOut,
}

impl Client {
    /// Does something in its session.
    pub(in crate::sim) fn act(&mut self, hands: &mut Hands<'_>) -> Did {
        match hands.rng.below(100) {
            0..45 => self.say_message(hands),
            45..53 => self.ask_server(hands),
            53..60 => self.ask_client(hands),
            60..68 => self.say_presence(hands),
            68..71 => self.say_unavailable(hands),
            71..76 => self.say_directed(hands),
            76..86 => self.manage_subscription(hands),
            86..89 => self.set_roster(hands),
            89..91 => self.request(),
            91..93 => self.be_active(hands),
            93..94 => self.copy_me(hands),
            94..95 => self.block(hands),
            95..97 if !hands.healing => {
                self.log_out(hands);
                return Did::LoggedOut;
            }
            _ => {
                // A burst.
                for _ in 0..hands.rng.below(12) {
                    self.say_message(hands);
                }
            }
        }
        Did::Something
    }

    /// Asks the server what it has (XEP-0198 §4).
    pub(in crate::sim) fn request(&mut self) {
        if self.is_managed() {
            self.out.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
        }
    }

    /// Closes the stream in peace.
    pub(in crate::sim) fn log_out(&mut self, hands: &mut Hands<'_>) {
        self.acknowledge(hands);
        self.out.extend_from_slice(b"</stream:stream>");
        self.stage = Stage::Closing;
        self.is_drained = false;
        if let Some(managed) = &mut self.managed {
            // RFC 6120 §4.4: this ends the session, and what is not acknowledged yet may have arrived or not.
            managed.id.clear();
        }
    }

    pub(in crate::sim) fn say_message(&mut self, hands: &mut Hands<'_>) {
        let to = hands.rng.below(hands.plan.users as u64) as usize;
        let (to_user, address) = match hands.rng.below(40) {
            0 => (None, "ghost@sim.example".to_owned()),
            1 => (None, "u0@elsewhere.example".to_owned()),
            2..25 => (Some(to), bare(to)),
            _ => {
                let (user, jid) = &hands.people[hands.rng.below(hands.people.len() as u64) as usize];
                (Some(*user), jid.clone())
            }
        };
        let roamer = hands.plan.roamer().filter(|r| !hands.healing && r.client != self.number);
        let (to_user, address) = match roamer.filter(|_| hands.rng.below(4) > 0) {
            Some(roamer) => {
                let (user, jid) = &hands.people[roamer.client];
                (Some(*user), if hands.rng.below(2) == 0 { jid.clone() } else { bare(*user) })
            }
            None => (to_user, address),
        };
        let (fate, type_, more) = match hands.rng.below(20) {
            _ if to_user.is_none() => (Fate::Hopeless, " type='chat'", ""),
            0 => (Fate::Fleeting, " type='headline'", ""),
            1 => (Fate::Fleeting, " type='chat'", "<no-store xmlns='urn:xmpp:hints'/>"),
            2..8 => (Fate::Keep, "", ""),
            _ => (Fate::Keep, " type='chat'", ""),
        };
        let (mut claim, mut fate) = (String::new(), fate);
        match hands.rng.below(400) {
            0 if !hands.healing && !self.eager => {
                // RFC 6120 §4.9.3.9: this is going to end the stream.
                let other = &hands.people[hands.rng.below(hands.people.len() as u64) as usize];
                if other.0 != self.plan.user {
                    claim = other.1.clone();
                    fate = Fate::Forbidden;
                }
            }
            1..40 => claim = self.jid.clone(),
            40..60 => claim = bare(self.plan.user),
            _ => {}
        }
        let tag = hands.ledger.send(
            (self.number, self.session, &self.jid, self.place),
            to_user,
            address.contains('/'),
            fate,
        );
        let padding = "x".repeat(hands.rng.below(hands.plan.body_max) as usize);
        let mut out = format!("<message{type_} id='{tag}'").into_bytes();
        attr(&mut out, "to", &address);
        if !claim.is_empty() {
            attr(&mut out, "from", &claim);
        }
        out.extend_from_slice(format!("><body>{tag} {padding}</body>{more}</message>").as_bytes());
        self.send(&out, Some(tag), hands.now);
        if hands.rng.below(4) == 0 {
            self.request();
        }
    }

    /// Sends a message of an earlier session again: as another one, for nobody knows what became of the first.
    pub(super) fn send_again(&mut self, old: Tag, text: &str, hands: &mut Hands<'_>) {
        let Some((to, full, fate)) = hands.ledger.get(old).map(|s| (s.to, s.full, s.fate)) else { return };
        if fate == Fate::Forbidden || text.contains(" from='") {
            return;
        }
        let tag = hands.ledger.send((self.number, self.session, &self.jid, self.place), to, full, fate);
        let text = text.replace(&format!("id='{old}'"), &format!("id='{tag}'"));
        let text = text.replace(&format!("<body>{old} "), &format!("<body>{tag} "));
        self.send(text.as_bytes(), Some(tag), hands.now);
    }

    /// Broadcasts its presence, with a status that it never had before.
    pub(in crate::sim) fn say_presence(&mut self, hands: &mut Hands<'_>) {
        if self.status.is_none() {
            // Who was unavailable knows nothing of the others, and is told everything now. The echo of its own
            // `unavailable` may never come: an inactive client gets only the last presence of each.
            self.view.clear();
        }
        self.statuses += 1;
        let status = (self.number as u32 + 1) * 100_000 + self.statuses;
        self.status = Some(status);
        let text = format!(
            "<presence><status>{status}</status><priority>{}</priority></presence>",
            self.plan.priority
        );
        self.send(text.as_bytes(), None, hands.now);
    }

    fn say_unavailable(&mut self, hands: &mut Hands<'_>) {
        self.status = None;
        self.send(b"<presence type='unavailable'/>", None, hands.now);
    }

    fn say_directed(&mut self, hands: &mut Hands<'_>) {
        let (user, jid) = &hands.people[hands.rng.below(hands.people.len() as u64) as usize];
        if *user == self.plan.user {
            return;
        }
        hands.ledger.allowed.insert((*user, self.plan.user));
        let type_ = if hands.rng.below(3) == 0 { " type='unavailable'" } else { "" };
        let text = format!("<presence to='{jid}'{type_}><status>{DIRECTED}</status></presence>");
        self.send(text.as_bytes(), None, hands.now);
    }

    fn manage_subscription(&mut self, hands: &mut Hands<'_>) {
        let own = self.plan.user;
        let near: Vec<_> = hands.plan.friends.iter().filter(|f| f.0 == own || f.1 == own).copied().collect();
        if near.is_empty() || hands.healing {
            return;
        }
        let (asker, asked) = near[hands.rng.below(near.len() as u64) as usize];
        let (type_, to) = match (asker == own, hands.rng.below(8)) {
            (true, 0) => ("unsubscribe", asked),
            (true, _) => ("subscribe", asked),
            (false, 0 | 1) => ("unsubscribed", asker),
            (false, _) => ("subscribed", asker),
        };
        hands.ledger.allowed.insert((asker, asked));
        self.send(format!("<presence to='{}' type='{type_}'/>", bare(to)).as_bytes(), None, hands.now);
    }

    fn set_roster(&mut self, hands: &mut Hands<'_>) {
        let to = hands.rng.below(hands.plan.users as u64) as usize;
        if to == self.plan.user || hands.healing {
            return;
        }
        let query = hands.ledger.ask(self.number, self.session, hands.now, true);
        let what = if hands.rng.below(6) == 0 { " subscription='remove'" } else { " name='Friend'" };
        let text = format!(
            "<iq type='set' id='q{query}'><query xmlns='jabber:iq:roster'><item jid='{}'{what}/></query></iq>",
            bare(to)
        );
        self.send(text.as_bytes(), None, hands.now);
    }

    /// Asks the server, or its own or another's account.
    pub(in crate::sim) fn ask_server(&mut self, hands: &mut Hands<'_>) {
        let query = hands.ledger.ask(self.number, self.session, hands.now, true);
        let to = match hands.rng.below(4) {
            0 => String::new(),
            1 => {
                let to = hands.rng.below(hands.plan.users as u64) as usize;
                hands.ledger.queries[query].about = Some(to);
                format!(" to='{}'", bare(to))
            }
            _ => format!(" to='{}'", crate::sim::auth::DOMAIN),
        };
        let payload = match hands.rng.below(4) {
            0 => "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            1 => "<query xmlns='jabber:iq:version'/>",
            2 => "<query xmlns='urn:nobody:knows'/>",
            _ => "<ping xmlns='urn:xmpp:ping'/>",
        };
        let text = format!("<iq type='get' id='q{query}'{to}>{payload}</iq>");
        self.send(text.as_bytes(), None, hands.now);
    }

    /// Says that nobody looks at it, or that somebody does (XEP-0352).
    fn be_active(&mut self, hands: &mut Hands<'_>) {
        let what = if hands.rng.below(2) == 0 { "active" } else { "inactive" };
        self.inactive |= what == "inactive";
        self.out.extend_from_slice(format!("<{what} xmlns='urn:xmpp:csi:0'/>").as_bytes());
    }

    /// Wants copies of messages of the user's other clients, or no longer (XEP-0280).
    fn copy_me(&mut self, hands: &mut Hands<'_>) {
        let query = hands.ledger.ask(self.number, self.session, hands.now, true);
        let what = if hands.rng.below(2) == 0 { "enable" } else { "disable" };
        let text = format!("<iq type='set' id='q{query}'><{what} xmlns='urn:xmpp:carbons:2'/></iq>");
        self.send(text.as_bytes(), None, hands.now);
    }

    /// Blocks somebody, or nobody any more (XEP-0191).
    fn block(&mut self, hands: &mut Hands<'_>) {
        let to = hands.rng.below(hands.plan.users as u64) as usize;
        if !hands.plan.blocks || to == self.plan.user || hands.healing {
            return;
        }
        let query = hands.ledger.ask(self.number, self.session, hands.now, true);
        let payload = match hands.rng.below(2) {
            0 => {
                hands.ledger.shut.insert((self.plan.user, to));
                format!("<block xmlns='urn:xmpp:blocking'><item jid='{}'/></block>", bare(to))
            }
            _ => "<unblock xmlns='urn:xmpp:blocking'/>".to_owned(),
        };
        let text = format!("<iq type='set' id='q{query}'>{payload}</iq>");
        self.send(text.as_bytes(), None, hands.now);
    }

    fn ask_client(&mut self, hands: &mut Hands<'_>) {
        let query = hands.ledger.ask(self.number, self.session, hands.now, false);
        let (_, jid) = &hands.people[hands.rng.below(hands.people.len() as u64) as usize];
        let text = format!("<iq type='get' id='q{query}' to='{jid}'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.send(text.as_bytes(), None, hands.now);
    }

    /// Looks whether its connection is alive; says whether it gives it up.
    pub(in crate::sim) fn look(&mut self, hands: &mut Hands<'_>) -> bool {
        let silence = hands.now.since(self.heard);
        if self.stage == Stage::Away || silence < Span::secs(12) {
            return false;
        }
        match self.probed {
            Some(at) => hands.now.since(at) > Span::secs(6),
            None if self.stage == Stage::Active => {
                self.probed = Some(hands.now);
                if self.is_managed() {
                    self.request();
                } else {
                    self.ask_server(hands);
                }
                false
            }
            // A login takes as long as it takes, but not for ever.
            None => silence > Span::secs(30),
        }
    }
}

impl Client {
    /// Sees to it that nothing is open between it and the server.
    pub(in crate::sim) fn tidy(&mut self, hands: &mut Hands<'_>) {
        self.out.extend_from_slice(b"<active xmlns='urn:xmpp:csi:0'/>");
        self.acknowledge(hands);
        if self.managed.as_ref().is_some_and(|m| !m.unacked.is_empty()) {
            self.request();
        }
    }
}
