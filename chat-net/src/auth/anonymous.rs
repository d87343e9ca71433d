//! Logins without an account (RFC 4505, XEP-0175).

use chat_core::effect::{AccountError, AccountOp};
use chat_core::sasl::Mechanism;

use super::{AccountAnswer, Authenticator};

/// Lets anybody in under a name that the server makes up and nobody else can ever log in to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

impl Authenticator for Anonymous {
    fn mechanisms(&self) -> Vec<Mechanism> {
        vec![Mechanism::Anonymous]
    }

    fn begin(&self, op: AccountOp, answer: AccountAnswer) {
        drop(op);
        answer(Err(AccountError::Unsupported));
    }
}
