//! A hash table of places: where in the list the user with a given hash is.

/// No place.
const NONE: u32 = u32::MAX;
/// Slots of the smallest table.
const SLOTS_MIN: usize = 8;

/// Open addressing with linear probing. A slot is eight bytes, and the hash in it spares nearly all looks at what it stands
/// for; tables of the standard library hold the key itself. It is never walked through: its order depends on hashes.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Hash and place. The number of slots is a power of two, or none.
    slots: Vec<(u32, u32)>,
    len: usize,
}

impl Index {
    /// The place with this hash that `is_it`.
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let slot = self.slot(hash, is_it)?;
        Some(self.slots[slot].1)
    }

    fn slot(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        while self.slots[at].1 != NONE {
            if self.slots[at].0 == hash && is_it(self.slots[at].1) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// Enters a place that is not in it yet.
    pub(super) fn insert(&mut self, hash: u32, place: u32) {
        // At most seven eighths are full: beyond, runs get long.
        if (self.len + 1) * 8 > self.slots.len() * 7 {
            let slots = vec![(0, NONE); (self.slots.len() * 2).max(SLOTS_MIN)];
            let old = std::mem::replace(&mut self.slots, slots);
            old.into_iter().filter(|s| s.1 != NONE).for_each(|s| self.enter(s));
        }
        self.len += 1;
        self.enter((hash, place));
    }

    fn enter(&mut self, entry: (u32, u32)) {
        let mask = self.slots.len() - 1;
        let mut at = entry.0 as usize & mask;
        while self.slots[at].1 != NONE {
            at = (at + 1) & mask;
        }
        self.slots[at] = entry;
    }

    /// Removes this place, and closes the gap: what was pushed along by it moves back.
    pub(super) fn remove(&mut self, hash: u32, place: u32) {
        let Some(mut gap) = self.slot(hash, |p| p == place) else { return };
        let mask = self.slots.len() - 1;
        self.len -= 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let (hash, place) = self.slots[at];
            if place == NONE {
                break;
            }
            let home = hash as usize & mask;
            // It may stand in the gap only if that is not before its home.
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.slots[gap] = self.slots[at];
                gap = at;
            }
        }
        self.slots[gap] = (0, NONE);
        if self.len == 0 {
            self.slots = Vec::new();
        }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<(u32, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert_eq, proptest};
    use std::collections::BTreeSet;

    proptest! {
        /// Hashes of few values, so that runs are long and wrap around the end.
        #[test]
        fn like_a_set(steps in proptest::collection::vec((0u8..3, 0u32..24), 0..300)) {
            let (mut index, mut model) = (Index::default(), BTreeSet::new());
            let hash = |place: u32| (place % 5).wrapping_mul(0xffff_fffb);
            for (what, place) in steps {
                let there = model.contains(&place);
                prop_assert_eq!(index.find(hash(place), |p| p == place), there.then_some(place));
                if what == 0 {
                    index.remove(hash(place), place);
                    model.remove(&place);
                } else if !there {
                    index.insert(hash(place), place);
                    model.insert(place);
                }
                for place in 0..24 {
                    let found = index.find(hash(place), |p| p == place);
                    prop_assert_eq!(found, model.contains(&place).then_some(place));
                }
            }
        }
    }
}
