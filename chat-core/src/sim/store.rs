//! The store of the simulated node: what was carried out stays, whatever becomes of the server.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Tag, tag_in};
use crate::base::{Mono, RequestId, Span};
use crate::effect::{Loaded, ReferenceStore, StoreOp, StoreResult};
use crate::jid::BareJid;

/// The durable state.
#[derive(Default)]
pub(super) struct Store {
    records: ReferenceStore,
    /// Messages that were ever in a spool, and since when, the last time.
    ever: BTreeMap<Tag, Mono>,
    /// Requests that were taken on in this life of their server: a repeat of one is never refused.
    pub(super) taken: BTreeSet<(usize, RequestId)>,
    /// When the last operation that a server asked for a JID will be carried out: they keep their order.
    order: BTreeMap<(usize, String), Mono>,
}

impl Store {
    /// An account that somebody registered.
    pub(super) fn register(&mut self, user: BareJid) {
        self.execute(&StoreOp::Touch { user }, Mono(0)).expect("it is always carried out");
    }

    /// When an operation on this JID that takes so long is carried out: after those asked before.
    pub(super) fn schedule(&mut self, server: usize, jid: &str, now: Mono, latency: Span) -> Mono {
        let last = self.order.entry((server, jid.to_owned())).or_default();
        *last = (now + latency).max(*last);
        *last
    }

    /// Forgets what was asked and not carried out by a server that is dead.
    pub(super) fn forget_queue(&mut self, server: usize) {
        self.order.retain(|(s, _), _| *s != server);
        self.taken.retain(|(s, _)| *s != server);
    }

    /// Carries an operation out.
    pub(super) fn execute(&mut self, op: &StoreOp, now: Mono) -> StoreResult {
        let result = self.records.apply(op);
        if let (StoreOp::SpoolPut { row, .. }, Ok(_)) = (op, &result) {
            self.ever.extend(tag_in(&row.stanza).map(|tag| (tag, now)));
        }
        result
    }

    /// Whether this message was ever in a spool.
    pub(super) fn ever_had(&self, tag: Tag) -> bool {
        self.ever.contains_key(&tag)
    }

    /// Since when a message has been in a spool that is in one.
    pub(super) fn since(&self, tag: Tag) -> Mono {
        self.ever.get(&tag).copied().unwrap_or_default()
    }

    /// The messages in a user's spool, oldest first.
    pub(super) fn spooled(&self, jid: &str) -> Vec<Tag> {
        self.records.spool(jid).filter_map(|row| tag_in(&row.stanza)).collect()
    }

    /// What is known of a user: the packed roster, the block list, how many rows its spool has.
    pub(super) fn load(&self, jid: &str) -> Loaded {
        self.records.load(jid)
    }
}
