//! What a message, a session and the registry cost in memory, counted by an allocator that counts.
//!
//! `SHOW=3 cargo test -p chat-micro --test memory name` prints the stacks of the first three allocations that should not
//! be.

#![allow(missing_docs)]

use chat_micro::meter::{Mark, Meter, aside};

mod messages;
mod registry;
mod sessions;

#[global_allocator]
static METER: Meter = Meter;

#[test]
fn the_meter_counts() {
    let mark = Mark::here();
    let some = vec![0u8; 1000];
    assert_eq!((mark.allocations(), mark.held()), (1, 1000));
    drop(some);
    assert_eq!((mark.allocations(), mark.held()), (1, 0));
    let others = aside(|| vec![0u8; 1_000_000]);
    assert_eq!((mark.allocations(), mark.held()), (1, 0));
    aside(|| drop(others));
    let mut grown: Vec<u8> = Vec::with_capacity(10);
    grown.resize(100, 1u8);
    assert_eq!((mark.allocations(), mark.held()), (3, 100));
}
