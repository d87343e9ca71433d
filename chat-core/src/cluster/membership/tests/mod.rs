//! Many nodes in virtual time in one thread.

mod convergence;
mod detection;
mod rules;
mod world;
