//! The ground everything stands on: time, timers, ids, slots, keyed maps, byte queues, randomness, limits and
//! pending requests.
//!
//! Owns: data structures without a word of XMPP in them. In and out: plain values.
//! Invariants: nothing here iterates in an order that depends on a hash; every container has a bound given by
//! its caller or by [`limits`].
//! Not here: anything that knows what a stanza or a JID is (see `xml`, `jid`, `stanza`).

pub mod bytes;
pub mod id;
pub mod limits;
pub mod map;
pub mod rng;
pub mod slots;
pub mod time;

pub use bytes::{ByteQueue, Pool};
pub use id::{ConnId, MsgId, NodeId, UserId, WorkerId};
pub use limits::Limits;
pub use map::{HashKey, KeyedMap};
pub use rng::Rng;
pub use slots::{Key, Slots};
pub use time::{Mono, Now, Span, Utc};
