//! What the fuzzers do with their bytes. Each function takes any bytes and panics if a law is broken.
//!
//! Owns: the bodies of the fuzz targets. In: bytes from libfuzzer (`targets/`) or from a corpus (`tests/replay.rs`).
//! Out: nothing, or a panic that says which law was broken.
//! Invariants: the same bytes always do the same.
//! Not here: laws over made-up but well-formed things, which are property tests beside the code; clusters of faults
//! over time, which are the simulator's.

mod bytes;
mod client;
mod framing;
mod inputs;
mod jid;
mod link;
mod phrases;
mod rig;
mod sasl;
mod scan;
mod session;
mod shelf;

pub use framing::framing;
pub use inputs::inputs;
pub use jid::jid;
pub use link::link;
pub use sasl::sasl;
pub use scan::scan;
pub use session::session;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets by their names, which are those of their corpora.
pub const TARGETS: [(&str, Target); 7] = [
    ("framing", framing),
    ("scan", scan),
    ("jid", jid),
    ("sasl", sasl),
    ("session", session),
    ("inputs", inputs),
    ("link", link),
];
