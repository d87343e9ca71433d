//! XML as XMPP uses it: frame boundaries, one validating pass, names, escapes, elements on demand, the writer.
//!
//! Owns: everything between the bytes of a stream and the names, attributes and children of an element.
//! In: bytes in any cuts. Out: frames ([`frame`]), a validated view of one stanza as ranges of its own bytes
//! ([`scan`](mod@scan)), of a stream header ([`header`]), trees ([`element`]), bytes ([`write`](mod@write)).
//!
//! ```text
//! bytes ─ Framer::push ─┬─ Header ─ parse_header ─ HeaderView ─ StreamNs
//!                       └─ Element ─ scan ─ StanzaView ─┬─ forward ─ bytes
//! text ────────────────────── scan_front ─┘             └─ Element::parse ─ Element::write ─ bytes
//! ```
//!
//! Invariants:
//! - What comes out of the framer does not depend on how the bytes were cut.
//! - A slice that [`scan::scan`] accepted is exactly one element: well-formed, UTF-8, every prefix bound, nothing
//!   that restricted XML forbids. It may be appended unchanged to any stream that binds the prefixes it inherits.
//! - Reading never recurses, and nothing deeper than [`scan::DEPTH_MAX`] is accepted, so what recurses over a tree
//!   (writing, comparing, dropping) stays well within a thread's stack.
//! - The common stanza is scanned and forwarded without an allocation, a copy of its payload or a second parse.
//! - What the writer escapes is always well-formed, whatever string it is given.
//! - What was accepted from a peer, and passed on, is accepted again with [`ScanLimits::OWN`]: the exceptions are spelled
//!   anew first ([`write::respelled`]).
//!
//! Not here: sizes of what waits for its end (the caller of the framer counts them), the meaning of names (`stanza`),
//! streams' openings and errors as text (`stream`), addresses (`jid`).
//!
//! Follows RFC 6120 §11 (restricted XML), XML 1.0 (fifth edition; names of the fourth), Namespaces in XML 1.0 (third edition).

mod bind;
mod chars;
mod children;
pub mod element;
pub mod escape;
pub mod fault;
pub mod frame;
pub mod header;
mod lex;
mod names;
pub mod ns;
pub mod outline;
mod runs;
pub mod scan;
mod stack;
mod token;
mod walk;
pub mod write;

#[cfg(test)]
mod laws;

pub use element::{Element, Node};
pub use fault::XmlFault;
pub use frame::{FrameKind, Framer, Step};
pub use header::{HeaderView, parse_header};
pub use ns::StreamNs;
pub use outline::{Outline, OutlineReader, Outlines};
pub use scan::{ScanLimits, StanzaView, scan, scan_front, utf8};
pub use write::{Head, Sink, Stamp, forward};
