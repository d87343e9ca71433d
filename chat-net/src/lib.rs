//! The outside world of the chat engine: runtimes, sockets, TLS, storage and authentication.
//!
//! `chat-core` is pure: it is told what time it is and which bytes arrived, and says what it wants done. This crate
//! does it. Whoever embeds a chat server begins with [`server`]. The other folders are usable, and tested, without it:
//!
//! - [`auth`]: who may log in, by accounts, tokens, a service, or anonymously;
//! - `cluster` (feature `rustls`): a node's part in a cluster, and the sockets of the links between nodes;
//! - [`net`]: sockets, timers and threads, the same on every runtime; the in-memory transport;
//! - [`proxy`]: the PROXY protocol, from the balancers that are trusted;
//! - [`spawn`]: where asynchronous services run;
//! - [`store`]: users, rosters, block lists, credentials and waiting messages, in memory, in SQLite or in PostgreSQL;
//! - `tls` (feature `rustls`): TLS as a pipe from bytes to bytes, without a socket.
//!
//! A private one, `worker`, is the loop that drives an engine: every connection of a server lives in it.
//!
//! ```
//! use chat_net::server::{Domain, Event, Listener, Server, ServerEvent};
//! use std::io::Write;
//!
//! // Accounts and messages in memory, and logins without TLS: for a test, not for the world.
//! let server = Server::builder()
//!     .domain(Domain::new("localhost").plaintext(true))
//!     .account("juliet@localhost", "wherefore")
//!     .listen(Listener::Clients, "127.0.0.1:0".parse()?)
//!     .start()?;
//! println!("clients connect to {:?}", server.local_addr(Listener::Clients));
//!
//! // The handle tells what happens, speaks, and has connections inside the process.
//! let mut events = server.events();
//! let mut stranger = server.connect_memory()?;
//! stranger.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
//! let Some(ServerEvent::Engine(Event::StreamError { condition, .. })) = events.recv_blocking() else { panic!() };
//! assert_eq!(condition, "not-well-formed");
//!
//! server.shutdown_blocking();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/EMBEDDING.md` shows every way of embedding, and `examples/` has a program for each.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `tokio` (default) | workers on tokio, beside threads without a runtime |
//! | `async-std` | workers on async-io, for async-std and smol |
//! | `rustls` (default) | TLS; it needs a provider of cryptography as well: |
//! | `aws-lc-rs`, `ring` | the two providers; with both built in, [`tls::Provider`] chooses |
//! | `dns` | a resolver of our own for the names of a cluster's nodes, with SRV records; implies `tokio` and `rustls` |
//! | `jwt`, `http` | authenticators: signed tokens (by aws-lc-rs), a service that is asked |
//! | `sqlite` | the embedded store |
//! | `postgres` | the store that nodes share; implies `tokio` and `rustls` |
//! | `conformance` | [`store`]'s suite for those who write stores; with `postgres`, private servers for tests |
//! | `fault-injection` | faults on purpose in the embedded store, for tests |
//!
//! A feature adds something to choose and never changes what was chosen before. No type of rustls, SQLite, PostgreSQL or
//! any runtime stands in a public signature, so they can be replaced without a change for those who embed the server.
#![cfg_attr(not(feature = "rustls"), allow(rustdoc::broken_intra_doc_links))]
#![forbid(unsafe_code)]

pub mod auth;
#[cfg(feature = "rustls")]
pub mod cluster;
pub mod net;
pub mod proxy;
pub mod server;
pub mod spawn;
pub mod store;
#[cfg(feature = "rustls")]
pub mod tls;
mod worker;

/// The engine; all its words are public. Whoever writes an [extension](ext) needs [`stanza`] and [`xml`] beside it.
pub use chat_core;
pub use chat_core::{ext, jid, stanza, xml};

/// What docs/EMBEDDING.md shows is compiled, and run where that makes sense, by the tests of a build with every feature.
#[cfg(all(
    doctest,
    feature = "async-std",
    feature = "http",
    feature = "jwt",
    feature = "postgres",
    feature = "sqlite"
))]
#[doc = include_str!("../../docs/EMBEDDING.md")]
pub struct Embedding;
