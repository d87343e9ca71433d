//! Who receives a stanza.
//!
//! Owns: the [`decision`] of RFC 6121 §8, and the [`registry`] of who is where.
//!
//! In and out: the decision takes the kind of the stanza, whom it is for and a view of that user's resources, all as
//! plain values, and returns what is to be done. It knows neither XML nor JIDs nor connections, so that every cell
//! of the RFC's tables can be written down in a test.
//!
//! Invariants: an error or a result is never answered; a message to a bare JID never reaches a resource of negative
//! priority; a decision to deliver names at least one resource.
//!
//! Not here: subscriptions and rosters (`user`), what an extension does with a stanza before or after
//! the decision (`ext`, `xep`), what carries a decision out (`engine`), how nodes tell each other (`cluster`).
//!
//! Follows RFC 6120 §10 and RFC 6121 §8; XEP-0160 for what is kept for users who are offline.

pub mod decision;
pub mod registry;
