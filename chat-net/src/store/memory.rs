//! The store in memory: for tests, examples and nodes that may forget everything.
//!
//! Each operation is carried out, and answered, inside the call that submits it. Nothing outlives the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_core::base::RequestId;
use chat_core::effect::{ReferenceStore, StoreDone, StoreError, StoreOp, StoreResult};
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
    records: ReferenceStore,
    credentials: BTreeMap<BareJid, Credentials>,
    removed: Vec<AccountRemoved>,
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
        let mut result = self.records.apply(op);
        if let Ok(StoreDone::User(loaded)) = &mut result {
            loaded.exists |= self.credentials.contains_key(op.user());
        }
        result
    }

    fn apply_account(&mut self, op: AccountsOp) -> AccountsResult {
        match op {
            AccountsOp::Get { user } => Ok(AccountsDone::Found(self.credentials.get(&user).cloned())),
            AccountsOp::Insert { user, credentials } => {
                if self.credentials.contains_key(&user) {
                    return Err(AccountsError::Exists);
                }
                self.insert(user, credentials);
                Ok(AccountsDone::Done)
            }
            AccountsOp::Replace { user, credentials } => {
                *self.present(&user)? = credentials;
                Ok(AccountsDone::Done)
            }
            AccountsOp::Complete { user, present, more } => {
                let stored = self.present(&user)?;
                if *stored == present {
                    stored.complete(&more);
                }
                Ok(AccountsDone::Done)
            }
            AccountsOp::Remove { user } => match self.credentials.remove(&user) {
                Some(_) => Ok(AccountsDone::Done),
                None => Err(AccountsError::NoSuchUser),
            },
            AccountsOp::Purge { user } => {
                self.credentials.remove(&user);
                if self.records.remove(&user) {
                    Ok(AccountsDone::Done)
                } else {
                    Err(AccountsError::NoSuchUser)
                }
            }
            AccountsOp::Import { accounts, existing } => Ok(self.import(accounts, existing)),
            AccountsOp::List { domain, after, rows_max } => {
                let names = self.accounts(domain.as_deref()).map(|(jid, _)| jid.clone());
                let rest = names.filter(|jid| after.as_ref().is_none_or(|after| jid > after));
                Ok(AccountsDone::Listed(rest.take(rows_max as usize).collect()))
            }
            AccountsOp::Count { domain, lacking, most } => {
                let lacks = |keys: &Credentials| lacking.is_none_or(|hash| keys.get(hash).is_none());
                let all = self.accounts(domain.as_deref()).filter(|(_, keys)| lacks(keys));
                let count = all.take(most.map_or(usize::MAX, |most| most as usize)).count();
                Ok(AccountsDone::Counted(count as u64))
            }
        }
    }

    fn accounts(&self, domain: Option<&str>) -> impl Iterator<Item = (&BareJid, &Credentials)> {
        self.credentials.iter().filter(move |(jid, _)| domain.is_none_or(|domain| jid.domain() == domain))
    }

    fn present(&mut self, user: &BareJid) -> Result<&mut Credentials, AccountsError> {
        self.credentials.get_mut(user).ok_or(AccountsError::NoSuchUser)
    }

    /// Who has credentials has a record, too, also when the credentials are gone.
    fn insert(&mut self, user: BareJid, credentials: Credentials) {
        self.records.remember(&user);
        self.credentials.insert(user, credentials);
    }

    fn import(&mut self, accounts: Vec<(BareJid, Credentials)>, existing: Existing) -> AccountsDone {
        let (mut added, mut replaced, mut kept) = (0, 0, 0);
        for (jid, credentials) in accounts {
            match (self.credentials.contains_key(&jid), existing) {
                (false, _) => added += 1,
                (true, Existing::Replace) => replaced += 1,
                (true, Existing::Keep) => {
                    kept += 1;
                    continue;
                }
            }
            self.insert(jid, credentials);
        }
        AccountsDone::Imported { added, replaced, kept }
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
