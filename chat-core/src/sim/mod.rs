//! The simulator: one node with its clients, network and store, in virtual time, from one number.
//!
//! Owns: the [`World`], which runs everything in one thread; the [`Plan`], drawn from the seed, that says who takes
//! part and what goes wrong; the models of the network, the store, the authenticator and the clients; the [`Ledger`]
//! of what was sent and what became of it; the checks (docs/ARCHITECTURE.md).
//! In: a seed. Out: a [`Report`], or a [`Failure`] that says which invariant broke and when.
//! Invariants: the same seed gives the same run, byte for byte; nothing here reads a clock or the environment.
//! Not here: the node itself (`node/`), tests that choose seeds (`tests/sim.rs`).
//!
//! A run has two phases. In the first, things go wrong and safety is checked all along. Then everything heals: all
//! clients come back and behave, and what must become true becomes true within a bound of virtual time.

mod auth;
mod check;
mod client;
mod drive;
mod events;
mod ledger;
mod network;
mod plan;

mod store;
mod trace;
mod world;

pub use crate::effect::Plant;
pub use ledger::Ledger;
pub use plan::{Faults, Plan};
pub use world::{Failure, Report, World};
