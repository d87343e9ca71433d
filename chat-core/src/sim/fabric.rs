//! What lies between the simulated nodes: connections, a DNS, and what goes wrong with both.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use crate::base::{Mono, RequestId};
use crate::cluster::discovery::{Peer, Query};
use crate::cluster::link::LinkConn;
use crate::cluster::testing::Wire;

/// The port of all nodes.
pub(super) const PORT: u16 = 4369;

/// The address of a server.
pub(super) fn address(server: usize) -> IpAddr {
    IpAddr::from([198, 51, 100, server as u8 + 1])
}

/// Something that happens between the nodes.
#[derive(Debug)]
pub(super) enum Between {
    /// Bytes that this end has sent arrive, or its end.
    Arrive { wire: u64, from: usize },
    /// A dial reaches the other machine.
    Dialled { server: usize, life: u32, peer: Peer, address: SocketAddr },
    /// Or it came to nothing.
    DialFailed { server: usize, life: u32, peer: Peer },
    /// TLS stands at this end.
    Secured { wire: u64, end: usize, meant: Option<(Peer, SocketAddr)> },
    /// DNS answers.
    Resolved { server: usize, life: u32, id: RequestId, query: Query },
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Fabric {
    pub(super) wires: BTreeMap<u64, Wire>,
    counted: u64,
    /// Directions that carry nothing, and until when.
    cuts: BTreeMap<(usize, usize), Mono>,
    /// Until when names do not resolve.
    pub(super) deaf: Mono,
}

impl Fabric {
    /// A connection between two processes; the first dialled.
    pub(super) fn connect(&mut self, servers: [usize; 2], lives: [u32; 2]) -> u64 {
        // What is over at both ends, or was of processes that are gone, is forgotten with the next.
        self.wires.retain(|_, w| w.open != [false; 2] || w.pipes.iter().any(|p| p.under_way));
        self.counted += 1;
        self.wires.insert(self.counted, Wire::new(servers, lives.map(u64::from), 0));
        self.counted
    }

    /// The process that something is for.
    pub(super) fn server_of(&self, between: &Between) -> Option<usize> {
        match between {
            Between::Arrive { wire, from } => self.wires.get(wire).map(|w| w.nodes[1 - from]),
            Between::Secured { wire, end, .. } => self.wires.get(wire).map(|w| w.nodes[*end]),
            // The machine answers, if anybody does.
            Between::Dialled { .. } => None,
            Between::DialFailed { server, .. } | Between::Resolved { server, .. } => Some(*server),
        }
    }

    /// This direction carries nothing until then.
    pub(super) fn cut(&mut self, from: usize, to: usize, until: Mono) {
        let cut = self.cuts.entry((from, to)).or_default();
        *cut = until.max(*cut);
    }

    /// Whether a direction carries nothing, and until when.
    pub(super) fn is_cut(&self, now: Mono, from: usize, to: usize) -> Option<Mono> {
        self.cuts.get(&(from, to)).copied().filter(|until| now < *until)
    }

    /// Nothing goes wrong any more.
    pub(super) fn heal(&mut self) {
        self.cuts.clear();
        self.deaf = Mono(0);
    }

    /// The ends of connections that are such.
    pub(super) fn ends(&self, which: impl Fn(&Wire, usize) -> bool) -> Vec<(u64, usize)> {
        let all = self.wires.iter().flat_map(|(id, wire)| [(*id, wire, 0), (*id, wire, 1)]);
        all.filter(|(_, wire, end)| which(wire, *end)).map(|(id, _, end)| (id, end)).collect()
    }
}

/// How the process at this end calls a connection.
pub(super) fn conn(wire: u64, end: usize) -> LinkConn {
    LinkConn(wire * 2 + end as u64)
}

/// The connection and the end that a process calls so.
pub(super) fn wire(conn: LinkConn) -> (u64, usize) {
    (conn.0 / 2, conn.0 as usize % 2)
}
