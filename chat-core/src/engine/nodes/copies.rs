//! What the sessions of a user on other nodes get because those here do: copies of messages (XEP-0280), presence of the user's
//! own resources, requests for a subscription.

use smol_str::SmolStr;

use super::Cluster;
use crate::base::UserId;
use crate::effect::{Copy, Elsewhere, Envelope, Fate, Word};
use crate::engine::Engine;
use crate::stanza::PresenceType;
use crate::user::{presence_stanza, readdressed};

impl Cluster {
    /// The user gets a message: those that were seen elsewhere, want copies, and neither get it nor sent it (`sender`), are
    /// to have one.
    pub(in crate::engine) fn name_copies(&self, sender: Option<&str>, copies: &mut Vec<Copy>) {
        let copy = |name: &str| Copy { resource: name.into(), stanza: Vec::new() };
        copies.clear();
        copies.extend(self.lack_copies(sender).map(copy));
    }
}

impl Engine {
    /// A client of the user sends a message: who elsewhere may want a copy?
    pub(in crate::engine) fn look_for_copies(&mut self, id: UserId) {
        let (Some(user), Some(cluster)) = (self.users.get_mut(id), self.cluster.as_deref_mut()) else {
            return;
        };
        cluster.look(user);
        cluster.name_copies(None, &mut self.cx.copies);
    }

    /// The copies that were made go to whom they are for.
    pub(in crate::engine) fn send_copies(&mut self, id: UserId) {
        if self.cx.copies.is_empty() {
            return;
        }
        let mut copies = std::mem::take(&mut self.cx.copies);
        let Some(user) = self.users.get_mut(id) else { return };
        let bare = user.jid.clone();
        for Copy { resource, stanza } in copies.drain(..).filter(|copy| !copy.stanza.is_empty()) {
            let Some(cluster) = self.cluster.as_deref_mut() else { return };
            cluster.choose_one(&resource);
            self.ship(bare.as_str(), bare.as_str(), &stanza, false);
        }
        self.cx.copies = copies;
    }

    /// What those here got or said is for those elsewhere, too.
    pub(in crate::engine) fn on_elsewhere(&mut self, elsewhere: &Elsewhere) {
        let Elsewhere { user: id, from, what, only } = elsewhere;
        let (Some(user), Some(cluster)) = (self.users.get_mut(*id), self.cluster.as_deref_mut()) else {
            return;
        };
        cluster.look(user);
        let bare = user.jid.clone();
        if let Some(few) = only {
            cluster.look_only_at(*few, Some(bare.as_ref()));
        }
        match what {
            Word::Presence(bytes) => {
                for name in cluster.available_names() {
                    let Some(copy) = readdressed(bytes, bare.join(&name).as_str()) else { continue };
                    let Some(cluster) = self.cluster.as_deref_mut() else { return };
                    cluster.choose_one(&name);
                    self.ship(from.as_str(), bare.as_str(), &copy, false);
                }
            }
            Word::Stanza(bytes) => {
                cluster.choose_available(None);
                self.ship(from.as_str(), bare.as_str(), bytes, false);
            }
            Word::Farewell => {
                let names: Vec<SmolStr> = cluster.table.gone(bare.as_str()).map(SmolStr::new).collect();
                let here = user.resources.iter().filter(|r| r.presence.is_some());
                let said = names.iter().cloned().chain(here.map(|r| r.name().into())).collect();
                cluster.chores.farewells.add(&bare, from, said);
                for jid in names.iter().map(|name| bare.join(name)) {
                    let gone = presence_stanza(PresenceType::Unavailable, jid.as_str(), None, None);
                    let (id, at) = (self.cx.message_id(), self.cx.now.utc);
                    let fate = Fate { id, at, settle: None, delayed: false, only: None };
                    self.cx.post(Envelope { from: jid, to: from.clone(), stanza: gone, fate });
                }
            }
            Word::Probe => {
                cluster.choose_available(None);
                let probe = presence_stanza(PresenceType::Probe, from.as_str(), Some(bare.as_str()), None);
                self.ship(from.as_str(), bare.as_str(), &probe, true);
            }
        }
    }

    /// Whether another of the user's sessions is available on another node.
    pub(in crate::engine) fn is_available_elsewhere(&mut self, id: UserId) -> bool {
        let (Some(user), Some(cluster)) = (self.users.get_mut(id), self.cluster.as_deref_mut()) else {
            return false;
        };
        cluster.look(user);
        cluster.choose_available(None)
    }
}
