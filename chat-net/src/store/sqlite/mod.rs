//! The embedded store: one SQLite file for one node.
//!
//! Owns: the file, its schema, the lock against a second server, the writer thread, the reader threads and the thread
//! that watches for accounts removed by other processes.
//!
//! In: jobs, through the queue. Out: one batch of answers per sink and transaction.
//!
//! How it works: the writer swaps its whole queue into one transaction, without waiting for more; while it commits,
//! the next batch gathers. So the batches are as large as the load makes them. When an operation breaks the
//! transaction, the batch is rolled back and each operation tried in a transaction of its own. A read goes to a
//! reader thread only when no write of its user is under way, else behind it; a write waits for the reads of its user
//! that readers have begun.
//!
//! Invariants: nothing is answered before its commit; a user's operations are carried out, and answered, in order (two
//! reads without a write between them may change places); numbers of spool rows are never given twice.
//!
//! Durability: write-ahead log; with [`Durability::Full`] each commit is synced before it is answered. With
//! [`Durability::Memory`] it is not: the crash of this program loses nothing, the crash of the machine loses the last
//! seconds, though never the file's consistency.
//!
//! Tables have row ids and a separate unique index: appending so is many times faster than to a table clustered by
//! (owner, id). Not here: SQL of other databases, the meaning of the blobs.

mod accounts;
#[cfg_attr(not(any(test, feature = "fault-injection")), allow(dead_code))]
mod fault;
mod lock;
mod ops;
mod queue;
mod reader;
mod schema;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chat_core::base::RequestId;
use chat_core::effect::StoreOp;
use rusqlite::Connection;

use self::lock::Lock;
use self::queue::Queue;
use self::watch::Watch;
use self::writer::{Health, Writer};
use super::jobs::Job;
use super::{AccountRemoved, Accounts, AccountsAnswer, AccountsOp, Store, StoreSink};

pub use super::Durability;

#[cfg(any(test, feature = "fault-injection"))]
pub use self::fault::{Fault, Faults};

/// How long to wait for another process that writes (`chat user import` does so in steps of a few milliseconds).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that a connection keeps compiled; more than there are.
const STATEMENTS_MAX: usize = 64;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// The database file; it and its folder are made if they are missing. Beside it lie `-wal`, `-shm`, `.lock`.
    pub path: PathBuf,
    /// What the loss of power may take.
    pub durability: Durability,
    /// Refuse to open a store that another process has opened so. A server says yes; commands that change accounts
    /// under a running server say no.
    pub exclusive: bool,
    /// Threads for reads, at least one.
    pub readers: usize,
    /// Operations that may be unanswered; beyond it they are refused as `Overloaded`.
    pub unanswered_max: usize,
    /// Bytes that those operations may hold.
    pub unanswered_bytes_max: usize,
    faults: Option<Arc<dyn fault::Script>>,
}

impl Options {
    /// The settings of a server: exclusive, durable, two readers, 16,384 operations of 64 MiB in all.
    pub fn new(path: impl Into<PathBuf>) -> Options {
        Options {
            path: path.into(),
            durability: Durability::Full,
            exclusive: true,
            readers: 2,
            unanswered_max: 16_384,
            unanswered_bytes_max: 64 * 1024 * 1024,
            faults: None,
        }
    }

    /// The settings of a command that works beside a running server.
    pub fn shared(path: impl Into<PathBuf>) -> Options {
        Options { exclusive: false, readers: 1, ..Options::new(path) }
    }

    /// Lets a test break the writer.
    #[cfg(any(test, feature = "fault-injection"))]
    pub fn with_faults(mut self, faults: Arc<Faults>) -> Options {
        self.faults = Some(faults);
        self
    }
}

/// Why a store cannot be opened. Nothing has changed, except that the file may have been made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server works on it.
    #[error("{path} is in use by another server{holder}; stop it first, or give this one another store")]
    InUse {
        /// The database file.
        path: PathBuf,
        /// " (process N)" if known.
        holder: String,
    },
    /// The file or its folder cannot be made, opened or written.
    #[error("{path}: {reason}")]
    File {
        /// The database file or its folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file is no database, or a damaged one, or not one of ours.
    #[error("{path} is not a usable store: {reason}")]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer program has changed the schema beyond what this one can work with.
    #[error("{path}: {reason}")]
    TooNew {
        /// The database file.
        path: PathBuf,
        /// Which schema it has, and which is known here.
        reason: String,
    },
}

