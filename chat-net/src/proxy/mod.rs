//! The PROXY protocol, versions 1 and 2: who really connected, told by a balancer in front of us.
//!
//! Owns: the parser of the header ([`parse`]) and the list of addresses it is believed from ([`TrustedProxies`]).
//! In: the first bytes of a connection. Out: how long the header is and whom it names.
//! Invariants: nothing is read past the header; memory is the caller's and at most [`HEADER_BYTES_MAX`] bytes of it
//! are ever asked for; the answer never depends on how the bytes were cut.
//! Not here: sockets, and the rule that an untrusted peer is never asked for a header (the listener).
//! Follows the protocol's own text, "The PROXY protocol, versions 1 & 2" (2020), §2.1 and §2.2; the sections are
//! cited as "PROXY §…".

mod header;
mod trusted;

pub use header::{HEADER_BYTES_MAX, Progress, ProxyFault, parse};
pub use trusted::{TrustedProxies, TrustedProxiesError};

#[cfg(test)]
mod tests;
