//! "Acked means safe" (docs/ARCHITECTURE.md) with a real server and a real SQLite file, whose writer is broken on purpose.
//!
//! `table` holds every row of the settlement table that concerns one node, crossed with every fault of the writer;
//! `cell` plays one cell of it. `disk` is what goes on while nothing can be written, `order` what becomes of messages that
//! the store has no room for.

mod cell;
mod client;
mod disk;
mod order;
mod stage;
mod table;
