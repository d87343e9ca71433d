//! What an inactive client does not need now (XEP-0352).

use std::collections::VecDeque;

/// Stanzas held back for one resource, oldest first. A stanza that makes an older one worthless replaces it.
#[derive(Debug, Default)]
pub struct Held {
    queue: VecDeque<(String, Vec<u8>)>,
}

impl Held {
    /// Holds a stanza back; `key` names what it is about, so that a later one about the same replaces it. Returns
    /// whether there are now more than `max`, so that all should be sent.
    pub fn hold(&mut self, key: &str, stanza: &[u8], max: u32) -> bool {
        self.queue.retain(|(k, _)| k != key);
        self.queue.push_back((key.to_owned(), stanza.to_vec()));
        self.queue.len() > max as usize
    }

    /// The oldest stanza, taken out.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        self.queue.pop_front().map(|(_, stanza)| stanza)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
