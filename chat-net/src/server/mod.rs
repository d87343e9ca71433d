//! A running server: how it is put together, started, spoken to and stopped.
//!
//! Owns: the builder ([`Server::builder`]), starting the workers and the acceptor on threads of their own or on the
//! caller's runtime, the handle ([`ServerHandle`]) with its events, and the orderly end.
//! In: settings, a store, authenticators, extensions, addresses. Out: a handle.
//! Invariants: nothing runs if anything is wrong with the settings; the futures of a handle need no particular
//! runtime; after [`ServerHandle::shutdown`] every stream was closed, everything is stored, and no thread, socket or
//! port is left.
//! Not here: the turn of a worker (`worker/`), sockets (`net/`), reading configuration files (`chat-bin`).

mod builder;
mod cluster;
mod events;
mod handle;
mod life;
mod mechanisms;
mod start;
mod survey;

pub use builder::{Domain, Server, ServerBuilder, StartError};
pub(crate) use events::EventHub;
pub use events::{Events, ServerEvent};
pub use handle::{Gone, SendError, ServerHandle, Stats};
pub(crate) use life::{Life, Member};
pub(crate) use survey::Form;
pub use survey::{Overview, Survey};

pub use chat_core::base::Limits;
pub use chat_core::effect::{Counts, Event};
pub use chat_core::session::Listener;
