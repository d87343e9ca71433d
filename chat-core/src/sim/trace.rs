//! What happened: a hash of everything, and a text for people if they want one.

use crate::base::Mono;

/// Where the text goes, line by line.
pub(super) type Reader = Box<dyn FnMut(&str)>;

/// The trace of a run.
pub(super) struct Trace {
    hash: u64,
    reader: Option<Reader>,
}

impl Trace {
    pub(super) fn new(reader: Option<Reader>) -> Self {
        Trace { hash: 0xcbf2_9ce4_8422_2325, reader }
    }

    /// Takes note of a number.
    pub(super) fn mix(&mut self, n: u64) {
        self.hash = (self.hash ^ n).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Takes note of bytes.
    pub(super) fn mix_bytes(&mut self, bytes: &[u8]) {
        self.mix(bytes.len() as u64);
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.mix(u64::from_le_bytes(word));
        }
    }

    /// Tells people.
    pub(super) fn say(&mut self, now: Mono, what: impl FnOnce() -> String) {
        if let Some(reader) = &mut self.reader {
            reader(&format!("{:>10.4} {}", now.0 as f64 / 1e9, what()));
        }
    }

    /// The hash of everything so far.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }
}
