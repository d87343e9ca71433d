//! What a server must survive: every row of the table of limits and bad input (docs/ARCHITECTURE.md, "Limits and bad
//! input") that concerns one node, and every flood that we could think of.
//!
//! Each test checks the answer, exactly, and that the engine's memory stays within what `base/limits.rs` promises
//! while a peer offers 100 MB of the bad thing, or is cut off. Time is virtual, so 100 MB at the permitted rate take
//! seconds. The allocator of this test counts what the engine holds; what clients and the store of the test keep for
//! themselves is left out.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a test is not the core

mod meter;
mod shop;
mod yard;

mod accounts;
mod addresses;
mod failing_store;
mod login;
mod pace;
mod sizes;
mod streams;
mod unread;

/// What a peer offers of each bad thing.
const PLENTY: u64 = 100_000_000;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * 1024;
