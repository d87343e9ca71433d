//! Many accounts from `user:password` lines.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use chat_core::jid::BareJid;
use chat_core::sasl::{Hash, ITERATIONS_DEFAULT, Secret};
use zeroize::Zeroizing;

use super::store::{derive, prepare};
use crate::store::{
    Accounts, AccountsDone, AccountsError, AccountsOp, AccountsResult, Credentials, Existing,
};

/// Faulty lines that a report names; more are only counted.
pub const FAULTY_LINES_MAX: usize = 100;

/// Accounts of one transaction: a second or so of deriving, so that progress is seen and a stop loses little.
const STEP: usize = 512;

/// How to import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The domain of users that are named without one; none: every user must be named with one.
    pub domain: Option<String>,
    /// The domains that users may be of, in canonical form; empty: of any.
    pub domains: Vec<String>,
    /// What to do with accounts that exist.
    pub existing: Existing,
    /// Iterations of the key derivation.
    pub iterations: u32,
    /// Threads that derive, at least one.
    pub threads: usize,
}

impl ImportOptions {
    /// Keeps existing accounts, uses all cores and the usual number of iterations.
    pub fn new(domain: impl Into<String>) -> ImportOptions {
        ImportOptions {
            domain: Some(domain.into()),
            domains: Vec::new(),
            existing: Existing::Keep,
            iterations: ITERATIONS_DEFAULT,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// New accounts.
    pub added: u64,
    /// Accounts that have another password now.
    pub replaced: u64,
    /// Accounts that existed and were left alone.
    pub kept: u64,
    /// Lines that cannot be used, with their numbers from 1: the first [`FAULTY_LINES_MAX`].
    pub faulty: Vec<(u64, LineFault)>,
    /// All such lines.
    pub faulty_lines: u64,
}

impl ImportReport {
    /// Lines dealt with so far, empty ones and comments left out.
    pub fn lines(&self) -> u64 {
        self.added + self.replaced + self.kept + self.faulty_lines
    }
}

/// What is wrong with a line. Never shows the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// There are bytes that are no text.
    #[error("not in UTF-8")]
    NotText,
    /// There is no colon.
    #[error("not of the form user:password")]
    NoColon,
    /// The user is no address without resource.
    #[error("{0:?} is no user")]
    BadUser(String),
    /// The user is named without a domain, and there is no one domain to assume.
    #[error("{0:?} has no domain")]
    NoDomain(String),
    /// The user is of a domain that is not wanted.
    #[error("{0} is not one of the domains")]
    OtherDomain(String),
    /// A line before this one was for the same user; that one counts.
    #[error("the same user as in line {0}")]
    Duplicate(u64),
    /// The password is empty, too long, or has characters that RFC 4013 forbids.
    #[error("the password cannot be used (RFC 4013)")]
    BadPassword,
}

/// Why an import stopped half way. What was reported as progress is in the store.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The lines cannot be read.
    #[error("the lines cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The store refuses.
    #[error("the store refuses: {0}")]
    Store(#[from] AccountsError),
    /// The system gives no randomness.
    #[error("the system gives no random salts: {0}")]
    Random(#[from] getrandom::Error),
}

/// Imports accounts, with keys for SHA-1 and SHA-256, from lines of the form `user:password`; empty lines and those that
/// begin with `#` are skipped. Derives on all threads while the step before is being written; tells `progress` after each
/// step. Blocks: for commands, not for servers.
///
/// # Errors
/// When the input or the store fails. Faulty lines are no error: the report has them.
pub fn import(
    accounts: &dyn Accounts,
    lines: impl Iterator<Item = io::Result<Vec<u8>>>,
    options: &ImportOptions,
    progress: &mut dyn FnMut(&ImportReport),
) -> Result<ImportReport, ImportError> {
    let mut lines = lines.zip(1..);
    let mut report = ImportReport::default();
    let mut seen = HashMap::new();
    let mut writing: Option<mpsc::Receiver<AccountsResult>> = None;
    loop {
        let step = read_step(&mut lines, options, &mut seen, &mut report)?;
        let end = step.is_empty();
        let derived = derive_step(&step, options.iterations, options.threads)?;
        if let Some(answer) = writing.take() {
            written(&answer, &mut report)?;
            progress(&report);
        }
        if end {
            return Ok(report);
        }
        let (send, receive) = mpsc::sync_channel(1);
        let op = AccountsOp::Import { accounts: derived, existing: options.existing };
        accounts.begin(op, Box::new(move |result| drop(send.send(result))));
        writing = Some(receive);
    }
}

/// The next accounts that can be used, with prepared passwords; none at the end.
fn read_step(
    lines: &mut impl Iterator<Item = (io::Result<Vec<u8>>, u64)>,
    options: &ImportOptions,
    seen: &mut HashMap<BareJid, u64>,
    report: &mut ImportReport,
) -> io::Result<Vec<(BareJid, Secret)>> {
    let mut step = Vec::with_capacity(STEP);
    for (line, number) in lines {
        let line = line?;
        let fault = match read_line(line, options) {
            Ok(None) => continue,
            Ok(Some((user, password))) => match seen.entry(user) {
                Entry::Vacant(entry) => {
                    step.push((entry.key().clone(), password));
                    entry.insert(number);
                    if step.len() == STEP {
                        break;
                    }
                    continue;
                }
                Entry::Occupied(first) => LineFault::Duplicate(*first.get()),
            },
            Err(fault) => fault,
        };
        report.faulty_lines += 1;
        if report.faulty.len() < FAULTY_LINES_MAX {
            report.faulty.push((number, fault));
        }
    }
    Ok(step)
}

fn written(answer: &mpsc::Receiver<AccountsResult>, report: &mut ImportReport) -> Result<(), ImportError> {
    let unavailable = AccountsError::Store(chat_core::effect::StoreError::Unavailable);
    if let AccountsDone::Imported { added, replaced, kept } = answer.recv().unwrap_or(Err(unavailable))? {
        report.added += added;
        report.replaced += replaced;
        report.kept += kept;
    }
    Ok(())
}

/// The keys of some accounts, in their order.
fn derive_step(
    step: &[(BareJid, Secret)],
    iterations: u32,
    threads: usize,
) -> Result<Vec<(BareJid, Credentials)>, getrandom::Error> {
    let next = AtomicUsize::new(0);
    let derived = Mutex::new(Vec::with_capacity(step.len()));
    let work = || -> Result<(), getrandom::Error> {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some((user, password)) = step.get(place) else { return Ok(()) };
            let credentials = derive(password.expose(), &[Hash::Sha1, Hash::Sha256], iterations)?;
            let account = (user.clone(), credentials);
            derived.lock().unwrap_or_else(PoisonError::into_inner).push((place, account));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..threads.min(step.len())).map(|_| scope.spawn(work)).collect();
        let own = work();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("deriving does not panic"))
            .fold(own, Result::and)
    })?;
    let mut derived = derived.into_inner().unwrap_or_else(PoisonError::into_inner);
    derived.sort_unstable_by_key(|(place, _)| *place);
    Ok(derived.into_iter().map(|(_, account)| account).collect())
}

