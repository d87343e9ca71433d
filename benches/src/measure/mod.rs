//! What is measured, on both sides of the sockets.
//!
//! Owns: CPU and memory of the server and of the machine as `/proc` tells them, CPU of the tool itself, latencies.
//! In: the server's process, points in time. Out: differences between two such points.
//! Invariants: measuring costs nothing between two points but one histogram entry for each message. What cannot be known
//! is none, never zero.
//! Not here: how it is shown (`report`), when the points are (`work`).

pub mod latency;
pub mod memory;
pub mod procfs;
pub mod usage;

pub use latency::Latencies;
pub use memory::{Memory, MemoryMeter};
pub use usage::{Server, Snapshot, Usage};
