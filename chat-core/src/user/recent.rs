//! Rows of the spool that clients have: the store may still show one that was asked to go.

use std::collections::VecDeque;

use crate::base::{Mono, MsgId, Span};

/// How long a row is remembered: far longer than the store takes.
const REMEMBER: Span = Span::secs(60);
/// How many are.
const REMEMBER_MAX: usize = 1_024;

/// Messages whose rows were asked to go lately, or are about to.
#[derive(Debug, Default)]
pub struct Recent {
    ids: VecDeque<(Mono, MsgId)>,
}

impl Recent {
    /// A client has this message.
    pub fn insert(&mut self, now: Mono, id: MsgId) {
        while self
            .ids
            .front()
            .is_some_and(|(at, _)| self.ids.len() >= REMEMBER_MAX || now.since(*at) > REMEMBER)
        {
            self.ids.pop_front();
        }
        self.ids.push_back((now, id));
    }

    /// A client has this message, and its row is still there.
    pub fn remember_longer(&mut self, now: Mono, id: MsgId) {
        self.ids.retain(|(_, i)| *i != id);
        self.insert(now, id);
    }

    /// Whether a client has it.
    pub fn contains(&self, id: MsgId) -> bool {
        self.ids.iter().any(|(_, i)| *i == id)
    }
}
