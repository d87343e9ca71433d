//! Sockets, timers and threads, the same on every runtime.
//!
//! Owns: which runtime a server's workers run on ([`Runtime`]), what its features leave to choose from; a connected
//! socket that a worker reads and writes when it is ready (`Socket`); the deadline a worker sleeps until
//! (`Sleep`); listeners with the options that matter ([`bind`]) and the acceptor behind them (`Acceptor`);
//! outgoing connections (`connect`); threads that wait for their sockets without a runtime (`Poller`); the
//! in-memory transport ([`MemoryStream`]); waiting for a future on a thread without any runtime ([`block_on`]).
//! In: readiness and wakers. Out: bytes, accepted sockets.
//! Invariants: nothing blocks, except what says so in its name; a socket owns no buffer; every choice between runtimes
//! is made in this folder and nowhere else.
//! Not here: what the bytes mean (`worker/`), TLS (`tls/`), PROXY headers (`proxy/`), HTTP and DNS.

mod accept;
mod block;
mod clock;
#[cfg(feature = "rustls")]
mod connect;
mod listen;
mod memory;
mod poller;
mod runtime;
mod sleep;
mod socket;

pub(crate) use accept::{Acceptor, Incoming};
pub use block::block_on;
pub(crate) use clock::Clock;
#[cfg(feature = "rustls")]
pub(crate) use connect::{Connecting, connect};
pub use listen::{BindError, bind};
pub use memory::MemoryStream;
pub(crate) use memory::{MemoryEnd, pair};
pub(crate) use runtime::Reactor;
pub use runtime::Runtime;
pub(crate) use sleep::Sleep;
pub(crate) use socket::{Detached, Socket};
