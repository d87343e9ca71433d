//! A client of the scenarios: a tokio-xmpp stanza stream, and what came over it that nobody has asked for yet.

use futures_util::StreamExt as _;
use tokio::time::timeout;
use tokio_xmpp::Stanza;
use tokio_xmpp::jid::{BareJid, Jid};
use tokio_xmpp::minidom::Element;
use tokio_xmpp::parsers::iq::Iq;
use tokio_xmpp::parsers::message::{Lang, Message, MessageType};
use tokio_xmpp::parsers::ping::Ping;
use tokio_xmpp::parsers::presence::{Presence, Type};
use tokio_xmpp::parsers::roster::{Item, Roster};
use tokio_xmpp::parsers::stanza_error::{DefinedCondition, StanzaError};
use tokio_xmpp::stanzastream::{Event, StanzaStage, StanzaState, StanzaStream, StanzaToken, StreamEvent};
use tokio_xmpp::xmlstream::Timeouts;

use super::connect::Connector;
use super::support::PATIENCE;

/// Logged in and bound.
pub struct Client {
    stream: StanzaStream,
    unseen: Vec<Event>,
    /// As bound.
    pub jid: Jid,
    requests: u32,
}

impl Client {
    /// Logs in with a resource, and says nothing more yet.
    pub async fn log_in(connector: Connector, jid: &str, password: &str) -> Client {
        let jid = Jid::new(jid).expect("a JID");
        let stream =
            StanzaStream::new_c2s(connector, jid.clone(), password.to_owned(), Timeouts::tight(), 64);
        let mut client = Client { stream, unseen: Vec::new(), jid, requests: 0 };
        let bound = client
            .expect("the session", |event| match event {
                Event::Stream(StreamEvent::Reset { bound_jid, .. }) => Some(bound_jid.clone()),
                _ => None,
            })
            .await;
        assert_eq!(bound, client.jid);
        client
    }

    /// Fetches the roster and becomes available (RFC 6121 §2.2).
    pub async fn go_online(&mut self) {
        self.roster().await;
        self.send(Presence::available()).await;
        let own = self.jid.clone();
        self.expect_presence(Type::None, &own).await;
    }

    pub async fn send(&self, stanza: impl Into<Stanza>) -> StanzaToken {
        self.stream.send(Box::new(stanza.into())).await
    }

    pub async fn say(&self, to: &Jid, text: &str) -> StanzaToken {
        self.send(Message::chat(to.clone()).with_body(Lang::new(), text.to_owned())).await
    }

    /// Asks the server or another and waits for the answer.
    pub async fn ask(&mut self, request: Iq) -> Result<Option<Element>, StanzaError> {
        self.requests += 1;
        let wanted = format!("request-{}", self.requests);
        self.send(request.with_id(wanted.clone())).await;
        self.expect("an answer", |event| match event {
            Event::Stanza(Stanza::Iq(Iq::Result { id, payload, .. })) if *id == wanted => {
                Some(Ok(payload.clone()))
            }
            Event::Stanza(Stanza::Iq(Iq::Error { id, error, .. })) if *id == wanted => {
                Some(Err(error.clone()))
            }
            _ => None,
        })
        .await
    }

    pub async fn roster(&mut self) -> Vec<Item> {
        let answer = self.ask(Iq::from_get("", Roster { ver: None, items: vec![] })).await;
        Roster::try_from(answer.expect("a roster").expect("a payload")).expect("a roster").items
    }

    /// Returns when the server has done all that this client has sent, and what it sent before its answer has come.
    pub async fn settle(&mut self) {
        let domain = BareJid::new(self.jid.domain().as_str()).expect("a domain");
        self.ask(Iq::from_get("", Ping).with_to(domain.into())).await.expect("a pong");
    }

    /// Waits for an event and takes it out of those that were not asked for.
    pub async fn expect<T>(&mut self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let mut looked_at = 0;
        loop {
            for index in looked_at..self.unseen.len() {
                if let Some(found) = pick(&self.unseen[index]) {
                    self.unseen.remove(index);
                    return found;
                }
            }
            looked_at = self.unseen.len();
            match timeout(PATIENCE, self.stream.next()).await {
                Ok(Some(event)) => self.take(event).await,
                Ok(None) => panic!("{}: the stream ended before {what}: {:#?}", self.jid, self.unseen),
                Err(_) => panic!("{}: {what} does not come: {:#?}", self.jid, self.unseen),
            }
        }
    }

