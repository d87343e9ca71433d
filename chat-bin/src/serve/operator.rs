//! What an operator can see of a node and do with it, whichever way the wish comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_net::server::{Overview, ServerHandle, Stats};
use tokio::time::timeout;

use super::drain::{Cause, Drain, TooLate};
use crate::admin::{DomainStatus, DrainOrder, DrainStatus, NodeState, NodeStatus, PeerStatus, Role, Status};
use crate::config::{self, Config};

/// How long workers have to say how much there is. They do in microseconds, unless they are stuck.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between log lines about a drain.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// One node, for those who run it.
pub(super) struct Operator {
    name: String,
    workers: usize,
    /// What it was started as.
    role: Role,
    started: Instant,
    handle: ServerHandle,
    pub(super) drain: Drain,
}

/// Everything about a node at one moment.
pub(super) struct Snapshot {
    pub(super) status: Status,
    pub(super) overview: Overview,
    pub(super) stats: Stats,
}

impl Operator {
    /// Of a node that has just been started with this configuration.
    pub(super) fn new(config: &Config, handle: ServerHandle) -> Operator {
        Operator {
            name: config.node.to_string(),
            workers: config.workers,
            role: match config.cluster.role {
                config::Role::Standby if config.cluster.is_on() => Role::Standby,
                _ => Role::Active,
            },
            started: Instant::now(),
            handle,
            drain: Drain::new(config.drain),
        }
    }

    /// Whether traffic should come here.
    pub(super) fn healthy(&self) -> bool {
        self.role == Role::Active && !self.drain.is_on() && self.handle.healthy()
    }

    /// Everything, as far as the workers say it in time.
    pub(super) async fn snapshot(&self) -> Snapshot {
        let survey = self.handle.survey();
        let _ = timeout(PATIENCE, survey.done()).await;
        let (overview, stats) = (survey.overview(), self.handle.stats());
        let (healthy, sessions) = (self.healthy(), overview.sessions_total());
        let drain = self.drain.status(sessions);
        let node = NodeStatus {
            name: self.name.clone(),
            addresses: Vec::new(),
            role: self.role,
            state: match (&drain, healthy) {
                (Some(_), _) => NodeState::Draining,
                (None, true) => NodeState::Up,
                (None, false) => NodeState::Ailing,
            },
            healthy,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: None,
            uptime: self.started.elapsed().as_secs_f64(),
            workers: self.workers,
            silent_workers: overview.silent,
            sessions,
            connections: stats.connections,
            users: overview.users,
            domains: (overview.sessions.iter())
                .map(|(name, sessions)| DomainStatus { name: name.clone(), sessions: *sessions })
                .collect(),
            drain,
        };
        Snapshot { status: Status { node, peers: self.peers() }, overview, stats }
    }

    /// A lone node has none.
    fn peers(&self) -> Vec<PeerStatus> {
        Vec::new()
    }

    /// Begins to drain, or joins the drain that there is.
    pub(super) async fn drain(&self, order: DrainOrder) -> DrainStatus {
        self.drain.begin(Cause::Api, order);
        let sessions = self.sessions().await;
        // It goes on until the process ends; only a call from elsewhere can have ended it by now.
        self.drain.status(sessions).unwrap_or(DrainStatus {
            by: String::new(),
            phase: crate::admin::DrainPhase::Grace,
            left: sessions,
            moved: 0,
            lost: 0,
            seconds_to_go: 0.0,
            revocable: true,
        })
    }

    /// Thinks better of draining.
    pub(super) fn stay(&self) -> Result<(), TooLate> {
        self.drain.call_off()
    }

    /// The sessions that are here.
    pub(super) async fn sessions(&self) -> usize {
        let survey = self.handle.survey();
        let _ = timeout(PATIENCE, survey.done()).await;
        survey.overview().sessions_total()
    }
}

/// Says in the log how far a drain is, as long as there is one.
pub(super) async fn report_drains(operator: Arc<Operator>) {
    loop {
        operator.drain.begun().await;
        tokio::time::sleep(PROGRESS_EVERY).await;
        let sessions = operator.sessions().await;
        if let Some(DrainStatus { left, moved, lost, seconds_to_go, .. }) = operator.drain.status(sessions) {
            let seconds_to_go = seconds_to_go.round();
            tracing::info!(left, moved, lost, seconds_to_go, "draining");
        }
    }
}
