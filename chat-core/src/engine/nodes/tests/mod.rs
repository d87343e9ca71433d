//! Conversations across nodes.

mod chaos;
mod client;
mod friends;
mod records;
mod routing;
mod settlement;
mod shared;
mod spool;
mod world;
