//! What a message and a session cost in memory, counted by an allocator that counts.
//!
//! `SHOW=3 cargo test -p chat-micro --test memory name` prints the stacks of the first three allocations that should not
//! be.

#![allow(missing_docs)]

mod meter;
mod messages;
mod sessions;
