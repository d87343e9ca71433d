//! What the tests of extensions share: romeo's account with resources, and what is asked of it, sent and delivered.
//!
//! Answers and flows come back as one line of text, so that the tests can hold them against literals.

use std::sync::Arc;

use crate::base::{ConnId, HashKey, Key, Mono, Rng, UserId};
use crate::effect::{Cx, Domain, ResourceId, Settings};
use crate::ext::{Answer, Asked, At, Catalog, Extension, Flow, Iq};
use crate::jid::{BareJid, Jid};
use crate::route::decision::{Decision, ResourceView, Resources, Target, What, decide};
use crate::stanza::{Kind, MessageType, Stanza, StanzaError};
use crate::user::roster::{Groups, Item, RosterMax};
use crate::user::subscription::Subscription;
use crate::user::{Record, Resource, User};
use crate::xml::{Element, ScanLimits, StanzaView, StreamNs, scan};

/// An iq of type get around this payload.
pub(super) fn get(payload: &str) -> String {
    format!("<iq type='get' id='q1'>{payload}</iq>")
}

/// An iq of type set, likewise.
pub(super) fn set(payload: &str) -> String {
    format!("<iq type='set' id='q1'>{payload}</iq>")
}

/// `romeo@montague.example` and the hands of an engine that serves his domain and `capulet.example`.
pub(super) struct Bench {
    pub(super) cx: Cx,
    pub(super) user: User,
    pub(super) catalog: Catalog,
}

impl Bench {
    pub(super) fn new() -> Self {
        Bench::with(|_| {})
    }

