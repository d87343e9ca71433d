//! Discovery: whom to dial.
//!
//! Owns: what is known of the other nodes before there is a link to them. It combines the operator's lists, computed
//! siblings ([`siblings`]), the records of a watched DNS name, and what peers tell.
//! In: the lists, answers of DNS, and what the agent sees (a peer told of a node, a handshake told a name, a link
//! ended, a node left). Out: DNS queries, the peers to dial with their addresses, each time they change, and a
//! notice a minute about names that do not resolve.
//!
//! Invariants:
//! - What is published is a function of what is known: when that changes, the peers are computed anew and the
//!   differences come out. A peer has at least one address, and this node is never among them.
//! - Each name has at most one query under way. Names are asked again for ever: soon after a failure, later and later
//!   while it lasts, and when an answer grows old after a success.
//! - A failure of DNS takes nothing away; only an answer does, be it that the name does not exist.
//! - Whoever is on a list is dialled for ever. Whoever was only heard of is forgotten when nobody has spoken of it for
//!   a day, or when it left.
//! - Everything is bounded (`CLUSTER_*` in `base/limits.rs`). What a limit leaves out is said in the notice.
//!
//! Not here: dialling, backoff between dials, and which link wins if both sides dialled (`cluster`), DNS itself
//! (`chat-net`), reading the settings (`chat-bin`), who is alive (`cluster`): a dead node is dialled like any other.
//!
//! # How an agent uses it
//!
//! It keeps one link for each [`Peer`]. A [`Peer::Address`] is a record of the watched name: who lives there shows
//! only in the handshake. The agent says so with [`Input::Met`], and the peer becomes a [`Peer::Named`] (or goes, if
//! another address of that node is known, or if it was this node itself): the agent keeps the link and files it under
//! the name. When no link to a node is left it says [`Input::Lost`]; addresses that only a handshake tied to that name
//! are then nameless again, since they may be somebody else's by now.

mod address;
mod names;
mod peers;
#[cfg(test)]
mod tests;

pub use address::{NodeAddr, siblings};
pub use names::{Answer, Query, ResolveError, Service};
pub use peers::Peer;

use crate::base::limits::{CLUSTER_ADDRESSES_PER_NODE_MAX, CLUSTER_NODES_MAX};
use crate::base::{Mono, Now, RequestId, Rng, Span};
use crate::cluster::identity::NodeName;
use core::net::SocketAddr;
use names::Names;
use peers::Peers;
use smol_str::SmolStr;
use std::collections::{BTreeMap, VecDeque};

/// How long a node that is on no list is dialled after the last peer spoke of it. A day, so that halves of a cluster
/// that were apart for a night find each other although those who introduced them are gone.
pub const LEARNED_KEPT: Span = Span::secs(24 * 3600);
/// How long a name may fail before it is worth a line: at the start of a whole cluster no name resolves for some
/// seconds, and that is no news.
pub const NOTICE_AFTER: Span = Span::secs(10);
/// The time from one notice to the next.
pub const NOTICE_EVERY: Span = Span::secs(60);
/// Names in one notice; the others are counted.
pub const NOTICE_NAMES_MAX: usize = 8;

