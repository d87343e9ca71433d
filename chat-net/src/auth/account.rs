//! New accounts, for operators and embedders.

use chat_core::effect::StoreError;
use chat_core::jid::BareJid;
use chat_core::sasl::{Hash, ITERATIONS_DEFAULT, Secret};

use super::store::{derive, prepare};
use crate::store::{Accounts, AccountsError, AccountsOp};

/// Why there is no new account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NewAccountError {
    /// The name is no bare JID with a localpart (RFC 7622).
    #[error("that is not the name of an account: {0}")]
    BadName(String),
    /// The password is empty, too long, or forbidden by SASLprep (RFC 4013).
    #[error("the password is not acceptable")]
    BadPassword,
    /// The name is taken.
    #[error("the account exists")]
    Exists,
    /// The store could not do it, or the system has no randomness to give.
    #[error(transparent)]
    Store(StoreError),
}

/// Makes an account (`juliet@example.org`) with keys for every mechanism. Blocks for some milliseconds: for commands and
/// for the time before a server starts.
///
/// # Errors
/// There is no new account, and nothing has changed.
pub fn create_account(accounts: &dyn Accounts, user: &str, password: &str) -> Result<(), NewAccountError> {
    let jid = BareJid::parse(user).map_err(|error| NewAccountError::BadName(error.to_string()))?;
    if jid.local().is_none() {
        return Err(NewAccountError::BadName("there is no '@' in it".into()));
    }
    let prepared = prepare(&Secret::from(password)).ok_or(NewAccountError::BadPassword)?;
    let credentials = derive(prepared.expose(), &Hash::ALL, ITERATIONS_DEFAULT)
        .map_err(|_| NewAccountError::Store(StoreError::Unavailable))?;
    match accounts.call(AccountsOp::Insert { user: jid, credentials }) {
        Ok(_) => Ok(()),
        Err(AccountsError::Exists) => Err(NewAccountError::Exists),
        Err(AccountsError::Store(error)) => Err(NewAccountError::Store(error)),
        Err(AccountsError::NoSuchUser) => Err(NewAccountError::Store(StoreError::Damaged)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::check;
    use super::super::{KeyPool, StoreAuthenticator};
    use super::*;
    use crate::store::Memory;

    #[test]
    fn an_account_is_made_once_and_can_log_in() {
        let store = Arc::new(Memory::new());
        assert_eq!(create_account(&*store, "Juliet@example.org", "secret"), Ok(()));
        assert_eq!(create_account(&*store, "juliet@example.org", "other"), Err(NewAccountError::Exists));
        assert_eq!(create_account(&*store, "romeo@example.org", ""), Err(NewAccountError::BadPassword));
        for bad in ["example.org", "@example.org", "juliet@example.org/balcony", ""] {
            let made = create_account(&*store, bad, "secret");
            assert!(matches!(made, Err(NewAccountError::BadName(_))), "{bad}: {made:?}");
        }
        let authenticator = StoreAuthenticator::new("example.org", store, KeyPool::new().expect("threads"));
        assert!(check(&authenticator, "juliet@example.org", "secret").is_ok());
        assert!(check(&authenticator, "juliet@example.org", "other").is_err());
    }
}
