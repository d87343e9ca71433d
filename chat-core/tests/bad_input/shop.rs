//! The store and the authenticator of the yard: in memory, immediate, and broken on demand.

use std::collections::BTreeMap;
use std::sync::Arc;

use chat_core::effect::{
    AccountDone, AccountError, AccountOp, AccountResult, Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError,
    StoreOp, StoreResult,
};
use chat_core::sasl::{Hash, ScramKeys};

use crate::meter::aside;

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Nothing.
    Well,
    /// It cannot be reached.
    Away,
    /// The disk is full, or read-only: what is there can be read.
    ReadOnly,
    /// Its queue is full.
    Overloaded,
    /// It does not answer.
    Silent,
}

#[derive(Default)]
struct Record {
    roster: (u64, Vec<u8>),
    blocked: (u64, Vec<u8>),
    spool: Vec<(SpoolSeq, SpoolRow)>,
}

/// The store and the authenticator.
pub struct Shop {
    passwords: BTreeMap<String, String>,
    keys: BTreeMap<String, ScramKeys>,
    records: BTreeMap<String, Record>,
    rows: i64,
    pub mood: Mood,
    /// Requests by their kind, repeats included.
    pub asked: BTreeMap<&'static str, u64>,
}

impl Shop {
    pub fn new() -> Self {
        Shop {
            passwords: BTreeMap::new(),
            keys: BTreeMap::new(),
            records: BTreeMap::new(),
            rows: 0,
            mood: Mood::Well,
            asked: BTreeMap::new(),
        }
    }

    /// An account whose password is `secret`.
    pub fn account(&mut self, user: &str) {
        aside(|| {
            let jid = format!("{user}@localhost");
            self.passwords.insert(jid.clone(), "secret".into());
            self.records.entry(jid).or_default();
        });
    }

    fn count(&mut self, kind: &'static str) {
        aside(|| *self.asked.entry(kind).or_default() += 1);
    }

    /// How often something was asked.
    pub fn times(&self, kind: &str) -> u64 {
        self.asked.get(kind).copied().unwrap_or_default()
    }

    /// Rows in somebody's spool.
    pub fn spooled(&self, user: &str) -> usize {
        self.records.get(&format!("{user}@localhost")).map_or(0, |r| r.spool.len())
    }

    /// The ids of the messages in somebody's spool: the attribute `id`, as the sender wrote it.
    pub fn spooled_ids(&self, user: &str) -> Vec<u64> {
        let record = self.records.get(&format!("{user}@localhost"));
        let rows = record.map(|r| r.spool.as_slice()).unwrap_or_default();
        rows.iter().filter_map(|(_, row)| crate::yard::id_of(&row.stanza)).collect()
    }

    /// Bytes of somebody's stored roster.
    pub fn roster_bytes(&self, user: &str) -> usize {
        self.records.get(&format!("{user}@localhost")).map_or(0, |r| r.roster.1.len())
    }

    pub fn check(&mut self, op: &AccountOp) -> AccountResult {
        let user = aside(|| op.user().to_string());
        let known = self.passwords.contains_key(&user);
        let result = match op {
            AccountOp::Keys { hash, .. } => {
                self.count("keys");
                Ok(AccountDone::Keys(known.then(|| self.keys(&user, *hash))))
            }
            AccountOp::Check { password, .. } => {
                self.count("check");
                match self.passwords.get(&user) {
                    Some(p) if p == password.expose() => Ok(AccountDone::Accepted),
                    _ => Err(AccountError::Refused),
                }
            }
            AccountOp::Register { .. } => {
                self.count("register");
                if known { Err(AccountError::Exists) } else { Ok(AccountDone::Done) }
            }
            AccountOp::SetPassword { .. } | AccountOp::Remove { .. } => Ok(AccountDone::Done),
        };
        aside(|| drop(user));
        result
    }

    fn keys(&mut self, user: &str, hash: Hash) -> ScramKeys {
        aside(|| {
            let derive = || ScramKeys::derive(hash, "secret", b"salt of the yard", 4096);
            self.keys.entry(format!("{user} {hash:?}")).or_insert_with(derive);
        });
        self.keys[&format!("{user} {hash:?}")].clone()
    }

    /// `None`: no answer.
    pub fn store(&mut self, op: &StoreOp) -> Option<StoreResult> {
        self.count(match op {
            StoreOp::LoadUser { .. } => "load",
            StoreOp::Touch { .. } => "touch",
            StoreOp::PutRoster { .. } => "roster",
            StoreOp::PutBlocked { .. } => "blocked",
            StoreOp::SpoolPut { .. } => "put",
            StoreOp::SpoolRead { .. } => "read",
            StoreOp::SpoolDelete { .. } => "delete",
            StoreOp::SpoolWaiting { .. } => "waiting",
            StoreOp::RemoveUser { .. } => "remove",
        });
        match self.mood {
            Mood::Silent => return None,
            Mood::Away => return Some(Err(StoreError::Unavailable)),
            Mood::ReadOnly if op.is_write() => return Some(Err(StoreError::Unavailable)),
            Mood::Overloaded => return Some(Err(StoreError::Overloaded)),
            Mood::ReadOnly | Mood::Well => {}
        }
        let user = aside(|| op.user().to_string());
        let result = if op.is_write() { aside(|| self.write(&user, op)) } else { Ok(self.read(&user, op)) };
        aside(|| drop(user));
        Some(result)
    }

    /// The answers are the engine's from here on; what they are copied from stays the shop's.
    fn read(&self, user: &str, op: &StoreOp) -> StoreDone {
        let record = self.records.get(user);
        match op {
            StoreOp::SpoolRead { after, rows_max, bytes_max, .. } => {
                let (mut rows, mut bytes) = (Vec::new(), 0);
                for (seq, row) in record.iter().flat_map(|r| &r.spool).filter(|(seq, _)| seq > after) {
                    if rows.len() >= *rows_max as usize || bytes >= *bytes_max as usize {
                        break;
                    }
                    bytes += row.stanza.len();
                    rows.push((*seq, SpoolRow { stanza: Arc::from(&row.stanza[..]), ..*row }));
                }
                StoreDone::Spool(rows)
            }
            _ => StoreDone::User(Loaded {
                exists: record.is_some(),
                roster: record.map(|r| (r.roster.0, Arc::from(&r.roster.1[..]))).unwrap_or_default(),
                blocked: record.map(|r| (r.blocked.0, Arc::from(&r.blocked.1[..]))).unwrap_or_default(),
                spooled: record.map_or(0, |r| r.spool.len() as u32),
            }),
        }
    }

    fn write(&mut self, user: &str, op: &StoreOp) -> StoreResult {
        let record = self.records.entry(user.to_owned()).or_default();
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
                let row = SpoolRow { stanza: Arc::from(&row.stanza[..]), ..*row };
                record.spool.push((SpoolSeq(self.rows), row));
            }
            StoreOp::SpoolDelete { ids, .. } => record.spool.retain(|(_, r)| !ids.contains(&r.id)),
            StoreOp::RemoveUser { .. } => {
                self.records.remove(user);
            }
            _ => {}
        }
        Ok(StoreDone::Done)
    }
}

fn put(slot: &mut (u64, Vec<u8>), expected: u64, bytes: &[u8]) -> Result<(), StoreError> {
    if slot.0 != expected {
        return Err(StoreError::Conflict);
    }
    *slot = (expected + 1, bytes.to_vec());
    Ok(())
}
