//! How all connections of a run log in.

use std::collections::HashMap;

use super::scram::{Hash, Salted};

/// What is under the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Security {
    /// Nothing: plain TCP.
    #[default]
    None,
    /// TLS, begun by STARTTLS (RFC 6120 §5).
    Starttls,
    /// TLS from the first byte (XEP-0368).
    Direct,
}

/// How the client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Mechanism {
    /// RFC 4616
    Plain,
    /// RFC 5802
    #[default]
    ScramSha1,
    /// RFC 7677
    ScramSha256,
}

impl Mechanism {
    /// Its name in SASL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    pub(super) fn hash(self) -> Option<Hash> {
        match self {
            Mechanism::Plain => None,
            Mechanism::ScramSha1 => Some(Hash::Sha1),
            Mechanism::ScramSha256 => Some(Hash::Sha256),
        }
    }
}

/// An account by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct User(pub u32);

/// What all logins of a run have in common.
#[derive(Debug)]
pub struct Plan {
    /// The domain of the accounts.
    pub domain: String,
    /// What stands before their numbers.
    pub prefix: String,
    /// The password of them all.
    pub password: String,
    /// The resource to bind.
    pub resource: String,
    /// What is under the stream.
    pub security: Security,
    /// How to log in.
    pub mechanism: Mechanism,
    /// Register accounts first, in-band (XEP-0077); that they exist already is fine.
    pub register: bool,
    /// After binding: stream management with resumption (XEP-0198). Every stanza after that counts, those of `presence` and
    /// `roster`, too.
    pub manage: bool,
    /// After that: ask for the roster, become available, and wait until the server has seen that.
    pub presence: bool,
    /// See to it that the roster has so many contacts, without subscriptions, before becoming available.
    pub roster: u32,
    /// Told from other runs by this, so that their leftovers are not taken for ours.
    pub run: u32,
    /// Derived keys, by user: the second login of the same user is spared the work.
    pub keys: HashMap<User, Salted>,
}

impl Plan {
    /// The name of an account.
    #[must_use]
    pub fn name(&self, user: User) -> String {
        format!("{}{}", self.prefix, user.0)
    }

    /// The bare JID of an account.
    #[must_use]
    pub fn bare(&self, user: User) -> String {
        format!("{}{}@{}", self.prefix, user.0, self.domain)
    }

    /// Whose address this is: `user7@localhost/x` is that of user 7.
    #[must_use]
    pub fn user_of(&self, jid: &[u8]) -> Option<User> {
        let digits = jid.strip_prefix(self.prefix.as_bytes())?;
        let end = memchr::memchr(b'@', digits)?;
        let rest = digits[end + 1..].strip_prefix(self.domain.as_bytes())?;
        if !(rest.is_empty() || rest.starts_with(b"/")) {
            return None;
        }
        std::str::from_utf8(&digits[..end]).ok()?.parse().ok().map(User)
    }
}

/// Text as it may stand in an element or a quoted attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::Target;

    #[test]
    fn addresses_belong_to_users() {
        let plan = Target::new("127.0.0.1:1".parse().expect("an address")).plan();
        assert_eq!(plan.user_of(b"user12@localhost"), Some(User(12)));
        assert_eq!(plan.user_of(b"user12@localhost/x"), Some(User(12)));
        for other in
            ["user12", "userx@localhost", "other12@localhost", "user12@localhost.org", "user12@b/localhost"]
        {
            assert_eq!(plan.user_of(other.as_bytes()), None, "{other}");
        }
        assert_eq!(escape("a<'&\">"), "a&lt;&apos;&amp;&quot;&gt;");
    }
}
