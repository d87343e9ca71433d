//! Whose each envelope is that has no result yet.

use std::collections::{BTreeMap, VecDeque};

use crate::base::UserId;

/// Numbers, from that of the oldest envelope on, that lie in one list; what is older than all of these is kept apart.
const RECENT_MAX: u64 = 16 * 1024;

/// Envelopes without result. Their numbers were counted, so mostly they lie side by side.
#[derive(Debug, Default)]
pub(super) struct Envelopes {
    /// By number from `first` on.
    recent: VecDeque<Option<UserId>>,
    first: u64,
    /// Few: those of clients that do not acknowledge what they get, of nodes that do not answer.
    old: BTreeMap<u64, UserId>,
    len: usize,
}

impl Envelopes {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds one. Nearly always its number is the greatest.
    pub(super) fn insert(&mut self, number: u64, id: UserId) {
        if self.recent.is_empty() {
            // Whatever is less than this may be among the old ones.
            self.first = self.first.max(number);
        }
        while number >= self.first + RECENT_MAX {
            match self.recent.pop_front() {
                Some(oldest) => {
                    self.old.extend(oldest.map(|oldest| (self.first, oldest)));
                    self.first += 1;
                }
                None => self.first = number,
            }
        }
        let before = match number.checked_sub(self.first).map(|i| i as usize) {
            Some(i) => {
                if i >= self.recent.len() {
                    self.recent.resize(i + 1, None);
                }
                self.recent[i].replace(id)
            }
            None => self.old.insert(number, id),
        };
        self.len += usize::from(before.is_none());
    }

    /// Whose this one is.
    pub(super) fn get(&self, number: u64) -> Option<UserId> {
        match number.checked_sub(self.first) {
            Some(i) => *self.recent.get(usize::try_from(i).ok()?)?,
            None => self.old.get(&number).copied(),
        }
    }

    /// Removes one.
    pub(super) fn remove(&mut self, number: u64) {
        let place = number.checked_sub(self.first).map(|i| self.recent.get_mut(i as usize));
        let removed = match place {
            Some(place) => place.and_then(Option::take),
            None => self.old.remove(&number),
        };
        self.len -= usize::from(removed.is_some());
        while self.recent.pop_front_if(|oldest| oldest.is_none()).is_some() {
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::Key;
    use proptest::prelude::*;

    fn user(index: u32) -> UserId {
        UserId(Key { index, generation: 1 })
    }

    #[test]
    fn an_old_one_does_not_keep_room_for_all_that_came_later() {
        let mut envelopes = Envelopes::default();
        envelopes.insert(7, user(7));
        for number in 8..10 * RECENT_MAX {
            envelopes.insert(number, user(1));
            envelopes.remove(number);
            assert!(envelopes.recent.len() as u64 <= RECENT_MAX);
        }
        assert_eq!((envelopes.get(7), envelopes.len()), (Some(user(7)), 1));
        envelopes.insert(1 << 40, user(2));
        assert_eq!((envelopes.get(1 << 40), envelopes.recent.len()), (Some(user(2)), 1));
        envelopes.remove(7);
        envelopes.remove(1 << 40);
        assert_eq!((envelopes.get(7), envelopes.len()), (None, 0));
        assert!(envelopes.old.is_empty() && envelopes.recent.is_empty());
    }

    proptest! {
        #[test]
        fn like_a_map(steps in proptest::collection::vec((0u8..3, 0u64..12, any::<u32>()), 0..300)) {
            let (mut envelopes, mut model) = (Envelopes::default(), BTreeMap::new());
            for (what, number, id) in steps {
                // Some beyond what lies in one list.
                let number = 100 + number * RECENT_MAX / 3;
                match what {
                    0 => envelopes.remove(number),
                    _ => envelopes.insert(number, user(id)),
                }
                match what {
                    0 => model.remove(&number),
                    _ => model.insert(number, user(id)),
                };
                prop_assert_eq!(envelopes.len(), model.len());
                prop_assert_eq!(envelopes.get(number), model.get(&number).copied());
            }
            for (number, id) in model {
                prop_assert_eq!(envelopes.get(number), Some(id));
            }
        }
    }
}
