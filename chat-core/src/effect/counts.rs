//! What an engine counts, for whoever looks at it from outside.

use crate::stanza::Kind;

/// What there is, and what has happened since the engine began. Plain numbers that the worker adds to: reading them is
/// for those who ask, seldom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions now, connected or waiting to be resumed, of each domain in the order of
    /// [`Settings::domains`](super::Settings::domains).
    pub sessions: Vec<u32>,
    /// Sessions that were closed since their node drained (`Command::Drain`).
    pub sessions_closed: u64,
    /// Sessions that went on at another node.
    pub sessions_moved: u64,
    /// Messages that clients sent.
    pub messages_received: u64,
    /// Presences that clients sent.
    pub presences_received: u64,
    /// Iqs that clients sent.
    pub iqs_received: u64,
    /// Messages given to sessions of this node, errors among them; one, however many sessions got it.
    pub messages_delivered: u64,
    /// Messages that found no session and were kept.
    pub messages_kept: u64,
    /// Stanzas that came back to their sender as an error.
    pub bounces: u64,
    /// Stanzas that went on to another worker of this node.
    pub stanzas_mailed: u64,
    /// Stanzas that went on to another node; one for each node.
    pub parcels_sent: u64,
    /// Stanzas that came from other nodes for sessions here.
    pub parcels_received: u64,
    /// Questions to the store, repetitions left out.
    pub store_requests: u64,
    /// Questions to the authenticators.
    pub account_requests: u64,
}

impl Counts {
    /// Of an engine that serves so many domains.
    pub(crate) fn new(domains: usize) -> Counts {
        Counts { sessions: vec![0; domains], ..Counts::default() }
    }

    /// A client sent a stanza.
    pub(crate) fn received(&mut self, kind: Kind) {
        *match kind {
            Kind::Message(_) => &mut self.messages_received,
            Kind::Presence(_) => &mut self.presences_received,
            Kind::Iq(_) => &mut self.iqs_received,
        } += 1;
    }

    /// A session of this domain begins.
    pub(crate) fn session_begins(&mut self, domain: u16) {
        self.sessions[usize::from(domain)] += 1;
    }

    /// A session of this domain is over.
    pub(crate) fn session_ends(&mut self, domain: u16) {
        self.sessions[usize::from(domain)] -= 1;
    }

    /// Adds those of another engine with the same domains.
    pub fn add(&mut self, other: &Counts) {
        if self.sessions.len() < other.sessions.len() {
            self.sessions.resize(other.sessions.len(), 0);
        }
        self.sessions.iter_mut().zip(&other.sessions).for_each(|(own, more)| *own += more);
        self.sessions_closed += other.sessions_closed;
        self.sessions_moved += other.sessions_moved;
        self.messages_received += other.messages_received;
        self.presences_received += other.presences_received;
        self.iqs_received += other.iqs_received;
        self.messages_delivered += other.messages_delivered;
        self.messages_kept += other.messages_kept;
        self.bounces += other.bounces;
        self.stanzas_mailed += other.stanzas_mailed;
        self.parcels_sent += other.parcels_sent;
        self.parcels_received += other.parcels_received;
        self.store_requests += other.store_requests;
        self.account_requests += other.account_requests;
    }
}
