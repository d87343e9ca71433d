//! Nodes on loopback, with real sockets.

mod links;
mod nodes;
#[cfg(feature = "dns")]
mod resolve;
