//! What an operator should know, at most once a minute.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::fmt;

use crate::base::limits::CLUSTER_NODES_MAX;
use crate::base::{Mono, Span};
use crate::cluster::discovery::{self, Peer};
use crate::cluster::handshake::{CertificateFault, Doubt, HandshakeError};
use crate::cluster::identity::{Identity, Incarnation, NodeName};
use crate::cluster::wire::{Refusal, WireFault};

/// The time from one notice to the next of the same trouble.
const NOTICE_EVERY: Span = Span::secs(60);
/// Troubles that are told apart within a minute; more are not told.
const TROUBLES_MAX: usize = 4 * CLUSTER_NODES_MAX;

/// Something for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub matter: Matter,
    /// How often the like was not said since it was said last.
    pub unsaid: u32,
}

/// What a notice is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matter {
    /// Names that do not resolve.
    Discovery(discovery::Notice),
    /// A connection did not come to be one between nodes of this cluster.
    Unfit {
        /// Whom this node meant, if it dialled.
        meant: Option<Peer>,
        /// Who the other side says it is: not proved.
        claimed: Option<Identity>,
        /// That is the name of a node that this one knows.
        is_known: bool,
        /// Why.
        error: HandshakeError,
    },
    /// Neither did this one: one side does not believe the other's certificate.
    Unbelieved {
        /// Whom this node meant, if it dialled.
        meant: Option<Peer>,
        /// Where the other side is.
        address: SocketAddr,
        /// Who does not believe whom, and why.
        fault: CertificateFault,
    },
    /// This node refused a node of the cluster.
    Refused {
        /// Whom.
        peer: Identity,
        /// Why.
        refusal: Refusal,
    },
    /// A node of the cluster refused this one.
    RefusedUs {
        /// Who.
        by: NodeName,
        /// Why.
        refusal: Refusal,
    },
    /// A node said what cannot be read; its connection was closed.
    Fault {
        /// Who.
        node: NodeName,
        /// What is wrong with it.
        fault: WireFault,
    },
    /// What waited for a node is given up, because it was too much or cannot be relied on: both begin anew.
    GaveUp {
        /// Who.
        node: NodeName,
    },
    /// This node takes a later incarnation.
    NewLife {
        /// Who remembers a later one than it had.
        by: NodeName,
        /// The one it takes.
        incarnation: Incarnation,
    },
    /// Others had declared this node down while it lived.
    Returned,
    /// This node stood still, and judges nobody for a while.
    Stalled {
        /// For how long.
        span: Span,
    },
}

/// What trouble it is, for counting minutes: with whom, and which.
type Trouble = (Option<Peer>, u8);

impl Matter {
    fn trouble(&self) -> Trouble {
        let named = |name: &NodeName| Some(Peer::Named(name.clone()));
        match self {
            Matter::Discovery(_) => (None, 0),
            Matter::Unfit { meant, claimed, is_known, error } => {
                let known = claimed.as_ref().filter(|_| *is_known).and_then(|c| named(&c.name));
                (meant.clone().or(known), of_error(error))
            }
            Matter::Unbelieved { meant, fault, .. } => (meant.clone(), of_error(&(*fault).into())),
            Matter::Refused { peer, refusal } => (named(&peer.name), 32 + of_refusal(refusal)),
            Matter::RefusedUs { by, refusal } => (named(by), 64 + of_refusal(refusal)),
            Matter::Fault { node, .. } => (named(node), 1),
            Matter::GaveUp { node } => (named(node), 2),
            Matter::NewLife { by, .. } => (named(by), 3),
            Matter::Returned => (None, 4),
            Matter::Stalled { .. } => (None, 5),
        }
    }
}

fn of_error(error: &HandshakeError) -> u8 {
    match error {
        HandshakeError::Refused(refusal) => 96 + of_refusal(refusal),
        HandshakeError::RefusedUs(refusal) => 128 + of_refusal(refusal),
        HandshakeError::Versions(_) => 6,
        HandshakeError::Malformed(_) => 7,
        HandshakeError::TooMuch => 8,
        HandshakeError::Closed => 9,
        HandshakeError::Certificate(CertificateFault::Theirs(doubt)) => 10 + of_doubt(doubt),
        HandshakeError::Certificate(CertificateFault::Ours(doubt)) => 20 + of_doubt(doubt),
    }
}

