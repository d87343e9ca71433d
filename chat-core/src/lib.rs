//! The chat engine: XMPP as pure state machines.
//!
//! Nothing here reads a clock, opens a socket, starts a thread, touches a file or asks for randomness: time,
//! bytes and the answers of stores come in as inputs, bytes and requests go out as outputs, and the same inputs
//! give the same outputs, always. `chat-net` is the driver that connects the engine to the world; the simulator
//! (feature `sim`) is another.
//!
//! The folders stand in dependency order: each may use only those above it. A test keeps that order.
#![forbid(unsafe_code)]

pub mod base;

pub mod xml;

pub mod jid;

pub mod stanza;

pub mod stream;

pub mod sasl;

pub mod effect;

pub mod session;

pub mod user;

pub mod route;

pub mod ext;

pub mod xep;

pub mod engine;

pub mod cluster;

pub mod node;

#[cfg(feature = "sim")]
pub mod sim;
