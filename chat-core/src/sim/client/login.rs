//! From the first header to a session: TLS, SASL, binding or resuming.

use super::{Client, Hands, Managed, Stage, show};
use crate::sasl::client::{Binding, ScramClient};
use crate::sasl::{Mechanism, payload};
use crate::sim::auth;
use crate::sim::ledger::Fate;
use crate::stanza::ns;
use crate::xml::Element;

impl Client {
    pub(super) fn on_login(&mut self, element: &Element, hands: &mut Hands<'_>) {
        match (self.stage, element.name.as_str()) {
            (Stage::First, "features") => self.on_first_features(hands),
            (Stage::Tls, "proceed") => self.stage = Stage::Handshake,
            (Stage::Sasl, "challenge") => self.on_challenge(element, hands),
            (Stage::Sasl, "success") => self.on_success(element, hands),
            (Stage::Sasl, "failure") => {
                if hands.plan.is_faultless() && !self.naughty && hands.healing {
                    hands.ledger.fail(format!("client {} cannot log in: {}", self.number, show(element)));
                }
                self.out.extend_from_slice(b"</stream:stream>");
                self.hang_up = true;
            }
            (Stage::Second, "features") => self.on_second_features(hands),
            (Stage::Resuming, "resumed") => self.on_resumed(element, hands),
            (Stage::Resuming, "failed") => {
                let h = element.attr("h").and_then(|h| h.parse().ok());
                self.end_session(h, hands);
                self.bind();
            }
            (Stage::Binding, "iq") => self.on_bound(element, hands),
            _ => {
                let what = show(element);
                let wrong = format!("client {} got {what} while {:?}", self.number, self.stage);
                hands.ledger.fail(wrong);
            }
        }
    }