fn of_doubt(doubt: &Doubt) -> u8 {
    match doubt {
        Doubt::Missing => 1,
        Doubt::Authority => 2,
        Doubt::Dates => 3,
        Doubt::Usage => 4,
        Doubt::Other => 5,
    }
}

fn of_refusal(refusal: &Refusal) -> u8 {
    match refusal {
        Refusal::Secret => 1,
        Refusal::Method => 2,
        Refusal::Versions(_) => 3,
        Refusal::Cluster => 4,
        Refusal::NameTaken(_) => 5,
        Refusal::Itself => 6,
        Refusal::Stale(_) => 7,
        Refusal::Name => 8,
        Refusal::Malformed => 9,
        Refusal::Late => 10,
        Refusal::Busy => 11,
        Refusal::Unwanted => 12,
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.matter)?;
        if self.unsaid > 0 { write!(f, " (and {} times more)", self.unsaid) } else { Ok(()) }
    }
}

impl fmt::Display for Matter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Matter::Discovery(notice) => write_discovery(notice, f),
            Matter::Unbelieved { meant: None, address, fault } => {
                write!(f, "no link to somebody who dialled from {address}: {fault}")
            }
            Matter::Unbelieved { meant: Some(peer), fault, .. } => {
                write!(f, "no link to {}: {fault}", whom(peer))
            }
            Matter::Unfit { meant, claimed, error, .. } => {
                match (meant, claimed) {
                    (Some(peer), _) => write!(f, "no link to {}", whom(peer))?,
                    (None, Some(claimed)) => write!(f, "no link to {}, who dialled", claimed.name)?,
                    (None, None) => f.write_str("no link to somebody who dialled")?,
                }
                write!(f, ": {error}")
            }
            Matter::Refused { peer, refusal } => write!(f, "{} is refused: {refusal}", peer.name),
            Matter::RefusedUs { by, refusal } => write!(f, "{by} refuses this node: {refusal}"),
            Matter::Fault { node, fault } => write!(f, "{node} breaks the protocol: {fault}"),
            Matter::GaveUp { node } => write!(f, "what waited for {node} is given up, and both begin anew"),
            Matter::NewLife { by, incarnation } => {
                write!(f, "{by} remembers a later incarnation of this node, which now takes {incarnation}")
            }
            Matter::Returned => f.write_str("other nodes had taken this one for dead; it is back"),
            Matter::Stalled { span } => {
                write!(f, "this node stood still for {} ms, and judges nobody for a while", span.as_millis())
            }
        }
    }
}

fn whom(peer: &Peer) -> String {
    match peer {
        Peer::Named(name) => name.to_string(),
        Peer::Address(address) => format!("whoever is at {address}"),
    }
}

fn write_discovery(notice: &discovery::Notice, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let discovery::Notice::Trouble { unresolved, more, left_out } = notice else {
        return f.write_str("all names of the cluster resolve again");
    };
    let mut parts: Vec<String> = unresolved.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    if *more > 0 {
        parts.push(format!("{more} more names"));
    }
    if *left_out > 0 {
        parts.push(format!("{left_out} nodes more than a cluster may have"));
    }
    write!(f, "nodes of the cluster cannot be found: {}", parts.join("; "))
}

/// When what was said last.
#[derive(Debug, Default)]
pub(super) struct Notices {
    said: BTreeMap<Trouble, (Mono, u32)>,
}

impl Notices {
    /// The notice, if it may be said now.
    pub(super) fn pass(&mut self, now: Mono, matter: Matter) -> Option<Notice> {
        let trouble = matter.trouble();
        if let Some((at, unsaid)) = self.said.get_mut(&trouble) {
            if now.since(*at) < NOTICE_EVERY {
                *unsaid = unsaid.saturating_add(1);
                return None;
            }
            *at = now;
            return Some(Notice { matter, unsaid: std::mem::take(unsaid) });
        }
        if self.said.len() >= TROUBLES_MAX {
            self.said.retain(|_, (at, _)| now.since(*at) < NOTICE_EVERY);
        }
        if self.said.len() >= TROUBLES_MAX {
            return None;
        }
        self.said.insert(trouble, (now, 0));
        Some(Notice { matter, unsaid: 0 })
    }
}
