//! Accounts by hand: `chat user`.
//!
//! Owns: adding, changing, removing, listing and importing accounts in the store that the configuration names, also
//! while a server runs on it.
//! In: addresses and passwords. Out: changed accounts, text for a person.
//! Invariants: a password is never on the command line, in a message or in a log; what is reported as done is durable.
//! Not here: telling a running server (the store does, chat-net's `store/`), changes over XMPP (XEP-0077, chat-core).

mod import;
mod password;

use std::io::{self, Write};
use std::sync::mpsc;

use chat_core::effect::{AccountError, AccountOp};
use chat_core::jid::BareJid;
use chat_core::sasl::Secret;
use chat_net::auth::{Authenticator as _, KeyPool, StoreAuthenticator};
use chat_net::store::{AccountsDone, AccountsError, AccountsOp};

use crate::Failure;
use crate::config::{AuthMethod, Config};
use crate::store::{self, Opener};

pub use import::{Import, import};
pub use password::Password;

/// Accounts asked for at a time.
const PAGE: u32 = 1_000;

/// Makes an account.
///
/// # Errors
/// The address is not of a domain served, the account exists, the password cannot be used.
pub fn add(config: &Config, user: &str, password: Password) -> Result<(), Failure> {
    let user = address(config, user)?;
    only_served(config, &user)?;
    let opened = store::open(config, Opener::Command)?;
    // Asked before the password is: nobody likes to type one in vain.
    if let AccountsDone::Found(Some(_)) = opened.accounts.call(AccountsOp::Get { user: user.clone() })? {
        return Err(Failure::new(format!("{user} exists; chat user passwd sets another password")));
    }
    let password = password.read(&user)?;
    credentials(config, &opened, AccountOp::Register { user: user.clone(), password }).map_err(|error| {
        match error {
            AccountError::Exists => Failure::new(format!("{user} exists")),
            error => failure(&user, error),
        }
    })?;
    say(&format!("{user} added"));
    if !config.for_domain(user.domain()).auth.methods.contains(&AuthMethod::Store) {
        let domain = user.domain();
        complain(&format!(
            "auth.method of {domain} does not name store: nobody can log in with this account"
        ));
    }
    Ok(())
}

/// Gives an account another password. Sessions that exist go on.
///
/// # Errors
/// There is no such account, the password cannot be used.
pub fn passwd(config: &Config, user: &str, password: Password) -> Result<(), Failure> {
    let user = address(config, user)?;
    let opened = store::open(config, Opener::Command)?;
    if let AccountsDone::Found(None) = opened.accounts.call(AccountsOp::Get { user: user.clone() })? {
        return Err(Failure::new(format!("there is no account {user}")));
    }
    let password = password.read(&user)?;
    credentials(config, &opened, AccountOp::SetPassword { user: user.clone(), password })
        .map_err(|error| failure(&user, error))?;
    say(&format!("{user} has another password"));
    Ok(())
}

/// Removes an account and everything kept for it. A running server closes its sessions within a second.
///
/// # Errors
/// There is no such account.
pub fn remove(config: &Config, user: &str) -> Result<(), Failure> {
    let user = address(config, user)?;
    let opened = store::open(config, Opener::Command)?;
    match opened.accounts.call(AccountsOp::Purge { user: user.clone() }) {
        Err(AccountsError::NoSuchUser) => Err(Failure::new(format!("there is no account {user}"))),
        done => {
            done?;
            say(&format!("{user} removed"));
            Ok(())
        }
    }
}

/// Writes the addresses of all accounts, of one domain or of all, one a line.
///
/// # Errors
/// The store fails.
pub fn list(config: &Config, domain: Option<&str>) -> Result<(), Failure> {
    let opened = store::open(config, Opener::Command)?;
    let domain = domain.map(|name| BareJid::parse(name).map(|jid| jid.domain().to_owned())).transpose()?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut after = None;
    loop {
        let op = AccountsOp::List { domain: domain.clone(), after: after.take(), rows_max: PAGE };
        let AccountsDone::Listed(page) = opened.accounts.call(op)? else { return Ok(()) };
        for user in &page {
            match writeln!(out, "{user}") {
                // Whoever reads has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                done => done?,
            }
        }
        if page.len() < PAGE as usize {
            break;
        }
        after = page.into_iter().next_back();
    }
    match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Changes credentials as a running server would: with the same rules for passwords and the same keys.
fn credentials(config: &Config, opened: &store::Opened, op: AccountOp) -> Result<(), AccountError> {
    let domain = op.user().domain().to_owned();
    let keys = KeyPool::with(1, 1).map_err(|_| AccountError::Unavailable)?;
    let authenticator = StoreAuthenticator::new(domain.clone(), opened.accounts.clone(), keys)
        .with_iterations(config.for_domain(&domain).auth.scram_iterations);
    let (send, receive) = mpsc::sync_channel(1);
    authenticator.begin(op, Box::new(move |result| drop(send.send(result))));
    receive.recv().unwrap_or(Err(AccountError::Unavailable)).map(drop)
}

fn failure(user: &BareJid, error: AccountError) -> Failure {
    Failure::new(match error {
        AccountError::BadPassword => {
            "this password cannot be used: it is empty, too long, or has characters that RFC 4013 forbids"
                .into()
        }
        AccountError::Refused => format!("there is no account {user}"),
        error => error.to_string(),
    })
}

/// An address as people write it: where one domain is served its name may be left out.
fn address(config: &Config, text: &str) -> Result<BareJid, Failure> {
    let whole = match (text.contains('@'), config.domains.as_slice()) {
        (true, _) => text.to_owned(),
        (false, [domain]) => format!("{text}@{domain}"),
        (false, _) => {
            return Err(Failure::new(format!("{text}: several domains are served; write {text}@DOMAIN")));
        }
    };
    match BareJid::parse(&whole) {
        Ok(user) if user.local().is_some() => Ok(user),
        Ok(_) => Err(Failure::new(format!("{text} is a domain, not a user"))),
        Err(error) => Err(Failure::new(format!("{text} is not the address of a user: {error}"))),
    }
}

fn only_served(config: &Config, user: &BareJid) -> Result<(), Failure> {
    if config.domains.iter().any(|domain| domain == user.domain()) {
        return Ok(());
    }
    let served = config.domains.join(", ");
    Err(Failure::new(format!("{} is not one of the domains served ({served})", user.domain())))
}

/// For people; scripts look at the exit code.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "warning: {text}");
}

/// The first line of a text, without its end.
fn first_line(mut text: String) -> Secret {
    let end = text.find(['\r', '\n']).unwrap_or(text.len());
    text.truncate(end);
    Secret::new(text)
}
