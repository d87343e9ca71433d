//! Agents in a world of their own: rules one at a time, how long it takes until all know, and random faults.

mod detection;
mod faults;
mod life;
mod machine;
mod rules;
mod world;
