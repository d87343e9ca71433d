//! The store in memory: for tests, examples and nodes that may forget everything.
//!
//! Each operation is carried out, and answered, inside the call that submits it. Nothing outlives the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_core::base::RequestId;
use chat_core::effect::{Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError, StoreOp, StoreResult};
use chat_core::jid::BareJid;

use super::{
    AccountRemoved, Accounts, AccountsAnswer, AccountsDone, AccountsError, AccountsOp, AccountsResult,
    Credentials, Existing, Store, StoreSink,
};

/// A store that keeps everything in this process. Deterministic: no thread, no clock, no hash order.
#[derive(Default)]
pub struct Memory {
    state: Mutex<State>,
    closed: AtomicBool,
}

#[derive(Default)]
struct State {
    users: BTreeMap<BareJid, User>,
    /// The greatest spool number given out, over all users, so that numbers are never given twice.
    last: i64,
    removed: Vec<AccountRemoved>,
}

#[derive(Default)]
struct User {
    known: bool,
    roster: (u64, Arc<[u8]>),
    blocked: (u64, Arc<[u8]>),
    spool: BTreeMap<SpoolSeq, SpoolRow>,
    credentials: Option<Credentials>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn submit(&self, id: RequestId, op: Arc<StoreOp>, sink: &Arc<dyn StoreSink>) {
        let result = match self.closed.load(Ordering::Relaxed) {
            true => Err(StoreError::Unavailable),
            false => self.state().apply(&op),
        };
        sink.done(vec![(id, result)]);
    }

    fn healthy(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }

