//! Whom to dial: computed from all that is known, and compared with what was published.

use super::names::{Names, Query};
use super::{Learned, Output, Settings};
use crate::base::limits::{CLUSTER_ADDRESSES_PER_NODE_MAX, CLUSTER_NODES_MAX};
use crate::cluster::identity::NodeName;
use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Somebody to dial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A node whose name is known.
    Named(NodeName),
    /// Whoever lives at this address, which the watched DNS name lists.
    Address(SocketAddr),
}

/// What is published, and whom handshakes found where.
#[derive(Default)]
pub(super) struct Peers {
    published: BTreeMap<Peer, Vec<SocketAddr>>,
    /// Only for addresses that the watched name lists: what a handshake tells about another has its place elsewhere.
    met: BTreeMap<SocketAddr, NodeName>,
    watched: BTreeSet<SocketAddr>,
    /// Nodes of the lists that are too many.
    pub(super) listed_left_out: usize,
    watched_left_out: usize,
}

/// The names to ask DNS for.
pub(super) fn wanted(
    settings: &Settings,
    learned: &BTreeMap<NodeName, Learned>,
    names: &Names,
) -> BTreeSet<Query> {
    let nodes = settings.listed.iter().map(|n| &n.node).chain(learned.keys());
    let hosts = nodes.filter(|n| n.ip().is_none()).map(|n| Query::Addresses(n.host().into()));
    let mut wanted: BTreeSet<Query> = hosts.collect();
    if let Some(name) = &settings.dns {
        if name.starts_with('_') {
            wanted.insert(Query::Services(name.clone()));
            wanted.extend(names.services(name).iter().map(|s| Query::Addresses(s.host.clone())));
        } else {
            wanted.insert(Query::Addresses(name.clone()));
        }
    }
    wanted
}

impl Peers {
    /// A handshake told who lives at an address.
    pub(super) fn met(&mut self, address: SocketAddr, name: &NodeName) {
        if self.watched.contains(&address) {
            self.met.insert(address, name.clone());
        }
    }

    /// Whether its addresses are still its own is not known without a link.
    pub(super) fn lost(&mut self, name: &NodeName) {
        self.met.retain(|_, n| n != name);
    }

    /// How many nodes and addresses did not fit.
    pub(super) fn left_out(&self) -> usize {
        self.listed_left_out + self.watched_left_out
    }

    pub(super) fn published(&self) -> impl Iterator<Item = (&Peer, &[SocketAddr])> {
        self.published.iter().map(|(peer, addresses)| (peer, addresses.as_slice()))
    }

    /// Computes whom to dial, and says what is different from last time.
    pub(super) fn publish(
        &mut self,
        settings: &Settings,
        learned: &BTreeMap<NodeName, Learned>,
        names: &Names,
        outputs: &mut VecDeque<Output>,
    ) {
        self.watch(settings, names);
        let mut named: BTreeMap<NodeName, BTreeSet<SocketAddr>> = BTreeMap::new();
        for node in &settings.listed {
            let addresses = resolve(names, &node.node, node.port.unwrap_or(settings.port));
            named.entry(node.node.clone()).or_default().extend(addresses);
        }
        for (name, node) in learned {
            let addresses = resolve(names, name, node.port.unwrap_or(settings.port));
            named.entry(name.clone()).or_default().extend(addresses.chain(node.addresses.iter().copied()));
        }
        for (address, name) in self.met.iter().filter(|(_, name)| **name != settings.own) {
            named.entry(name.clone()).or_default().insert(*address);
        }
        let taken: BTreeSet<SocketAddr> = named.values().flatten().chain(self.met.keys()).copied().collect();
        let nameless = self.watched.difference(&taken).map(|a| (Peer::Address(*a), vec![*a]));
        let named = named.into_iter().filter(|(_, addresses)| !addresses.is_empty());
        let named = named.map(|(name, addresses)| {
            (Peer::Named(name), addresses.into_iter().take(CLUSTER_ADDRESSES_PER_NODE_MAX).collect())
        });
        let peers: BTreeMap<Peer, Vec<SocketAddr>> = named.chain(nameless).collect();
        let before = std::mem::take(&mut self.published);
        for peer in before.keys().filter(|p| !peers.contains_key(p)) {
            outputs.push_back(Output::Forget { peer: peer.clone() });
        }
        for (peer, addresses) in peers.iter().filter(|(p, a)| before.get(p) != Some(a)) {
            outputs.push_back(Output::Dial { peer: peer.clone(), addresses: addresses.clone() });
        }
        self.published = peers;
    }

    /// What the watched name lists now.
    fn watch(&mut self, settings: &Settings, names: &Names) {
        let mut watched: BTreeSet<SocketAddr> = match &settings.dns {
            None => BTreeSet::new(),
            Some(name) if name.starts_with('_') => {
                let services = names.services(name).iter();
                let at = |s: &super::Service| {
                    let port = s.port;
                    let ips = names.addresses(&s.host).iter().take(CLUSTER_ADDRESSES_PER_NODE_MAX);
                    ips.map(move |ip| SocketAddr::new(*ip, port))
                };
                services.flat_map(at).collect()
            }
            Some(name) => {
                names.addresses(name).iter().map(|ip| SocketAddr::new(*ip, settings.port)).collect()
            }
        };
        self.watched_left_out = watched.len().saturating_sub(CLUSTER_NODES_MAX);
        while watched.len() > CLUSTER_NODES_MAX {
            watched.pop_last();
        }
        self.met.retain(|address, _| watched.contains(address));
        self.watched = watched;
    }
}

fn resolve(names: &Names, node: &NodeName, port: u16) -> impl Iterator<Item = SocketAddr> {
    let ips = match node.ip() {
        Some(ip) => vec![ip],
        None => names.addresses(node.host()).to_vec(),
    };
    ips.into_iter().map(move |ip| SocketAddr::new(ip, port))
}
