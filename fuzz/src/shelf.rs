//! A store and an authenticator in memory, correct, for engines under fuzzing.
//!
//! Owns: accounts, records, spools. Not here: failures, which are answers that the targets make up (`inputs`).

use std::collections::{BTreeMap, BTreeSet};

use chat_core::effect::{
    AccountDone, AccountError, AccountOp, AccountResult, ReferenceStore, StoreOp, StoreResult,
};
use chat_core::jid::BareJid;
use chat_core::sasl::ScramKeys;

/// Accounts `a`, `b` and `c`, whose password is `p`.
#[derive(Debug)]
pub(crate) struct Shelf {
    passwords: BTreeMap<String, String>,
    records: ReferenceStore,
    /// Who proved to be whom.
    pub admitted: BTreeSet<String>,
}

impl Shelf {
    pub fn new() -> Self {
        let mut shelf =
            Shelf { passwords: BTreeMap::new(), records: ReferenceStore::new(), admitted: BTreeSet::new() };
        for name in ["a", "b", "c"] {
            shelf.register(&format!("{name}@x").parse().expect("a bare JID"), "p");
        }
        shelf
    }

    fn register(&mut self, user: &BareJid, password: &str) {
        self.passwords.insert(user.to_string(), password.to_owned());
        self.records.apply(&StoreOp::Touch { user: user.clone() }).expect("it is always carried out");
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
                self.register(op.user(), password.expose());
                Ok(AccountDone::Done)
            }
            AccountOp::Remove { .. } => {
                self.passwords.remove(&user);
                Ok(AccountDone::Done)
            }
        }
    }

    pub fn store(&mut self, op: &StoreOp) -> StoreResult {
        self.records.apply(op)
    }
}
