//! A client of the tests' world, or its end of a connection.

use std::collections::VecDeque;

use crate::base::ConnId;
use crate::xml::{FrameKind, Framer, Step};

/// A client, or its end of a connection.
pub struct Client {
    pub node: usize,
    pub(super) worker: usize,
    pub(super) conn: ConnId,
    pub open: bool,
    /// It reads nothing.
    pub stalled: bool,
    pub(super) framer: Framer,
    pub(super) partial: Vec<u8>,
    /// What it got and nobody looked at.
    pub received: VecDeque<String>,
    /// Stanzas that it got since it manages its stream.
    pub h: u32,
    /// What `<a/>` told it last.
    pub(super) acked: u32,
    /// What it sent before anybody looked: its presence.
    pub(super) before: u32,
    pub(super) managed: bool,
    pub sm: String,
}

/// What a message says; `~` before one that came late.
pub fn body(text: &str) -> Option<String> {
    let body = text.split_once("<body>")?.1.split_once("</body>")?.0;
    let late = if text.contains("<delay ") { "~" } else { "" };
    let error = if text.contains("type='error'") { "!" } else { "" };
    Some(format!("{late}{error}{body}"))
}

impl Client {
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Step::Frame { kind, end } = self.framer.push(bytes).expect("the server writes XML") else {
                return self.partial.extend_from_slice(bytes);
            };
            self.partial.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end..];
            let text = String::from_utf8(std::mem::take(&mut self.partial)).expect("the server writes UTF-8");
            if kind != FrameKind::Element {
                continue;
            }
            if text.starts_with("<success") {
                self.framer.restart();
            }
            let stanza = ["<message", "<presence", "<iq"].iter().any(|name| text.starts_with(name));
            self.h += u32::from(stanza && self.managed);
            if let Some(h) = text.strip_prefix("<a xmlns='urn:xmpp:sm:3' h='") {
                self.acked = h.trim_end_matches("'/>").parse().expect("a number");
            }
            self.received.push_back(text);
        }
    }
}
