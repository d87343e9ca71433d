//! What can be wrong with an address.

use std::fmt;

/// Why a text is not an address.
///
/// Always the fault of whoever wrote the text; nothing has changed; the peer is told `jid-malformed` (RFC 6120
/// §8.3.3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {reason}")]
pub struct JidError {
    /// The part that is wrong.
    pub part: Part,
    /// What is wrong with it.
    pub reason: Reason,
}

/// One of the three parts of an address (RFC 7622 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Before the `@`: an account, a room.
    Local,
    /// The only part that is always there.
    Domain,
    /// After the first `/`: one connection of the account, an occupant of the room.
    Resource,
}

/// What is wrong with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No bytes between its separators, or none left after preparation.
    Empty,
    /// More than 1023 bytes (RFC 7622 §3.2, §3.3.1, §3.4.1).
    TooLong,
    /// A code point that this part never holds.
    Forbidden(char),
    /// A code point that its neighbours do not justify (RFC 5892 appendix A).
    Context(char),
    /// Letters of both directions in an order that can be read two ways (RFC 5893 §2).
    Bidi,
    /// Neither a host name nor an IP address.
    BadDomain,
    /// Preparation does not settle (RFC 8264 §7).
    Unstable,
    /// The part is there although an address without it was asked for.
    Unwanted,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Local => "localpart",
            Part::Domain => "domain",
            Part::Resource => "resource",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Empty => f.write_str("is empty"),
            Reason::TooLong => f.write_str("is longer than 1023 bytes"),
            Reason::Forbidden(c) => write!(f, "holds U+{:04X}, which is not allowed", u32::from(*c)),
            Reason::Context(c) => write!(f, "holds U+{:04X} in a wrong place", u32::from(*c)),
            Reason::Bidi => f.write_str("mixes writing directions"),
            Reason::BadDomain => f.write_str("is neither a host name nor an IP address"),
            Reason::Unstable => f.write_str("has no stable form"),
            Reason::Unwanted => f.write_str("is not wanted here"),
        }
    }
}
