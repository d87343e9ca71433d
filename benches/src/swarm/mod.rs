//! Users in constant conversation at the nodes of a cluster, who come back whatever happens, and the books about what they say.
//!
//! Owns: clients that reconnect and resume as good clients do (XEP-0198), the choice of a node as a balancer makes it, and the books:
//! what was sent, acknowledged, and arrived; in which order, how often, and how late.
//! In: the addresses of the nodes, and orders: an event begins, it is over. Out: a row for each event.
//! Invariants: a client is one state machine without a socket; what it sends in one session carries numbers that rise, and what it
//! sends again in a new session counts as new, since the server cannot know that it is the same.
//! Not here: what happens to the nodes (whoever gives the orders: `../../cluster/events.py`), sockets (`net`), how to log in
//! (`xmpp`).

mod balancer;
mod books;
mod client;
mod event;
mod orders;
mod run;

pub use event::Row;
pub use orders::Order;
pub use run::{Options, run};
