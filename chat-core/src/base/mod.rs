//! The ground everything stands on: time, timers, ids, slots, keyed maps, byte queues, randomness, limits and
//! pending requests.
//!
//! Owns: data structures without a word of XMPP in them. In and out: plain values.
//! Invariants: nothing here iterates in an order that depends on a hash; every container has a bound given by
//! its caller or by [`limits`].
//! Not here: anything that knows what a stanza or a JID is (see `xml`, `jid`, `stanza`).

pub mod limits;
pub mod time;

pub use time::{Mono, Now, Utc};
