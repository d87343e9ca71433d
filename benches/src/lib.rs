//! What measures: `chat-load`, a load tool that speaks plain XMPP to any server, and beside it (in `benches/`) the micro
//! benchmarks of the engine.
//!
//! The tool is one thread around one epoll with thousands of connections, and no more XML than tags and quotes, so that
//! a message costs it less than the fastest server. `README.md` says how to use it.

pub mod cli;
pub mod measure;
pub mod net;
pub mod relay;
pub mod report;
pub mod swarm;
pub mod work;
pub mod xmpp;
