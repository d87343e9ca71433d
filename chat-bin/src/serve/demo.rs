//! The first minutes on a laptop: two accounts to try, and how to log in.

use std::fmt::Write as _;
use std::net::SocketAddr;

use chat_core::jid::BareJid;
use chat_core::sasl::Hash;
use chat_net::auth::derive;
use chat_net::store::{Accounts, AccountsDone, AccountsOp};
use zeroize::Zeroizing;

use crate::Failure;
use crate::config::{AuthMethod, Config, Origin};

/// Their localparts.
const NAMES: [&str; 2] = ["romeo", "juliet"];
/// Letters and digits that nobody mixes up: 32, so that each stands for five random bits.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Of a password: 80 bits.
const PASSWORD_LETTERS: usize = 16;

/// An account to try the server with.
pub(super) struct DemoAccount {
    pub jid: BareJid,
    pub password: Zeroizing<String>,
}

/// Makes two accounts if this is a first try: nobody said which domains are served, nobody else's machine can
/// connect, no cluster is wanted, and the store is empty.
pub(super) fn make(config: &Config, accounts: &dyn Accounts) -> Result<Vec<DemoAccount>, Failure> {
    let [domain] = config.domains.as_slice() else { return Ok(Vec::new()) };
    let settings = config.for_domain(domain);
    let here = config.listen.c2s.iter().chain(&config.listen.c2s_tls).all(|a| a.ip().is_loopback());
    if config.origin("domains") != &Origin::Default
        || config.cluster.is_on()
        || !here
        || !settings.auth.methods.contains(&AuthMethod::Store)
        || !is_empty(accounts)?
    {
        return Ok(Vec::new());
    }
    let mut made = Vec::new();
    for name in NAMES {
        let jid = BareJid::parse(&format!("{name}@{domain}"))?;
        let password = password()?;
        let credentials = derive(&password, &Hash::ALL, settings.auth.scram_iterations)
            .map_err(|error| Failure::new(format!("the system gives no randomness: {error}")))?;
        accounts.call(AccountsOp::Insert { user: jid.clone(), credentials })?;
        made.push(DemoAccount { jid, password });
    }
    Ok(made)
}

fn is_empty(accounts: &dyn Accounts) -> Result<bool, Failure> {
    let op = AccountsOp::List { domain: None, after: None, rows_max: 1 };
    Ok(matches!(accounts.call(op)?, AccountsDone::Listed(list) if list.is_empty()))
}

fn password() -> Result<Zeroizing<String>, Failure> {
    let mut random = Zeroizing::new([0; PASSWORD_LETTERS]);
    getrandom::fill(random.as_mut())
        .map_err(|error| Failure::new(format!("the system gives no randomness: {error}")))?;
    Ok(Zeroizing::new(random.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect()))
}

/// What a person needs to log in.
pub(super) struct Welcome<'a> {
    /// As it was called.
    pub program: &'a str,
    pub accounts: &'a [DemoAccount],
    /// STARTTLS.
    pub clients: &'a [SocketAddr],
    /// Direct TLS.
    pub clients_tls: &'a [SocketAddr],
    /// SHA-256 of the certificate, if the node has signed it itself.
    pub fingerprint: Option<&'a str>,
}

impl Welcome<'_> {
    pub(super) fn text(&self) -> String {
        let mut text =
            String::from("\nThe chat server is running, and has made two accounts for you to try it:\n\n");
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "  {name:<12} {value}");
        };
        let width = self.accounts.iter().map(|account| account.jid.as_str().len()).max().unwrap_or(0);
        for account in self.accounts {
            line("account", &format!("{:width$}   password {}", account.jid.as_str(), &*account.password));
        }
        for (addresses, how) in [(self.clients, "STARTTLS"), (self.clients_tls, "direct TLS")] {
            let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            if !all.is_empty() {
                line("server", &format!("{}   ({how})", all.join(" or ")));
            }
        }
        if let Some(fingerprint) = self.fingerprint {
            line(
                "certificate",
                "self-signed: your client will ask whether to trust it. SHA-256 fingerprint:",
            );
            let (first, second) =
                fingerprint.split_at_checked(fingerprint.len() / 2 + 1).unwrap_or((fingerprint, ""));
            line("", first);
            line("", second);
        }
        let _ = write!(
            text,
            "\nThe passwords are shown this once; to set another one, and to make more accounts:\n\n  \
             {0} user passwd NAME\n  {0} user add NAME\n\nStop the server with Ctrl-C.\n\n",
            self.program
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_differ() {
        let (first, second) = (password().expect("random"), password().expect("random"));
        assert_eq!((first.len(), second.len()), (PASSWORD_LETTERS, PASSWORD_LETTERS));
        assert_ne!(*first, *second);
        let mut letters = LETTERS.to_vec();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), 32);
    }
}
