//! One link for each pair of nodes: reliable, in order, whatever happens to the connections below.
//!
//! Owns: what lies between connections that break and a layer above that wants to forget about them. [`Link`] is one
//! pair of nodes; [`Links`] is all links of a node with the greetings of connections that nobody knows yet, and the face
//! for the driver and the agent.
//! In: what the driver sees of connections (dialled, accepted, bytes, ends), frames to send, whom to link with, time,
//! randomness. Out: whom to dial, what to close, bytes for connections, the frames of the other node, and what the layer
//! above has to know: [`LinkOutput`].
//!
//! How it goes on after a cut: numbered frames are kept until the other node has receipted them. Each connection begins
//! with a [`Join`](super::wire::Join) from either side, the dialler's first; both compare both by one rule
//! (`stream.rs`) and either go on exactly where each side has got to, or both start over in a new *epoch* and say so
//! above ([`LinkOutput::Fresh`]). They start over only if one of the two nodes has started anew or has given up what it
//! had to send ([`LinkOutput::GaveUp`]).
//!
//! How two connections become one: a connection is in use once a join has come from the other side. A dialler sends
//! its join only if it has no connection in use, so a join says: what you may think is in use, is not. Joins are counted,
//! so that an old one is known to be old. If both dialled and both joins cross, the connection that the lesser name
//! dialled is the one.
//!
//! Invariants:
//! - While both nodes live and neither gives up, each numbered frame arrives once, in order. Between [`LinkOutput::Fresh`]
//!   on one side and on the other nothing is delivered that was sent before.
//! - A frame is delivered to the layer above only after [`LinkOutput::Fresh`] told it with whom.
//! - What is kept for the other node has a limit (`resend_bytes_max`). At half of it the layer above is asked to hold back,
//!   at the whole of it everything is given up, and both sides hear of it.
//! - Datagrams, pings and receipts are not kept: they go if there is a connection, before frames that wait.
//! - A node that missed its own turn blames itself, not its peers.
//!
//! Not here: who is a member and where it is (discovery, membership), what frames say (`registry`, the agent), sockets and
//! TLS (`chat-net`).

mod backoff;
mod conn;
mod dials;
mod links;
mod machine;
mod resend;
mod stream;

#[cfg(test)]
mod tests;

pub use conn::LinkConn;
pub use links::{Links, LinksInput, LinksOutput};
pub use machine::{Link, LinkInput, LinkOutput, LinkState, NotSent, Parting};
