//! What sessions queue, and the memory for it: shared by all sessions of an engine, so that a session at rest owns none.

use std::num::NonZeroU64;

use crate::base::{Fifos, Pool};

/// The how-manieth message of its recipient it is, counted from 1, among those that were given to clients with stream
/// management.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlightId(pub NonZeroU64);

/// A stanza in the queue of what the client has not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unacked {
    /// Its bytes in the queue.
    pub len: u32,
    /// The message it is a copy of, if anybody waits for it or the store knows it.
    pub flight: Option<FlightId>,
}

/// A stanza received whose fate is not decided yet, or that stands behind one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsettled {
    /// Its fate is decided.
    pub settled: bool,
    /// Its bytes.
    pub bytes: u32,
}

/// Memory of queues that no session needs at present.
#[derive(Debug)]
pub struct Pools {
    /// For bytes.
    pub chunks: Pool,
    /// For lists of what is not acknowledged.
    pub unacked: Fifos<Unacked>,
    /// For lists of what is not settled.
    pub unsettled: Fifos<Unsettled>,
}

/// Free chunks that are kept: 4 MiB.
const CHUNKS_KEPT_MAX: usize = 1024;

impl Pools {
    /// Nothing is kept yet.
    pub const fn new() -> Self {
        Pools { chunks: Pool::new(CHUNKS_KEPT_MAX), unacked: Fifos::new(), unsettled: Fifos::new() }
    }
}

impl Default for Pools {
    fn default() -> Self {
        Pools::new()
    }
}