    fn on_first_features(&mut self, hands: &mut Hands<'_>) {
        if self.naughty && hands.rng.below(2) == 0 {
            // Nobody may act before logging in.
            let to = hands.rng.below(hands.plan.users as u64) as usize;
            let tag = hands.ledger.send(
                (self.number, self.session, &self.jid, self.place),
                Some(to),
                false,
                Fate::Forbidden,
            );
            let text = format!(
                "<message from='{}' to='{}' type='chat' id='{tag}'><body>{tag}</body></message>",
                self.jid,
                auth::bare(to)
            );
            self.out.extend_from_slice(text.as_bytes());
            return;
        }
        if self.plan.tls && !self.secured {
            self.out.extend_from_slice(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            self.stage = Stage::Tls;
            return;
        }
        self.stage = Stage::Sasl;
        let user = format!("u{}", self.plan.user);
        let mut password = auth::password(self.plan.user);
        if self.naughty {
            password.push('!');
        }
        if self.plan.plain {
            let data = payload::encode(format!("\0{user}\0{password}").as_bytes());
            return self.auth("PLAIN", &data);
        }
        let mut nonce = [0; 24];
        hands.rng.fill(&mut nonce);
        let (name, mechanism) = match hands.rng.below(2) {
            0 => ("SCRAM-SHA-1", Mechanism::ScramSha1),
            _ => ("SCRAM-SHA-256", Mechanism::ScramSha256),
        };
        let scram = ScramClient::new(mechanism, &user, &password, Binding::Unsupported, nonce);
        if let Some(scram) = scram {
            let first = payload::encode(&scram.first());
            self.scram = Some(scram);
            self.auth(name, &first);
        }
    }

    fn auth(&mut self, mechanism: &str, data: &str) {
        let text =
            format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{data}</auth>");
        self.out.extend_from_slice(text.as_bytes());
    }

    /// The handshake of STARTTLS is done.
    pub(in crate::sim) fn on_secured(&mut self) {
        if self.stage == Stage::Handshake {
            self.secured = true;
            self.open(Stage::First);
        }
    }

    fn on_challenge(&mut self, element: &Element, hands: &mut Hands<'_>) {
        let answer = payload::decode(&element.text())
            .ok()
            .and_then(|data| self.scram.as_mut()?.respond(&data).ok())
            .map(|data| payload::encode(&data));
        match answer {
            Some(answer) => {
                let text = format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{answer}</response>");
                self.out.extend_from_slice(text.as_bytes());
            }
            None => hands.ledger.fail(format!("client {} got a bad challenge", self.number)),
        }
    }

    fn on_success(&mut self, element: &Element, hands: &mut Hands<'_>) {
        if self.naughty {
            hands.ledger.fail(format!("client {} logged in with a wrong password", self.number));
        }
        if let Some(scram) = self.scram.take() {
            let fine = payload::decode(&element.text()).is_ok_and(|data| scram.finish(&data).is_ok());
            if !fine {
                hands.ledger.fail(format!("client {} was given a bad proof", self.number));
            }
        }
        self.open(Stage::Second);
    }

    fn on_second_features(&mut self, hands: &mut Hands<'_>) {
        match self.managed.as_mut().filter(|m| !m.id.is_empty()) {
            Some(managed) => {
                for receipt in managed.loose.drain(..) {
                    hands.ledger.firm(receipt);
                }
                let text =
                    format!("<resume xmlns='{}' previd='{}' h='{}'/>", ns::SM, managed.id, managed.got);
                self.out.extend_from_slice(text.as_bytes());
                self.stage = Stage::Resuming;
            }
            None => self.bind(),
        }
    }

    fn bind(&mut self) {
        let resource = self.plan.resource.as_ref();
        let resource = resource.map(|r| format!("<resource>{r}</resource>")).unwrap_or_default();
        let text = format!("<iq type='set' id='bind'><bind xmlns='{}'>{resource}</bind></iq>", ns::BIND);
        self.out.extend_from_slice(text.as_bytes());
        self.stage = Stage::Binding;
    }

    fn on_bound(&mut self, iq: &Element, hands: &mut Hands<'_>) {
        if iq.attr("type") != Some("result") {
            // The store may be away: another time.
            if hands.plan.is_faultless() {
                hands.ledger.fail(format!("client {} got no resource: {}", self.number, show(iq)));
            }
            self.out.extend_from_slice(b"</stream:stream>");
            self.hang_up = true;
            return;
        }
        let jid = iq.child("bind", ns::BIND).and_then(|b| b.child("jid", ns::BIND)).map(|j| j.text());
        self.jid = jid.unwrap_or_default().into_owned();
        self.stage = Stage::Active;
        self.view.clear();
        if self.plan.managed {
            let resume = if self.plan.resumable { " resume='true'" } else { "" };
            self.out.extend_from_slice(format!("<enable xmlns='{}'{resume}/>", ns::SM).as_bytes());
            self.managed = Some(Managed::default());
        }
        if self.plan.roster {
            let query = hands.ledger.ask(self.number, self.session, hands.now, true);
            let text = format!("<iq type='get' id='q{query}'><query xmlns='{}'/></iq>", ns::ROSTER);
            self.send(text.as_bytes(), None, hands.now);
        }
        self.say_presence(hands);
        for (tag, text) in std::mem::take(&mut self.again) {
            self.send_again(tag, &text, hands);
        }
    }

    fn on_resumed(&mut self, element: &Element, hands: &mut Hands<'_>) {
        let Some(mut managed) = self.managed.take() else { return };
        self.stage = Stage::Active;
        hands.ledger.drains.resumed += u64::from(std::mem::take(&mut self.is_drained));
        for receipt in managed.loose.drain(..) {
            hands.ledger.firm(receipt);
        }
        match element.attr("h").and_then(|h| h.parse().ok()) {
            Some(h) => self.take_ack(&mut managed, h, false, hands),
            None => hands.ledger.fail(format!("client {} got {}", self.number, show(element))),
        }
        // What the server did not get is sent again, as it was.
        for (_, bytes, at) in &mut managed.unacked {
            self.out.extend_from_slice(bytes);
            *at = hands.now;
        }
        self.out.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
        self.managed = Some(managed);
    }
}
