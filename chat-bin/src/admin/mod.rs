//! What is said on the backdoor: the documents of the administration API, where they are, and a client that asks for them.
//!
//! Owns: the documents ([`Status`] and its parts, [`DrainOrder`], [`Problem`]), the paths, and [`Client`].
//! In and out: JSON. Invariants: names and units of fields are part of the API, and are only ever added to; times are
//! seconds unless a name says otherwise.
//! Not here: who answers, and who may ask (`serve/backdoor`); what people read (`cli/ctl`).

mod client;
mod documents;

pub use client::{Client, ClientError};
pub use documents::{
    DomainStatus, DrainOrder, DrainPhase, DrainStatus, NodeState, NodeStatus, PeerState, PeerStatus, Problem,
    Role, Status,
};

/// The status of the node and of the cluster, as the node sees it.
pub const STATUS: &str = "/v1/status";
/// To drain the node, or to think better of it.
pub const DRAIN: &str = "/v1/drain";
/// To make a standby node active.
pub const PROMOTE: &str = "/v1/promote";
/// To make an active node a standby node.
pub const STEP_BACK: &str = "/v1/step-back";
/// Numbers in the text format of Prometheus.
pub const METRICS: &str = "/metrics";
/// The description of all this.
pub const OPENAPI: &str = "/openapi.json";
