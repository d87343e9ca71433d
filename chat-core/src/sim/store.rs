//! The store of the simulated node: what was carried out stays, whatever becomes of the server.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Tag, tag_in};
use crate::base::{Mono, MsgId, RequestId, Span};
use crate::effect::{Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError, StoreOp, StoreResult};

#[derive(Default)]
struct Account {
    exists: bool,
    roster: (u64, std::sync::Arc<[u8]>),
    blocked: (u64, std::sync::Arc<[u8]>),
    spool: BTreeMap<SpoolSeq, SpoolRow>,
    seqs: BTreeMap<MsgId, SpoolSeq>,
}

/// The durable state.
#[derive(Default)]
pub(super) struct Store {
    accounts: BTreeMap<String, Account>,
    seq: i64,
    /// Messages that were ever in a spool.
    ever: BTreeSet<Tag>,
    /// Requests that were taken on in this life of the server: a repeat of one is never refused.
    pub(super) taken: BTreeSet<RequestId>,
    /// When the last operation asked for a JID will be carried out: they keep their order.
    order: BTreeMap<String, Mono>,
}

/// Compare and set, where a repeat of what was done is no conflict.
fn put(slot: &mut (u64, std::sync::Arc<[u8]>), expected: u64, bytes: &std::sync::Arc<[u8]>) -> StoreResult {
    if slot.0 == expected {
        *slot = (expected + 1, bytes.clone());
        return Ok(StoreDone::Done);
    }
    if slot.0 == expected + 1 && slot.1 == *bytes {
        return Ok(StoreDone::Done);
    }
    Err(StoreError::Conflict)
}

impl Store {
    /// An account that somebody registered.
    pub(super) fn register(&mut self, jid: String) {
        self.accounts.entry(jid).or_default().exists = true;
    }

    /// When an operation on this JID that takes so long is carried out: after those asked before.
    pub(super) fn schedule(&mut self, jid: &str, now: Mono, latency: Span) -> Mono {
        let at = (now + latency).max(self.order.get(jid).copied().unwrap_or_default());
        self.order.insert(jid.to_owned(), at);
        at
    }

    /// Forgets what was asked and not carried out: its server is dead.
    pub(super) fn forget_queue(&mut self) {
        self.order.clear();
        self.taken.clear();
    }

    /// Carries an operation out.
    pub(super) fn execute(&mut self, op: &StoreOp) -> StoreResult {
        let account = self.accounts.entry(op.user().as_str().to_owned()).or_default();
        match op {
            StoreOp::LoadUser { .. } => Ok(StoreDone::User(Loaded {
                exists: account.exists,
                roster: account.roster.clone(),
                blocked: account.blocked.clone(),
                spooled: account.spool.len() as u32,
            })),
            StoreOp::Touch { .. } => {
                account.exists = true;
                Ok(StoreDone::Done)
            }
            StoreOp::PutRoster { expected, roster, .. } => put(&mut account.roster, *expected, roster),
            StoreOp::PutBlocked { expected, blocked, .. } => put(&mut account.blocked, *expected, blocked),
            StoreOp::SpoolPut { row, rows_max, .. } => {
                if account.seqs.contains_key(&row.id) {
                    return Ok(StoreDone::Done);
                }
                if account.spool.len() >= *rows_max as usize {
                    return Err(StoreError::Full);
                }
                self.seq += 1;
                let seq = SpoolSeq(self.seq);
                account.seqs.insert(row.id, seq);
                account.spool.insert(seq, row.clone());
                self.ever.extend(tag_in(&row.stanza));
                Ok(StoreDone::Done)
            }
            StoreOp::SpoolRead { after, rows_max, bytes_max, .. } => {
                let mut bytes = 0;
                let mut rows = Vec::new();
                for (seq, row) in
                    account.spool.range((std::ops::Bound::Excluded(*after), std::ops::Bound::Unbounded))
                {
                    if rows.len() >= *rows_max as usize || bytes >= *bytes_max as usize {
                        break;
                    }
                    bytes += row.stanza.len();
                    rows.push((*seq, row.clone()));
                }
                Ok(StoreDone::Spool(rows))
            }
            StoreOp::SpoolDelete { ids, .. } => {
                for id in ids {
                    if let Some(seq) = account.seqs.remove(id) {
                        account.spool.remove(&seq);
                    }
                }
                Ok(StoreDone::Done)
            }
            StoreOp::RemoveUser { .. } => {
                self.accounts.remove(op.user().as_str());
                Ok(StoreDone::Done)
            }
        }
    }

    /// Whether this message was ever in a spool.
    pub(super) fn ever_had(&self, tag: Tag) -> bool {
        self.ever.contains(&tag)
    }

    /// The messages in a user's spool, oldest first.
    pub(super) fn spooled(&self, jid: &str) -> Vec<Tag> {
        let rows = self.accounts.get(jid).into_iter().flat_map(|a| a.spool.values());
        rows.filter_map(|row| tag_in(&row.stanza)).collect()
    }

    /// How many rows a user's spool has.
    pub(super) fn rows(&self, jid: &str) -> usize {
        self.accounts.get(jid).map_or(0, |a| a.spool.len())
    }

    /// The packed roster of a user.
    pub(super) fn roster(&self, jid: &str) -> &[u8] {
        self.accounts.get(jid).map_or(&[], |a| &a.roster.1)
    }

    /// Whom a user blocks, a prepared JID on each line.
    pub(super) fn blocked(&self, jid: &str) -> &[u8] {
        self.accounts.get(jid).map_or(&[], |a| &a.blocked.1)
    }
}
