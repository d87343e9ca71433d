//! The outside world of the chat engine: runtimes, sockets, TLS, storage and authentication.
//!
//! `chat-core` is pure: it is told what time it is and which bytes arrived, and says what it wants done. This crate
//! does it. Each folder is usable, and tested, without the ones that come after it:
//!
//! - [`auth`]: who may log in, by accounts, tokens, a service, or anonymously;
//! - [`proxy`]: the PROXY protocol, from the balancers that are trusted;
//! - [`spawn`]: where asynchronous services run;
//! - [`store`]: users, rosters, block lists, credentials and waiting messages, in memory or in SQLite;
//! - `tls` (feature `rustls`): TLS as a pipe from bytes to bytes, without a socket.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `tokio` (default) | workers on tokio |
//! | `async-std` | workers on async-io, for async-std and smol |
//! | `rustls` (default) | TLS; it needs a provider of cryptography as well: |
//! | `aws-lc-rs`, `ring` | the two providers; with both built in, [`tls::Provider`] chooses |
//! | `jwt`, `http` | authenticators: signed tokens (by aws-lc-rs), a service that is asked |
//! | `sqlite` | the embedded store |
//! | `conformance` | [`store`]'s suite for those who write stores |
//! | `fault-injection` | faults on purpose in the embedded store, for tests |
//!
//! A feature adds something to choose and never changes what was chosen before. No type of rustls, SQLite or any
//! runtime stands in a public signature, so they can be replaced without a change for those who embed the server.
#![cfg_attr(not(feature = "rustls"), allow(rustdoc::broken_intra_doc_links))]
#![forbid(unsafe_code)]

pub mod auth;
pub mod proxy;
pub mod spawn;
pub mod store;
#[cfg(feature = "rustls")]
pub mod tls;
