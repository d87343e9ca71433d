//! Conversations across nodes.

mod chaos;
mod client;
mod records;
mod routing;
mod settlement;
mod spool;
mod world;
