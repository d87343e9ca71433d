//! What a server keeps of a password (RFC 5802 §3), and the stand-in for users that do not exist.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::crypto::{digest, hmac, salted_password};
use super::mechanism::Hash;
use super::prep::saslprep;

/// Iterations for new keys, and those shown for unknown users (the least that RFC 7677 §4 allows).
pub const ITERATIONS_DEFAULT: u32 = 4096;

/// Bytes of salt for new keys, and those shown for unknown users.
pub const SALT_BYTES: usize = 16;

/// The keys of one user for one hash function. They let a server check a password, not pose as the user.
#[derive(Clone)]
pub struct ScramKeys {
    /// Random, one for each user and hash; [`SALT_BYTES`] when this server made it.
    pub salt: Vec<u8>,
    /// Rounds of the key derivation; at least one.
    pub iterations: u32,
    /// `H(ClientKey)`, as long as the hash's output.
    pub stored_key: Vec<u8>,
    /// `ServerKey`, as long as the hash's output.
    pub server_key: Vec<u8>,
}

impl ScramKeys {
    /// Derives the keys of a password that [`saslprep`] has prepared (RFC 5802 §3).
    ///
    /// As slow as [`salted_password`]: services derive on threads of their own, never on a worker. The simulator
    /// and tests call it with few iterations.
    pub fn derive(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
        let salted = salted_password(hash, password.as_bytes(), salt, iterations);
        let client_key = hmac(hash, &salted, &[b"Client Key"]);
        ScramKeys {
            salt: salt.to_vec(),
            iterations: iterations.max(1),
            stored_key: digest(hash, &client_key).to_vec(),
            server_key: hmac(hash, &salted, &[b"Server Key"]).to_vec(),
        }
    }

    /// Whether these are the keys of the password a client sent with PLAIN; prepares it first. As slow as
    /// [`ScramKeys::derive`], and takes the same time for every wrong password.
    pub fn matches(&self, hash: Hash, password: &str) -> bool {
        let Some(password) = saslprep(password) else { return false };
        let other = ScramKeys::derive(hash, &password, &self.salt, self.iterations);
        self.fit(hash) && bool::from(self.stored_key.ct_eq(&other.stored_key))
    }

    /// Whether the keys can be of that hash at all.
    pub fn fit(&self, hash: Hash) -> bool {
        let len = hash.output_bytes();
        self.iterations > 0
            && !self.salt.is_empty()
            && self.stored_key.len() == len
            && self.server_key.len() == len
    }

    /// Keys for a user that does not exist: the same salt each time for the same name, as if stored, and of the
    /// usual size. No proof fits them: their stored key is the digest of nothing known.
    ///
    /// Names that differ only in case or compatible forms are one account, hence one salt.
    pub(super) fn fake(hash: Hash, secret: &[u8; 16], username: &str) -> ScramKeys {
        let prepared = saslprep(username).unwrap_or(username.into()).to_lowercase();
        let part = |what: &[u8]| {
            hmac(hash, secret, &[what, b"\0", hash.name().as_bytes(), b"\0", prepared.as_bytes()]).to_vec()
        };
        let mut salt = part(b"salt");
        salt.truncate(SALT_BYTES);
        ScramKeys {
            salt,
            iterations: ITERATIONS_DEFAULT,
            stored_key: part(b"stored key"),
            server_key: part(b"server key"),
        }
    }
}

impl Drop for ScramKeys {
    fn drop(&mut self) {
        self.salt.zeroize();
        self.stored_key.zeroize();
        self.server_key.zeroize();
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// Takes the same time wherever the keys differ.
impl PartialEq for ScramKeys {
    fn eq(&self, other: &Self) -> bool {
        let same = self.salt.ct_eq(&other.salt)
            & self.stored_key.ct_eq(&other.stored_key)
            & self.server_key.ct_eq(&other.server_key)
            & self.iterations.ct_eq(&other.iterations);
        same.into()
    }
}

impl Eq for ScramKeys {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_keys_only() {
        for hash in Hash::ALL {
            let keys = ScramKeys::derive(hash, "IX", b"salt", 3);
            assert!(keys.fit(hash));
            assert!(keys.matches(hash, "IX"));
            assert!(keys.matches(hash, "\u{2168}"), "prepared like the stored one (RFC 4013 §3)");
            assert!(!keys.matches(hash, "ix"));
            assert!(!keys.matches(hash, ""));
            assert!(!keys.matches(hash, "IX\u{7}"));
            for other in Hash::ALL {
                assert_eq!(keys.matches(other, "IX"), other == hash);
            }
        }
    }

    #[test]
    fn unknown_users_look_stored() {
        let secret = [7; 16];
        for hash in Hash::ALL {
            let a = ScramKeys::fake(hash, &secret, "nobody");
            assert!(a.fit(hash));
            assert_eq!((a.salt.len(), a.iterations), (16, 4096));
            assert_eq!(a, ScramKeys::fake(hash, &secret, "nobody"));
            assert_eq!(a, ScramKeys::fake(hash, &secret, "NoBody"), "one account, one salt");
            assert_ne!(a.salt, ScramKeys::fake(hash, &secret, "nobody2").salt);
            assert_ne!(a.salt, ScramKeys::fake(hash, &[8; 16], "nobody").salt);
        }
        let salts: Vec<_> = Hash::ALL.map(|h| ScramKeys::fake(h, &secret, "nobody").salt.clone()).into();
        assert!(salts[0] != salts[1] && salts[1] != salts[2]);
    }

    #[test]
    fn is_never_printed() {
        let keys = ScramKeys::derive(Hash::Sha1, "pencil", b"salt", 2);
        assert_eq!(format!("{keys:?}"), "ScramKeys { iterations: 2, .. }");
    }
}
