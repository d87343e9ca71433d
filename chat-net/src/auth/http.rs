//! A service that is asked over HTTP whether a password is right.
//!
//! `POST` of `{"user": "juliet", "domain": "example.org", "password": "…"}` as `application/json`:
//!
//! | answer | meaning |
//! |---|---|
//! | 200 | accepted |
//! | 401, 403, 404 | refused |
//! | anything else, no answer in time, no connection | unavailable: the client may try again |
//!
//! The body of the answer is not looked at, and redirects are not followed: the password goes to the one place that
//! the operator named.

mod cache;
mod client;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::effect::{AccountDone, AccountError, AccountOp, AccountResult};
use chat_core::jid::BareJid;
use chat_core::sasl::{Mechanism, Secret};

use self::cache::Cache;
use self::client::Client;
use super::{AccountAnswer, AsyncAuthenticator, Asynchronous, Authenticator};
use crate::spawn::Spawner;
use crate::tls::Provider;

/// Questions under way; beyond it the answer is `Unavailable`, at once.
const UNDER_WAY_MAX: usize = 256;

/// Logins that are remembered, the oldest of which makes room.
const REMEMBERED_MAX: usize = 50_000;

/// Where the service is and how it is asked.
#[derive(Clone)]
pub struct HttpOptions {
    /// `http://` or `https://`; a user and password in it are sent as basic authentication (RFC 7617).
    pub url: String,
    /// How long the service has to answer, the connection and all.
    pub timeout: Duration,
    /// How long a yes is believed without asking again; zero: not at all. A password that was changed or an account
    /// that was removed is accepted that much longer.
    pub cache: Duration,
    /// Certificate authorities (PEM) for `https://`, instead of those of the system.
    pub authorities: Option<Vec<u8>>,
    /// Who does the cryptography for `https://`.
    pub provider: Option<Provider>,
}

impl HttpOptions {
    /// Five seconds to answer, no cache, the system's authorities.
    pub fn new(url: impl Into<String>) -> HttpOptions {
        HttpOptions {
            url: url.into(),
            timeout: Duration::from_secs(5),
            cache: Duration::ZERO,
            authorities: None,
            provider: Provider::built_in(),
        }
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Why the service cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is none.
    #[error("not an http or https URL: {0}")]
    BadUrl(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be used: {0}")]
    Tls(String),
    /// The system gives no randomness.
    #[error("the system gives no random key: {0}")]
    Random(#[from] getrandom::Error),
}

/// Decides by asking a service.
pub struct HttpAuthenticator {
    inner: Asynchronous<Asker>,
}

impl HttpAuthenticator {
    /// Asks on the spawner if that is tokio's, else on a service thread of its own.
    ///
    /// # Errors
    /// When the address or the authorities cannot be used.
    pub fn new(options: &HttpOptions, spawner: &Spawner) -> Result<HttpAuthenticator, HttpError> {
        let asker = Asker {
            client: Client::new(options)?,
            cache: Cache::new(options.cache, REMEMBERED_MAX)?,
            timeout: options.timeout,
        };
        let inner = Asynchronous::new(Arc::new(asker), spawner.for_tokio(), UNDER_WAY_MAX);
        Ok(HttpAuthenticator { inner })
    }
}

impl Authenticator for HttpAuthenticator {
    fn mechanisms(&self) -> Vec<Mechanism> {
        self.inner.mechanisms()
    }

    fn begin(&self, op: AccountOp, answer: AccountAnswer) {
        self.inner.begin(op, answer);
    }
}

struct Asker {
    client: Client,
    cache: Cache,
    timeout: Duration,
}

impl AsyncAuthenticator for Asker {
    async fn apply(self: Arc<Self>, op: AccountOp) -> AccountResult {
        match op {
            AccountOp::Check { user, password } => self.check(&user, &password).await,
            _ => Err(AccountError::Unsupported),
        }
    }
}

impl Asker {
    async fn check(&self, user: &BareJid, password: &Secret) -> AccountResult {
        let Some(local) = user.local() else { return Err(AccountError::Refused) };
        if self.cache.knows(user, password, Instant::now()) {
            return Ok(AccountDone::Accepted);
        }
        let asked = self.client.ask(local, user.domain(), password);
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(Some(200)) => {
                self.cache.remember(user, password, Instant::now());
                Ok(AccountDone::Accepted)
            }
            Ok(Some(401 | 403 | 404)) => Err(AccountError::Refused),
            Ok(_) | Err(_) => Err(AccountError::Unavailable),
        }
    }
}
