//! What a store has to do, carried out in memory: each [`StoreOp`] as its documentation says.
//!
//! It is the heart of the memory back end, and the store of everything that tests engines without one: the simulator,
//! the fuzzers, the scripts. Whoever adds failures, delays or credentials puts them around it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::{Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError, StoreOp, StoreResult};
use crate::base::MsgId;
use crate::jid::BareJid;

/// Everything about users but their credentials.
#[derive(Debug, Default)]
pub struct ReferenceStore {
    users: BTreeMap<BareJid, Record>,
    /// The greatest place given out, over all users, so that none is given twice.
    last: i64,
}

#[derive(Debug, Default)]
struct Record {
    exists: bool,
    roster: (u64, Arc<[u8]>),
    blocked: (u64, Arc<[u8]>),
    spool: BTreeMap<SpoolSeq, SpoolRow>,
    places: BTreeMap<MsgId, SpoolSeq>,
}

impl ReferenceStore {
    /// Nobody is known.
    pub fn new() -> Self {
        ReferenceStore::default()
    }

    /// Carries an operation out.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] and [`StoreError::Full`]; nothing has changed then.
    pub fn apply(&mut self, op: &StoreOp) -> StoreResult {
        match op {
            StoreOp::LoadUser { user } => return Ok(StoreDone::User(self.load(user.as_str()))),
            StoreOp::Touch { user } => self.record(user).exists = true,
            StoreOp::PutRoster { user, expected, roster } => {
                put(&mut self.record(user).roster, *expected, roster)?;
            }
            StoreOp::PutBlocked { user, expected, blocked } => {
                put(&mut self.record(user).blocked, *expected, blocked)?;
            }
            StoreOp::SpoolPut { user, row, rows_max } => self.spool_put(user, row, *rows_max)?,
            StoreOp::SpoolRead { user, after, rows_max, bytes_max } => {
                let rows = self.spool_read(user, *after, *rows_max as usize, *bytes_max as usize);
                return Ok(StoreDone::Spool(rows));
            }
            StoreOp::SpoolWaiting { users } => {
                let waits = |user: &&BareJid| self.spool(user.as_str()).next().is_some();
                return Ok(StoreDone::Waiting(users.iter().filter(waits).cloned().collect()));
            }
            StoreOp::SpoolDelete { user, ids } => {
                let Some(record) = self.users.get_mut(user) else { return Ok(StoreDone::Done) };
                for place in ids.iter().filter_map(|id| record.places.remove(id)) {
                    record.spool.remove(&place);
                }
            }
            StoreOp::RemoveUser { user } => {
                self.remove(user);
            }
        }
        Ok(StoreDone::Done)
    }

    /// A record for this user, if there is none. It does not say that there is such a user.
    pub fn remember(&mut self, user: &BareJid) {
        self.record(user);
    }

    /// The end of everything about a user; whether there was anything.
    pub fn remove(&mut self, user: &BareJid) -> bool {
        self.users.remove(user).is_some()
    }

    /// What is known of the user of this prepared bare JID.
    pub fn load(&self, user: &str) -> Loaded {
        let Some(record) = self.users.get(user) else { return Loaded::default() };
        Loaded {
            exists: record.exists,
            roster: record.roster.clone(),
            blocked: record.blocked.clone(),
            spooled: u32::try_from(record.spool.len()).unwrap_or(u32::MAX),
        }
    }

    /// The rows of the spool of this user, oldest first.
    pub fn spool(&self, user: &str) -> impl Iterator<Item = &SpoolRow> {
        self.users.get(user).into_iter().flat_map(|record| record.spool.values())
    }

    fn record(&mut self, user: &BareJid) -> &mut Record {
        if !self.users.contains_key(user) {
            self.users.insert(user.clone(), Record::default());
        }
        self.users.get_mut(user).expect("it was just entered")
    }

    fn spool_put(&mut self, user: &BareJid, row: &SpoolRow, rows_max: u32) -> Result<(), StoreError> {
        let place = SpoolSeq(self.last + 1);
        let record = self.record(user);
        if record.places.contains_key(&row.id) {
            return Ok(());
        }
        if record.spool.len() >= rows_max as usize {
            return Err(StoreError::Full);
        }
        record.places.insert(row.id, place);
        record.spool.insert(place, row.clone());
        self.last = place.0;
        Ok(())
    }

    fn spool_read(
        &self,
        user: &BareJid,
        after: SpoolSeq,
        rows_max: usize,
        bytes_max: usize,
    ) -> Vec<(SpoolSeq, SpoolRow)> {
        let Some(record) = self.users.get(user) else { return Vec::new() };
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for (place, row) in record.spool.range((Bound::Excluded(after), Bound::Unbounded)) {
            // At least one, or whoever reads page by page would not get on.
            if !rows.is_empty() && (rows.len() >= rows_max || bytes >= bytes_max) {
                break;
            }
            bytes += row.stanza.len();
            rows.push((*place, row.clone()));
        }
        rows
    }
}

/// A compare-and-set under which a repeat of what was carried out is no conflict.
fn put(slot: &mut (u64, Arc<[u8]>), expected: u64, bytes: &Arc<[u8]>) -> Result<(), StoreError> {
    if slot.0 == expected {
        *slot = (expected + 1, bytes.clone());
    } else if slot.0.checked_sub(1) != Some(expected) || slot.1 != *bytes {
        return Err(StoreError::Conflict);
    }
    Ok(())
}
