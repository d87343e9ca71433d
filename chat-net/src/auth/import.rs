//! Many accounts from `user:password` lines.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use chat_core::jid::BareJid;
use chat_core::sasl::{Hash, ITERATIONS_DEFAULT, Secret};

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
    /// The domain of users that are named without one.
    pub domain: String,
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
            domain: domain.into(),
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
    /// Lines that name no account, with their numbers from 1: the first [`FAULTY_LINES_MAX`].
    pub faulty: Vec<(u64, LineFault)>,
    /// All such lines.
    pub faulty_lines: u64,
}

impl ImportReport {
    /// Lines dealt with so far, empty ones left out.
    pub fn lines(&self) -> u64 {
        self.added + self.replaced + self.kept + self.faulty_lines
    }
}

/// What is wrong with a line. Never shows the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// There is no colon.
    #[error("not of the form user:password")]
    NoColon,
    /// The user is no address without resource.
    #[error("{0:?} is no user")]
    BadUser(String),
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

/// Imports accounts, with keys for SHA-1 and SHA-256. Derives on all threads while the step before is being written;
/// tells `progress` after each step. Blocks: for commands, not for servers.
///
/// # Errors
/// When the input or the store fails. Faulty lines are no error: the report has them.
pub fn import(
    accounts: &dyn Accounts,
    lines: impl Iterator<Item = io::Result<String>>,
    options: &ImportOptions,
    progress: &mut dyn FnMut(&ImportReport),
) -> Result<ImportReport, ImportError> {
    let mut lines =
        lines.zip(1..).filter(|(line, _)| !matches!(line, Ok(line) if line.trim_end().is_empty()));
    let mut report = ImportReport::default();
    let mut writing: Option<mpsc::Receiver<AccountsResult>> = None;
    loop {
        let step = lines.by_ref().take(STEP).map(|(line, number)| Ok((number, Secret::new(line?))));
        let step = step.collect::<io::Result<Vec<_>>>()?;
        let end = step.is_empty();
        let derived = derive_step(&step, options)?;
        if let Some(answer) = writing.take() {
            written(&answer, &mut report)?;
            progress(&report);
        }
        if end {
            return Ok(report);
        }
        let mut ready = Vec::with_capacity(derived.len());
        for ((number, _), derived) in step.iter().zip(derived) {
            match derived {
                Ok(account) => ready.push(account),
                Err(fault) => {
                    report.faulty_lines += 1;
                    if report.faulty.len() < FAULTY_LINES_MAX {
                        report.faulty.push((*number, fault));
                    }
                }
            }
        }
        let (send, receive) = mpsc::sync_channel(1);
        let op = AccountsOp::Import { accounts: ready, existing: options.existing };
        accounts.begin(op, Box::new(move |result| drop(send.send(result))));
        writing = Some(receive);
    }
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

type Derived = Result<(BareJid, Credentials), LineFault>;

/// The accounts of some lines, in their order.
fn derive_step(step: &[(u64, Secret)], options: &ImportOptions) -> Result<Vec<Derived>, getrandom::Error> {
    let next = AtomicUsize::new(0);
    let derived = Mutex::new(Vec::with_capacity(step.len()));
    let work = || -> Result<(), getrandom::Error> {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some((_, line)) = step.get(place) else { return Ok(()) };
            let one = match read_line(line.expose(), &options.domain) {
                Err(fault) => Err(fault),
                Ok((user, password)) => {
                    let hashes = [Hash::Sha1, Hash::Sha256];
                    Ok((user, derive(password.expose(), &hashes, options.iterations)?))
                }
            };
            derived.lock().unwrap_or_else(PoisonError::into_inner).push((place, one));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..options.threads.min(step.len())).map(|_| scope.spawn(work)).collect();
        let own = work();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("deriving does not panic"))
            .fold(own, Result::and)
    })?;
    let mut derived = derived.into_inner().unwrap_or_else(PoisonError::into_inner);
    derived.sort_unstable_by_key(|(place, _)| *place);
    Ok(derived.into_iter().map(|(_, one)| one).collect())
}

/// `user:password`, where the user is a localpart or a whole address. Everything behind the first colon is the
/// password (no localpart has a colon; that of an IPv6 literal in brackets does not count), but for the line's end.
fn read_line(line: &str, domain: &str) -> Result<(BareJid, Secret), LineFault> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let literal = line.find("@[").and_then(|at| line[at..].find(']').map(|end| at + end));
    let colon = match (line.find(':'), literal) {
        (Some(colon), Some(end)) if line[..colon].contains("@[") => line[end..].find(':').map(|at| end + at),
        (colon, _) => colon,
    };
    let (user, password) = line.split_at(colon.ok_or(LineFault::NoColon)?);
    let address =
        if user.contains('@') { BareJid::parse(user) } else { BareJid::parse(&format!("{user}@{domain}")) };
    let address = address.ok().filter(|address| address.local().is_some());
    let address = address.ok_or_else(|| LineFault::BadUser(user.to_owned()))?;
    let password = prepare(&Secret::from(&password[1..])).ok_or(LineFault::BadPassword)?;
    Ok((address, password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    #[test]
    fn lines_are_user_colon_password() {
        let read = |line: &str| {
            read_line(line, "example.org")
                .map(|(user, password)| (user.to_string(), password.expose().to_owned()))
        };
        let both = |user: &str, password: &str| Ok((user.to_owned(), password.to_owned()));
        assert_eq!(read("juliet:secret"), both("juliet@example.org", "secret"));
        assert_eq!(read("Juliet:a:b: \r\n"), both("juliet@example.org", "a:b: "));
        assert_eq!(read("romeo@other.example:x"), both("romeo@other.example", "x"));
        assert_eq!(read("romeo@[2001:db8::1]:x:]"), both("romeo@[2001:db8::1]", "x:]"));
        assert_eq!(read("romeo:x@[y]:z"), both("romeo@example.org", "x@[y]:z"));
        assert_eq!(read("ювліана:пароль"), both("ювліана@example.org", "пароль"));
        assert_eq!(read("juliet"), Err(LineFault::NoColon));
        assert_eq!(read("juliet:"), Err(LineFault::BadPassword));
        assert_eq!(read("juliet:a\u{7}b"), Err(LineFault::BadPassword));
        for user in ["", "@example.org", "a b", "juliet@example.org/home", "juliet@"] {
            assert_eq!(read(&format!("{user}:x")), Err(LineFault::BadUser(user.to_owned())));
        }
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
            let lines = lines.iter().map(|line| Ok(line.clone()));
            import(&store, lines, options, &mut |report| steps.push(report.lines())).expect("imports")
        };
        let report = run(&options, &mut steps);
        assert_eq!((report.added, report.replaced, report.kept), (1_297, 0, 1));
        assert_eq!(report.faulty, [(8, LineFault::NoColon)]);
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
        assert_eq!((report.added, report.replaced, report.kept), (0, 1_298, 0));
        assert!(
            keys("user5@example.org").get(Hash::Sha1).expect("keys").matches(Hash::Sha1, "again"),
            "the last"
        );
    }

    #[test]
    fn a_failing_input_is_an_error() {
        let store = Memory::new();
        let lines = [Ok("juliet:x".to_owned()), Err(io::Error::other("gone"))];
        let options = ImportOptions { iterations: 1, ..ImportOptions::new("example.org") };
        let error = import(&store, lines.into_iter(), &options, &mut |_| {}).expect_err("fails");
        assert!(matches!(error, ImportError::Read(_)), "{error}");
    }
}
