//! The client's half of XMPP, as much of it as a load needs.
//!
//! Owns: cutting a server's bytes into stanzas, and SASL on the client's side.
//! In: bytes and tokens of one stream. Out: bytes to send, and what the login came to.
//! Invariants: nothing here reads a clock or a socket. A stanza is never parsed into a tree.
//! Not here: sockets and TLS (`net`), what sessions do once they are there (`work`).
//! Follows RFC 6120, RFC 5802 and 7677 (SCRAM).

pub mod frame;
pub mod input;
pub mod scram;

pub use frame::{Malformed, Stanza, Token};
pub use input::Input;
