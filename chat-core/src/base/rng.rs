//! The one source of randomness, seeded by the driver (from the system) or by the simulator (from a number).

use super::map::HashKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use smol_str::SmolStr;
use std::fmt;

/// A cryptographically strong generator (ChaCha20): the same seed gives the same numbers for ever.
///
/// It is good for secrets if its seed is one. It cannot be cloned, since two copies would give the same secrets;
/// [`Rng::fork`] gives an independent one. `Debug` shows nothing of the state.
pub struct Rng(ChaCha20Rng);

impl Rng {
    /// A generator from a full seed. The driver draws it from the system.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Rng(ChaCha20Rng::from_seed(seed))
    }

    /// A generator from a small seed, for tests and the simulator only: 64 bits can be guessed.
    pub fn from_u64(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Rng::from_seed(bytes)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 128 random bits.
    pub fn next_u128(&mut self) -> u128 {
        u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())
    }

    /// A number below `n`, each equally likely.
    ///
    /// # Panics
    /// If `n` is 0: there is no such number.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "no number is below 0");
        // The high half of a 128-bit product is evenly spread once the few low halves under 2^64 mod n are refused.
        let refused = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= refused {
                return (product >> 64) as u64;
            }
        }
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// 128 random bits as 22 characters of URL-safe base64 (RFC 4648 §5), held without allocation: for ids of
    /// streams, sessions and stanzas.
    pub fn token(&mut self) -> SmolStr {
        let mut bits = [0; 16];
        self.fill(&mut bits);
        let mut text = [0; 22];
        let n = URL_SAFE_NO_PAD.encode_slice(bits, &mut text).expect("16 bytes are 22 characters of base64");
        SmolStr::new(std::str::from_utf8(&text[..n]).expect("base64 is ASCII"))
    }

    /// Another generator, whose numbers have nothing to do with those still to come from this one.
    pub fn fork(&mut self) -> Rng {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Rng::from_seed(seed)
    }

    /// A random key for a [`KeyedMap`](super::map::KeyedMap).
    pub fn hash_key(&mut self) -> HashKey {
        HashKey { k0: self.next_u64(), k1: self.next_u64() }
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;
    use proptest::prelude::*;

    /// Seeds of failed simulations are kept as tests: they must mean the same run next year.
    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut rng = Rng::from_seed([0; 32]);
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        // RFC 8439 §A.1, test vector 1: the key stream of a zero key and nonce.
        assert_eq!(
            bytes,
            [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28]
        );
        let mut rng = Rng::from_u64(7);
        assert_eq!((rng.token().as_str(), rng.below(1000)), ("8Z7juWVCmETklq8wDtbLDQ", 172));
        assert_eq!(format!("{rng:?}"), "Rng(..)");
    }

    #[test]
    fn tokens_need_no_memory_and_differ() {
        let mut rng = Rng::from_u64(1);
        let (a, b) = (rng.token(), rng.token());
        assert!(!a.is_heap_allocated() && a.len() == 22 && a != b);
        assert!(a.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));
    }

    #[test]
    fn forks_differ_from_their_parents_and_each_other() {
        let mut rng = Rng::from_u64(1);
        let (mut a, mut b) = (rng.fork(), rng.fork());
        let drawn = [rng.next_u64(), a.next_u64(), b.next_u64(), rng.hash_key().k0, rng.next_u128() as u64];
        for (i, n) in drawn.iter().enumerate() {
            assert!(!drawn[i + 1..].contains(n));
        }
    }

    #[test]
    fn below_is_evenly_spread() {
        let mut rng = Rng::from_u64(2);
        let mut seen = [0u32; 6];
        for _ in 0..6_000 {
            seen[rng.below(6) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
    }

    proptest! {
        #[test]
        fn below_stays_below(seed: u64, n in 1u64..) {
            let mut rng = Rng::from_u64(seed);
            prop_assert!(rng.below(n) < n);
            prop_assert_eq!(rng.below(1), 0);
        }
    }
}
