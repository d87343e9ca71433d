//! The SASL mechanisms of the server as small machines, and a SCRAM client for the simulator and the tests.
//!
//! Owns: the names and order of the mechanisms, the grammar of their messages, the exchange on the server's side
//! ([`Exchange`]), the arithmetic of SCRAM ([`ScramKeys`]), the preparation of passwords ([`saslprep`]) and the
//! base64 of payloads ([`payload`]).
//!
//! In: messages whose base64 is already undone, and the keys of a user when the machine asked for them. Out: one
//! [`Step`] for each input. The machine reads no store and derives no key: `NeedKeys` and `CheckPassword` are
//! questions to the outside, because PBKDF2 costs a thousand times what a stanza costs.
//!
//! Invariants:
//! - `Success` comes only after a proof over the exact bytes exchanged, compared in constant time.
//! - An unknown user and a wrong password cannot be told apart by what is sent (RFC 5802 §9).
//! - Channel binding is checked whenever the mechanism has it, and a client that was kept from using it is refused
//!   (RFC 5802 §6).
//! - After `Success`, `Failure`, `CheckPassword`, `Anonymous` or `External` the machine is over.
//! - Passwords and keys are wiped when dropped and never printed.
//!
//! Not here: the elements around the payloads, the number of attempts, time limits and whether a mechanism is
//! offered at all (`session`); the user name as a localpart (`jid`); where keys are kept (`effect` and the stores).
//!
//! Follows RFC 4422, RFC 4505 (ANONYMOUS), RFC 4616 (PLAIN), RFC 5802 and RFC 7677 (SCRAM), RFC 6120 §6,
//! RFC 9266 (`tls-exporter`), XEP-0440, and RFC 4013 for passwords.

pub mod client;
mod crypto;
mod exchange;
mod fault;
mod keys;
mod mechanism;
pub mod payload;
mod prep;
mod scram;
mod secret;

pub use crypto::salted_password;
pub use exchange::{Context, Exchange, Step};
pub use fault::{Failure, Fault};
pub use keys::{ITERATIONS_DEFAULT, SALT_BYTES, ScramKeys};
pub use mechanism::{Hash, Mechanism};
pub use prep::saslprep;
pub use secret::Secret;

/// The channel binding type that the -PLUS mechanisms use, as XEP-0440 announces it (RFC 9266 §2).
pub const CHANNEL_BINDING: &str = "tls-exporter";

/// The label under which TLS exports the channel binding, with an empty context and 32 bytes (RFC 9266 §2).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
