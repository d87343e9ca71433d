//! Random keys that must stay the same across restarts.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::Failure;
use crate::files::{self, Readers};

/// The file beside the data.
const FILE: &str = "keys";
/// The key's name in it.
const SALT: &str = "salt-secret";
/// Of each key.
const BYTES: usize = 16;

/// The node's own keys.
pub(super) struct Keys {
    /// Makes the salts of users that do not exist: were they others after each restart, anybody could tell who exists
    /// (RFC 5802 §9).
    pub(super) salt_secret: [u8; BYTES],
}

impl Keys {
    /// Those of the directory; makes them on the first start. Without a directory they are for this process only.
    pub(super) fn load_or_make(directory: Option<&Path>) -> Result<Keys, Failure> {
        let Some(directory) = directory else { return Keys::make() };
        let path = directory.join(FILE);
        let failed = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
        match std::fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => Keys::read(&text).ok_or_else(|| {
                let path = path.display();
                Failure::new(format!("{path} is damaged; restore it, or remove it to have new keys made"))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let keys = Keys::make()?;
                files::write(&path, keys.text().as_bytes(), Readers::Owner).map_err(failed)?;
                Ok(keys)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn make() -> Result<Keys, Failure> {
        let mut salt_secret = [0; BYTES];
        getrandom::fill(&mut salt_secret)
            .map_err(|error| Failure::new(format!("the system gives no randomness: {error}")))?;
        Ok(Keys { salt_secret })
    }

    fn text(&self) -> Zeroizing<String> {
        let hex = self.salt_secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Zeroizing::new(format!("# Keys of this node. Keep them secret, and keep them.\n{SALT} {hex}\n"))
    }

    fn read(text: &str) -> Option<Keys> {
        let key = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(first, _)| *first == name).and_then(|(_, hex)| bytes(hex.trim()))
        };
        Some(Keys { salt_secret: key(SALT)? })
    }
}

fn bytes(hex: &str) -> Option<[u8; BYTES]> {
    if hex.len() != 2 * BYTES || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0; BYTES];
    for (byte, pair) in key.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let load = || Keys::load_or_make(Some(directory.path()));
        let (first, second) = (load().expect("made"), load().expect("read"));
        assert_eq!(first.salt_secret, second.salt_secret);
        assert_ne!(Keys::load_or_make(None).expect("made").salt_secret, first.salt_secret);
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(FILE);
        for damaged in ["", "salt-secret 00\n", "salt-secret zz112233445566778899aabbccddeeff\n"] {
            std::fs::write(&path, damaged).expect("written");
            let error = Keys::load_or_make(Some(directory.path())).err().expect("refused").to_string();
            assert!(error.contains("is damaged") && error.contains("keys"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), damaged);
        }
    }
}
