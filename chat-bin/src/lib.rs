//! The `chat` binary as a library, so that tests reach its parts.
//!
//! Owns: the configuration ([`config`]), the store that it names ([`store`]), accounts by hand ([`users`]), what is said
//! on the backdoor ([`admin`]), a node as a process ([`serve`]) and the command line ([`cli`]). Each may use those named before it.
//! Does **not** belong here: the engine (chat-core), and sockets, stores and authentication (chat-net).

pub mod admin;
pub mod cli;
pub mod config;
mod failure;
mod files;
pub mod serve;
pub mod store;
pub mod users;

pub use failure::Failure;
