//! What an operator can see of a node and do with it, whichever way the wish comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::base::Span;
use chat_core::cluster::{agent, wire};
use chat_net::cluster::{ClusterGone, ClusterHandle, ClusterStatus, Standing};
use chat_net::server::{Overview, ServerHandle, Stats};
use tokio::time::timeout;

use super::drain::{Cause, Drain, Pace, Tally, TooLate};
use crate::admin::{
    DomainStatus, DrainOrder, DrainStatus, NodeState, NodeStatus, PeerState, PeerStatus, Role, Status,
};
use crate::config::Config;

/// How long workers have to say how much there is. They do in microseconds, unless they are stuck.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between looks at the sessions that are left.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long sessions that left at the deadline may take to be gone.
const LATE: Duration = Duration::from_secs(2);
/// Between log lines about a drain.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// How often it looks whether this node can do its work.
const HEALTH_EVERY: Duration = Duration::from_secs(1);

/// One node, for those who run it.
pub(super) struct Operator {
    name: String,
    workers: usize,
    started: Instant,
    handle: ServerHandle,
    pub(super) drain: Drain,
    /// That of a node which steps back: it ends with the last session, and not with the process.
    stepping: Drain,
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
            started: Instant::now(),
            handle,
            drain: Drain::new(config.drain),
            stepping: Drain::new(config.drain),
        }
    }

    /// Whether traffic should come here.
    pub(super) fn healthy(&self) -> bool {
        self.standing().takes_clients() && !self.drain.is_on() && self.handle.healthy()
    }

    /// Whether it is a node of a cluster.
    pub(super) fn has_cluster(&self) -> bool {
        self.handle.cluster().is_some()
    }

    /// A lone node always takes clients.
    fn standing(&self) -> Standing {
        const ALONE: Standing = Standing { role: wire::Role::Active, steps_back: false };
        self.handle.cluster().map_or(ALONE, ClusterHandle::standing)
    }

    /// Everything, as far as the workers and the thread of the cluster say it in time.
    pub(super) async fn snapshot(&self) -> Snapshot {
        let survey = self.handle.survey();
        let all = async { tokio::join!(survey.done(), timeout(PATIENCE, self.handle.cluster_status())) };
        let cluster = match timeout(PATIENCE, all).await {
            Ok(((), Ok(Ok(cluster)))) => Some(cluster),
            _ => None,
        };
        let (overview, stats) = (survey.overview(), self.handle.stats());
        let (healthy, standing, sessions) = (self.healthy(), self.standing(), overview.sessions_total());
        let drain = self.drain_status(tally_of(&overview));
        let addresses = self.handle.cluster().map_or(&[][..], ClusterHandle::local_addrs);
        let node = NodeStatus {
            name: self.name.clone(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            role: role_of(standing.role),
            state: match (&drain, healthy) {
                (Some(_), _) => NodeState::Draining,
                (None, true) => NodeState::Up,
                (None, false) if standing.role == wire::Role::Standby && self.handle.healthy() => {
                    NodeState::Standby
                }
                (None, false) => NodeState::Ailing,
            },
            healthy,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: cluster.as_ref().map(|cluster| cluster.identity.incarnation.0),
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
        let peers = cluster.iter().flat_map(|cluster| peers(cluster, &overview)).collect();
        Snapshot { status: Status { node, peers }, overview, stats }
    }

    /// How far it has drained, for whichever reason.
    fn drain_status(&self, tally: Tally) -> Option<DrainStatus> {
        let in_cluster = self.has_cluster();
        self.drain.status(tally, in_cluster).or_else(|| self.stepping.status(tally, in_cluster))
    }

    /// Takes clients from now on.
    pub(super) async fn promote(&self) {
        self.change(|cluster| cluster.promote(), |standing| standing.takes_clients()).await;
    }

    /// Takes clients no more; those that are here leave. Nothing happens to a node without a cluster.
    pub(super) async fn step_back(&self) {
        self.change(|cluster| cluster.step_back(), |standing| !standing.takes_clients()).await;
    }

    /// Has this node's role changed, and waits until it is.
    async fn change(
        &self,
        wish: impl Fn(&ClusterHandle) -> Result<(), ClusterGone>,
        done: impl Fn(Standing) -> bool,
    ) {
        let Some(cluster) = self.handle.cluster() else { return };
        let changed = async {
            wish(cluster)?;
            let mut standing = cluster.standing();
            while !done(standing) {
                standing = cluster.standing_after(standing).await?;
            }
            Ok::<(), ClusterGone>(())
        };
        let _ = timeout(PATIENCE, changed).await;
    }

    /// Begins to drain, or joins the drain that there is.
    pub(super) fn begin_drain(&self, cause: Cause, order: DrainOrder) {
        self.drain.begin(cause, order);
        // From now on others do not count on this node.
        self.say_draining(true);
    }

    /// The same, for whoever wants to hear how far it is.
    pub(super) async fn drain(&self, order: DrainOrder) -> DrainStatus {
        self.begin_drain(Cause::Api, order);
        let tally = self.tally().await;
        // It goes on until the process ends; only a call from elsewhere can have ended it by now.
        self.drain.status(tally, self.has_cluster()).unwrap_or(DrainStatus {
            by: String::new(),
            phase: crate::admin::DrainPhase::Grace,
            left: tally.left,
            moved: 0,
            lost: 0,
            seconds_to_go: 0.0,
            revocable: true,
        })
    }

    /// Thinks better of draining.
    pub(super) fn stay(&self) -> Result<(), TooLate> {
        self.drain.call_off()?;
        self.say_draining(false);
        Ok(())
    }

    fn say_draining(&self, is_draining: bool) {
        if let Some(cluster) = self.handle.cluster() {
            // A node that has left need not say so.
            let _ = cluster.set_draining(is_draining);
        }
    }

    /// What has become of the sessions.
    pub(super) async fn tally(&self) -> Tally {
        let survey = self.handle.survey();
        let _ = timeout(PATIENCE, survey.done()).await;
        tally_of(&survey.overview())
    }

    /// Whether another node takes clients, as far as is known here.
    pub(super) async fn has_takers(&self) -> bool {
        let Some(cluster) = self.handle.cluster() else { return false };
        let takes = |peer: &agent::PeerStatus| {
            let is_there = matches!(peer.state, agent::PeerState::Up | agent::PeerState::Suspect);
            is_there && peer.role == Some(wire::Role::Active) && !peer.is_draining
        };
        let status = timeout(PATIENCE, cluster.status()).await;
        matches!(status, Ok(Ok(cluster)) if cluster.peers.iter().any(takes))
    }

    /// The grace is over. Whether sessions have somewhere to go; then they leave from now on.
    pub(super) async fn begin_leaving(&self) -> bool {
        let has_takers = self.has_takers().await;
        match has_takers {
            true => self.drain.leave(self.tally().await),
            false if self.has_cluster() => {
                tracing::warn!("no other node takes clients: all sessions are closed at once");
            }
            false => {}
        }
        has_takers
    }

    /// Lets the sessions leave, and waits until none is left or the deadline has passed.
    pub(super) async fn until_empty(&self) {
        self.empty(&self.drain, true).await;
    }

    /// The same for whichever drain it is.
    async fn empty(&self, drain: &Drain, for_good: bool) {
        while let Some(Pace { rate, within }) = drain.pace() {
            self.handle.drain(rate, within, for_good);
            let over = tokio::time::Instant::now() + within + LATE;
            loop {
                let tally = self.tally().await;
                let is_done = tally.left == 0 && tally.parcels == 0;
                if is_done || tokio::time::Instant::now() >= over {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = drain.changed() => break,
                }
            }
        }
    }

    /// Its sessions leave, as in a drain, and it goes on as a standby node; unless it is to stay after all.
    async fn step_aside(&self, cluster: &ClusterHandle, from: Standing) {
        self.stepping.begin(Cause::Role, DrainOrder::default());
        let leave = async {
            self.stepping.grace_is_over().await;
            self.stepping.leave(self.tally().await);
            self.empty(&self.stepping, false).await;
            let _ = cluster.stepped_back();
        };
        tokio::select! {
            () = leave => {}
            _ = cluster.standing_after(from) => {}
        }
        self.stepping.end();
        // What is told to end does not stay for its role's sake.
        if !self.drain.is_on() {
            self.handle.stay();
        }
    }
}

/// Lets this node's sessions leave whenever its role wants it.
pub(super) async fn follow_role(operator: Arc<Operator>) {
    let Some(cluster) = operator.handle.cluster() else { return };
    let mut standing = cluster.standing();
    loop {
        if standing.steps_back {
            operator.step_aside(cluster, standing).await;
        }
        match cluster.standing_after(standing).await {
            Ok(next) => standing = next,
            Err(ClusterGone) => return,
        }
    }
}

fn tally_of(overview: &Overview) -> Tally {
    Tally {
        left: overview.sessions_total(),
        closed: overview.counts.sessions_closed,
        moved: overview.counts.sessions_moved,
        parcels: overview.parcels,
    }
}

fn role_of(role: wire::Role) -> Role {
    match role {
        wire::Role::Active => Role::Active,
        wire::Role::Standby => Role::Standby,
    }
}

/// All other nodes, with what the workers know of their sessions.
fn peers(cluster: &ClusterStatus, overview: &Overview) -> Vec<PeerStatus> {
    let seconds = |span: Span| span.0 as f64 / 1e9;
    let peer = |peer: &agent::PeerStatus| PeerStatus {
        name: peer.name.to_string(),
        addresses: peer.addresses.iter().map(ToString::to_string).collect(),
        role: peer.role.map(role_of),
        state: match peer.state {
            agent::PeerState::Up if peer.is_ailing => PeerState::Ailing,
            agent::PeerState::Up => PeerState::Up,
            agent::PeerState::Suspect => PeerState::Suspect,
            agent::PeerState::Joining => PeerState::Joining,
            agent::PeerState::Down(_) => PeerState::Down,
        },
        reason: match peer.state {
            agent::PeerState::Down(why) => Some(why.to_string()),
            _ => None,
        },
        since: seconds(cluster.now.mono.since(peer.since)),
        draining: peer.is_draining,
        version: Some(peer.release.to_string()).filter(|release| !release.is_empty()),
        protocol: peer.version,
        incarnation: peer.incarnation.map(|incarnation| incarnation.0),
        connected: peer.is_connected,
        sessions: overview.elsewhere.get(peer.name.as_str()).copied().unwrap_or_default(),
        whole: cluster.whole.binary_search(&peer.name).is_ok(),
        delay_ms: peer.delay.map(|delay| seconds(delay) * 1e3),
        waiting_bytes: peer.kept_bytes,
    };
    cluster.peers.iter().map(peer).collect()
}

/// Tells the other nodes whether this one can do its work.
pub(super) async fn report_health(operator: Arc<Operator>) {
    let mut was_ailing = false;
    while let Some(cluster) = operator.handle.cluster() {
        let is_ailing = !operator.handle.healthy();
        if std::mem::replace(&mut was_ailing, is_ailing) != is_ailing
            && cluster.set_ailing(is_ailing).is_err()
        {
            return;
        }
        tokio::time::sleep(HEALTH_EVERY).await;
    }
}

/// Says in the log how far a drain is, as long as there is one.
pub(super) async fn report_drains(operator: Arc<Operator>) {
    loop {
        tokio::select! {
            () = operator.drain.begun() => {}
            () = operator.stepping.begun() => {}
        }
        tokio::time::sleep(PROGRESS_EVERY).await;
        let tally = operator.tally().await;
        if let Some(DrainStatus { left, moved, lost, seconds_to_go, .. }) = operator.drain_status(tally) {
            let seconds_to_go = seconds_to_go.round();
            tracing::info!(left, moved, lost, seconds_to_go, "draining");
        }
    }
}