/// `user:password`, where the user is a localpart or a whole address. Everything behind the first colon is the
/// password (no localpart has a colon; that of an IPv6 literal in brackets does not count), but for the line's end.
/// None if the line is empty or a comment.
fn read_line(line: Vec<u8>, options: &ImportOptions) -> Result<Option<(BareJid, Secret)>, LineFault> {
    let line = match String::from_utf8(line) {
        Ok(text) => Secret::new(text),
        Err(error) => {
            // It may hold a password all the same.
            drop(Zeroizing::new(error.into_bytes()));
            return Err(LineFault::NotText);
        }
    };
    // Some editors mark the beginning of a text so.
    let line = line.expose().strip_prefix('\u{feff}').unwrap_or(line.expose());
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.trim_end().is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let literal = line.find("@[").and_then(|at| line[at..].find(']').map(|end| at + end));
    let colon = match (line.find(':'), literal) {
        (Some(colon), Some(end)) if line[..colon].contains("@[") => line[end..].find(':').map(|at| end + at),
        (colon, _) => colon,
    };
    let (user, password) = line.split_at(colon.ok_or(LineFault::NoColon)?);
    let address = match (user.contains('@'), &options.domain) {
        (true, _) => BareJid::parse(user),
        (false, Some(domain)) => BareJid::parse(&format!("{user}@{domain}")),
        (false, None) => return Err(LineFault::NoDomain(user.to_owned())),
    };
    let address = address.ok().filter(|address| address.local().is_some());
    let address = address.ok_or_else(|| LineFault::BadUser(user.to_owned()))?;
    if !options.domains.is_empty() && !options.domains.iter().any(|domain| domain == address.domain()) {
        return Err(LineFault::OtherDomain(address.domain().to_owned()));
    }
    let password = prepare(&Secret::from(&password[1..])).ok_or(LineFault::BadPassword)?;
    Ok(Some((address, password)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    #[test]
    fn lines_are_user_colon_password() {
        let read = |line: &str| {
            read_line(line.as_bytes().to_vec(), &ImportOptions::new("example.org"))
                .map(|line| line.map(|(user, password)| (user.to_string(), password.expose().to_owned())))
        };
        let both = |user: &str, password: &str| Ok(Some((user.to_owned(), password.to_owned())));
        assert_eq!(read("juliet:secret"), both("juliet@example.org", "secret"));
        assert_eq!(read("Juliet:a:b: \r\n"), both("juliet@example.org", "a:b: "));
        assert_eq!(read("romeo@other.example:x"), both("romeo@other.example", "x"));
        assert_eq!(read("romeo@[2001:db8::1]:x:]"), both("romeo@[2001:db8::1]", "x:]"));
        assert_eq!(read("romeo:x@[y]:z"), both("romeo@example.org", "x@[y]:z"));
        assert_eq!(read("ювліана:пароль"), both("ювліана@example.org", "пароль"));
        assert_eq!(read("\u{feff}juliet:x"), both("juliet@example.org", "x"));
        for skipped in ["", " \t\r\n", "\n", "# juliet:x"] {
            assert_eq!(read(skipped), Ok(None), "{skipped:?}");
        }
        assert_eq!(read("juliet"), Err(LineFault::NoColon));
        assert_eq!(read("juliet:"), Err(LineFault::BadPassword));
        assert_eq!(read("juliet:a\u{7}b"), Err(LineFault::BadPassword));
        for user in ["", "@example.org", "a b", "juliet@example.org/home", "juliet@"] {
            assert_eq!(read(&format!("{user}:x")), Err(LineFault::BadUser(user.to_owned())));
        }
        let options = ImportOptions { domains: vec!["a.example".into()], ..ImportOptions::new("a.example") };
        let fault = |line: &[u8]| read_line(line.to_vec(), &options).expect_err("refused");
        assert!(read_line(b"juliet:x".to_vec(), &options).is_ok());
        assert!(read_line(b"juliet@A.example:x".to_vec(), &options).is_ok());
        assert_eq!(fault(b"juliet@b.example:x"), LineFault::OtherDomain("b.example".into()));
        assert_eq!(fault(b"juliet:\xFF"), LineFault::NotText);
        let options = ImportOptions { domain: None, ..options };
        let fault = read_line(b"juliet:x".to_vec(), &options).expect_err("refused");
        assert_eq!(fault, LineFault::NoDomain("juliet".into()));
    }

    #[test]
    fn accounts_are_imported_in_steps() {
        let store = Memory::new();
        let lines = (0..1_300).map(|n| match n {
            7 => "no colon here".to_owned(),
            8 => String::new(),
            9 => "user5:again".to_owned(),
            _ => format!("user{n}:password {n}"),
        });
        let lines: Vec<_> = lines.collect();
        let options = ImportOptions { iterations: 1, threads: 3, ..ImportOptions::new("example.org") };
        let mut steps = Vec::new();
        let run = |options: &ImportOptions, steps: &mut Vec<u64>| {
            let lines = lines.iter().map(|line| Ok(line.clone().into_bytes()));
            import(&store, lines, options, &mut |report| steps.push(report.lines())).expect("imports")
        };
        let report = run(&options, &mut steps);
        assert_eq!((report.added, report.replaced, report.kept), (1_297, 0, 0));
        assert_eq!(report.faulty, [(8, LineFault::NoColon), (10, LineFault::Duplicate(6))]);
        assert_eq!(steps.last(), Some(&1_299));
        assert_eq!(steps.len(), 3);

        let keys = |user: &str| {
            let user = BareJid::parse(user).expect("a JID");
            match store.call(AccountsOp::Get { user }) {
                Ok(AccountsDone::Found(Some(found))) => found,
                other => panic!("{other:?}"),
            }
        };
        let found = keys("user5@example.org");
        for hash in [Hash::Sha1, Hash::Sha256] {
            assert!(found.get(hash).expect("keys").matches(hash, "password 5"), "the first line counts");
        }
        assert!(found.get(Hash::Sha512).is_none());
        assert_ne!(
            found.get(Hash::Sha1).expect("keys").salt,
            keys("user6@example.org").get(Hash::Sha1).expect("keys").salt
        );

        let options = ImportOptions { existing: Existing::Replace, ..options };
        let report = run(&options, &mut steps);
        assert_eq!((report.added, report.replaced, report.kept), (0, 1_297, 0));
        let options = ImportOptions { existing: Existing::Keep, ..options };
        let report = run(&options, &mut steps);
        assert_eq!((report.added, report.replaced, report.kept), (0, 0, 1_297));
    }

    #[test]
    fn a_failing_input_is_an_error() {
        let store = Memory::new();
        let lines = [Ok(b"juliet:x".to_vec()), Err(io::Error::other("gone"))];
        let options = ImportOptions { iterations: 1, ..ImportOptions::new("example.org") };
        let error = import(&store, lines.into_iter(), &options, &mut |_| {}).expect_err("fails");
        assert!(matches!(error, ImportError::Read(_)), "{error}");
    }
}
