//! The ground everything stands on: time, clocks that agree, timers, ids, slots, keyed maps, byte queues, randomness, limits and
//! pending requests.
//!
//! Owns: data structures without a word of XMPP in them. In and out: plain values; time and randomness are
//! arguments, memory for bytes comes from a [`Pool`] that the caller owns.
//! Invariants: nothing here iterates in an order that depends on a hash; the same calls give the same results in
//! every run; a key or id that was given up never reaches a newer value; every container has a bound given by its
//! caller or by [`limits`]. Misuse that only a bug can cause (reading past the end of a queue) panics with a
//! sentence.
//! Not here: anything that knows what a stanza or a JID is (see `xml`, `jid`, `stanza`).

pub mod bucket;
pub mod bytes;
pub mod fifo;
pub mod hlc;
pub mod id;
pub mod lanes;
pub mod limits;
pub mod map;
pub(crate) mod marks;
pub mod pending;
pub mod rare;
pub mod rng;
pub mod shelves;
pub mod slots;
pub mod throttle;
pub mod time;
pub mod timer;

pub use bucket::TokenBucket;
pub use bytes::{ByteQueue, Pool};
pub use fifo::{Fifo, Fifos};
pub use hlc::{Hlc, HlcClock};
pub use id::{ConnId, MsgId, NodeId, UserId, WorkerId};
pub use lanes::Lanes;
pub use limits::Limits;
pub use map::{HashKey, KeyedMap};
pub use pending::{Pending, RequestId};
pub use rare::RareQueue;
pub use rng::Rng;
pub use shelves::Shelves;
pub use slots::{Key, Slots};
pub use throttle::Throttle;
pub use time::{Mono, Now, Span, Utc};
pub use timer::{TimerId, Timers};
