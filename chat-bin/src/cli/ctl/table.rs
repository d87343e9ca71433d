//! What people read.

use std::fmt::Write as _;

use crate::admin::{DrainPhase, DrainStatus, NodeState, NodeStatus, PeerState, PeerStatus, Role, Status};

/// The node, all others, and what each domain has.
pub(super) fn status(status: &Status) -> String {
    let Status { node, peers } = status;
    let mut rows = vec![
        ["NODE", "ADDRESS", "ROLE", "STATE", "VERSION", "INCARNATION", "SESSIONS", "DELAY", "LAG"]
            .map(str::to_owned),
        own_row(node),
    ];
    rows.extend(peers.iter().map(peer_row));
    let mut text = aligned(&rows);
    text.push('\n');
    let mut domains = vec![["DOMAIN".to_owned(), "SESSIONS".to_owned()]];
    domains.extend(node.domains.iter().map(|domain| [domain.name.clone(), domain.sessions.to_string()]));
    text.push_str(&aligned(&domains));
    let (up, workers) = (span(node.uptime), node.workers);
    let _ = write!(
        text,
        "\nup {up}, {workers} {}, {} connections, {} users in memory\n",
        if workers == 1 { "worker" } else { "workers" },
        node.connections,
        node.users
    );
    if node.silent_workers > 0 {
        let _ = writeln!(
            text,
            "{} of its workers did not answer: their numbers are missing",
            node.silent_workers
        );
    }
    for peer in peers {
        if let Some(reason) = &peer.reason {
            let _ = writeln!(text, "{} has been down for {}: {reason}", peer.name, span(peer.since));
        }
    }
    if let Some(now) = &node.drain {
        text.push_str(&drain(now));
    }
    text
}

/// How far a drain is.
pub(super) fn drain(drain: &DrainStatus) -> String {
    let DrainStatus { by, phase, left, moved, lost, seconds_to_go, .. } = drain;
    let phase = match phase {
        DrainPhase::Grace => "health check 503, clients are still served",
        DrainPhase::Leaving => "sessions leave",
        DrainPhase::Closing => "what is left is closed",
    };
    let to_go = span(*seconds_to_go);
    format!("draining (asked by {by}): {phase}; {left} left, {moved} moved, {lost} lost, {to_go} to go\n")
}

fn own_row(node: &NodeStatus) -> [String; 9] {
    let state = match node.state {
        NodeState::Up => "up",
        NodeState::Ailing => "ailing",
        NodeState::Standby => "standby",
        NodeState::Draining => "draining",
    };
    [
        format!("{} *", node.name),
        one(&node.addresses),
        role(Some(node.role)),
        state.to_owned(),
        node.version.clone(),
        node.incarnation.map_or_else(nothing, |incarnation| incarnation.to_string()),
        node.sessions.to_string(),
        nothing(),
        nothing(),
    ]
}

fn peer_row(peer: &PeerStatus) -> [String; 9] {
    let state = match peer.state {
        PeerState::Up | PeerState::Ailing if peer.draining => "draining",
        PeerState::Up => "up",
        PeerState::Ailing => "ailing",
        PeerState::Suspect => "suspect",
        PeerState::Joining => "joining",
        PeerState::Down => "down",
    };
    let lag = match (peer.connected, peer.whole) {
        (true, false) => "filling".to_owned(),
        _ => bytes(peer.waiting_bytes),
    };
    [
        peer.name.clone(),
        one(&peer.addresses),
        role(peer.role),
        state.to_owned(),
        peer.version.clone().unwrap_or_else(nothing),
        peer.incarnation.map_or_else(nothing, |incarnation| incarnation.to_string()),
        peer.sessions.to_string(),
        peer.delay_ms.map_or_else(nothing, |ms| format!("{ms:.1} ms")),
        lag,
    ]
}

fn nothing() -> String {
    "-".to_owned()
}

fn role(role: Option<Role>) -> String {
    match role {
        Some(Role::Active) => "active",
        Some(Role::Standby) => "standby",
        None => "-",
    }
    .to_owned()
}

/// The first of them, and that there are more.
fn one(addresses: &[String]) -> String {
    match addresses {
        [] => nothing(),
        [address] => address.clone(),
        [address, more @ ..] => format!("{address} +{}", more.len()),
    }
}

fn bytes(bytes: usize) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} KB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// Seconds in at most two units.
fn span(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3_600 % 24),
    }
}

/// Columns that are as wide as their widest cell, with two spaces between them.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::DomainStatus;

    fn node() -> NodeStatus {
        NodeStatus {
            name: "chat@a.example".into(),
            addresses: vec!["192.0.2.1:4369".into()],
            role: Role::Active,
            state: NodeState::Up,
            healthy: true,
            version: "0.1.0".into(),
            incarnation: Some(7),
            uptime: 3_720.4,
            workers: 2,
            silent_workers: 0,
            sessions: 12,
            connections: 13,
            users: 14,
            domains: vec![DomainStatus { name: "example".into(), sessions: 12 }],
            drain: None,
        }
    }

    fn peer() -> PeerStatus {
        PeerStatus {
            name: "chat@b.example".into(),
            addresses: vec!["192.0.2.2:4369".into(), "[2001:db8::2]:4369".into()],
            role: Some(Role::Standby),
            state: PeerState::Suspect,
            reason: None,
            since: 3.0,
            draining: false,
            version: Some("0.2.0".into()),
            protocol: Some(1),
            incarnation: Some(8),
            connected: true,
            sessions: 345,
            whole: true,
            delay_ms: Some(0.42),
            waiting_bytes: 12_345,
        }
    }

    #[test]
    fn the_status_is_a_table() {
        let gone = PeerStatus {
            name: "chat@c".into(),
            addresses: Vec::new(),
            role: None,
            state: PeerState::Down,
            reason: Some("it does not answer".into()),
            since: 61.0,
            version: None,
            incarnation: None,
            connected: false,
            sessions: 0,
            whole: false,
            delay_ms: None,
            waiting_bytes: 0,
            ..peer()
        };
        let text = status(&Status { node: node(), peers: vec![peer(), gone] });
        let expected = "\
NODE              ADDRESS            ROLE     STATE    VERSION  INCARNATION  SESSIONS  DELAY   LAG
chat@a.example *  192.0.2.1:4369     active   up       0.1.0    7            12        -       -
chat@b.example    192.0.2.2:4369 +1  standby  suspect  0.2.0    8            345       0.4 ms  12 KB
chat@c            -                  -        down     -        -            0         -       0 B

DOMAIN   SESSIONS
example  12

up 1 h 2 min, 2 workers, 13 connections, 14 users in memory
chat@c has been down for 1 min 1 s: it does not answer
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_unusual_is_told() {
        let draining = DrainStatus {
            by: "SIGTERM".into(),
            phase: DrainPhase::Grace,
            left: 3,
            moved: 0,
            lost: 0,
            seconds_to_go: 9.6,
            revocable: false,
        };
        let state = NodeState::Draining;
        let node = NodeStatus { state, silent_workers: 1, drain: Some(draining), ..node() };
        let filling = PeerStatus { whole: false, draining: true, state: PeerState::Up, ..peer() };
        let ailing =
            PeerStatus { name: "chat@c".into(), addresses: Vec::new(), state: PeerState::Ailing, ..peer() };
        let text = status(&Status { node, peers: vec![filling, ailing] });
        for part in [
            "standby  ailing ",
            "1 of its workers did not answer",
            "draining (asked by SIGTERM): health check 503, clients are still served; 3 left, 0 moved, 0 lost, 10 s to go\n",
            "0.4 ms  filling\n",
            "standby  draining ",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
