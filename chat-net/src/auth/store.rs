//! Accounts of a store: SCRAM keys, and passwords checked against them.

use std::sync::Arc;

use chat_core::effect::{AccountDone, AccountError, AccountOp, AccountResult, StoreError};
use chat_core::jid::BareJid;
use chat_core::sasl::{Hash, ITERATIONS_DEFAULT, Mechanism, SALT_BYTES, ScramKeys, Secret, saslprep};

use super::{AccountAnswer, Authenticator, KeyPool, Promise};
use crate::store::{Accounts, AccountsDone, AccountsError, AccountsOp, AccountsResult, Credentials};

/// The longest password that is looked at, in bytes before preparation: more is no password but an attack.
const PASSWORD_BYTES_MAX: usize = 4_096;

/// Decides by the accounts of a store.
///
/// Every account has keys for SHA-1 and SHA-256. Keys for SHA-512 cost several times as much, so imported accounts have
/// none until the password is next seen (PLAIN, or a change of the password); whatever is registered or changed here
/// has all three.
pub struct StoreAuthenticator {
    inner: Arc<Inner>,
    domain: String,
}

struct Inner {
    accounts: Arc<dyn Accounts>,
    pool: KeyPool,
    iterations: u32,
}

impl StoreAuthenticator {
    /// For one domain, with [`ITERATIONS_DEFAULT`] iterations for new keys.
    pub fn new(domain: impl Into<String>, accounts: Arc<dyn Accounts>, pool: KeyPool) -> StoreAuthenticator {
        let inner = Inner { accounts, pool, iterations: ITERATIONS_DEFAULT };
        StoreAuthenticator { inner: Arc::new(inner), domain: domain.into() }
    }

    /// Another number of iterations for new keys; the old ones stay as they are.
    pub fn with_iterations(self, iterations: u32) -> StoreAuthenticator {
        let (accounts, pool) = (self.inner.accounts.clone(), self.inner.pool.clone());
        StoreAuthenticator { inner: Arc::new(Inner { accounts, pool, iterations }), ..self }
    }
}

impl Authenticator for StoreAuthenticator {
    /// SCRAM and PLAIN. SCRAM-SHA-512 only if no account of the domain lacks its keys: clients that prefer it would
    /// fail for such an account, and most of them do not try a weaker one.
    fn mechanisms(&self) -> Vec<Mechanism> {
        let (domain, lacking) = (Some(self.domain.clone()), Some(Hash::Sha512));
        let op = AccountsOp::Count { domain, lacking, most: Some(1) };
        let all = matches!(self.inner.accounts.call(op), Ok(AccountsDone::Counted(0)));
        let served = |mechanism: &Mechanism| match mechanism.hash() {
            Some(Hash::Sha512) => all,
            Some(Hash::Sha1 | Hash::Sha256) => true,
            None => *mechanism == Mechanism::Plain,
        };
        Mechanism::ALL.into_iter().filter(served).collect()
    }

    fn begin(&self, op: AccountOp, answer: AccountAnswer) {
        let (inner, promise) = (self.inner.clone(), Promise::new(answer));
        match op {
            AccountOp::Keys { user, hash } => self.inner.get(user, move |found| {
                promise.keep(
                    found.map(|found| AccountDone::Keys(found.and_then(|found| found.get(hash).cloned()))),
                );
            }),
            AccountOp::Check { user, password } => self.inner.get(user.clone(), move |found| match found {
                Err(error) => promise.keep(Err(error)),
                Ok(found) => {
                    let pool = inner.pool.clone();
                    pool.submit(move || inner.check(user, found, &password, promise));
                }
            }),
            AccountOp::Register { user, password } => {
                self.inner.get(user.clone(), move |found| match found {
                    // Said before anything expensive is done.
                    Ok(Some(_)) => promise.keep(Err(AccountError::Exists)),
                    Err(error) => promise.keep(Err(error)),
                    Ok(None) => inner.change(password, promise, move |credentials| AccountsOp::Insert {
                        user,
                        credentials,
                    }),
                })
            }
            AccountOp::SetPassword { user, password } => {
                inner.change(password, promise, move |credentials| AccountsOp::Replace { user, credentials });
            }
            AccountOp::Remove { user } => {
                let answer = move |result| {
                    promise.keep(match result {
                        // A repeat, then.
                        Err(AccountsError::NoSuchUser) => Ok(AccountDone::Done),
                        other => changed(other),
                    });
                };
                self.inner.accounts.begin(AccountsOp::Remove { user }, Box::new(answer));
            }
        }
    }
}

