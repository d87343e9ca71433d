//! The extension host: how extensions hook into the way of a stanza.
//!
//! Owns: the trait [`Extension`], what its hooks may see and do ([`At`]), the ordered table of all extensions of an
//! engine ([`Host`]), and what they announce ([`Catalog`]).
//! In: stanzas at defined places of their way. Out: a [`Flow`] or an [`Answer`].
//! Invariants: hooks run in the order of the table; a hook that nobody wants costs one test of an empty slice, the
//! payload of an iq one lookup; an extension is owned by one engine and never shared; what a domain leaves out is not
//! announced there, not asked, and not called for its users.
//! Not here: the extensions themselves (`xep/`), the way itself (`engine/`).

mod host;

pub use host::{Catalog, Handle, Host};

use crate::effect::{Cx, Domain, ResourceId};
use crate::route::decision::Resources;
use crate::stanza::{Condition, Stanza, StanzaError};
use crate::user::{Resource, User};
use crate::xml::Element;

/// Where a hook runs and what it may touch.
pub struct At<'a> {
    /// The hands of the engine.
    pub cx: &'a mut Cx,
    /// The user concerned: the sender of an outbound stanza, the recipient of an inbound one, the account asked.
    /// When the server itself is asked: who asks, if that is a client of this server.
    pub user: Option<&'a mut User>,
    /// The resource concerned, if it is one of that user's: the sender of an outbound stanza, who asks.
    pub resource: Option<ResourceId>,
    /// What this server can do for the domain concerned: the user's, or the one asked.
    pub catalog: &'a Catalog,
}

impl At<'_> {
    /// The resource concerned, with the hands to send it something.
    pub fn resource(&mut self) -> Option<(&mut Resource, &mut Cx)> {
        let resource = self.user.as_deref_mut()?.resource(self.resource?)?;
        Some((resource, self.cx))
    }
}

/// Whom an iq asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The server: `to` is a domain of ours.
    Server,
    /// The sender's own account: no `to`, or its own bare JID.
    Own,
    /// Somebody else's account: its bare JID.
    Other,
}

/// An iq of type get or set that the server is to answer.
pub struct Iq<'a> {
    /// The stanza.
    pub stanza: Stanza<'a>,
    /// Its payload, parsed.
    pub payload: Element,
    /// Whether it is a set.
    pub set: bool,
    /// Whom it asks.
    pub asked: Asked,
}

impl Iq<'_> {
    /// Whether it is a get with this payload.
    pub fn gets(&self, name: &str, ns: &str) -> bool {
        !self.set && self.payload.is(name, ns)
    }

    /// Whether it is a set with this payload.
    pub fn sets(&self, name: &str, ns: &str) -> bool {
        self.set && self.payload.is(name, ns)
    }
}

/// The answer to an iq.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A result with this payload, perhaps empty.
    Result(Vec<u8>),
    /// An error.
    Error(StanzaError),
    /// The extension has answered, or will when something is done.
    Later,
    /// Not this extension's: the next may try; if none takes it, `service-unavailable`.
    NotMine,
}

impl Answer {
    /// A result without payload.
    pub fn done() -> Answer {
        Answer::Result(Vec::new())
    }

    /// A result with one element as its payload.
    pub fn element(element: &Element) -> Answer {
        let mut out = Vec::new();
        element.write(crate::stanza::ns::CLIENT, &mut out);
        Answer::Result(out)
    }
}

impl From<Condition> for Answer {
    fn from(condition: Condition) -> Self {
        Answer::Error(condition.into())
    }
}

/// What becomes of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Go,
    /// It ends here, without a word.
    Drop,
    /// It ends here, and its sender gets this error (if it is a stanza that may be answered).
    Bounce(StanzaError),
}

/// Which hooks an extension wants to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants {
    /// [`Extension::on_outbound`].
    pub outbound: bool,
    /// [`Extension::on_inbound`].
    pub inbound: bool,
    /// [`Extension::on_delivered`].
    pub delivered: bool,
}

/// An extension of the protocol. One object serves one engine; everything has a default but the name.
pub trait Extension: Send {
    /// A short name, for logs and settings: `xep0199_ping`.
    fn name(&self) -> &'static str;

    /// Whether it means anything for a domain with these settings; where it does not, it is left out. Asked once.
    fn suits(&self, domain: &Domain) -> bool {
        let _ = domain;
        true
    }

    /// Features that the server announces in service discovery (XEP-0030).
    fn features(&self) -> &'static [&'static str] {
        &[]
    }

    /// Features that accounts (bare JIDs) announce.
    fn account_features(&self) -> &'static [&'static str] {
        &[]
    }

    /// Elements, written out, that it adds to the stream features after authentication (RFC 6120 §4.3.2). Asked
    /// for each domain once, when all extensions are known.
    fn stream_features(&self, catalog: &Catalog) -> String {
        let _ = catalog;
        String::new()
    }

    /// Namespaces of iq payloads that it answers.
    fn iq_namespaces(&self) -> &'static [&'static str] {
        &[]
    }

    /// An iq of type get or set with a payload in one of [`Extension::iq_namespaces`].
    fn on_iq(&mut self, iq: &Iq<'_>, at: &mut At<'_>) -> Answer {
        let _ = (iq, at);
        Answer::NotMine
    }

    /// Namespaces of elements on the stream, besides stanzas, that it handles (XEP-0352). One that another before it in
    /// the table has named is that one's.
    fn element_namespaces(&self) -> &'static [&'static str] {
        &[]
    }

    /// An element on the stream of a bound resource in one of [`Extension::element_namespaces`].
    fn on_element(&mut self, element: &Element, at: &mut At<'_>) {
        let _ = (element, at);
    }

    /// Which of the hooks below are to be called.
    fn wants(&self) -> Wants {
        Wants::default()
    }

    /// A client of `at.user` sent a stanza to somebody.
    fn on_outbound(&mut self, stanza: &Stanza<'_>, at: &mut At<'_>) -> Flow {
        let _ = (stanza, at);
        Flow::Go
    }

    /// A stanza for `at.user` arrived at its home; nothing is decided yet.
    fn on_inbound(&mut self, stanza: &Stanza<'_>, at: &mut At<'_>) -> Flow {
        let _ = (stanza, at);
        Flow::Go
    }

    /// A message for `at.user` was given to these of its resources (indexes into `user.resources`; those behind them are on
    /// other nodes); none if it was kept. A message that was kept is told once more when somebody gets it, with its `<delay/>`.
    fn on_delivered(&mut self, stanza: &Stanza<'_>, to: Option<Resources>, at: &mut At<'_>) {
        let _ = (stanza, to, at);
    }
}
