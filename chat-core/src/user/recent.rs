//! Rows of the spool that clients have: the store may still show one that was asked to go.

use std::collections::VecDeque;

use crate::base::{Mono, MsgId, Span};

/// How long a row is remembered: far longer than the store takes.
const REMEMBER: Span = Span::secs(60);
/// How many are.
pub const REMEMBER_MAX: usize = 1_024;

/// Messages whose rows were asked to go lately, or are about to.
#[derive(Debug, Default)]
// A box, because nearly nobody has any.
#[allow(clippy::box_collection, reason = "explained above")]
pub struct Recent {
    ids: Option<Box<VecDeque<(Mono, MsgId)>>>,
}

impl Recent {
    /// A client has this message.
    pub fn insert(&mut self, now: Mono, id: MsgId) {
        let ids = self.ids.get_or_insert_default();
        while ids.front().is_some_and(|(at, _)| ids.len() >= REMEMBER_MAX || now.since(*at) > REMEMBER) {
            ids.pop_front();
        }
        ids.push_back((now, id));
    }

    /// When all of them can be forgotten.
    pub fn expires(&self) -> Option<Mono> {
        self.ids.as_ref()?.back().map(|(at, _)| *at + REMEMBER)
    }

    /// Forgets them, if all of them are old enough.
    pub fn expire(&mut self, now: Mono) {
        if self.expires().is_none_or(|at| at <= now) {
            self.ids = None;
        }
    }

    /// A client has this message, and its row is still there.
    pub fn remember_longer(&mut self, now: Mono, id: MsgId) {
        self.ids.iter_mut().for_each(|ids| ids.retain(|(_, i)| *i != id));
        self.insert(now, id);
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = MsgId> + '_ {
        self.ids.iter().flat_map(|ids| ids.iter()).map(|(_, id)| *id)
    }

    /// Whether a client has it.
    pub fn contains(&self, id: MsgId) -> bool {
        self.ids.iter().flat_map(|ids| ids.iter()).any(|(_, i)| *i == id)
    }
}