impl Inner {
    fn get(
        &self,
        user: BareJid,
        then: impl FnOnce(Result<Option<Credentials>, AccountError>) + Send + 'static,
    ) {
        let answer = move |result: AccountsResult| {
            then(match result {
                Ok(AccountsDone::Found(found)) => Ok(found),
                Ok(_) => Err(AccountError::Unavailable),
                Err(error) => Err(account_error(error)),
            });
        };
        self.accounts.begin(AccountsOp::Get { user }, Box::new(answer));
    }

    /// On a thread of the pool.
    fn check(&self, user: BareJid, found: Option<Credentials>, password: &Secret, promise: Promise) {
        let Some(prepared) = prepare(password) else { return promise.keep(Err(AccountError::Refused)) };
        let strongest = found.as_ref().and_then(|found| {
            let known = [Hash::Sha256, Hash::Sha1, Hash::Sha512].map(|hash| Some((hash, found.get(hash)?)));
            known.into_iter().flatten().next()
        });
        let Some((hash, keys)) = strongest else {
            // As much work as for a user who exists.
            ScramKeys::derive(Hash::Sha256, prepared.expose(), &[0; SALT_BYTES], ITERATIONS_DEFAULT);
            return promise.keep(Err(AccountError::Refused));
        };
        if !keys.matches(hash, password.expose()) {
            return promise.keep(Err(AccountError::Refused));
        }
        promise.keep(Ok(AccountDone::Accepted));
        if let Some(present) = found {
            self.complete(user, present, prepared.expose());
        }
    }

    /// Derives the keys that are missing, now that the password is known to be right.
    fn complete(&self, user: BareJid, present: Credentials, prepared: &str) {
        let missing: Vec<_> = Hash::ALL.into_iter().filter(|hash| present.get(*hash).is_none()).collect();
        if missing.is_empty() {
            return;
        }
        let Ok(more) = derive(prepared, &missing, self.iterations) else { return };
        // If it fails, the next login tries again.
        self.accounts.begin(AccountsOp::Complete { user, present, more }, Box::new(drop));
    }

    /// Derives all keys of a new password and stores them.
    fn change(
        self: Arc<Self>,
        password: Secret,
        promise: Promise,
        op: impl FnOnce(Credentials) -> AccountsOp + Send + 'static,
    ) {
        let pool = self.pool.clone();
        pool.submit(move || {
            let Some(prepared) = prepare(&password) else {
                return promise.keep(Err(AccountError::BadPassword));
            };
            let Ok(credentials) = derive(prepared.expose(), &Hash::ALL, self.iterations) else { return };
            self.accounts.begin(op(credentials), Box::new(move |result| promise.keep(changed(result))));
        });
    }
}

/// A password that may be used (RFC 4013); not empty (RFC 4616 §2).
pub(super) fn prepare(password: &Secret) -> Option<Secret> {
    let text = password.expose();
    let prepared = (text.len() <= PASSWORD_BYTES_MAX).then(|| saslprep(text)).flatten()?;
    (!prepared.is_empty()).then(|| Secret::new(prepared.into_owned()))
}

/// Keys of a password that is prepared already, each with a random salt. Takes milliseconds: never on a worker.
///
/// # Errors
/// When the system has no randomness to give.
pub fn derive(password: &str, hashes: &[Hash], iterations: u32) -> Result<Credentials, getrandom::Error> {
    let mut credentials = Credentials::default();
    for hash in hashes {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt)?;
        credentials.set(*hash, ScramKeys::derive(*hash, password, &salt, iterations));
    }
    Ok(credentials)
}

