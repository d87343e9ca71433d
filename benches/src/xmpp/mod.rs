//! The client's half of XMPP, as much of it as a load needs.
//!
//! Owns: cutting a server's bytes into stanzas, SASL on the client's side, and the way from a connection to a bound,
//! available session.
//! In: bytes and tokens of one stream. Out: bytes to send, and what the login came to.
//! Invariants: nothing here reads a clock or a socket. A stanza is never parsed into a tree.
//! Not here: sockets and TLS (`net`), what sessions do once they are there (`work`).
//! Follows RFC 6120, RFC 5802 and 7677 (SCRAM), RFC 6121 §2 and XEP-0077 §3.

pub mod frame;
pub mod input;
pub mod login;
pub mod plan;
pub mod scram;

pub use frame::{Malformed, Stanza, Token};
pub use input::Input;
pub use login::{Login, Resumption, Step};
pub use plan::{Mechanism, Plan, Security, User};
