//! What an inactive client does not need now (XEP-0352).

use std::collections::VecDeque;

use crate::base::Limits;

/// Stanzas held back for one resource, oldest first. A stanza that makes an older one worthless replaces it.
#[derive(Debug)]
pub struct Held {
    queue: VecDeque<(String, Vec<u8>)>,
    bytes: usize,
    stanzas_max: u32,
    bytes_max: u32,
}

impl Held {
    /// Nothing yet; no more than these limits allow.
    pub fn new(limits: &Limits) -> Self {
        Held {
            queue: VecDeque::new(),
            bytes: 0,
            stanzas_max: limits.csi_stanzas_max,
            bytes_max: limits.csi_bytes_max,
        }
    }

    /// Holds a stanza back; `key` names what it is about, so that a later one about the same replaces it. Returns
    /// whether there is now more than the limits allow, so that all should be sent.
    pub fn hold(&mut self, key: &str, stanza: &[u8]) -> bool {
        if let Some(old) = self.queue.iter().position(|(k, _)| k == key)
            && let Some((_, old)) = self.queue.remove(old)
        {
            self.bytes -= old.len();
        }
        self.bytes += stanza.len();
        self.queue.push_back((key.to_owned(), stanza.to_vec()));
        self.queue.len() > self.stanzas_max as usize || self.bytes > self.bytes_max as usize
    }

    /// The oldest stanza, taken out.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let (_, stanza) = self.queue.pop_front()?;
        self.bytes -= stanza.len();
        Some(stanza)
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
