//! Credentials in a store: the face for the authenticator and for the operator's commands.

use std::fmt;
use std::sync::mpsc;

use chat_core::effect::StoreError;
use chat_core::jid::BareJid;
use chat_core::sasl::{Hash, ScramKeys};

/// The SCRAM keys of one account, by hash function. Every account has those of SHA-1 and SHA-256; those of SHA-512
/// may come later, when the password is seen again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The weakest hash first, each once.
    keys: Vec<(Hash, ScramKeys)>,
}

impl Credentials {
    /// The keys for one hash function.
    pub fn get(&self, hash: Hash) -> Option<&ScramKeys> {
        self.iter().find(|(other, _)| *other == hash).map(|(_, keys)| keys)
    }

    /// Sets the keys for one hash function.
    pub fn set(&mut self, hash: Hash, keys: ScramKeys) {
        match self.keys.binary_search_by_key(&hash, |(other, _)| *other) {
            Ok(place) => self.keys[place].1 = keys,
            Err(place) => self.keys.insert(place, (hash, keys)),
        }
    }

    /// All keys, the weakest hash first.
    pub fn iter(&self) -> impl Iterator<Item = (Hash, &ScramKeys)> {
        self.keys.iter().map(|(hash, keys)| (*hash, keys))
    }

    /// Adds the keys of `more` for hash functions that have none here.
    pub fn complete(&mut self, more: &Credentials) {
        for (hash, keys) in more.iter() {
            if self.get(hash).is_none() {
                self.set(hash, keys.clone());
            }
        }
    }
}

/// What to do with an imported account whose name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave the account as it is.
    Keep,
    /// Give it the imported credentials.
    Replace,
}

/// An operation on the credentials in a store.
#[derive(Debug, Clone)]
pub enum AccountsOp {
    /// The credentials of an account, answered by [`AccountsDone::Found`].
    Get {
        /// Whose.
        user: BareJid,
    },
    /// A new account, or [`AccountsError::Exists`].
    Insert {
        /// Its name.
        user: BareJid,
        /// Its keys.
        credentials: Credentials,
    },
    /// Other credentials for an account, or [`AccountsError::NoSuchUser`].
    Replace {
        /// Whose.
        user: BareJid,
        /// Its keys from now on.
        credentials: Credentials,
    },
    /// More keys for the same password; nothing happens if the account's credentials are not `present` any more.
    Complete {
        /// Whose.
        user: BareJid,
        /// The credentials that the password was checked against.
        present: Credentials,
        /// Keys for hash functions that are missing.
        more: Credentials,
    },
    /// The end of an account's credentials, or [`AccountsError::NoSuchUser`]; its other data stays (the engine
    /// removes that with `StoreOp::RemoveUser`).
    Remove {
        /// Whose.
        user: BareJid,
    },
    /// The end of an account and of all data of the user; a running server learns of it. For operators.
    Purge {
        /// Who.
        user: BareJid,
    },
    /// Many accounts in one transaction, answered by [`AccountsDone::Imported`].
    Import {
        /// The accounts.
        accounts: Vec<(BareJid, Credentials)>,
        /// What to do with those that exist.
        existing: Existing,
    },
    /// Accounts in the order of their names, answered by [`AccountsDone::Listed`].
    List {
        /// Of this domain, or of all.
        domain: Option<String>,
        /// Start behind this name.
        after: Option<BareJid>,
        /// How many at most.
        rows_max: u32,
    },
    /// The number of accounts, answered by [`AccountsDone::Counted`].
    Count {
        /// Of this domain, or of all.
        domain: Option<String>,
        /// Only those without keys for this hash function.
        lacking: Option<Hash>,
        /// No more than so many are counted: whoever asks for one asks whether there is any, however many there are.
        most: Option<u32>,
    },
}

impl AccountsOp {
    /// The one account that the operation is about, if it is about one.
    pub fn user(&self) -> Option<&BareJid> {
        match self {
            AccountsOp::Get { user }
            | AccountsOp::Insert { user, .. }
            | AccountsOp::Replace { user, .. }
            | AccountsOp::Complete { user, .. }
            | AccountsOp::Remove { user }
            | AccountsOp::Purge { user } => Some(user),
            AccountsOp::Import { .. } | AccountsOp::List { .. } | AccountsOp::Count { .. } => None,
        }
    }

