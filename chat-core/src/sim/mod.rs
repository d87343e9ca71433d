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
//! # The invariants, and who checks them
//!
//! All hold for a node alone and for clusters. What is looked at all along is checked after each event, the rest when everything has
//! healed and nobody has said anything for 20 s (`on_quiet`), and in the end (`check_end`).
//!
//! | | invariant | checked by |
//! |---|---|---|
//! | 1 | nothing acknowledged is lost | `check_acked` all along, `check_messages` in the end (`is_safe`) |
//! | 2 | nothing comes twice, but with `<delay/>` | `Ledger::received` |
//! | 3 | order | `Ledger::received` (`newest`) |
//! | 4 | each registry is the union of the live sessions | `check_registries` |
//! | 5 | one live session for a full JID | `check_registries`; within a node `check_sessions`, by their number |
//! | 6 | each subscriber's last presence is the truth | `check_presence`, when quiet and in the end |
//! | 7 | nobody acts unauthenticated or in another's name; presence only for whom it is | `Ledger::received`, `Ledger::bounced` (`Fate::Forbidden`); `Client::on_presence`; `check_presence`; `note_blocked` |
//! | 8 | queues are within their limits | `check_limits` (`Engine::audit`) |
//! | 9 | no request is left pending | `check_sessions` (requests), `check_registries` (pieces), `check_acked` (a node that does not stop) |
//! | 10 | the same seed is the same run | `tests/sim.rs`: `the_same_seed_is_the_same_run` |
//! | 11 | delivered, stored or bounced, and one of these | `check_messages`, `Ledger::bounced` |
//! | 12 | without faults `h` follows, spools are empty, each iq has one reply | `check_behind`, `check_spools`, `check_queries`, `Ledger::answered` |
//! | 13 | three decisions for an envelope, errors never answer errors | `check_limits` (`Engine::audit`); `EVENTS_MAX`, as an echo of errors never ends |
//! | 14 | `h` never falls, nor passes what is settled | `Client::take_ack`, `check_acked` |
//!
//! # What is not promised, so not checked
//!
//! - (3) Order holds for what a session says at one node in one life of that node, and goes on with the session. A client that logs in anew at
//!   another node has another session: nothing ties it to the old one, whose last messages may be on their way still, so what it says
//!   may overtake them. A client that wants its order kept resumes.
//! - (2, 12) While the store says that it is overloaded, rows that were delivered are deleted later: who logs in at another node
//!   meanwhile gets them again, with a delay. And what has to be stored may be refused, or acknowledged later than in two seconds.
//! - (6) Presence beyond `loading_stanzas_max` for somebody whose record is just being read is refused, with an error to whoever said it. After a store
//!   lost an answer for good, or was away for longer than it is waited for, it may know of subscriptions and blocks of which no node does.
//! - (6) Presence said to somebody in particular, and whom it reaches in the end, if a node dies: only that one knew.
//! - (9) A request is answered within ten seconds and one answer more, so a run waits so long for its last ones.
//! - (12) A client asks nothing in the last eight seconds of a run.

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
