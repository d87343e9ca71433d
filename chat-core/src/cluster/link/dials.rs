//! Where to dial: the addresses of peers, in turn, and those of whom only an address is known.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use super::backoff::Backoff;
use crate::base::limits::LinkLimits;
use crate::base::{Mono, Rng};
use crate::cluster::discovery::Peer;
use crate::cluster::identity::NodeName;

/// Addresses of the peers that are to be dialled.
#[derive(Debug, Default)]
pub(super) struct Dials {
    named: BTreeMap<NodeName, Addresses>,
    strangers: BTreeMap<SocketAddr, Stranger>,
}

#[derive(Debug)]
struct Addresses {
    all: Vec<SocketAddr>,
    next: usize,
}

/// Whoever lives at an address. Once that is known it is dialled no more: discovery says what comes of it.
#[derive(Debug, Default)]
struct Stranger {
    dialling: bool,
    met: bool,
    at: Mono,
    backoff: Backoff,
}

impl Dials {
    pub(super) fn want(&mut self, now: Mono, peer: Peer, addresses: &[SocketAddr]) {
        match peer {
            Peer::Named(name) => {
                self.named.insert(name, Addresses { all: addresses.to_vec(), next: 0 });
            }
            Peer::Address(address) => {
                let stranger = self.strangers.entry(address).or_default();
                stranger.met = false;
                stranger.at = now;
            }
        }
    }

    pub(super) fn forget(&mut self, peer: &Peer) {
        match peer {
            Peer::Named(name) => drop(self.named.remove(name)),
            Peer::Address(address) => drop(self.strangers.remove(address)),
        }
    }

    /// The address of a named peer that is to be tried next.
    pub(super) fn next_address(&mut self, name: &NodeName) -> Option<SocketAddr> {
        let addresses = self.named.get_mut(name)?;
        let address = addresses.all.get(addresses.next % addresses.all.len().max(1)).copied();
        addresses.next = addresses.next.wrapping_add(1);
        address
    }

    /// An attempt at an address came to nothing, or to somebody.
    pub(super) fn ended(
        &mut self,
        now: Mono,
        address: SocketAddr,
        met: bool,
        limits: &LinkLimits,
        rng: &mut Rng,
    ) {
        if let Some(stranger) = self.strangers.get_mut(&address) {
            stranger.dialling = false;
            stranger.met = met;
            stranger.at = now + stranger.backoff.next(limits, rng);
        }
    }

    /// The next address without a name that is to be dialled now.
    pub(super) fn poll_due(&mut self, now: Mono) -> Option<SocketAddr> {
        let (address, stranger) = self.strangers.iter_mut().find(|(_, s)| s.is_due(now))?;
        stranger.dialling = true;
        Some(*address)
    }

    pub(super) fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let waiting = self.strangers.values().filter(|s| !s.dialling && !s.met);
        waiting.map(|s| (s.at, "an address of the cluster is to be dialled")).min()
    }
}

impl Stranger {
    fn is_due(&self, now: Mono) -> bool {
        !self.dialling && !self.met && now >= self.at
    }
}
