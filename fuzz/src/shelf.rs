//! A store and an authenticator in memory, correct, for engines under fuzzing.
//!
//! Owns: accounts, records, spools. Not here: failures, which are answers that the targets make up (`inputs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chat_core::effect::{
    AccountDone, AccountError, AccountOp, AccountResult, Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError,
    StoreOp, StoreResult,
};
use chat_core::sasl::ScramKeys;

#[derive(Debug, Default)]
struct Record {
    roster: (u64, Arc<[u8]>),
    blocked: (u64, Arc<[u8]>),
    spool: Vec<(SpoolSeq, SpoolRow)>,
}

/// Accounts `a`, `b` and `c`, whose password is `p`.
#[derive(Debug)]
pub(crate) struct Shelf {
    passwords: BTreeMap<String, String>,
    records: BTreeMap<String, Record>,
    rows: i64,
    /// Who proved to be whom.
    pub admitted: BTreeSet<String>,
}

impl Shelf {
    pub fn new() -> Self {
        let names = ["a", "b", "c"].map(|name| format!("{name}@x"));
        Shelf {
            passwords: names.iter().map(|n| (n.clone(), "p".to_owned())).collect(),
            records: names.iter().map(|n| (n.clone(), Record::default())).collect(),
            rows: 0,
            admitted: BTreeSet::new(),
        }
    }

    pub fn check(&mut self, op: &AccountOp) -> AccountResult {
        let user = op.user().to_string();
        let known = self.passwords.get(&user);
        match op {
            AccountOp::Keys { hash, .. } => {
                let keys = known.map(|p| ScramKeys::derive(*hash, p, b"salt", 1));
                // Without the password nobody will succeed with them.
                self.admitted.extend(keys.is_some().then(|| user.clone()));
                Ok(AccountDone::Keys(keys))
            }
            AccountOp::Check { password, .. } if known.is_some_and(|p| p == password.expose()) => {
                self.admitted.insert(user);
                Ok(AccountDone::Accepted)
            }
            AccountOp::Check { .. } => Err(AccountError::Refused),
            AccountOp::Register { .. } if known.is_some() => Err(AccountError::Exists),
            AccountOp::SetPassword { .. } if known.is_none() => Err(AccountError::Refused),
            AccountOp::Register { password, .. } | AccountOp::SetPassword { password, .. } => {
                self.passwords.insert(user.clone(), password.expose().to_owned());
                self.records.entry(user).or_default();
                Ok(AccountDone::Done)
            }
            AccountOp::Remove { .. } => {
                self.passwords.remove(&user);
                Ok(AccountDone::Done)
            }
        }
    }

    pub fn store(&mut self, op: &StoreOp) -> StoreResult {
        let user = op.user().to_string();
        if let StoreOp::LoadUser { .. } = op {
            let record = self.records.get(&user);
            return Ok(StoreDone::User(Loaded {
                exists: record.is_some(),
                roster: record.map(|r| r.roster.clone()).unwrap_or_default(),
                blocked: record.map(|r| r.blocked.clone()).unwrap_or_default(),
                spooled: record.map_or(0, |r| r.spool.len() as u32),
            }));
        }
        let record = self.records.entry(user.clone()).or_default();
        match op {
            StoreOp::PutRoster { expected, roster, .. } => put(&mut record.roster, *expected, roster)?,
            StoreOp::PutBlocked { expected, blocked, .. } => put(&mut record.blocked, *expected, blocked)?,
            StoreOp::SpoolPut { row, rows_max, .. } => {
                if record.spool.iter().any(|(_, r)| r.id == row.id) {
                    return Ok(StoreDone::Done);
                }
                if record.spool.len() >= *rows_max as usize {
                    return Err(StoreError::Full);
                }
                self.rows += 1;
                record.spool.push((SpoolSeq(self.rows), row.clone()));
            }
            StoreOp::SpoolRead { after, rows_max, .. } => {
                let rows = record.spool.iter().filter(|(seq, _)| seq > after).take(*rows_max as usize);
                return Ok(StoreDone::Spool(rows.cloned().collect()));
            }
            StoreOp::SpoolDelete { ids, .. } => record.spool.retain(|(_, r)| !ids.contains(&r.id)),
            StoreOp::RemoveUser { .. } => {
                self.records.remove(&user);
            }
            _ => {}
        }
        Ok(StoreDone::Done)
    }
}

fn put(slot: &mut (u64, Arc<[u8]>), expected: u64, bytes: &Arc<[u8]>) -> Result<(), StoreError> {
    if slot.0 == expected + 1 && slot.1 == *bytes {
        return Ok(());
    }
    if slot.0 != expected {
        return Err(StoreError::Conflict);
    }
    *slot = (expected + 1, bytes.clone());
    Ok(())
}
