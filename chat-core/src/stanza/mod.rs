//! Typed views over the three stanzas of RFC 6120 §8: message, presence, iq; and their errors.
//!
//! Owns: the words of the `type` attribute, the stanza error conditions, how an error reply is written.
//! In: a scanned element ([`StanzaView`](crate::xml::StanzaView)). Out: enums, and bytes.
//! Invariants: an error is never the answer to an error (RFC 6120 §8.3.1), nor to an iq result.
//! Not here: what is done with a stanza (`route/`), what a stream error is (`stream/`).

mod error;
mod kind;
mod reply;
mod view;

pub use error::{Condition, ErrorType, StanzaError};
pub use kind::{IqType, Kind, MessageType, PresenceType};
pub use reply::{Head, write_error, write_result};
pub use view::Stanza;

/// Namespaces that more than one folder needs to name.
pub mod ns {
    /// Content namespace of client streams (RFC 6120 §4.8.2).
    pub const CLIENT: &str = "jabber:client";
    /// Stanza error conditions (RFC 6120 §8.3).
    pub const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
    /// Stream elements (RFC 6120 §4.8.1).
    pub const STREAM: &str = "http://etherx.jabber.org/streams";
    /// STARTTLS (RFC 6120 §5).
    pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
    /// SASL (RFC 6120 §6).
    pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
    /// Resource binding (RFC 6120 §7).
    pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
    /// Session establishment, a no-op for old clients (RFC 3921 §3).
    pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
    /// Stream management (XEP-0198).
    pub const SM: &str = "urn:xmpp:sm:3";
    /// Rosters (RFC 6121 §2).
    pub const ROSTER: &str = "jabber:iq:roster";
    /// XEP-0191.
    pub const BLOCKING: &str = "urn:xmpp:blocking";
    /// Delayed delivery (XEP-0203).
    pub const DELAY: &str = "urn:xmpp:delay";
}
