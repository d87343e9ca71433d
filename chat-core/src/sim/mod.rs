//! The simulator: a node alone, or a cluster, with its clients, network and store, in virtual time, from one number.
//!
//! Owns: the [`World`], which runs everything in one thread; the [`Plan`], drawn from the seed, that says who takes
//! part and what goes wrong; the models of the network, of the links between nodes, of the store, the authenticator and the
//! clients; the [`Ledger`] of what was sent and what became of it; the checks (docs/ARCHITECTURE.md).
//! In: a seed. Out: a [`Report`], or a [`Failure`] that says which invariant broke and when.
//! Invariants: the same seed gives the same run, byte for byte; nothing here reads a clock or the environment.
//! Not here: the nodes themselves (`node/`), tests that choose seeds (`tests/sim.rs`).
//!
//! A run has two phases. In the first, things go wrong and safety is checked all along. Then everything heals: all
//! clients come back and behave, and what must become true becomes true within a bound of virtual time. Before the last word of
//! everybody there is a while in which nobody says anything: what each then sees of the others is what it was told along the way.
//!
//! In a cluster, one to six nodes share the store. A client is sent to any node that takes clients, after a loss to another one
//! or back to where it was, as the seed has it; two of one user may ask for the same name. Nodes die, in the middle of anything,
//! and begin another life; they are stopped and go on; their clocks are wrong and jump; they list some of each other; some wait
//! on standby until too few are active; some are of the release before, and come back as this one, or the other way round; they
//! step back, or send their sessions away before they stop; links are slow, cut into pieces, reset, flap, and carry nothing in
//! one direction or both, between two nodes or two halves.
//!
//! # What of a cluster is not checked yet
//!
//! - (3) Order holds for all that a sender says at one node in one life of that node, not across a new login at another: there a
//!   session cannot be resumed.

mod auth;
mod check;
mod client;
mod drive;
mod events;
mod fabric;
mod ledger;
mod network;
mod plan;
mod registry;
mod server;
mod store;
mod trace;
mod world;

pub use crate::effect::Plant;
pub use ledger::Ledger;
pub use plan::{ClusterPlan, Faults, Harm, Plan, Roamer};
pub use world::{Failure, Report, World};
