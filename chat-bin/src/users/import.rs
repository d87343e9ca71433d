//! `chat user import`: many accounts from a file, with progress for whoever waits.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chat_net::auth::{ImportOptions, ImportReport};
use chat_net::store::Existing;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::Failure;
use crate::config::Config;
use crate::store::{self, Opener};

/// Between two lines of progress where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What to import.
#[derive(Debug, Clone)]
pub struct Import {
    /// A file of `user:password` lines; `-` is the standard input.
    pub file: PathBuf,
    /// Whether accounts that exist get the passwords of the file.
    pub replace: bool,
}

/// Imports accounts. Faulty lines are left out and named; then the result is an error, although the other lines were
/// imported.
///
/// # Errors
/// The file or the store fails, or lines were left out.
pub fn import(config: &Config, what: &Import) -> Result<(), Failure> {
    let (input, bytes) = input(&what.file)?;
    let opened = store::open(config, Opener::Command)?;
    let options = options(config, what);
    let read = Arc::new(AtomicU64::new(0));
    let input = BufReader::with_capacity(4 * 1024, Counted { input, read: read.clone() });
    let mut progress = Progress::new(bytes, read);
    let lines = input.split(b'\n');
    let report =
        chat_net::auth::import(&*opened.accounts, lines, &options, &mut |report| progress.tell(report));
    progress.finish();
    // Closed before anything is said: what is reported is in the store.
    opened.store.close();
    let report = report?;
    let took = progress.begun.elapsed();
    let mut err = io::stderr().lock();
    for (line, fault) in &report.faulty {
        let _ = writeln!(err, "{}:{line}: {fault}", what.file.display());
    }
    let unnamed = report.faulty_lines - report.faulty.len() as u64;
    if unnamed > 0 {
        let _ = writeln!(err, "and {} more such lines", HumanCount(unnamed));
    }
    super::say(&summary(&report, took));
    match report.faulty_lines {
        0 => Ok(()),
        1 => Err(Failure::new("one line was left out")),
        n => Err(Failure::new(format!("{} lines were left out", HumanCount(n)))),
    }
}

fn input(file: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if file == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed = |error: io::Error| Failure::new(format!("{}: {error}", file.display()));
    let opened = File::open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::new(format!("{} is a directory", file.display())));
    }
    Ok((Box::new(opened), metadata.is_file().then_some(metadata.len())))
}

fn options(config: &Config, what: &Import) -> ImportOptions {
    let one = config.domains.first().filter(|_| config.domains.len() == 1);
    let mut options = ImportOptions { domain: one.cloned(), ..ImportOptions::new("") };
    options.domains.clone_from(&config.domains);
    options.existing = if what.replace { Existing::Replace } else { Existing::Keep };
    // One number for the whole file: the one that is enough for all of its domains.
    let iterations = config.domains.iter().map(|domain| config.for_domain(domain).auth.scram_iterations);
    options.iterations = iterations.max().unwrap_or(options.iterations);
    options
}

fn summary(report: &ImportReport, took: Duration) -> String {
    let count =
        |n: u64, one: &str, many: &str| format!("{} {}", HumanCount(n), if n == 1 { one } else { many });
    let mut parts = vec![count(report.added, "account added", "accounts added")];
    if report.replaced > 0 {
        parts.push(format!("{} got another password", HumanCount(report.replaced)));
    }
    if report.kept > 0 {
        parts.push(format!(
            "{} existed and {} left alone",
            HumanCount(report.kept),
            if report.kept == 1 { "was" } else { "were" }
        ));
    }
    format!("{} in {:.1} s", parts.join(", "), took.as_secs_f64())
}

/// Counts what passes through.
struct Counted<R> {
    input: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Tells how far it is: a bar on a terminal, else a line now and then.
struct Progress {
    begun: Instant,
    said: Instant,
    read: Arc<AtomicU64>,
    bytes: Option<u64>,
    /// Only on a terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new(bytes: Option<u64>, read: Arc<AtomicU64>) -> Progress {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = bytes.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let template = match bytes {
                Some(_) => "{bar:30} {percent:>3} %  {msg}, {eta} to go",
                None => "{spinner} {msg}",
            };
            bar.with_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        Progress { begun: Instant::now(), said: Instant::now(), read, bytes, bar }
    }

    fn tell(&mut self, report: &ImportReport) {
        let read = self.read.load(Ordering::Relaxed);
        let rate = report.lines() as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        let so_far = format!("{} accounts, {rate:.0} a second", HumanCount(report.lines()));
        if let Some(bar) = &self.bar {
            bar.set_position(read);
            bar.set_message(so_far);
        } else if self.said.elapsed() >= SAY_EVERY {
            self.said = Instant::now();
            let percent = self.bytes.filter(|bytes| *bytes > 0).map(|bytes| 100 * read / bytes);
            let percent = percent.map_or(String::new(), |percent| format!(", {percent} %"));
            let _ = writeln!(io::stderr(), "{so_far}{percent}");
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
