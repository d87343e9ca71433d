//! What is measured of the engine alone: a [`rig`] of engines and clients in memory (two nodes of a cluster: [`twins`]), and the workloads ([`work`]) that
//! are timed (`benches/timing.rs`) and whose instructions are counted (`benches/instructions.rs`). The tests in
//! `tests/memory` use the rig, too, with an allocator that counts ([`meter`]). A [`crew`] is engines on threads
//! (`benches/scale.rs`).

pub mod crew;
pub mod meter;
pub mod rig;
pub mod twins;
pub mod work;
