//! Conversations across nodes.

mod chaos;
mod client;
mod drain;
mod farewells;
mod friends;
mod records;
mod routing;
mod movers;
mod moves;
mod resume;
mod settlement;
mod shared;
mod spool;
mod versions;
mod way;
mod world;