/// What the operator said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// This node's own name.
    pub own: NodeName,
    /// All lists together, computed siblings among them; this node may be in it. At most
    /// [`CLUSTER_NODES_MAX`] are heeded, in the order of their names.
    pub listed: Vec<NodeAddr>,
    /// A name whose records are watched: SRV if its first label begins with an underscore (`_chat._tcp.example.net`),
    /// else A and AAAA.
    pub dns: Option<SmolStr>,
    /// The port of links to nodes whose list or record names none.
    pub port: u16,
}

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The answer to [`Output::Resolve`].
    Resolved {
        /// Which request.
        id: RequestId,
        /// Its answer.
        result: Result<Answer<'a>, ResolveError>,
    },
    /// The operator changed the lists: this is now what they say together.
    Listed(&'a [NodeAddr]),
    /// A peer told of a node. To be repeated as long as that peer knows it.
    Learned {
        /// The node, with the port that it listens on.
        node: &'a NodeAddr,
        /// Where others reach it. Its host name is resolved as well.
        addresses: &'a [SocketAddr],
    },
    /// A node said that it leaves for good (it drained): it is not dialled any more, unless it is on a list.
    Left(&'a NodeName),
    /// A handshake told who lives at an address.
    Met {
        /// The address that was dialled.
        address: SocketAddr,
        /// Who answered, perhaps this node itself.
        name: &'a NodeName,
    },
    /// There is no link to this node any more.
    Lost(&'a NodeName),
    /// Time has passed: the deadline of `poll_timeout` was reached.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Ask DNS, and answer with [`Input::Resolved`].
    Resolve {
        /// The name of the request.
        id: RequestId,
        /// What to ask for.
        query: Query,
    },
    /// Keep a link to this peer, at one of these addresses: a new peer, or one whose addresses changed. A link that
    /// stands goes on even if its address is not among them.
    Dial {
        /// Whom.
        peer: Peer,
        /// Where: at least one, sorted.
        addresses: Vec<SocketAddr>,
    },
    /// Nobody knows this peer any more, or it goes by its name now. A link that stands goes on; it is not dialled
    /// again when it ends.
    Forget {
        /// Whom.
        peer: Peer,
    },
    /// Tell the operator.
    Notice(Notice),
}

/// What an operator should know. At most one a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Some names do not resolve, or there are too many nodes.
    Trouble {
        /// The first names that do not resolve, and why.
        unresolved: Vec<(SmolStr, ResolveError)>,
        /// How many more do not.
        more: usize,
        /// Nodes or addresses that [`CLUSTER_NODES_MAX`] left out.
        left_out: usize,
    },
    /// All names resolve again.
    Settled,
}

/// The machine. See the [module](self).
pub struct Discovery {
    settings: Settings,
    names: Names,
    learned: BTreeMap<NodeName, Learned>,
    peers: Peers,
    outputs: VecDeque<Output>,
    noticed: Option<Mono>,
    /// Whether the last notice told of trouble.
    troubled: bool,
    notice_at: Option<Mono>,
    forget_at: Option<Mono>,
    /// Whether something was told that may change whom to dial.
    changed: bool,
}

/// A node that a peer told of.
struct Learned {
    port: Option<u16>,
    addresses: Vec<SocketAddr>,
    until: Mono,
}

impl Discovery {
    /// Discovery with these settings. Asks for the first names at once.
    pub fn new(now: Now, settings: Settings, rng: Rng) -> Self {
        let mut discovery = Discovery {
            settings,
            names: Names::new(rng),
            learned: BTreeMap::new(),
            peers: Peers::default(),
            outputs: VecDeque::new(),
            noticed: None,
            troubled: false,
            notice_at: None,
            forget_at: None,
            changed: true,
        };
        let listed = std::mem::take(&mut discovery.settings.listed);
        discovery.list(&listed);
        discovery.refresh(now.mono);
        discovery
    }

    /// Something happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.changed |= !matches!(input, Input::Resolved { .. } | Input::Tick);
        match input {
            Input::Resolved { id, result } => self.names.answered(now.mono, id, result),
            Input::Tick => {}
            Input::Listed(nodes) => self.list(nodes),
            Input::Learned { node, addresses } => self.learn(now.mono, node, addresses),
            Input::Left(name) => drop(self.learned.remove(name)),
            Input::Met { address, name } => self.peers.met(address, name),
            Input::Lost(name) => self.peers.lost(name),
        }
        self.refresh(now.mono);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Discovery::handle`] again at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let own = [(self.notice_at, "discovery: a notice"), (self.forget_at, "discovery: forget a node")];
        let own = own.into_iter().filter_map(|(at, why)| Some((at?, why)));
        self.names.next().into_iter().chain(own).min_by_key(|(at, _)| *at)
    }

    /// All peers that are published, with their addresses, in order: for people who ask for the status.
    pub fn peers(&self) -> impl Iterator<Item = (&Peer, &[SocketAddr])> {
        self.peers.published()
    }

    fn list(&mut self, nodes: &[NodeAddr]) {
        let mut nodes = nodes.to_vec();
        // A node with a port sorts after the same one without; the port is worth keeping.
        nodes.sort_by(|a, b| (&a.node, b.port).cmp(&(&b.node, a.port)));
        nodes.dedup_by(|b, a| a.node == b.node);
        nodes.retain(|n| n.node != self.settings.own);
        self.peers.listed_left_out = nodes.len().saturating_sub(CLUSTER_NODES_MAX);
        nodes.truncate(CLUSTER_NODES_MAX);
        self.settings.listed = nodes;
    }

    fn learn(&mut self, now: Mono, node: &NodeAddr, addresses: &[SocketAddr]) {
        if node.node == self.settings.own {
            return;
        }
        if !self.learned.contains_key(&node.node) && self.learned.len() >= CLUSTER_NODES_MAX {
            // Of those that were heard of, the one nobody has spoken of for longest is the likeliest to be gone.
            let oldest = self.learned.iter().min_by_key(|(_, l)| l.until).map(|(name, _)| name.clone());
            self.learned.remove(&oldest.expect("the map is full"));
        }
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(CLUSTER_ADDRESSES_PER_NODE_MAX);
        let learned = Learned { port: node.port, addresses, until: now + LEARNED_KEPT };
        self.learned.insert(node.node.clone(), learned);
    }

    /// Brings everything in line with what is known, which ends each input.
    fn refresh(&mut self, now: Mono) {
        if self.forget_at.is_some_and(|at| at <= now) {
            self.learned.retain(|_, l| l.until > now);
            self.changed = true;
        }
        self.names.run(now, &mut self.outputs);
        // Most answers are those of last time.
        if self.names.take_changed() | std::mem::take(&mut self.changed) {
            self.forget_at = self.learned.values().map(|l| l.until).min();
            let wanted = peers::wanted(&self.settings, &self.learned, &self.names);
            self.names.want(now, wanted, &mut self.outputs);
            self.peers.publish(&self.settings, &self.learned, &self.names, &mut self.outputs);
        }
        self.notice(now);
    }

    fn notice(&mut self, now: Mono) {
        let left_out = self.peers.left_out();
        let since = self.names.failing_since().map(|since| since + NOTICE_AFTER);
        let due = since.or((left_out > 0).then_some(now));
        let Some(due) = due else {
            if std::mem::take(&mut self.troubled) {
                self.outputs.push_back(Output::Notice(Notice::Settled));
            }
            self.notice_at = None;
            return;
        };
        let due = self.noticed.map_or(due, |noticed| due.max(noticed + NOTICE_EVERY));
        if due > now {
            self.notice_at = Some(due);
            return;
        }
        let mut failing = self.names.failing();
        let unresolved: Vec<_> = failing.by_ref().take(NOTICE_NAMES_MAX).collect();
        let more = failing.count();
        self.outputs.push_back(Output::Notice(Notice::Trouble { unresolved, more, left_out }));
        self.troubled = true;
        self.noticed = Some(now);
        self.notice_at = Some(now + NOTICE_EVERY);
    }
}