    async fn take(&mut self, event: Event) {
        if let Event::Stanza(Stanza::Iq(Iq::Set { from, id, .. })) = &event {
            // Pushes are acknowledged (RFC 6121 §2.1.6).
            let answer = Iq::Result { from: None, to: from.clone(), id: id.clone(), payload: None };
            self.send(answer).await;
        }
        self.unseen.push(event);
    }

    pub async fn expect_message(&mut self, text: &str, from: &Jid) -> Message {
        let what = format!("{text:?} from {from}");
        self.expect(&what, |event| {
            let message = message(event)?;
            let is_it = message.from.as_ref() == Some(from)
                && message.type_ == MessageType::Chat
                && body(message) == Some(text);
            is_it.then(|| message.clone())
        })
        .await
    }

    /// The next message without asking what it says.
    pub async fn next_message(&mut self) -> Message {
        self.expect("a message", |event| message(event).cloned()).await
    }

    pub async fn expect_refusal(&mut self, condition: DefinedCondition) {
        let refused = self
            .expect("a refusal", |event| message(event).filter(|m| m.type_ == MessageType::Error).cloned())
            .await;
        let error = refused.payloads.into_iter().find_map(|payload| StanzaError::try_from(payload).ok());
        assert_eq!(error.expect("an error").defined_condition, condition);
    }

    pub async fn expect_presence(&mut self, type_: Type, from: &Jid) {
        let what = format!("presence {type_:?} from {from}");
        self.expect(&what, |event| match event {
            Event::Stanza(Stanza::Presence(p)) if p.type_ == type_ && p.from.as_ref() == Some(from) => {
                Some(())
            }
            _ => None,
        })
        .await;
    }

    /// A request of the server with a payload of this type.
    pub async fn expect_push<T: TryFrom<Element>>(&mut self, what: &str) -> T {
        self.expect(what, |event| match event {
            Event::Stanza(Stanza::Iq(Iq::Set { payload, .. })) => T::try_from(payload.clone()).ok(),
            _ => None,
        })
        .await
    }

    /// Waits until the roster has this contact in this state, as told by pushes.
    pub async fn expect_subscription(&mut self, contact: &BareJid, state: &str) {
        let what = format!("{contact} in state {state}");
        self.expect(&what, |event| {
            let Event::Stanza(Stanza::Iq(Iq::Set { payload, .. })) = event else { return None };
            let roster = Roster::try_from(payload.clone()).ok()?;
            let is_it = |item: &Item| item.jid == *contact && format!("{:?}", item.subscription) == state;
            roster.items.iter().any(is_it).then_some(())
        })
        .await;
    }

    /// Nothing of the kind has come so far.
    pub fn never(&self, what: &str, matches: impl Fn(&Event) -> bool) {
        let found = self.unseen.iter().find(|event| matches(event));
        assert!(found.is_none(), "{} got {what}: {found:?}", self.jid);
    }

    /// Nobody said this so far.
    pub fn never_message(&self, text: &str) {
        self.never(text, |event| message(event).and_then(body) == Some(text));
    }

    /// Forgets what nobody asked for.
    pub fn forget(&mut self) {
        self.unseen.clear();
    }

    /// Ends the session.
    pub async fn leave(self) {
        timeout(PATIENCE, self.stream.close()).await.expect("the stream ends");
    }
}

/// The server has taken responsibility for a stanza (XEP-0198 §4).
pub async fn acknowledged(mut token: StanzaToken) {
    let state = timeout(PATIENCE, token.wait_for(StanzaStage::Acked)).await.expect("in time");
    assert!(matches!(state, Some(StanzaState::Acked { .. })), "{state:?}");
}

pub fn message(event: &Event) -> Option<&Message> {
    match event {
        Event::Stanza(Stanza::Message(message)) => Some(message),
        _ => None,
    }
}

pub fn body(message: &Message) -> Option<&str> {
    message.bodies.values().next().map(String::as_str)
}

/// Each sees the other's presence (RFC 6121 §3.1).
pub async fn befriend(one: &mut Client, other: &mut Client) {
    subscribe(one, other).await;
    subscribe(other, one).await;
    one.expect_subscription(&other.jid.to_bare(), "Both").await;
    other.expect_subscription(&one.jid.to_bare(), "Both").await;
}

async fn subscribe(one: &mut Client, other: &mut Client) {
    let (asks, asked) = (Jid::from(one.jid.to_bare()), Jid::from(other.jid.to_bare()));
    one.send(Presence::subscribe().with_to(asked.clone())).await;
    other.expect_presence(Type::Subscribe, &asks).await;
    other.send(Presence::subscribed().with_to(asks)).await;
    one.expect_presence(Type::Subscribed, &asked).await;
    let there = other.jid.clone();
    one.expect_presence(Type::None, &there).await;
}
