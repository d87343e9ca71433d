//! Conversations across nodes.

mod records;
mod settlement;
mod world;
