//! What the tests of this folder share: users with clients, without an engine.

use std::sync::Arc;

use super::resource::Resource;
use super::user_record::{Record, User};
use super::{change, load, presence};
use crate::base::slots::Key;
use crate::base::{ConnId, HashKey, Mono, Rng, UserId};
use crate::effect::{Cx, Domain, Loaded, Mail, Output, Settings, StoreDone, StoreOp, StoreResult};
use crate::jid::{BareJid, Jid};
use crate::stanza::{Kind, Stanza};
use crate::xml::write::forwarded;
use crate::xml::{ScanLimits, Stamp, StreamNs, scan, write};

/// A user whose record is not there yet.
pub(super) fn loading(jid: &str) -> User {
    let id = UserId(Key { index: 0, generation: 1 });
    User::loading(id, BareJid::parse(jid).unwrap(), 0, false, Mono(0))
}

/// Gives a stanza with these addresses to `f`.
pub(super) fn with_stanza<T>(
    text: &str,
    from: &str,
    to: Option<&str>,
    f: impl FnOnce(&Stanza<'_>) -> T,
) -> T {
    let view = scan(text.as_bytes(), &StreamNs::client(), &ScanLimits::default()).unwrap();
    let kind = Kind::read(view.name(), view.type_().as_deref()).unwrap().unwrap();
    let (from, to) = (Jid::parse(from).unwrap(), to.map(|to| Jid::parse(to).unwrap()));
    f(&Stanza { view: &view, kind, from: from.as_ref(), to: to.as_ref().map(|to| to.as_ref()) })
}

/// The hands of an engine that serves `example.com` and `example.net`, and what its users' clients read.
pub(super) struct Kit {
    pub(super) cx: Cx,
    conns: u32,
}

impl Kit {
    pub(super) fn new() -> Self {
        Kit::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let domains = vec![Domain::new("example.com"), Domain::new("example.net")];
        let mut settings = Settings::new(domains, HashKey { k0: 1, k1: 2 }, [0; 16]);
        change(&mut settings);
        Kit { cx: Cx::new(Arc::new(settings), Rng::from_u64(1)), conns: 0 }
    }

    /// A user that exists and has nothing.
    pub(super) fn user(&mut self, jid: &str) -> User {
        let mut user = loading(jid);
        user.domain = self.cx.settings.domain_index(user.jid.domain()).unwrap_or_default();
        load::ready(&mut user, &Loaded { exists: true, ..Loaded::default() }).unwrap();
        assert_eq!(user.record, Record::Ready);
        user
    }

    /// One more resource with a connection.
    pub(super) fn bind(&mut self, user: &mut User, name: &str) {
        let conn = ConnId(Key { index: self.conns, generation: 1 });
        self.conns += 1;
        self.cx.wires.open(conn);
        user.resources.push(Resource::new(self.cx.next_resource(), name.into(), conn));
    }

    /// The client of this resource sends a presence stanza.
    pub(super) fn presence(
        &mut self,
        user: &mut User,
        name: &str,
        text: &str,
    ) -> Option<presence::OwnPresence> {
        let resource = user.resources.iter().find(|r| r.name() == name).unwrap().id;
        let from = user.jid.join(name);
        let view = scan(text.as_bytes(), &StreamNs::client(), &ScanLimits::default()).unwrap();
        let to = view.to();
        let cx = &mut self.cx;
        with_stanza(text, from.as_str(), to.as_deref(), |stanza| match stanza.to {
            _ if stanza.kind.is_subscription() => {
                change::outbound(user, resource, stanza, None, cx);
                None
            }
            Some(_) => {
                presence::on_directed(user, resource, stanza, None, cx);
                None
            }
            None => Some(presence::on_own(user, resource, stanza, None, false, cx)),
        })
    }

    /// What the client of this resource got since it was last asked, with the ids of pushes as `*`.
    pub(super) fn read(&mut self, user: &User, name: &str) -> String {
        let conn = user.resources.iter().find(|r| r.name() == name).unwrap().conn.unwrap();
        let mut text = Vec::new();
        while self.cx.wires.len(conn) > 0 {
            let mut parts: [&[u8]; 8] = [&[]; 8];
            let n = self.cx.wires.outgoing(conn, &mut parts);
            let bytes = parts[..n].concat();
            self.cx.wires.sent(conn, bytes.len(), &mut self.cx.outputs, |_| {});
            text.extend_from_slice(&bytes);
        }
        without_ids(&String::from_utf8(text).unwrap())
    }

    /// The envelopes posted since last asked: `to: stanza`, each stanza from whom its envelope is.
    pub(super) fn posted(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for mail in self.cx.local.drain(..) {
            let Mail::Stanza(envelope) = mail else { panic!("{mail:?}") };
            let view = scan(&envelope.stanza, &StreamNs::client(), &ScanLimits::default()).unwrap();
            assert_eq!(view.from().as_deref(), Some(envelope.from.as_str()), "the stanza is stamped");
            all.push(format!("{}: {}", envelope.to, std::str::from_utf8(&envelope.stanza).unwrap()));
        }
        all
    }

    /// The requests to the store since last asked.
    pub(super) fn asked(&mut self) -> Vec<Arc<StoreOp>> {
        let ops = self.cx.outputs.drain(..).map(|output| match output {
            Output::Store { op, .. } => op,
            other => panic!("{other:?}"),
        });
        ops.collect()
    }

    /// The store does what the user's first change needs.
    pub(super) fn commit(&mut self, user: &mut User) {
        assert_eq!(self.asked().len(), 1, "one change is stored at a time");
        change::on_stored(user, Ok(StoreDone::Done), &mut self.cx);
    }

    pub(super) fn stored(&mut self, user: &mut User, result: StoreResult) {
        change::on_stored(user, result, &mut self.cx);
    }

    /// Carries envelopes between these users and commits their changes until nothing happens any more, as an engine
    /// would.
    pub(super) fn settle(&mut self, users: &mut [&mut User]) {
        while !self.cx.local.is_empty() || users.iter().any(|u| u.underway.is_some()) {
            for user in users.iter_mut().filter(|u| u.underway.is_some()) {
                change::on_stored(user, Ok(StoreDone::Done), &mut self.cx);
            }
            self.cx.outputs.clear();
            while let Some(Mail::Stanza(envelope)) = self.cx.local.pop_front() {
                let Some(user) = users.iter_mut().find(|u| u.jid == envelope.to.bare()) else { continue };
                let text = std::str::from_utf8(&envelope.stanza).unwrap();
                let (from, to) = (envelope.from.as_str(), envelope.to.as_str());
                with_stanza(text, from, Some(to), |stanza| self.deliver(user, stanza));
            }
        }
    }

    fn deliver(&mut self, user: &mut User, stanza: &Stanza<'_>) {
        let to = stanza.to.unwrap();
        let probe = stanza.view.type_().as_deref() == Some("probe");
        if stanza.kind.is_subscription() {
            change::inbound(user, stanza, &mut self.cx);
        } else if to.is_bare() || probe {
            presence::on_inbound(user, stanza, &mut self.cx);
        } else if let Some(r) = user.resources.iter_mut().find(|r| Some(r.name()) == to.resource()) {
            let bytes =
                forwarded(stanza.view, &Stamp { to: write::Head::Set(to.as_str()), ..Stamp::default() });
            r.send(&mut self.cx, &bytes, None, super::Urgency::Now);
        }
    }
}

/// Tokens of the server, 22 characters long, become `*`.
fn without_ids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("id='") {
        let (before, value) = rest.split_at(at + 4);
        let end = value.find('\'').unwrap();
        out.push_str(before);
        out.push_str(if end == 22 { "*" } else { &value[..end] });
        rest = &value[end..];
    }
    out + rest
}
