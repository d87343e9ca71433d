//! The store and the authenticator of the stage: correct, immediate, and in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use chat_core::effect::{
    AccountDone, AccountError, AccountOp, AccountResult, Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError,
    StoreOp, StoreResult,
};
use chat_core::sasl::ScramKeys;

#[derive(Default)]
struct Record {
    roster: (u64, Arc<[u8]>),
    blocked: (u64, Arc<[u8]>),
    spool: Vec<(SpoolSeq, SpoolRow)>,
}

#[derive(Default)]
pub struct Props {
    passwords: BTreeMap<String, String>,
    records: BTreeMap<String, Record>,
    rows: i64,
    pub down: bool,
    /// So many writes into spools are refused, because the store is overloaded.
    pub refuses: usize,
    /// Writes into spools are carried out, and their answers are lost.
    pub loses: bool,
}

impl Props {
    pub fn account(&mut self, jid: &str, password: &str) {
        self.passwords.insert(jid.to_owned(), password.to_owned());
        self.records.entry(jid.to_owned()).or_default();
    }

    pub fn password(&self, jid: &str) -> Option<String> {
        self.passwords.get(jid).cloned()
    }

    pub fn check(&mut self, op: &AccountOp) -> AccountResult {
        let user = op.user().to_string();
        let known = self.passwords.contains_key(&user);
        match op {
            AccountOp::Keys { hash, .. } => Ok(AccountDone::Keys(
                self.passwords.get(&user).map(|p| ScramKeys::derive(*hash, p, b"salt of the stage", 4096)),
            )),
            AccountOp::Check { password, .. } => match self.passwords.get(&user) {
                Some(p) if p == password.expose() => Ok(AccountDone::Accepted),
                _ => Err(AccountError::Refused),
            },
            AccountOp::Register { .. } if known => Err(AccountError::Exists),
            AccountOp::Register { password, .. } => {
                self.account(&user, password.expose());
                Ok(AccountDone::Done)
            }
            AccountOp::SetPassword { .. } if !known => Err(AccountError::Refused),
            AccountOp::SetPassword { password, .. } => {
                self.account(&user, password.expose());
                Ok(AccountDone::Done)
            }
            AccountOp::Remove { .. } => {
                self.passwords.remove(&user);
                Ok(AccountDone::Done)
            }
        }
    }

    /// The answer of the store, unless it is lost.
    pub fn store(&mut self, op: &StoreOp) -> Option<StoreResult> {
        if !matches!(op, StoreOp::SpoolPut { .. }) {
            return Some(self.carry_out(op));
        }
        if self.refuses > 0 {
            self.refuses -= 1;
            return Some(Err(StoreError::Overloaded));
        }
        Some(self.carry_out(op)).filter(|_| !self.loses)
    }

    fn carry_out(&mut self, op: &StoreOp) -> StoreResult {
        if self.down {
            return Err(StoreError::Unavailable);
        }
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
            StoreOp::LoadUser { .. } | StoreOp::Touch { .. } => {}
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
