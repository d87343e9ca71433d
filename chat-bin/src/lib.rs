//! The `chat` binary as a library, so that tests reach its parts.
//!
//! Owns: the configuration ([`config`]) and the command line ([`cli`]). Does **not** belong here: the engine
//! (chat-core), and sockets, stores and authentication (chat-net).

pub mod cli;
pub mod config;
