//! Rows of the spool that clients have: the store may still show one that was asked to go.

use std::collections::VecDeque;

use crate::base::{Mono, MsgId, Span};

/// How long a row is remembered: far longer than the store takes.
const REMEMBER: Span = Span::secs(60);
/// How many are.
pub const REMEMBER_MAX: usize = 1_024;
/// Up to so many are looked through one by one: a table costs more.
const FEW: usize = 16;

/// Messages whose rows were asked to go lately, or are about to.
#[derive(Debug, Default)]
pub struct Recent {
    /// A box, because nearly nobody has any.
    ids: Option<Box<Ids>>,
}

#[derive(Debug, Default)]
struct Ids {
    /// Oldest first. Each has a number: its place in the order in which all came.
    entries: VecDeque<Entry>,
    /// The number of the first.
    first: u32,
    /// For each remainder of ids the number of the last that has it; as long as there are few, none. Its length is a power of
    /// two. Numbers of those that are gone may stand here and in entries: they are lower than the first.
    table: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    id: MsgId,
    at: Mono,
    /// The number of the one before that has the same remainder.
    before: u32,
}

impl Recent {
    /// A client has this message.
    pub fn insert(&mut self, now: Mono, id: MsgId) {
        let ids = self.ids.get_or_insert_default();
        while ids
            .entries
            .front()
            .is_some_and(|first| ids.entries.len() >= REMEMBER_MAX || now.since(first.at) > REMEMBER)
        {
            ids.entries.pop_front();
            ids.first += 1;
        }
        ids.push(now, id);
    }

    /// When all of them can be forgotten.
    pub fn expires(&self) -> Option<Mono> {
        self.ids.as_ref()?.entries.back().map(|last| last.at + REMEMBER)
    }

    /// Forgets them, if all of them are old enough.
    pub fn expire(&mut self, now: Mono) {
        if self.expires().is_none_or(|at| at <= now) {
            self.ids = None;
        }
    }

    /// A client has this message, and its row is still there.
    pub fn remember_longer(&mut self, now: Mono, id: MsgId) {
        if let Some(ids) = self.ids.as_mut().filter(|ids| ids.contains(id)) {
            ids.entries.retain(|entry| entry.id != id);
            ids.number();
        }
        self.insert(now, id);
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = MsgId> + '_ {
        self.ids.iter().flat_map(|ids| &ids.entries).map(|entry| entry.id)
    }

    /// Whether a client has it.
    pub fn contains(&self, id: MsgId) -> bool {
        self.ids.as_ref().is_some_and(|ids| ids.contains(id))
    }
}

impl Ids {
    fn contains(&self, id: MsgId) -> bool {
        if self.table.is_empty() {
            return self.entries.iter().any(|entry| entry.id == id);
        }
        let mut number = self.table[self.place(id)];
        // Lower ones are gone.
        while let Some(entry) = number.checked_sub(self.first).and_then(|i| self.entries.get(i as usize)) {
            if entry.id == id {
                return true;
            }
            number = entry.before;
        }
        false
    }

    fn push(&mut self, at: Mono, id: MsgId) {
        self.entries.push_back(Entry { id, at, before: 0 });
        // There is a table of as many places, or more; and numbers do not run out.
        if self.entries.len() > self.table.len().max(FEW) || self.first > u32::MAX / 2 {
            return self.number();
        }
        if !self.table.is_empty() {
            self.enter(self.entries.len() - 1);
        }
    }

    /// Gives numbers anew, and makes the table if there are many.
    fn number(&mut self) {
        self.first = 1;
        self.table.clear();
        if self.entries.len() > FEW {
            self.table.resize(self.entries.len().next_power_of_two(), 0);
            (0..self.entries.len()).for_each(|i| self.enter(i));
        }
    }

    fn enter(&mut self, i: usize) {
        let place = self.place(self.entries[i].id);
        self.entries[i].before = std::mem::replace(&mut self.table[place], self.first + i as u32);
    }

    /// Ids are random, or counted from a random beginning: their last bits are as good as any.
    fn place(&self, id: MsgId) -> usize {
        id.0 as usize & (self.table.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn what_is_remembered_is_found(steps in proptest::collection::vec((0u128..3000, 0u8..20, any::<bool>()), 0..2500)) {
            let (mut recent, mut known, mut now) = (Recent::default(), VecDeque::new(), Mono(0));
            for (id, millis, longer) in steps {
                now = now + Span::millis(u64::from(millis) * 5);
                // Some fall into the same place.
                let id = MsgId(id % 7 * 4096 + id / 7);
                if longer {
                    known.retain(|(_, known)| *known != id);
                    recent.remember_longer(now, id);
                } else {
                    recent.insert(now, id);
                }
                while known.len() >= REMEMBER_MAX || known.front().is_some_and(|(at, _)| now.since(*at) > REMEMBER) {
                    known.pop_front();
                }
                known.push_back((now, id));
                for other in [id, MsgId(id.0 + 1), MsgId(id.0 ^ 4096)] {
                    prop_assert_eq!(recent.contains(other), known.iter().any(|(_, id)| *id == other));
                }
            }
            prop_assert!(recent.iter().eq(known.iter().map(|(_, id)| *id)));
            recent.expire(now + Span::secs(61));
            prop_assert_eq!(recent.iter().count(), 0);
        }
    }

    #[test]
    fn numbers_begin_anew_before_they_run_out() {
        let mut recent = Recent::default();
        for id in 0..100 {
            recent.insert(Mono(0), MsgId(id));
        }
        let ids = recent.ids.as_mut().expect("there are some");
        ids.first = u32::MAX / 2 + 1;
        recent.insert(Mono(0), MsgId(100));
        assert!((0..=100).all(|id| recent.contains(MsgId(id))) && !recent.contains(MsgId(101)));
    }
}