fn changed(result: AccountsResult) -> AccountResult {
    result.map(|_| AccountDone::Done).map_err(account_error)
}

fn account_error(error: AccountsError) -> AccountError {
    match error {
        AccountsError::NoSuchUser => AccountError::Refused,
        AccountsError::Exists => AccountError::Exists,
        AccountsError::Store(
            StoreError::Conflict
            | StoreError::Full
            | StoreError::Overloaded
            | StoreError::Unavailable
            | StoreError::Damaged,
        ) => AccountError::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::testing::{ask, check, jid};
    use super::*;
    use crate::store::Memory;

    struct Bench {
        store: Arc<Memory>,
        authenticator: StoreAuthenticator,
    }

    fn bench() -> Bench {
        let store = Arc::new(Memory::new());
        let pool = KeyPool::with(2, 100).expect("threads");
        let authenticator = StoreAuthenticator::new("example.org", store.clone(), pool).with_iterations(2);
        Bench { store, authenticator }
    }

    impl Bench {
        fn ask(&self, op: AccountOp) -> AccountResult {
            ask(&self.authenticator, op)
        }

        fn register(&self, user: &str, password: &str) -> AccountResult {
            self.ask(AccountOp::Register { user: jid(user), password: password.into() })
        }

        fn keys(&self, user: &str, hash: Hash) -> Option<ScramKeys> {
            match self.ask(AccountOp::Keys { user: jid(user), hash }) {
                Ok(AccountDone::Keys(keys)) => keys,
                other => panic!("{other:?}"),
            }
        }
    }

    fn is_done(result: &AccountResult) -> bool {
        matches!(result, Ok(AccountDone::Done))
    }

    fn is_accepted(result: &AccountResult) -> bool {
        matches!(result, Ok(AccountDone::Accepted))
    }

    fn is(result: &AccountResult, error: AccountError) -> bool {
        matches!(result, Err(other) if *other == error)
    }

    #[test]
    fn an_account_from_beginning_to_end() {
        let bench = bench();
        let (juliet, user) = ("juliet@example.org", jid("juliet@example.org"));
        assert!(is(&check(&bench.authenticator, juliet, "secret"), AccountError::Refused));
        assert_eq!(bench.keys(juliet, Hash::Sha256), None);
        let set = AccountOp::SetPassword { user: user.clone(), password: "other".into() };
        assert!(is(&bench.ask(set.clone()), AccountError::Refused));

        assert!(is_done(&bench.register(juliet, "secret")));
        assert!(is(&bench.register(juliet, "mine"), AccountError::Exists));
        assert!(is_accepted(&check(&bench.authenticator, juliet, "secret")));
        for wrong in ["mine", "", "Secret", "secret "] {
            assert!(is(&check(&bench.authenticator, juliet, wrong), AccountError::Refused), "{wrong:?}");
        }
        for hash in Hash::ALL {
            assert!(bench.keys(juliet, hash).expect("keys").matches(hash, "secret"));
        }

        assert!(is_done(&bench.ask(set)));
        assert!(is(&check(&bench.authenticator, juliet, "secret"), AccountError::Refused));
        assert!(is_accepted(&check(&bench.authenticator, juliet, "other")));
        for _ in 0..2 {
            assert!(is_done(&bench.ask(AccountOp::Remove { user: user.clone() })));
            assert!(is(&check(&bench.authenticator, juliet, "other"), AccountError::Refused));
        }
    }

    #[test]
    fn passwords_are_prepared_and_bounded() {
        let bench = bench();
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        for bad in ["", "\u{7}", "\u{ad}", &long] {
            assert!(is(&bench.register("juliet@example.org", bad), AccountError::BadPassword), "{bad:?}");
        }
        assert!(is_done(&bench.register("juliet@example.org", "I\u{ad}X")));
        for same in ["IX", "\u{2168}", "I\u{ad}X"] {
            assert!(is_accepted(&check(&bench.authenticator, "juliet@example.org", same)), "{same:?}");
        }
        assert!(is(&check(&bench.authenticator, "juliet@example.org", &long), AccountError::Refused));
        let set = AccountOp::SetPassword { user: jid("juliet@example.org"), password: "".into() };
        assert!(is(&bench.ask(set), AccountError::BadPassword));
    }

    #[test]
    fn keys_that_are_missing_come_with_the_next_right_password() {
        let bench = bench();
        let user = jid("juliet@example.org");
        let credentials = derive("secret", &[Hash::Sha1, Hash::Sha256], 2).expect("keys");
        let before = credentials.clone();
        let insert = AccountsOp::Insert { user: user.clone(), credentials };
        assert_eq!(bench.store.call(insert), Ok(AccountsDone::Done));
        let mechanisms = |bench: &Bench| bench.authenticator.mechanisms().into_iter().map(Mechanism::name);
        assert!(!mechanisms(&bench).any(|name| name.starts_with("SCRAM-SHA-512")));

        assert!(is(&check(&bench.authenticator, "juliet@example.org", "wrong"), AccountError::Refused));
        assert_eq!(bench.keys("juliet@example.org", Hash::Sha512), None);
        assert!(is_accepted(&check(&bench.authenticator, "juliet@example.org", "secret")));
        let begun = std::time::Instant::now();
        let keys = loop {
            if let Some(keys) = bench.keys("juliet@example.org", Hash::Sha512) {
                break keys;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "they never come");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(keys.matches(Hash::Sha512, "secret"));
        for hash in [Hash::Sha1, Hash::Sha256] {
            assert_eq!(bench.keys("juliet@example.org", hash).as_ref(), before.get(hash), "the others stay");
        }
        assert_eq!(
            mechanisms(&bench).collect::<Vec<_>>(),
            [
                "SCRAM-SHA-512-PLUS",
                "SCRAM-SHA-256-PLUS",
                "SCRAM-SHA-1-PLUS",
                "SCRAM-SHA-512",
                "SCRAM-SHA-256",
                "SCRAM-SHA-1",
                "PLAIN"
            ]
        );
    }

    #[test]
    fn too_many_at_once_are_refused_and_all_are_answered() {
        let store = Arc::new(Memory::new());
        let pool = KeyPool::with(1, 5).expect("a thread");
        let authenticator = StoreAuthenticator::new("example.org", store, pool);
        let (send, receive) = mpsc::channel();
        for _ in 0..50 {
            let send = send.clone();
            let op = AccountOp::Check { user: jid("juliet@example.org"), password: "x".into() };
            authenticator.begin(op, Box::new(move |result| send.send(result).expect("the test waits")));
        }
        let answers: Vec<_> =
            (0..50).map(|_| receive.recv_timeout(Duration::from_secs(60)).expect("an answer")).collect();
        let refused = answers.iter().filter(|result| is(result, AccountError::Refused)).count();
        let overloaded = answers.iter().filter(|result| is(result, AccountError::Unavailable)).count();
        assert_eq!(refused + overloaded, 50);
        assert!(refused >= 5 && overloaded > 0, "{refused} {overloaded}");
    }

    #[test]
    fn a_store_that_is_away_is_unavailable() {
        let bench = bench();
        assert!(is_done(&bench.register("juliet@example.org", "secret")));
        crate::store::Store::close(&*bench.store);
        for op in [
            AccountOp::Keys { user: jid("juliet@example.org"), hash: Hash::Sha1 },
            AccountOp::Check { user: jid("juliet@example.org"), password: "secret".into() },
            AccountOp::Register { user: jid("romeo@example.org"), password: "secret".into() },
            AccountOp::SetPassword { user: jid("juliet@example.org"), password: "x".into() },
            AccountOp::Remove { user: jid("juliet@example.org") },
        ] {
            let result = bench.ask(op);
            assert!(is(&result, AccountError::Unavailable), "{result:?}");
        }
    }
}