    /// With other settings than the usual ones.
    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let domains = vec![Domain::new("montague.example"), Domain::new("capulet.example")];
        let mut settings = Settings::new(domains, HashKey::from_bytes([1; 16]), [2; 16]);
        settings.version = "9.8.7";
        change(&mut settings);
        let jid = BareJid::parse("romeo@montague.example").unwrap();
        let mut user = User::loading(UserId(Key { index: 7, generation: 1 }), jid, 0, false, Mono(0));
        user.record = Record::Ready;
        user.exists = true;
        let cx = Cx::new(Arc::new(settings), Rng::from_u64(1));
        Bench { cx, user, catalog: Catalog::default() }
    }

    /// A connected resource that has not sent presence.
    pub(super) fn bind(&mut self, name: &str) -> ResourceId {
        let conn = ConnId(Key { index: self.user.resources.len() as u32, generation: 1 });
        self.cx.wires.open(conn);
        let id = self.cx.next_resource();
        self.user.resources.push(Resource::new(id, name.into(), conn));
        id
    }

    /// Somebody in romeo's roster.
    pub(super) fn contact(&mut self, jid: &str, subscription: Subscription) {
        let max = RosterMax { items: 10, requests: 10, bytes: 10_000 };
        let item = Item { jid, name: "", subscription, request: b"", groups: Groups::NONE };
        self.user.roster.put(item, max).unwrap();
    }

    /// What was written to a resource since the last look.
    pub(super) fn sent(&mut self, name: &str) -> String {
        let resource = self.user.resources.iter().find(|r| r.name() == name).expect("a bound resource");
        let conn = resource.conn.unwrap();
        let mut slices = [b"".as_slice(); 64];
        let n = self.cx.wires.outgoing(conn, &mut slices);
        let text = String::from_utf8(slices[..n].concat()).unwrap();
        self.cx.wires.sent(conn, text.len(), &mut self.cx.outputs, |_| {});
        text
    }

    fn id_of(&self, name: Option<&str>) -> Option<ResourceId> {
        self.user.resources.iter().find(|r| Some(r.name()) == name).map(|r| r.id)
    }

    /// Asks by an iq without addresses: romeo's first resource asks the server or his account, or juliet asks for
    /// his.
    pub(super) fn ask(&mut self, ext: &mut dyn Extension, asked: Asked, iq: impl AsRef<str>) -> String {
        let by = self.user.resources.first().map_or_else(|| "orchard".to_owned(), |r| r.name().to_owned());
        let own = format!("romeo@montague.example/{by}");
        let (from, to) = match asked {
            Asked::Server => (own.as_str(), Some("montague.example")),
            Asked::Own => (own.as_str(), None),
            Asked::Other => ("juliet@capulet.example/balcony", Some("romeo@montague.example")),
        };
        with_stanza(iq.as_ref(), Some(from), to, |stanza| {
            let payload = Element::of(stanza.view).children().next().unwrap().clone();
            let iq =
                Iq { stanza: *stanza, payload, set: stanza.view.type_().as_deref() == Some("set"), asked };
            let resource = if asked == Asked::Other { None } else { self.id_of(stanza.from.resource()) };
            match self.hook(resource, |at| ext.on_iq(&iq, at)) {
                Answer::Result(payload) if payload.is_empty() => "result".to_owned(),
                Answer::Result(payload) => format!("result {}", String::from_utf8(payload).unwrap()),
                Answer::Error(error) => format!("error {}", shown(&error)),
                Answer::Later => "later".to_owned(),
                Answer::NotMine => "not mine".to_owned(),
            }
        })
    }

    /// A resource sends an element that is no stanza; what it gets at once.
    pub(super) fn element(&mut self, ext: &mut dyn Extension, by: &str, element: &str) -> String {
        let element = Element::parse(element.as_bytes(), &StreamNs::client()).unwrap();
        let resource = self.id_of(Some(by));
        self.hook(resource, |at| ext.on_element(&element, at));
        self.sent(by)
    }

    /// A resource sends a stanza; `to` is the stanza's own, or romeo's account.
    pub(super) fn send(&mut self, ext: &mut dyn Extension, by: &str, stanza: &str) -> String {
        let (from, resource) = (format!("romeo@montague.example/{by}"), self.id_of(Some(by)));
        with_stanza(stanza, Some(&from), None, |stanza| {
            let own = self.user.jid.clone();
            let stanza = Stanza { to: Some(stanza.to.unwrap_or(own.as_ref())), ..*stanza };
            flow(self.hook(resource, |at| ext.on_outbound(&stanza, at)))
        })
    }

    /// A stanza with addresses arrives.
    pub(super) fn arrive(&mut self, ext: &mut dyn Extension, stanza: &str) -> String {
        with_stanza(stanza, None, None, |stanza| flow(self.hook(None, |at| ext.on_inbound(stanza, at))))
    }

    /// A stanza with addresses was given to these resources; none: it was kept.
    pub(super) fn deliver(&mut self, ext: &mut dyn Extension, stanza: &str, to: &[&str]) {
        let to = self.chosen(to);
        with_stanza(stanza, None, None, |stanza| self.hook(None, |at| ext.on_delivered(stanza, to, at)));
    }

    fn chosen(&self, names: &[&str]) -> Option<Resources> {
        let view = |r: &Resource| ResourceView { available: names.contains(&r.name()), priority: 0 };
        let views: Vec<ResourceView> = self.user.resources.iter().map(view).collect();
        match decide(What::Message { kind: MessageType::Chat, keep: true }, Target::Bare, &views) {
            Decision::Deliver(resources) => Some(resources),
            _ => None,
        }
    }

    fn hook<T>(&mut self, resource: Option<ResourceId>, hook: impl FnOnce(&mut At<'_>) -> T) -> T {
        let Bench { cx, user, catalog } = self;
        hook(&mut At { cx, user: Some(user), resource, catalog })
    }
}

/// A stanza of these bytes; the addresses given here come before those written in it.
fn with_stanza<T>(
    text: &str,
    from: Option<&str>,
    to: Option<&str>,
    then: impl FnOnce(&Stanza<'_>) -> T,
) -> T {
    let view: StanzaView<'_> = scan(text.as_bytes(), &StreamNs::client(), &ScanLimits::default()).unwrap();
    let kind = Kind::read(view.name(), view.type_().as_deref()).unwrap().unwrap();
    let jid = |given: Option<&str>, written: Option<&str>| given.or(written).map(|j| Jid::parse(j).unwrap());
    let from = jid(from, view.from().as_deref()).expect("a stanza with a sender");
    let to = jid(to, view.to().as_deref());
    then(&Stanza { view: &view, kind, from: from.as_ref(), to: to.as_ref().map(Jid::as_ref) })
}

fn flow(flow: Flow) -> String {
    match flow {
        Flow::Go => "go".to_owned(),
        Flow::Drop => "drop".to_owned(),
        Flow::Bounce(error) => format!("bounce {}", shown(&error)),
    }
}

fn shown(error: &StanzaError) -> String {
    let specific = error.specific.map(|(name, ns)| format!(" {name} {ns}")).unwrap_or_default();
    format!("{} {}{specific}", error.error_type.as_str(), error.condition.as_str())
}
