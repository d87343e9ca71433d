//! Requests to the authenticator of a domain.

use crate::jid::BareJid;
use crate::sasl::{Hash, ScramKeys, Secret};

/// A question about, or a change of, somebody's credentials. Whatever costs time (key derivation, a network
/// round trip) happens on the other side, never on the engine's thread.
#[derive(Debug, Clone)]
pub enum AccountOp {
    /// The SCRAM keys of an account (RFC 5802 §3), answered by [`AccountDone::Keys`].
    Keys {
        /// The account.
        user: BareJid,
        /// The hash of the mechanism the client chose.
        hash: Hash,
    },
    /// Is this the password (or the token) of the account? Answered by [`AccountDone::Accepted`] or
    /// [`AccountError::Refused`].
    Check {
        /// The account.
        user: BareJid,
        /// What the client presented (SASL PLAIN, RFC 4616).
        password: Secret,
    },
    /// A new account (XEP-0077), answered by [`AccountDone::Done`] or [`AccountError::Exists`].
    Register {
        /// The account.
        user: BareJid,
        /// Its first password.
        password: Secret,
    },
    /// Another password for an account (XEP-0077), answered by [`AccountDone::Done`].
    SetPassword {
        /// The account.
        user: BareJid,
        /// Its next password.
        password: Secret,
    },
    /// The end of an account's credentials (XEP-0077 §3.2), answered by [`AccountDone::Done`].
    Remove {
        /// The account.
        user: BareJid,
    },
}

impl AccountOp {
    /// The account that the request is about.
    pub fn user(&self) -> &BareJid {
        match self {
            AccountOp::Keys { user, .. }
            | AccountOp::Check { user, .. }
            | AccountOp::Register { user, .. }
            | AccountOp::SetPassword { user, .. }
            | AccountOp::Remove { user } => user,
        }
    }
}

/// A request that was carried out.
#[derive(Debug, Clone)]
pub enum AccountDone {
    /// The keys, or none if there is no such account or it has no keys for that hash.
    Keys(Option<ScramKeys>),
    /// The password is right.
    Accepted,
    /// The change is durable.
    Done,
}

/// A request that was not carried out; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The client is at fault: wrong password, no such account, an invalid token.
    #[error("the credentials were refused")]
    Refused,
    /// The account may not be used now.
    #[error("the account is disabled")]
    Disabled,
    /// There is an account of this name already.
    #[error("the account exists")]
    Exists,
    /// The password is not acceptable (empty, or forbidden by SASLprep, RFC 4013).
    #[error("the password is not acceptable")]
    BadPassword,
    /// The authenticator cannot do this at all (a JWT authenticator cannot change passwords).
    #[error("this authenticator cannot do that")]
    Unsupported,
    /// The authenticator is away or too slow; the same request may succeed later.
    #[error("the authenticator is unavailable")]
    Unavailable,
}

/// The answer to an [`AccountOp`].
pub type AccountResult = Result<AccountDone, AccountError>;
