//! Values at small integer addresses that are never confused with those that lived there before.

use super::shelves::Shelves;
use std::fmt;

/// The address of a value in a [`Slots`]: where it is, and the how-manieth tenant of that place it is.
///
/// A key whose value was removed stays invalid for ever. Written `index.generation`, for example `7.2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The place. Places are given again, the one freed last first.
    pub index: u32,
    /// Counts the tenants of this place from 1; 0 is never given, so a key of zeros reaches nothing.
    pub generation: u32,
}

impl Key {
    /// The key as one integer, for tokens of pollers and the like; ordered as keys are.
    pub const fn to_u64(self) -> u64 {
        (self.index as u64) << 32 | self.generation as u64
    }

    /// The key that [`Key::to_u64`] turned into this integer.
    pub const fn from_u64(n: u64) -> Self {
        Key { index: (n >> 32) as u32, generation: n as u32 }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A slab with generations: insert, look up and remove in constant time.
///
/// Which key an insertion gives depends on the earlier insertions and removals only. Places are kept when their
/// values go, so the memory is that of the largest number of values there ever was.
pub struct Slots<T> {
    places: Shelves<Place<T>>,
    /// The place freed last; each free place names the one freed before it.
    free: Option<u32>,
    len: usize,
}

/// Where a value lives. It begins with a line of the processor's caches, and the value eight bytes later; so a large
/// value can have what is wanted most in the line that is read for the generation anyway.
#[repr(u32, align(64))]
enum Place<T> {
    Here {
        generation: u32,
        value: T,
    },
    /// Free; names the place to use after this one. A retired place is one that no free place names.
    Free {
        generation: u32,
        next: Option<u32>,
    },
}

/// The bytes that a value takes, for the table of sizes (`engine/sizes.rs`).
#[cfg(test)]
pub(crate) const fn place_size<T>() -> usize {
    size_of::<Place<T>>()
}

impl<T> Slots<T> {
    /// No values, no memory.
    pub const fn new() -> Self {
        Slots { places: Shelves::new(), free: None, len: 0 }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Stores a value and gives its key.
    ///
    /// # Panics
    /// With 2^32 values. Callers have limits far below.
    pub fn insert(&mut self, value: T) -> Key {
        self.insert_with(|_| value)
    }

    /// Stores the value that `make` builds from its own future key.
    ///
    /// # Panics
    /// As [`Slots::insert`].
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        self.len += 1;
        if let Some(index) = self.free {
            let place = &mut self.places[index as usize];
            let Place::Free { generation, next } = *place else {
                panic!("the free list names an occupied place")
            };
            let key = Key { index, generation: generation + 1 };
            *place = Place::Here { generation: key.generation, value: make(key) };
            self.free = next;
            key
        } else {
            let index = u32::try_from(self.places.len()).expect("more than 2^32 values in one slab");
            let key = Key { index, generation: 1 };
            self.places.push(Place::Here { generation: 1, value: make(key) });
            key
        }
    }

    /// The value at `key`, unless it was removed.
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.places.get(key.index as usize)? {
            Place::Here { generation, value } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value at `key`, unless it was removed.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.places.get_mut(key.index as usize)? {
            Place::Here { generation, value } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Whether the value at `key` is still there.
    pub fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
    }

    /// Takes the value at `key` out. From now on the key reaches nothing.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let place = &mut self.places[key.index as usize];
        // A place whose generations are used up is retired: a wrapped counter would revive old keys.
        let retired = key.generation == u32::MAX;
        let next = if retired { None } else { self.free };
        let free = Place::Free { generation: key.generation, next };
        let Place::Here { value, .. } = std::mem::replace(place, free) else {
            panic!("a value that was just seen is gone")
        };
        if !retired {
            self.free = Some(key.index);
        }
        self.len -= 1;
        Some(value)
    }

    /// All values with their keys, in the order of their indices.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().enumerate().filter_map(|(index, place)| match place {
            Place::Here { generation, value } => {
                Some((Key { index: index as u32, generation: *generation }, value))
            }
            Place::Free { .. } => None,
        })
    }

    /// All values with their keys, in the order of their indices.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.places.iter_mut().enumerate().filter_map(|(index, place)| match place {
            Place::Here { generation, value } => {
                Some((Key { index: index as u32, generation: *generation }, value))
            }
            Place::Free { .. } => None,
        })
    }

    /// The present tenant of a place, for the links inside one structure, which never outlive their target.
    pub(super) fn at(&self, index: u32) -> &T {
        match &self.places[index as usize] {
            Place::Here { value, .. } => value,
            Place::Free { .. } => panic!("a link leads to a free place"),
        }
    }

    /// The key of the present tenant of a place.
    pub(super) fn key_at(&self, index: u32) -> Key {
        let (Place::Here { generation, .. } | Place::Free { generation, .. }) = &self.places[index as usize];
        Key { index, generation: *generation }
    }

    /// As [`Slots::at`].
    pub(super) fn at_mut(&mut self, index: u32) -> &mut T {
        match &mut self.places[index as usize] {
            Place::Here { value, .. } => value,
            Place::Free { .. } => panic!("a link leads to a free place"),
        }
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn keys_are_short_and_survive_integers() {
        let key = Key { index: 7, generation: 2 };
        assert_eq!(format!("{key:?} {key}"), "7.2 7.2");
        assert_eq!(key.to_u64(), 0x7_0000_0002);
        assert_eq!(Key::from_u64(key.to_u64()), key);
        let last = Key { index: u32::MAX, generation: u32::MAX };
        assert_eq!(Key::from_u64(last.to_u64()), last);
    }

    #[test]
    fn the_place_freed_last_is_given_first() {
        let mut slots = Slots::new();
        let keys: Vec<Key> = (0..3).map(|n| slots.insert(n)).collect();
        slots.remove(keys[0]);
        slots.remove(keys[2]);
        assert_eq!(slots.insert(20), Key { index: 2, generation: 2 });
        assert_eq!(slots.insert(10), Key { index: 0, generation: 2 });
        assert_eq!(slots.insert(30), Key { index: 3, generation: 1 });
        assert_eq!(slots.get(keys[0]), None);
        assert_eq!(slots.remove(keys[2]), None);
        assert_eq!(slots.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [10, 1, 20, 30]);
    }

    #[test]
    fn a_place_without_generations_left_is_retired() {
        let mut slots = Slots::new();
        let first = slots.insert('a');
        let other = slots.insert('b');
        slots.remove(other);
        slots.places[0] = Place::Here { generation: u32::MAX, value: 'a' };
        let last = Key { index: 0, generation: u32::MAX };
        assert_eq!(slots.remove(last), Some('a'));
        assert_eq!(slots.insert('c').index, 1);
        assert_eq!(slots.insert('d').index, 2);
        assert_eq!((slots.get(first), slots.get(last), slots.len()), (None, None, 2));
    }

    #[test]
    fn a_value_may_know_its_key() {
        let mut slots = Slots::new();
        let key = slots.insert_with(|key| key);
        assert_eq!(slots.get(key), Some(&key));
    }

    proptest! {
        /// Slots behave like a map from every key ever given to its value.
        #[test]
        fn like_a_map(steps in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..200)) {
            let mut slots = Slots::new();
            let mut model = BTreeMap::new();
            let mut given: Vec<Key> = Vec::new();
            for (n, (insert, which)) in steps.into_iter().enumerate() {
                if insert || given.is_empty() {
                    let key = slots.insert(n);
                    prop_assert!(model.insert(key, n).is_none() && !given.contains(&key));
                    given.push(key);
                } else {
                    let key = given[which.index(given.len())];
                    prop_assert_eq!(slots.remove(key), model.remove(&key));
                }
                prop_assert_eq!(slots.len(), model.len());
                for key in &given {
                    prop_assert_eq!(slots.get(*key), model.get(key));
                }
                prop_assert!(slots.iter().eq(model.iter().map(|(k, v)| (*k, v))));
            }
        }
    }
}
