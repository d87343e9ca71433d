//! Maps whose keys a stranger may choose, and the keyed hashes behind them.
//!
//! Whoever can guess a hash function can choose JIDs that all land in one bucket; so every map has a secret key,
//! and that key comes from the engine's seed, so that a run can be repeated.

#![allow(clippy::disallowed_types, reason = "this is the one place that wraps the standard map")]

use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher13x128};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};

/// The secret key of a hash function (SipHash-1-3).
///
/// Its values must not be seen by clients. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey {
    /// The first half.
    pub k0: u64,
    /// The second half.
    pub k1: u64,
}

impl HashKey {
    /// The key made of these bytes: two little-endian halves.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let n = u128::from_le_bytes(bytes);
        HashKey { k0: n as u64, k1: (n >> 64) as u64 }
    }

    /// SipHash-1-3 of exactly these bytes, the same on every machine.
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.k0, self.k1).hash(bytes)
    }

    /// SipHash-1-3-128 of a list of byte strings, the same on every machine.
    ///
    /// Each part is preceded by its length (64 bits, little-endian): the same bytes divided otherwise are another
    /// list. The result is not a signature: who knows the key can find collisions.
    pub fn hash128(&self, parts: &[&[u8]]) -> u128 {
        let mut hasher = SipHasher13x128::new_with_keys(self.k0, self.k1);
        for part in parts {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        u128::from_le_bytes(hasher.finish128().as_bytes())
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.k0, self.k1)
    }
}

/// A hash map with a key of its own.
///
/// There is no way to walk through it on purpose: the order would depend on the hash, on the history of the table
/// and on the version of the standard library, and would leak into behaviour. Who needs an order takes
/// [`KeyedMap::sorted_keys`], [`KeyedMap::drain_sorted`], a `BTreeMap`, or keeps the values in
/// [`Slots`](super::slots::Slots) and here only their keys.
#[derive(Clone)]
pub struct KeyedMap<K, V> {
    inner: HashMap<K, V, HashKey>,
}

impl<K: Eq + Hash, V> KeyedMap<K, V> {
    /// An empty map without memory.
    pub fn new(key: HashKey) -> Self {
        KeyedMap { inner: HashMap::with_hasher(key) }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// The value of `key`.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.inner.get(key)
    }

    /// The value of `key`.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.inner.get_mut(key)
    }

    /// The stored key that equals `key`, and its value: to share the stored one rather than make another.
    pub fn get_key_value<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.inner.get_key_value(key)
    }

    /// Whether `key` has a value.
    pub fn contains_key<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.inner.contains_key(key)
    }

    /// Gives `key` a value and returns the one it had. A key that was there stays the stored one.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.inner.insert(key, value)
    }

    /// The value of `key`, which `make` builds if there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.inner.entry(key).or_insert_with(make)
    }

    /// Removes `key` and returns its value.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.inner.remove(key)
    }

    /// Removes all entries and their memory.
    pub fn clear(&mut self) {
        self.inner = HashMap::with_hasher(*self.inner.hasher());
    }

    /// All keys in their order. Takes O(n log n): for snapshots, not for the way of a stanza.
    pub fn sorted_keys(&self) -> Vec<&K>
    where
        K: Ord,
    {
        let mut keys: Vec<&K> = self.inner.keys().collect();
        keys.sort_unstable();
        keys
    }

    /// Takes all entries out, in the order of their keys. Takes O(n log n).
    pub fn drain_sorted(&mut self) -> Vec<(K, V)>
    where
        K: Ord,
    {
        let mut entries: Vec<(K, V)> = self.inner.drain().collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        entries
    }
}

impl<K, V> fmt::Debug for KeyedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The entries would come out in hash order; traces of one seed must be equal.
        write!(f, "KeyedMap({} entries)", self.inner.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::hash::DefaultHasher;

    const KEY: HashKey = HashKey { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 };

    #[test]
    fn keys_come_from_bytes_and_stay_secret() {
        let bytes = std::array::from_fn(|i| i as u8);
        assert_eq!(HashKey::from_bytes(bytes), KEY);
        assert_eq!(format!("{KEY:?}"), "HashKey(..)");
    }

    /// Nodes of different versions agree on homes and message ids only while these stay as they are. The values
    /// come from an independent implementation of the paper (Aumasson and Bernstein, 2012).
    #[test]
    fn hashes_are_the_same_everywhere() {
        assert_eq!(KEY.hash(b""), 0xabac_0158_050f_c4dc);
        assert_eq!(KEY.hash(b"juliet@capulet.lit"), 0x3a88_2c10_9bd6_d997);
        assert_eq!(KEY.hash128(&[]), 0x0130_30dd_6adb_62fd_bea5_8827_b2bc_7ee7);
        assert_eq!(KEY.hash128(&[b"1", b"<message/>"]), 0x33e2_0594_872b_d90d_5ed6_0a55_7641_13df);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let divisions: [&[&[u8]]; 5] =
            [&[b"ab", b"c"], &[b"a", b"bc"], &[b"abc"], &[b"abc", b""], &[b"", b"abc"]];
        for (i, a) in divisions.iter().enumerate() {
            for b in &divisions[i + 1..] {
                assert_ne!(KEY.hash128(a), KEY.hash128(b));
            }
        }
    }

    #[test]
    fn lookups_borrow_and_debug_shows_no_order() {
        let mut map: KeyedMap<String, u32> = KeyedMap::new(KEY);
        *map.get_or_insert_with("romeo".into(), || 1) += 1;
        assert_eq!(*map.get_or_insert_with("romeo".into(), || unreachable!()), 2);
        assert_eq!((map.get("romeo"), map.contains_key("juliet")), (Some(&2), false));
        assert_eq!(map.get_key_value("romeo").unwrap().0, "romeo");
        assert_eq!(format!("{map:?}"), "KeyedMap(1 entries)");
        map.clear();
        assert!(map.is_empty());
    }

    proptest! {
        /// The 64-bit hash is SipHash-1-3, which the standard library uses with a key of zeros.
        #[test]
        fn the_hash_is_sip_1_3(bytes: Vec<u8>) {
            let mut reference = DefaultHasher::new();
            reference.write(&bytes);
            prop_assert_eq!(HashKey { k0: 0, k1: 0 }.hash(&bytes), reference.finish());
        }

        #[test]
        fn like_a_sorted_map(steps in proptest::collection::vec((0u8..3, 0u8..32, any::<u16>()), 0..200)) {
            let mut map = KeyedMap::new(KEY);
            let mut model = BTreeMap::new();
            for (what, key, value) in steps {
                match what {
                    0 => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                    1 => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    _ => prop_assert_eq!(map.get_mut(&key), model.get_mut(&key)),
                }
                prop_assert_eq!(map.len(), model.len());
            }
            prop_assert!(map.sorted_keys().into_iter().eq(model.keys()));
            prop_assert!(map.drain_sorted().into_iter().eq(model));
            prop_assert!(map.is_empty());
        }
    }
}