    /// Whether the operation may change anything.
    pub fn is_write(&self) -> bool {
        !matches!(self, AccountsOp::Get { .. } | AccountsOp::List { .. } | AccountsOp::Count { .. })
    }
}

/// An operation on credentials that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountsDone {
    /// The answer to [`AccountsOp::Get`]; none if there is no such account.
    Found(Option<Credentials>),
    /// The answer to [`AccountsOp::List`]; fewer than asked for means the end.
    Listed(Vec<BareJid>),
    /// The answer to [`AccountsOp::Count`].
    Counted(u64),
    /// The answer to [`AccountsOp::Import`].
    Imported {
        /// Accounts that are new.
        added: u64,
        /// Accounts that have other credentials now.
        replaced: u64,
        /// Accounts that were left as they were.
        kept: u64,
    },
    /// The change is durable.
    Done,
}

/// An operation on credentials that was not carried out; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountsError {
    /// There is no such account.
    #[error("there is no such account")]
    NoSuchUser,
    /// The name is taken.
    #[error("the account exists")]
    Exists,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The answer to an [`AccountsOp`].
pub type AccountsResult = Result<AccountsDone, AccountsError>;

/// Where the answer to an [`AccountsOp`] goes; called once, from any thread.
pub type AccountsAnswer = Box<dyn FnOnce(AccountsResult) + Send>;

/// A store of credentials.
pub trait Accounts: Send + Sync + 'static {
    /// Begins an operation; never blocks. Operations on one account are carried out in the order they were asked,
    /// also with respect to the operations of [`Store`](super::Store) on the same bare JID.
    fn begin(&self, op: AccountsOp, answer: AccountsAnswer);

    /// Carries an operation out and waits for its answer. For commands, not for workers.
    fn call(&self, op: AccountsOp) -> AccountsResult {
        let (send, receive) = mpsc::sync_channel(1);
        let answer = move |result| {
            // Nobody waits any more when the caller's thread is gone.
            let _ = send.send(result);
        };
        self.begin(op, Box::new(answer));
        receive.recv().unwrap_or(Err(AccountsError::Store(StoreError::Unavailable)))
    }
}

impl fmt::Debug for dyn Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

/// The text form of SCRAM keys (RFC 5803 §2): `SCRAM-SHA-1$4096:<salt>$<stored key>:<server key>`, in base64.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn to_text(hash: Hash, keys: &ScramKeys) -> String {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let (salt, stored, server) = (encode(&keys.salt), encode(&keys.stored_key), encode(&keys.server_key));
    format!("SCRAM-{}${}:{salt}${stored}:{server}", hash.name(), keys.iterations)
}

/// Reads [`to_text`]; none if it is not exactly that.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn from_text(hash: Hash, text: &str) -> Option<ScramKeys> {
    use base64::Engine as _;
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
    let text = text.strip_prefix("SCRAM-")?.strip_prefix(hash.name())?.strip_prefix('$')?;
    let (how, secrets) = text.split_once('$')?;
    let (iterations, salt) = how.split_once(':')?;
    let (stored, server) = secrets.split_once(':')?;
    let keys = ScramKeys {
        salt: decode(salt)?,
        iterations: iterations.parse().ok()?,
        stored_key: decode(stored)?,
        server_key: decode(server)?,
    };
    keys.fit(hash).then_some(keys)
}

#[cfg(all(test, any(feature = "postgres", feature = "sqlite")))]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_text_form_of_rfc_5803() {
        let text =
            "SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=";
        let keys = from_text(Hash::Sha1, text).expect("the keys of RFC 5802 §5");
        let derived = ScramKeys::derive(Hash::Sha1, "pencil", &keys.salt, 4096);
        assert_eq!(keys, derived);
        assert_eq!(to_text(Hash::Sha1, &keys), text);
        assert_eq!(from_text(Hash::Sha256, text), None, "keys of another hash");
        for damaged in ["", "SCRAM-SHA-1", &text[..text.len() - 4], &text[1..], &text.replace(':', ";")] {
            assert_eq!(from_text(Hash::Sha1, damaged), None, "{damaged}");
        }
        assert_eq!(from_text(Hash::Sha1, &text.replace("4096", "0")), None);
    }
}
