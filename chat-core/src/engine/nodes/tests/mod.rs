//! Conversations across nodes.

mod chaos;
mod client;
mod drain;
mod friends;
mod records;
mod routing;
mod moves;
mod resume;
mod settlement;
mod shared;
mod spool;
mod versions;
mod way;
mod world;
