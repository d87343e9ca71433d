//! One account on one node: what belongs to a user whatever connection is used to reach it.
//!
//! Owns: the [`subscription`] state between the user and each contact, and the [`roster`] that keeps those states
//! together with names and groups, packed in one block of bytes.
//!
//! In and out: plain values. A stanza reaches this folder as an enum, a contact as the text of a prepared bare JID;
//! what comes back says what to send, to whom to push and what to remember. Nothing here writes XML.
//!
//! Invariants: a [`subscription::Subscription`] is always one of the legal states; a roster holds each contact
//! once, in the order of their JIDs, and its bytes in memory are the bytes in the store.
//!
//! Not here: who receives a stanza (`route`), reading and writing stanzas (`stanza`), extensions that
//! concern accounts, such as block lists (`xep`).
//!
//! Follows RFC 6121 §2 (roster), §3 (subscriptions) and Appendix A.

pub mod roster;
pub mod subscription;
