//! The store and the authenticator of the stage: correct, immediate, and in memory.

use std::collections::BTreeMap;

use chat_core::effect::{
    AccountDone, AccountError, AccountOp, AccountResult, ReferenceStore, StoreError, StoreOp, StoreResult,
};
use chat_core::sasl::ScramKeys;

#[derive(Default)]
pub struct Props {
    passwords: BTreeMap<String, String>,
    records: ReferenceStore,
    pub down: bool,
    /// So many writes into spools are refused, because the store is overloaded.
    pub refuses: usize,
    /// Writes into spools are carried out, and their answers are lost.
    pub loses: bool,
}

impl Props {
    pub fn account(&mut self, jid: &str, password: &str) {
        self.passwords.insert(jid.to_owned(), password.to_owned());
        let touch = StoreOp::Touch { user: jid.parse().expect("a bare JID") };
        self.records.apply(&touch).expect("it is always carried out");
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
        self.records.apply(op)
    }
}
