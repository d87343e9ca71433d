//! HMAC, digests and the key derivation of SCRAM, over the hash that a value names.

use hmac::{EagerHash, Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};
use zeroize::{Zeroize, Zeroizing};

use super::mechanism::Hash;

/// `HMAC(key, parts joined)` of RFC 5802 §2.2.
pub(super) fn hmac(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    match hash {
        Hash::Sha1 => hmac_with::<Sha1>(key, parts),
        Hash::Sha256 => hmac_with::<Sha256>(key, parts),
        Hash::Sha512 => hmac_with::<Sha512>(key, parts),
    }
}

/// `H(data)` of RFC 5802 §2.2.
pub(super) fn digest(hash: Hash, data: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(match hash {
        Hash::Sha1 => Sha1::digest(data).to_vec(),
        Hash::Sha256 => Sha256::digest(data).to_vec(),
        Hash::Sha512 => Sha512::digest(data).to_vec(),
    })
}

/// `Hi(password, salt, iterations)` of RFC 5802 §2.2, which is PBKDF2 with one block of output.
///
/// `password` is prepared already (see [`super::saslprep`]). No iterations count as one. This is the expensive part
/// of SCRAM, half a millisecond and more at 4,096 iterations: never call it on a worker that serves connections.
pub fn salted_password(hash: Hash, password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<Vec<u8>> {
    match hash {
        Hash::Sha1 => hi::<Sha1>(password, salt, iterations),
        Hash::Sha256 => hi::<Sha256>(password, salt, iterations),
        Hash::Sha512 => hi::<Sha512>(password, salt, iterations),
    }
}

/// `a XOR b`; both are of the same hash.
pub(super) fn xor(a: &[u8], b: &[u8]) -> Zeroizing<Vec<u8>> {
    assert_eq!(a.len(), b.len(), "SCRAM combines only outputs of one hash function");
    Zeroizing::new(a.iter().zip(b).map(|(a, b)| a ^ b).collect())
}

fn keyed<D: EagerHash>(key: &[u8]) -> Hmac<D> {
    Hmac::<D>::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104 §2)")
}

fn hmac_with<D: EagerHash>(key: &[u8], parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut mac = keyed::<D>(key);
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

fn hi<D: EagerHash>(password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<Vec<u8>> {
    // The key is absorbed once; each round clones that state.
    let keyed = keyed::<D>(password);
    let mut u = keyed.clone().chain_update(salt).chain_update(1u32.to_be_bytes()).finalize().into_bytes();
    let mut sum = Zeroizing::new(u.to_vec());
    for _ in 1..iterations {
        u = keyed.clone().chain_update(&u).finalize().into_bytes();
        for (s, u) in sum.iter_mut().zip(&u) {
            *s ^= u;
        }
    }
    u.as_mut_slice().zeroize();
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn oracle(hash: Hash, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut out = vec![0; hash.output_bytes()];
        match hash {
            Hash::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut out),
            Hash::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut out),
            Hash::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut out),
        }
        out
    }

    #[test]
    fn rfc_6070_vectors() {
        for (iterations, key) in [
            (1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
            (2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
            (4096, "4b007901b765489abead49d926f721d065a429c1"),
        ] {
            let got: String = salted_password(Hash::Sha1, b"password", b"salt", iterations)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(got, key, "{iterations}");
        }
    }

    proptest! {
        #[test]
        fn derivation_agrees_with_pbkdf2(
            password in proptest::collection::vec(any::<u8>(), 0..200),
            salt in proptest::collection::vec(any::<u8>(), 0..80),
            iterations in 1u32..20,
        ) {
            for hash in Hash::ALL {
                let got = salted_password(hash, &password, &salt, iterations);
                prop_assert_eq!(&*got, &oracle(hash, &password, &salt, iterations));
            }
        }
    }
}
