//! Authenticators: who may log in, and who keeps the passwords.
//!
//! Owns: the trait [`Authenticator`], the implementations (accounts of a store, signed tokens, an HTTP service,
//! anonymous logins), the list that tries several in order ([`Chain`]), the threads that derive keys ([`KeyPool`]) and
//! the import of many accounts ([`import`]).
//!
//! In: [`AccountOp`]s of one domain, from any worker. Out: one answer each, from any thread.
//!
//! Invariants: [`Authenticator::begin`] never blocks and never computes for long; every operation is answered, also
//! when the code behind it panics; nothing queues without bound; an unknown user costs as much time as a wrong
//! password; a password is nowhere written but as keys.
//!
//! Not here: the SASL exchange and which mechanism is offered when (`chat_core::sasl`, `chat_core::session`), delays
//! after failed logins (the engine), client certificates (`tls` and the engine: EXTERNAL asks no authenticator).
//!
//! Follows RFC 5802 §3 (keys), RFC 4616 (PLAIN), RFC 4505 (ANONYMOUS), RFC 4013 (passwords), RFC 7519 and RFC 8725
//! (tokens), XEP-0077 (registration).

mod account;
mod anonymous;
mod asynchronous;
mod chain;
#[cfg(feature = "http")]
pub mod http;
mod import;
#[cfg(feature = "jwt")]
pub mod jwt;
mod pool;
mod store;

use std::fmt;

pub use chat_core::effect::{AccountDone, AccountError, AccountOp, AccountResult};
pub use chat_core::sasl::{Hash, Mechanism, ScramKeys, Secret};

pub use account::{NewAccountError, create_account};
pub use anonymous::Anonymous;
pub use asynchronous::{AsyncAuthenticator, Asynchronous};
pub use chain::Chain;
pub use import::{FAULTY_LINES_MAX, ImportError, ImportOptions, ImportReport, LineFault, import};
pub use pool::KeyPool;
pub use store::{StoreAuthenticator, derive};

/// Where the answer to an operation goes; called once, from any thread, also from inside [`Authenticator::begin`].
pub type AccountAnswer = Box<dyn FnOnce(AccountResult) + Send>;

/// Decides about the credentials of one domain.
///
/// To write one in asynchronous code, implement [`AsyncAuthenticator`] and wrap it in [`Asynchronous`].
pub trait Authenticator: Send + Sync + 'static {
    /// The mechanisms it can serve. Asked when the server starts, and when it is told to ask again; may block.
    fn mechanisms(&self) -> Vec<Mechanism>;

    /// Begins an operation; never blocks. What it cannot do at all is answered with [`AccountError::Unsupported`].
    fn begin(&self, op: AccountOp, answer: AccountAnswer);
}

impl fmt::Debug for dyn Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}

/// An answer that is given even if whoever should give it is dropped: `Unavailable` then.
struct Promise(Option<AccountAnswer>);

impl Promise {
    fn new(answer: AccountAnswer) -> Promise {
        Promise(Some(answer))
    }

    fn keep(mut self, result: AccountResult) {
        if let Some(answer) = self.0.take() {
            answer(result);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer(Err(AccountError::Unavailable));
        }
    }
}

/// Ways for tests to ask.
#[cfg(test)]
mod testing {
    use std::sync::mpsc;
    use std::time::Duration;

    use chat_core::effect::{AccountOp, AccountResult};
    use chat_core::jid::BareJid;
    use chat_core::sasl::Secret;

    use super::Authenticator;

    pub(super) fn ask(authenticator: &dyn Authenticator, op: AccountOp) -> AccountResult {
        let (send, receive) = mpsc::channel();
        authenticator.begin(op, Box::new(move |result| send.send(result).expect("the test waits")));
        let result = receive.recv_timeout(Duration::from_secs(30)).expect("an answer");
        assert!(receive.recv().is_err(), "one answer only");
        result
    }

    pub(super) fn check(authenticator: &dyn Authenticator, user: &str, password: &str) -> AccountResult {
        ask(authenticator, AccountOp::Check { user: jid(user), password: Secret::from(password) })
    }

    pub(super) fn jid(text: &str) -> BareJid {
        BareJid::parse(text).expect("a JID")
    }
}
