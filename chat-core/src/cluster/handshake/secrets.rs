//! The secrets of a cluster.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::base::limits::LINK_SECRET_BYTES_MIN;
use crate::cluster::wire::PROOF_BYTES;

/// What the keys are derived for (RFC 5869's `info`).
const KEY_INFO: &[u8] = b"chat link";

/// A cluster secret that is too short to be one.
///
/// The operator's fault; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cluster secret has {0} bytes; it has to have at least 16 random ones")]
pub struct SecretTooShort(pub usize);

/// The secrets of a cluster: the one in use, and during a replacement another that is accepted, too. Never printed; wiped
/// when dropped.
///
/// To replace a secret: give every node the pair (old, new), then every node (new, old), then the new one alone. All the
/// while each two nodes have one in common.
#[derive(Clone)]
pub struct Secrets(pub(super) Vec<Zeroizing<[u8; PROOF_BYTES]>>);

impl Secrets {
    /// The secret in use and perhaps another; each of at least [`LINK_SECRET_BYTES_MIN`] bytes, which the operator
    /// drew at random.
    pub fn new(secret: &[u8], other: Option<&[u8]>) -> Result<Secrets, SecretTooShort> {
        let derive = |secret: &[u8]| {
            if secret.len() < LINK_SECRET_BYTES_MIN {
                return Err(SecretTooShort(secret.len()));
            }
            // HKDF (RFC 5869) without salt, for one block of output.
            let extracted = hmac(&[0; PROOF_BYTES], &[secret]);
            Ok(hmac(&*extracted, &[KEY_INFO, &[1]]))
        };
        let mut keys = vec![derive(secret)?];
        if let Some(other) = other {
            keys.push(derive(other)?);
        }
        Ok(Secrets(keys))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; PROOF_BYTES]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104 §2)");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}
