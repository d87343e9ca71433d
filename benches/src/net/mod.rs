//! Thousands of connections in one thread.
//!
//! Owns: sockets, their epoll, TLS on the client's side, what is read but incomplete and what could not be written yet.
//! In: addresses, bytes to send. Out: which connections have something to read, and what.
//! Invariants: a connection without a partial stanza and without unsent bytes owns no buffer; one read and one write per
//! connection and turn, whatever the number of stanzas in them.
//! Not here: what the bytes mean (`xmpp`), who sends what and when (`work`), the relay's side (`relay`).

mod conn;
pub mod descriptors;
mod hub;
mod tls;

pub use hub::{ConnId, Hub, Read};
pub use tls::client_config;