    fn on_account_removed(&self, callback: AccountRemoved) {
        self.state().removed.push(callback);
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl Accounts for Memory {
    fn begin(&self, op: AccountsOp, answer: AccountsAnswer) {
        if self.closed.load(Ordering::Relaxed) {
            return answer(Err(StoreError::Unavailable.into()));
        }
        let purged = match &op {
            AccountsOp::Purge { user } => Some(user.clone()),
            _ => None,
        };
        let mut state = self.state();
        let result = state.apply_account(op);
        let callbacks = match result {
            Ok(_) => state.removed.clone(),
            Err(_) => Vec::new(),
        };
        drop(state);
        if let Some(user) = purged {
            callbacks.iter().for_each(|callback| callback(&user));
        }
        answer(result);
    }
}

impl State {
    fn apply(&mut self, op: &StoreOp) -> StoreResult {
        match op {
            StoreOp::LoadUser { user } => Ok(StoreDone::User(self.load(user))),
            StoreOp::Touch { user } => {
                self.user(user).known = true;
                Ok(StoreDone::Done)
            }
            StoreOp::PutRoster { user, expected, roster } => {
                put(&mut self.user(user).roster, *expected, roster)
            }
            StoreOp::PutBlocked { user, expected, blocked } => {
                put(&mut self.user(user).blocked, *expected, blocked)
            }
            StoreOp::SpoolPut { user, row, rows_max } => self.spool_put(user, row, *rows_max),
            StoreOp::SpoolRead { user, after, rows_max, bytes_max } => {
                Ok(StoreDone::Spool(self.spool_read(user, *after, *rows_max, *bytes_max)))
            }
            StoreOp::SpoolDelete { user, ids } => {
                if let Some(user) = self.users.get_mut(user) {
                    user.spool.retain(|_, row| !ids.contains(&row.id));
                }
                Ok(StoreDone::Done)
            }
            StoreOp::RemoveUser { user } => {
                if let Some(User { credentials: Some(made_anew), .. }) = self.users.remove(user) {
                    self.user(user).credentials = Some(made_anew);
                }
                Ok(StoreDone::Done)
            }
        }
    }

    fn user(&mut self, user: &BareJid) -> &mut User {
        self.users.entry(user.clone()).or_default()
    }

    fn load(&self, user: &BareJid) -> Loaded {
        let Some(user) = self.users.get(user) else { return Loaded::default() };
        Loaded {
            exists: user.known || user.credentials.is_some(),
            roster: user.roster.clone(),
            blocked: user.blocked.clone(),
            spooled: u32::try_from(user.spool.len()).unwrap_or(u32::MAX),
        }
    }

    fn spool_put(&mut self, user: &BareJid, row: &SpoolRow, rows_max: u32) -> StoreResult {
        let next = self.last + 1;
        let user = self.user(user);
        if user.spool.values().any(|present| present.id == row.id) {
            return Ok(StoreDone::Done);
        }
        if user.spool.len() >= rows_max as usize {
            return Err(StoreError::Full);
        }
        user.spool.insert(SpoolSeq(next), row.clone());
        self.last = next;
        Ok(StoreDone::Done)
    }

    fn spool_read(
        &self,
        user: &BareJid,
        after: SpoolSeq,
        rows_max: u32,
        bytes_max: u32,
    ) -> Vec<(SpoolSeq, SpoolRow)> {
        let Some(user) = self.users.get(user) else { return Vec::new() };
        let mut bytes = 0;
        let rows = user.spool.range(SpoolSeq(after.0.saturating_add(1))..).take(rows_max.max(1) as usize);
        let fitting = rows.take_while(|(_, row)| {
            let room = bytes == 0 || bytes < bytes_max as usize;
            bytes += row.stanza.len();
            room
        });
        fitting.map(|(seq, row)| (*seq, row.clone())).collect()
    }

    fn apply_account(&mut self, op: AccountsOp) -> AccountsResult {
        match op {
            AccountsOp::Get { user } => {
                let found = self.users.get(&user).and_then(|user| user.credentials.clone());
                Ok(AccountsDone::Found(found))
            }
            AccountsOp::Insert { user, credentials } => {
                let present = &mut self.user(&user).credentials;
                if present.is_some() {
                    return Err(AccountsError::Exists);
                }
                *present = Some(credentials);
                Ok(AccountsDone::Done)
            }
            AccountsOp::Replace { user, credentials } => {
                *self.credentials(&user)? = credentials;
                Ok(AccountsDone::Done)
            }
            AccountsOp::Complete { user, present, more } => {
                let stored = self.credentials(&user)?;
                if *stored == present {
                    stored.complete(&more);
                }
                Ok(AccountsDone::Done)
            }
            AccountsOp::Remove { user } => {
                self.credentials(&user)?;
                self.user(&user).credentials = None;
                Ok(AccountsDone::Done)
            }
            AccountsOp::Purge { user } => match self.users.remove(&user) {
                Some(_) => Ok(AccountsDone::Done),
                None => Err(AccountsError::NoSuchUser),
            },
            AccountsOp::Import { accounts, existing } => Ok(self.import(accounts, existing)),
            AccountsOp::List { domain, after, rows_max } => {
                let names = self.accounts(domain.as_deref()).map(|(jid, _)| jid.clone());
                let rest = names.filter(|jid| after.as_ref().is_none_or(|after| jid > after));
                Ok(AccountsDone::Listed(rest.take(rows_max as usize).collect()))
            }
            AccountsOp::Count { domain, lacking } => {
                let lacks = |keys: &Credentials| lacking.is_none_or(|hash| keys.get(hash).is_none());
                let count = self.accounts(domain.as_deref()).filter(|(_, keys)| lacks(keys)).count();
                Ok(AccountsDone::Counted(count as u64))
            }
        }
    }

    fn accounts(&self, domain: Option<&str>) -> impl Iterator<Item = (&BareJid, &Credentials)> {
        let accounts = self.users.iter().filter_map(|(jid, user)| Some((jid, user.credentials.as_ref()?)));
        accounts.filter(move |(jid, _)| domain.is_none_or(|domain| jid.domain() == domain))
    }

    fn credentials(&mut self, user: &BareJid) -> Result<&mut Credentials, AccountsError> {
        let user = self.users.get_mut(user).ok_or(AccountsError::NoSuchUser)?;
        user.credentials.as_mut().ok_or(AccountsError::NoSuchUser)
    }

    fn import(&mut self, accounts: Vec<(BareJid, Credentials)>, existing: Existing) -> AccountsDone {
        let (mut added, mut replaced, mut kept) = (0, 0, 0);
        for (jid, credentials) in accounts {
            let present = &mut self.user(&jid).credentials;
            match (&present, existing) {
                (None, _) => added += 1,
                (Some(_), Existing::Replace) => replaced += 1,
                (Some(_), Existing::Keep) => {
                    kept += 1;
                    continue;
                }
            }
            *present = Some(credentials);
        }
        AccountsDone::Imported { added, replaced, kept }
    }
}

/// A compare-and-set under which a repeat of what was carried out is no conflict.
fn put(stored: &mut (u64, Arc<[u8]>), expected: u64, data: &Arc<[u8]>) -> StoreResult {
    if stored.0 == expected {
        *stored = (expected + 1, data.clone());
        return Ok(StoreDone::Done);
    }
    match stored.0.checked_sub(1) == Some(expected) && stored.1 == *data {
        true => Ok(StoreDone::Done),
        false => Err(StoreError::Conflict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance;

    #[test]
    fn conforms() {
        conformance::run(&|| {
            let store = Arc::new(Memory::new());
            conformance::Subject { store: store.clone(), accounts: Some(store) }
        });
    }

    #[test]
    fn a_purge_is_told() {
        let store = Memory::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let seen_too = seen.clone();
        store.on_account_removed(Arc::new(move |user| seen_too.lock().expect("lock").push(user.clone())));
        let user = BareJid::parse("juliet@example.org").expect("a JID");
        let insert = AccountsOp::Insert { user: user.clone(), credentials: Credentials::default() };
        assert_eq!(store.call(insert), Ok(AccountsDone::Done));
        assert_eq!(store.call(AccountsOp::Purge { user: user.clone() }), Ok(AccountsDone::Done));
        assert_eq!(store.call(AccountsOp::Purge { user: user.clone() }), Err(AccountsError::NoSuchUser));
        assert_eq!(*seen.lock().expect("lock"), [user]);
    }
}