/// The embedded store. Dropping it closes it.
pub struct Sqlite {
    queue: Arc<Queue>,
    health: Arc<Health>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    watch: Mutex<Option<Watch>>,
    path: PathBuf,
    /// Held as long as this lives.
    _lock: Option<Lock>,
}

impl Sqlite {
    /// Opens a store, makes it if it is missing, and brings its schema up to date.
    pub fn open(options: Options) -> Result<Sqlite, OpenError> {
        lock::make_folder(&options.path)?;
        let lock = if options.exclusive { Some(Lock::take(&options.path)?) } else { None };
        lock::make_private(&options.path)?;
        let mut writing = connect(&options.path, options.durability)?;
        schema::migrate(&mut writing, &options.path)?;

        let queue = Arc::new(Queue::new(options.unanswered_max, options.unanswered_bytes_max));
        let health = Arc::new(Health::default());
        let mut threads = Vec::new();
        let writer = Writer::new(writing, queue.clone(), health.clone(), options.faults);
        let started = start("chat-store-writer", &options.path, move || writer.run());
        threads.push(started?);
        for _ in 0..options.readers.max(1) {
            let reading = connect_for_reading(&options.path);
            let thread = reading.and_then(|connection| {
                let (queue, health) = (queue.clone(), health.clone());
                start("chat-store-reader", &options.path, move || reader::run(&connection, &queue, &health))
            });
            match thread {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    queue.close();
                    return Err(error);
                }
            }
        }
        let (threads, watch) = (Mutex::new(threads), Mutex::default());
        Ok(Sqlite { queue, health, threads, watch, path: options.path, _lock: lock })
    }
}

impl Store for Sqlite {
    fn submit(&self, id: RequestId, op: Arc<StoreOp>, sink: &Arc<dyn StoreSink>) {
        self.queue.submit(Job::Store { id, op, sink: sink.clone() });
    }

    fn healthy(&self) -> bool {
        self.health.is_good()
    }

    fn on_account_removed(&self, callback: AccountRemoved) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        match &*watch {
            Some(watch) => watch.add(callback),
            None => *watch = Watch::start(&self.path, callback),
        }
    }

    fn close(&self) {
        self.queue.close();
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(watch);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has closed the queue and said so.
            let _ = thread.join();
        }
    }
}

impl Accounts for Sqlite {
    fn begin(&self, op: AccountsOp, answer: AccountsAnswer) {
        self.queue.submit(Job::account(op, answer));
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}

fn start(name: &str, path: &Path, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.map_err(|error| OpenError::File { path: path.to_owned(), reason: error.to_string() })
}

fn connect(path: &Path, durability: Durability) -> Result<Connection, OpenError> {
    let broken = |error| open_error(path, &error);
    let connection = Connection::open(path).map_err(broken)?;
    prepare(&connection).map_err(broken)?;
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0)).map_err(broken)?;
    if mode != "wal" {
        let reason = format!("the file system cannot hold a write-ahead log (journal mode {mode})");
        return Err(OpenError::File { path: path.to_owned(), reason });
    }
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Memory => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous).map_err(broken)?;
    // Larger than the default 4 MB: a checkpoint delays the batch it falls into.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000).map_err(broken)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024).map_err(broken)?;
    Ok(connection)
}

/// Pages that a reader keeps, in KiB.
const READER_CACHE_KIB: i32 = 512;

fn connect_for_reading(path: &Path) -> Result<Connection, OpenError> {
    let broken = |error| open_error(path, &error);
    let connection = Connection::open(path).map_err(broken)?;
    prepare(&connection).map_err(broken)?;
    connection.pragma_update(None, "query_only", true).map_err(broken)?;
    // Enough for what all reads have in common; the rest would be a copy of what the system has in memory anyway, and
    // two megabytes for each reader is what a thousand sessions cost.
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB).map_err(broken)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

fn open_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match ops::is_damage(error) {
        true => OpenError::Damaged { path, reason },
        false => OpenError::File { path, reason },
    }
}
