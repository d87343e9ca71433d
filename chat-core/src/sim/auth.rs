//! The authenticator of the simulated node: accounts `u0`, `u1`, … with passwords `p0`, `p1`, ….

use crate::effect::{AccountDone, AccountError, AccountOp, AccountResult};
use crate::jid::BareJid;
use crate::sasl::{Hash, ScramKeys};

/// The domain of everybody.
pub(super) const DOMAIN: &str = "sim.example";

/// The address of a user.
pub(super) fn bare(user: usize) -> String {
    format!("u{user}@{DOMAIN}")
}

/// The number of the user behind an address, full or bare.
pub(super) fn user_of(jid: &str) -> Option<usize> {
    let bare = jid.split('/').next()?;
    bare.strip_suffix(DOMAIN)?.strip_suffix("@")?.strip_prefix('u')?.parse().ok()
}

/// The password of a user.
pub(super) fn password(user: usize) -> String {
    format!("p{user}")
}

/// Who may log in.
pub(super) struct Accounts {
    keys: Vec<[ScramKeys; 2]>,
}

impl Accounts {
    /// So many users.
    pub(super) fn new(users: usize) -> Self {
        let derive = |hash, user: usize| ScramKeys::derive(hash, &password(user), b"salt of sim", 1);
        Accounts { keys: (0..users).map(|u| [derive(Hash::Sha1, u), derive(Hash::Sha256, u)]).collect() }
    }

    fn number(&self, jid: &BareJid) -> Option<usize> {
        user_of(jid.as_str()).filter(|n| *n < self.keys.len())
    }

    /// The answer to a question.
    pub(super) fn answer(&self, op: &AccountOp) -> AccountResult {
        match op {
            AccountOp::Keys { user, hash } => {
                let which = match hash {
                    Hash::Sha1 => Some(0),
                    Hash::Sha256 => Some(1),
                    Hash::Sha512 => None,
                };
                let keys = self.number(user).and_then(|n| Some(self.keys[n][which?].clone()));
                Ok(AccountDone::Keys(keys))
            }
            AccountOp::Check { user, password: given } => match self.number(user) {
                Some(n) if given.expose() == password(n) => Ok(AccountDone::Accepted),
                _ => Err(AccountError::Refused),
            },
            AccountOp::Register { .. } | AccountOp::SetPassword { .. } | AccountOp::Remove { .. } => {
                Err(AccountError::Unsupported)
            }
        }
    }
}
