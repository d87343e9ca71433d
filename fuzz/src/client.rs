//! One connection, as the driver and its client know it.
//!
//! Owns: what a client reads, and what it must remember to acknowledge and to resume (XEP-0198). Not here: what it
//! sends (`session`, `inputs`), and when it reads (`rig`).

use chat_core::base::ConnId;
use chat_core::sasl::payload;
use chat_core::stanza::ns;
use chat_core::xml::{Element, FrameKind, Framer, Step, StreamNs};

/// Both ends of a connection.
pub(crate) struct Conn {
    pub worker: usize,
    pub id: ConnId,
    /// The engine was told that it is gone, or said so.
    pub gone: bool,
    pub reading: bool,
    /// The client reads.
    pub listens: bool,
    /// TLS is to begin.
    pub secures: bool,
    /// Who logged in on it, with the password.
    pub user: Option<&'static str>,
    pub sm: Option<Sm>,
    /// What the server said last while the client logs in.
    pub said: Option<Vec<u8>>,
    /// The session that the client wants to go on with.
    pub resuming: Option<Sm>,
    pub framer: Framer,
    partial: Vec<u8>,
}

/// A session with stream management, as its client knows it.
#[derive(Debug, Clone)]
pub(crate) struct Sm {
    /// Empty if it cannot be resumed.
    pub id: String,
    /// Stanzas that the client got.
    pub heard: u32,
    /// What the server acknowledged.
    acked: u32,
}

impl Conn {
    /// A new connection, in the clear or not.
    pub fn new(worker: usize, id: ConnId, secures: bool) -> Self {
        Conn {
            worker,
            id,
            gone: false,
            reading: true,
            listens: true,
            secures,
            user: None,
            sm: None,
            said: None,
            resuming: None,
            framer: Framer::default(),
            partial: Vec::new(),
        }
    }

    /// What a client gets is XML that it may parse.
    pub fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.framer.push(bytes).expect("the server writes XML") {
                Step::Need => return self.partial.extend_from_slice(bytes),
                Step::Frame { kind, end } => {
                    self.partial.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end..];
                    let frame = std::mem::take(&mut self.partial);
                    if kind == FrameKind::Element {
                        let element = Element::parse(&frame, &StreamNs::client());
                        self.understand(&element.expect("the server writes elements"));
                    }
                }
            }
        }
    }

    fn understand(&mut self, element: &Element) {
        let h = element.attr("h").and_then(|h| h.parse().ok());
        match (element.name.as_str(), element.ns.as_str()) {
            ("proceed", ns::TLS) => self.framer.restart(),
            ("challenge" | "success", ns::SASL) => {
                self.said = Some(payload::decode(&element.text()).expect("the server writes base64"));
                if element.name == "success" {
                    self.framer.restart();
                }
            }
            ("enabled", ns::SM) => {
                let id = element.attr("id").unwrap_or_default().to_owned();
                self.sm = Some(Sm { id, heard: 0, acked: 0 });
            }
            ("resumed", ns::SM) => {
                self.sm = self.resuming.take();
                self.acknowledged(h);
            }
            ("a", ns::SM) => self.acknowledged(h),
            ("message" | "presence" | "iq", ns::CLIENT) => {
                if let Some(sm) = &mut self.sm {
                    sm.heard = sm.heard.wrapping_add(1);
                }
            }
            _ => {}
        }
    }

    /// The server's `h` never falls, on whatever stream.
    fn acknowledged(&mut self, h: Option<u32>) {
        let (Some(sm), h) = (&mut self.sm, h.expect("an acknowledgement has a number")) else { return };
        assert!(h.wrapping_sub(sm.acked) < 1 << 31, "`h` fell from {} to {h}", sm.acked);
        sm.acked = h;
    }
}
