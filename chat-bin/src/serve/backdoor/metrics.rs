//! Numbers in the text format of Prometheus (version 0.0.4).
//!
//! They are made when somebody asks, of plain numbers that the workers and the drivers count anyway
//! (docs/decisions/0016-metrics-by-hand.md). Names and labels are part of the API.

use std::fmt::{Display, Write as _};

use crate::admin::{NodeStatus, PeerState, PeerStatus, Role};
use crate::serve::operator::Snapshot;

/// The page.
pub(super) fn write(snapshot: &Snapshot) -> String {
    let mut page = Page(String::new());
    node(&mut page, &snapshot.status.node);
    traffic(&mut page, snapshot);
    cluster(&mut page, &snapshot.status.peers);
    page.0
}

fn node(page: &mut Page, node: &NodeStatus) {
    page.gauge("chat_info", "What runs; always 1.");
    page.value("chat_info", &[("version", &node.version), ("name", &node.name)], 1);
    page.one_gauge("chat_uptime_seconds", "Seconds since the start.", node.uptime);
    page.one_gauge("chat_healthy", "Whether the health check says 200.", u8::from(node.healthy));
    page.one_gauge("chat_active", "Whether the role is active.", u8::from(node.role == Role::Active));
    page.one_gauge("chat_workers", "Worker threads.", node.workers);
    page.one_gauge("chat_workers_silent", "Workers that did not answer in time.", node.silent_workers);
    page.gauge("chat_sessions", "Sessions, connected or waiting to be resumed.");
    for domain in &node.domains {
        page.value("chat_sessions", &[("domain", &domain.name)], domain.sessions);
    }
    page.one_gauge("chat_connections", "Connections of clients, in whatever phase.", node.connections);
    page.one_gauge("chat_users", "Users in memory.", node.users);
    let drain = node.drain.as_ref();
    page.one_gauge("chat_draining", "Whether the node drains.", u8::from(drain.is_some()));
    if let Some(drain) = drain {
        page.gauge("chat_drain_sessions", "Sessions that the drain has left here, moved and lost.");
        for (fate, sessions) in [("left", drain.left), ("moved", drain.moved), ("lost", drain.lost)] {
            page.value("chat_drain_sessions", &[("fate", fate)], sessions);
        }
        page.one_gauge("chat_drain_seconds", "Seconds until the drain is over.", drain.seconds_to_go);
    }
}

fn traffic(page: &mut Page, snapshot: &Snapshot) {
    let (counts, stats) = (&snapshot.overview.counts, &snapshot.stats);
    page.counter("chat_stanzas_received_total", "Stanzas from clients.");
    for (kind, stanzas) in [
        ("message", counts.messages_received),
        ("presence", counts.presences_received),
        ("iq", counts.iqs_received),
    ] {
        page.value("chat_stanzas_received_total", &[("kind", kind)], stanzas);
    }
    for (name, help, count) in [
        (
            "chat_messages_delivered_total",
            "Messages that found sessions here, errors too.",
            counts.messages_delivered,
        ),
        ("chat_messages_kept_total", "Messages stored for lack of a session.", counts.messages_kept),
        ("chat_bounces_total", "Stanzas that came back to their sender as an error.", counts.bounces),
        ("chat_stanzas_mailed_total", "Stanzas from one worker to another.", counts.stanzas_mailed),
        ("chat_parcels_sent_total", "Stanzas to other nodes.", counts.parcels_sent),
        ("chat_parcels_received_total", "Stanzas from other nodes.", counts.parcels_received),
        ("chat_store_requests_total", "Questions to the store.", counts.store_requests),
        ("chat_account_requests_total", "Questions to the authenticators.", counts.account_requests),
        ("chat_connections_accepted_total", "Connections accepted.", stats.accepted),
        ("chat_connections_moved_total", "Connections moved to their user's worker.", stats.moved),
        ("chat_guest_turns_total", "Turns of workers given by others.", stats.guest_turns),
        ("chat_worker_panics_total", "Panics of workers.", stats.panics),
    ] {
        page.counter(name, help);
        page.value(name, &[], count);
    }
    page.one_gauge("chat_requests", "Questions without answer.", snapshot.overview.requests);
    page.one_gauge(
        "chat_parcels",
        "Stanzas that went to other nodes and have no result yet.",
        snapshot.overview.parcels,
    );
    page.one_gauge("chat_mail_bytes", "Bytes of mail between workers that waits.", stats.mail_bytes);
    page.one_gauge("chat_letters", "Letters that wait for workers.", stats.letters);
}

fn cluster(page: &mut Page, peers: &[PeerStatus]) {
    page.gauge("chat_peers", "Other nodes, by how they stand.");
    for (name, state) in [
        ("up", PeerState::Up),
        ("ailing", PeerState::Ailing),
        ("suspect", PeerState::Suspect),
        ("joining", PeerState::Joining),
        ("down", PeerState::Down),
    ] {
        let peers = peers.iter().filter(|peer| peer.state == state).count();
        page.value("chat_peers", &[("state", name)], peers);
    }
    if peers.is_empty() {
        return;
    }
    let mut each = |name, help, number: &dyn Fn(&PeerStatus) -> Option<f64>| {
        page.gauge(name, help);
        for peer in peers {
            if let Some(number) = number(peer) {
                page.value(name, &[("peer", &peer.name)], number);
            }
        }
    };
    let flag = |is_so: bool| Some(f64::from(u8::from(is_so)));
    each("chat_peer_up", "Whether the node takes part.", &|peer| {
        flag(matches!(peer.state, PeerState::Up | PeerState::Ailing))
    });
    each("chat_peer_connected", "Whether there is a connection to it.", &|peer| flag(peer.connected));
    each("chat_peer_delay_seconds", "How long it took to answer.", &|peer| {
        peer.delay_ms.map(|ms| ms / 1000.0)
    });
    each("chat_peer_waiting_bytes", "Bytes that wait for it.", &|peer| Some(peer.waiting_bytes as f64));
    each("chat_peer_sessions", "Its sessions that are known here.", &|peer| Some(peer.sessions as f64));
    each("chat_peer_whole", "Whether all its sessions are known here.", &|peer| flag(peer.whole));
}

/// What is written.
struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn counter(&mut self, name: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} counter");
    }

    fn one_gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.gauge(name, help);
        self.value(name, &[], value);
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if i == 0 { '{' } else { ',' });
            for letter in text.chars() {
                match letter {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page(String::new());
        page.gauge("a", "Of something.");
        page.value("a", &[("b", "x\"y\\z\n"), ("c", "d")], 1.5);
        page.value("a", &[], 2);
        let text = "# HELP a Of something.\n# TYPE a gauge\na{b=\"x\\\"y\\\\z\\n\",c=\"d\"} 1.5\na 2\n";
        assert_eq!(page.0, text);
    }
}
