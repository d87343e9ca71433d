//! The reference: a server that forwards what one of a pair sends to the other, unseen.
//!
//! Owns: the canned half of a login, so that the tool's own client can use it; forwarding; faults on purpose.
//! In: connections of users 0 and 1, 2 and 3, and so on. Out: each other's bytes.
//! Invariants: without a fault it looks at no byte between the end of a login and the end of the stream, and writes once
//! for each read. It shows what this machine's sockets allow: no server can be cheaper.
//! Not here: anything that a server must do.

mod fault;
mod greet;
mod serve;

pub use fault::Fault;
pub use serve::Relay;
