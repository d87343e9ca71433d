//! The documents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A node and its cluster, as that node sees them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The node that was asked.
    pub node: NodeStatus,
    /// All other nodes that it knows of, by name. Empty without a cluster.
    pub peers: Vec<PeerStatus>,
}

/// Whether a node takes clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It does.
    Active,
    /// It waits until it is needed.
    Standby,
}

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It serves clients.
    Up,
    /// Something is wrong, so the health check wants no traffic: the log says what.
    Ailing,
    /// It waits until it is needed.
    Standby,
    /// Its clients go elsewhere, and then it ends or becomes a standby node.
    Draining,
}

/// The node that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeStatus {
    /// Its name, `name@host`.
    pub name: String,
    /// Where other nodes reach it; empty without a cluster.
    pub addresses: Vec<String>,
    /// Its role.
    pub role: Role,
    /// What it is doing.
    pub state: NodeState,
    /// Whether the health check says 200.
    pub healthy: bool,
    /// Its release.
    pub version: String,
    /// Which of its lives this is in the cluster; nothing without one.
    pub incarnation: Option<u64>,
    /// Seconds since its start.
    pub uptime: f64,
    /// Its worker threads.
    pub workers: usize,
    /// Workers that did not answer in time: then the numbers below lack theirs.
    pub silent_workers: usize,
    /// Sessions, connected or waiting to be resumed.
    pub sessions: usize,
    /// Connections of clients, in whatever phase.
    pub connections: usize,
    /// Users in memory.
    pub users: usize,
    /// What each domain has, by name.
    pub domains: Vec<DomainStatus>,
    /// How far it has drained, if it drains.
    pub drain: Option<DrainStatus>,
}

/// What a domain has on the node that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DomainStatus {
    /// Its name.
    pub name: String,
    /// Sessions, connected or waiting to be resumed.
    pub sessions: usize,
}

/// How another node stands, in the eyes of the one that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// It takes part.
    Up,
    /// It takes part, and says that it cannot do its work.
    Ailing,
    /// It takes part, but did not answer somebody lately.
    Suspect,
    /// It is known and has not taken part yet.
    Joining,
    /// It has taken part, or others say that it did.
    Down,
}

/// Another node, in the eyes of the one that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerStatus {
    /// Its name, `name@host`.
    pub name: String,
    /// Where it is dialled; empty if it dials.
    pub addresses: Vec<String>,
    /// Its role, if it has told.
    pub role: Option<Role>,
    /// How it stands.
    pub state: PeerState,
    /// Why it is down.
    pub reason: Option<String>,
    /// Seconds for which it has stood like this.
    pub since: f64,
    /// Whether it gives its sessions away.
    pub draining: bool,
    /// Its release, if it has told.
    pub version: Option<String>,
    /// The protocol version of its link.
    pub protocol: Option<u16>,
    /// Which of its lives this is.
    pub incarnation: Option<u64>,
    /// Whether there is a connection to it.
    pub connected: bool,
    /// Its sessions that are known here.
    pub sessions: usize,
    /// Whether all its sessions are known here, but for what is on its way.
    pub whole: bool,
    /// Milliseconds that it took to answer over its link the last time.
    pub delay_ms: Option<f64>,
    /// Bytes that wait for it, sent and not receipted, or not sent: how far it is behind.
    pub waiting_bytes: usize,
}

/// How a drain is to be carried out. What is left out is as configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainOrder {
    /// Seconds for which the health check says 503 before anything else happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86400)]
    pub grace: Option<f64>,
    /// Sessions that leave in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000000)]
    pub rate: Option<u32>,
    /// Seconds after the grace after which all that are left leave at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86400)]
    pub deadline: Option<f64>,
}

/// Where a drain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DrainPhase {
    /// The health check says 503; clients are still served, also new ones.
    Grace,
    /// Sessions leave.
    Leaving,
    /// What is left is closed and stored.
    Closing,
}

/// How far a drain has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrainStatus {
    /// Who asked for it: a signal, or the API.
    pub by: String,
    /// Where it stands.
    pub phase: DrainPhase,
    /// Sessions that are still here.
    pub left: usize,
    /// Sessions that went on at another node.
    pub moved: usize,
    /// Sessions that were closed, since no other node could have them.
    pub lost: usize,
    /// Seconds until it is over at the latest, as far as can be told.
    pub seconds_to_go: f64,
    /// Whether it can still be called off.
    pub revocable: bool,
}

/// Why something was not done (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of trouble it is, in a few words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong, and what may help.
    pub detail: String,
}
