//! One account on one node: what belongs to a user whatever connection is used to reach it.
//!
//! Owns: the [`User`] with its [`Resource`]s, what each resource's client has not acknowledged, the messages that
//! are on their way to the user ([`Flights`]), the [`subscription`] state between the user and each contact, the
//! [`roster`] that keeps those states together with names and groups, and the presence of the user's resources.
//!
//! In: stanzas that the user's clients sent or that are for the user. Out: bytes in outboxes, envelopes to other
//! users, requests to the store.
//!
//! Invariants: a [`subscription::Subscription`] is always one of the legal states; a roster holds each contact
//! once, in the order of their JIDs, and its bytes in memory are the bytes in the store; a user is only ever touched
//! by the worker that is its home; two resources never have the same name.
//!
//! Not here: who receives a stanza (`route`), the stream below a resource (`session`), extensions that concern
//! accounts, such as what block lists do to stanzas (`xep`); here is only the list, because presence must respect it.
//!
//! Follows RFC 6121 §2 (roster), §3 (subscriptions), §4 (presence) and Appendix A; XEP-0198 for what survives a
//! stream.

mod blocked;
pub mod change;
pub mod flight;
mod held;
pub mod load;
mod outgoing;
pub mod presence;
pub mod recent;
pub mod resource;
mod resources;
pub mod roster;
pub mod roster_iq;
pub mod subscription;
#[cfg(test)]
mod testing;
mod user_record;

pub use blocked::{BlockEdit, Blocked};
pub use flight::{Flight, Flights, Promised, SpoolState, UserPools};
pub use held::Held;
pub(crate) use outgoing::{presence as presence_stanza, readdressed};
pub use recent::REMEMBER_MAX as RECENT_MAX;
pub use resource::{Detached, Resource, Urgency};
pub use resources::Resources;
pub use user_record::{Asked, Change, Contact, Next, Parked, Record, Spool, Underway, User};
