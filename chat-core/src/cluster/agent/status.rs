//! What people want to know of the other nodes.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::Agent;
use super::peer::Down;
use crate::base::{Mono, Span};
use crate::cluster::discovery::Peer;
use crate::cluster::identity::{Incarnation, NodeName};
use crate::cluster::membership::{MemberView, Seen};
use crate::cluster::wire::Role;

/// How another node stands, in the eyes of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// It takes part.
    Up,
    /// It takes part, but did not answer somebody lately.
    Suspect,
    /// It is known, and has not taken part since it or this node started.
    Joining,
    /// It has taken part, or others say that it did.
    Down(Down),
}

/// Another node, as `chat ctl status` and the metrics show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its name.
    pub name: NodeName,
    /// Where it is dialled, sorted; none if it dials this node.
    pub addresses: Vec<SocketAddr>,
    /// Whether it takes clients, if it has said so.
    pub role: Option<Role>,
    /// Whether it gives its sessions away.
    pub is_draining: bool,
    /// Whether it says that it cannot do its work.
    pub is_ailing: bool,
    /// Its release, if it has said so; else empty.
    pub release: SmolStr,
    /// How it stands.
    pub state: PeerState,
    /// Since when, on the clock that inputs come with.
    pub since: Mono,
    /// Its latest life that was heard of.
    pub incarnation: Option<Incarnation>,
    /// The protocol version of the last connection.
    pub version: Option<u16>,
    /// Whether there is a connection.
    pub is_connected: bool,
    /// How long it took to answer the last time it was asked over the link.
    pub delay: Option<Span>,
    /// Bytes that wait for it, sent and not receipted, or not sent.
    pub kept_bytes: usize,
}

impl Agent {
    /// All other nodes that are known by name, in order.
    pub fn peers(&self) -> Vec<PeerStatus> {
        let members: BTreeMap<NodeName, MemberView> =
            self.membership.members().into_iter().map(|m| (m.name.clone(), m)).collect();
        let dialled: BTreeMap<&NodeName, &[SocketAddr]> = (self.discovery.peers())
            .filter_map(|(peer, addresses)| match peer {
                Peer::Named(name) => Some((name, addresses)),
                Peer::Address(_) => None,
            })
            .collect();
        let links = self.links.iter().map(|(name, _)| name);
        let names: BTreeSet<&NodeName> =
            links.chain(self.peers.keys()).chain(members.keys()).chain(dialled.keys().copied()).collect();
        let status = |name: &&NodeName| {
            self.peer_status(name, members.get(*name), dialled.get(*name).copied().unwrap_or_default())
        };
        names.iter().map(status).collect()
    }

    /// Addresses of the watched DNS name of which nobody knows yet who is there.
    pub fn nameless(&self) -> Vec<SocketAddr> {
        let address = |peer: &Peer| if let Peer::Address(address) = peer { Some(*address) } else { None };
        self.discovery.peers().filter_map(|(peer, _)| address(peer)).collect()
    }

    fn peer_status(
        &self,
        name: &NodeName,
        member: Option<&MemberView>,
        addresses: &[SocketAddr],
    ) -> PeerStatus {
        let link = self.links.get(name);
        let state = link.map(|link| link.state());
        let peer = self.peers.get(name);
        let life = link.and_then(|link| link.peer()).map(|life| life.incarnation);
        PeerStatus {
            name: name.clone(),
            addresses: addresses.to_vec(),
            role: peer.and_then(|p| p.role),
            is_draining: peer.is_some_and(|p| p.is_draining),
            is_ailing: peer.is_some_and(|p| p.is_ailing),
            release: peer.map(|p| p.release.clone()).unwrap_or_default(),
            state: match (peer, member.map(|m| m.seen)) {
                (Some(p), Some(Seen::Suspect)) if p.is_up => PeerState::Suspect,
                (Some(p), _) if p.is_up => PeerState::Up,
                (Some(p), _) if p.down.is_some() => PeerState::Down(p.down.unwrap_or(Down::Silent)),
                (_, Some(Seen::Down)) => PeerState::Down(Down::Silent),
                _ => PeerState::Joining,
            },
            since: peer.map(|p| p.since).or(state.map(|s| s.since)).unwrap_or_default(),
            incarnation: life.max(member.map(|m| m.incarnation)),
            version: state.map(|s| s.version).filter(|version| *version > 0),
            is_connected: state.is_some_and(|s| s.connected),
            delay: state.and_then(|s| s.delay),
            kept_bytes: state.map_or(0, |s| s.kept_bytes),
        }
    }
}
