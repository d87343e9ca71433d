//! The store of a cluster: one PostgreSQL database, shared by its nodes.
//!
//! Owns: the connections, the schema, the keys that nodes share, what is tried again when the database fails, and the task that watches for
//! accounts removed by other processes.
//!
//! In: jobs, through the queue. Out: one batch of answers per sink and transaction. Everything asynchronous runs on a
//! [`Spawner`] with tokio.
//!
//! How it works: each connection takes all writes that wait, up to a thousand, into one transaction; meanwhile the next
//! ones gather. A transaction locks the rows of its users in the order of their names, then sends one statement for each
//! operation and the commit behind them, without waiting in between. So a batch costs two round trips and one sync
//! whatever its size, and nodes do not lock each other out. Reads of users for whom nothing is being written are sent by
//! themselves, many behind each other.
//!
//! When the database fails (a broken connection, a restart, a full disk, no answer), what is under way is repeated on
//! a new connection, in the same order: every operation bears that. This goes on for as long as the engine waits for
//! an answer. After that operations are refused as `Unavailable`, until a probe twice a second finds that it works again.
//!
//! Invariants: nothing is answered before its commit; the operations of one user on one node are carried out, and
//! answered, in order, those of several nodes one after the other; rows of the spool become visible in the order of
//! their numbers, which are never given twice.
//!
//! Durability: with [`Durability::Full`] a commit is answered when the server has synced it, or more if the server asks for
//! more (`synchronous_commit`). With [`Durability::Memory`] the crash of the database server may take the last moments.
//!
//! Not here: SQL of other databases, the meaning of the blobs, who may share a database (the operator knows).
//! Connection poolers between this and the database must keep sessions; those that share them between transactions
//! break prepared statements.

mod accounts;
mod batch;
mod connection;
mod keys;
mod ops;
mod outage;
mod pipeline;
mod queue;
mod schema;
mod statements;
mod tls;
mod url;
mod workers;

#[cfg(all(unix, any(test, feature = "conformance")))]
pub mod private;
#[cfg(all(unix, test))]
mod tests;

use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chat_core::base::RequestId;
use chat_core::effect::StoreOp;
use deadpool_postgres::{Client, PoolError};
use tokio::sync::oneshot;

use self::connection::Connections;
use self::outage::Outage;
use self::queue::Queue;
use self::url::Target;
use self::workers::Shared;
use super::jobs::Job;
use super::migrate::Migration;
use super::{AccountRemoved, Accounts, AccountsAnswer, AccountsOp, Durability, Store, StoreSink};
use crate::spawn::Spawner;
use crate::tls::Provider;

/// The first of the advisory locks used here: "chat" and a number.
const LOCKS: i64 = 0x6368_6174 << 8;

/// How long operations wait for a database that fails: as long as the engine waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between tries to connect at the start.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    target: Target,
    /// What the loss of power may take.
    pub durability: Durability,
    /// Connections that carry out operations, at least one. One more looks around.
    pub connections: usize,
    /// How long to wait for a database that cannot be reached yet.
    pub patience_at_start: Duration,
    /// Operations that may be unanswered; beyond it they are refused as `Overloaded`.
    pub unanswered_max: usize,
    /// Bytes that those operations may hold.
    pub unanswered_bytes_max: usize,
    /// Who does the cryptography of TLS.
    pub provider: Option<Provider>,
    /// How long operations wait for a database that fails.
    patience: Duration,
    migrations: &'static [Migration],
}

impl Options {
    /// The settings of a server: durable, four connections, 16,384 operations of 64 MiB in all, ten seconds for a database
    /// that starts at the same time.
    ///
    /// `url` is `postgres://user:password@host:port/database?option=value&…`. A host that is a path (`%2Frun%2Fpostgresql`)
    /// names the folder of a socket; several hosts are tried in turn. Options are those of libpq, as far as they make sense
    /// here: `sslmode`, `sslrootcert`, `connect_timeout` (seconds), `target_session_attrs`, `application_name`, `options`, and
    /// those of TCP.
    ///
    /// `sslmode` is `disable`, `prefer` (the default: TLS if the server has it, with whatever certificate) or `require`: TLS
    /// with a certificate for the host, by an authority of the system or, with `sslrootcert=FILE`, of that file (PEM).
    ///
    /// # Errors
    /// [`OpenError::Url`], which shows no part of the URL.
    pub fn new(url: &str) -> Result<Options, OpenError> {
        Ok(Options {
            target: Target::read(url).map_err(|reason| OpenError::Url { reason })?,
            durability: Durability::Full,
            connections: 4,
            patience_at_start: Duration::from_secs(10),
            unanswered_max: 16_384,
            unanswered_bytes_max: 64 * 1024 * 1024,
            provider: Provider::built_in(),
            patience: PATIENCE,
            migrations: &schema::MIGRATIONS,
        })
    }

    /// The settings of a command that works beside running servers, or without one.
    ///
    /// # Errors
    /// As [`Options::new`].
    pub fn shared(url: &str) -> Result<Options, OpenError> {
        Ok(Options { connections: 1, patience_at_start: Duration::ZERO, ..Options::new(url)? })
    }
}

/// Without the URL, which may have a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("server", &self.target.name()).finish_non_exhaustive()
    }
}

/// Why a store cannot be opened. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL makes no sense.
    #[error("the URL of the database cannot be used: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// TLS cannot be had as the URL asks for it.
    #[error("{server}: {reason}")]
    Tls {
        /// Hosts and database.
        server: String,
        /// What is missing.
        reason: String,
    },
    /// Nobody answers, or the log-in is refused.
    #[error("cannot connect to the database {server}: {reason}")]
    Connect {
        /// Hosts and database.
        server: String,
        /// What the system or the server says.
        reason: String,
    },
    /// The tables cannot be made or read.
    #[error("the database {server} cannot be used: {reason}")]
    Failed {
        /// Hosts and database.
        server: String,
        /// What the server says.
        reason: String,
    },
    /// A newer program has changed the schema beyond what this one can work with.
    #[error("{server}: {reason}")]
    TooNew {
        /// Hosts and database.
        server: String,
        /// Which schema it has, and which is known here.
        reason: String,
    },
}

/// The store of a cluster. Dropping it gives up what is unanswered; [`Store::close`] waits for it.
pub struct Postgres {
    shared: Arc<Shared>,
    salt_secret: [u8; 16],
    /// The tasks live as long as their thread, and that as long as this.
    _spawner: Spawner,
}

impl Postgres {
    /// Connects, and brings the schema up to date. The tasks of the store run on `spawner` if that has tokio, else on
    /// a service thread.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(options: Options, spawner: &Spawner) -> Result<Postgres, OpenError> {
        let spawner = spawner.for_tokio();
        let server = options.target.name();
        let count = options.connections.max(1);
        let (send, opened) = oneshot::channel();
        // This future may be polled anywhere; what it does needs tokio.
        spawner.spawn(async move {
            let _ = send.send(prepare(options).await);
        });
        let lost = || OpenError::Failed { server, reason: "its tasks have ended".to_owned() };
        let Prepared { shared, seen, salt_secret } = opened.await.unwrap_or_else(|_| Err(lost()))?;
        for _ in 0..count {
            shared.queue.join();
            spawner.spawn(workers::work(shared.clone()));
        }
        spawner.spawn(workers::look_around(shared.clone(), seen));
        Ok(Postgres { shared, salt_secret, _spawner: spawner })
    }

    /// The same on a service thread of its own, for callers without a runtime and for those who may block.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_blocking(options: Options) -> Result<Postgres, OpenError> {
        let spawner = Spawner::service();
        let (send, opened) = std::sync::mpsc::sync_channel(1);
        let server = options.target.name();
        let own = spawner.clone();
        spawner.spawn(async move {
            // The clone ends with this, or the thread would never.
            let result = Postgres::open(options, &own).await;
            let _ = send.send(result);
        });
        let lost = |_| Err(OpenError::Failed { server, reason: "its tasks have ended".to_owned() });
        opened.recv().unwrap_or_else(lost)
    }

    /// What makes the salts of users that do not exist, for
    /// [`ServerBuilder::salt_secret`](crate::server::ServerBuilder::salt_secret): the same on all nodes, and after each restart.
    pub fn salt_secret(&self) -> [u8; 16] {
        self.salt_secret
    }
}

/// What there is once a database is open.
struct Prepared {
    shared: Arc<Shared>,
    /// The last purge, which is no news.
    seen: i64,
    salt_secret: [u8; 16],
}

async fn prepare(options: Options) -> Result<Prepared, OpenError> {
    let server = options.target.name();
    let tls = tls::connector(&options.target.tls, options.provider)
        .map_err(|reason| OpenError::Tls { server: server.clone(), reason })?;
    let count = options.connections.max(1) + 1;
    let connections = Connections::new(options.target, tls, options.durability, count)
        .map_err(|reason| OpenError::Failed { server: server.clone(), reason })?;
    let mut client = connect(&connections, options.patience_at_start, &server).await?;
    schema::migrate(&mut client, options.migrations, &server).await?;
    let failed = |reason| OpenError::Failed { server: server.clone(), reason };
    let salt_secret = keys::salt_secret(&client).await.map_err(failed)?;
    drop(client);
    let queue = Queue::new(options.unanswered_max, options.unanswered_bytes_max);
    let (outage, removed) = (Outage::new(options.patience), Mutex::default());
    let shared = Arc::new(Shared { queue, connections, outage, removed });
    let seen = shared.last_purge().await.map_err(|trouble| failed(trouble.reason))?;
    Ok(Prepared { shared, seen, salt_secret })
}

/// Connects; tries again while the server is not there or not ready. A refusal is final.
async fn connect(connections: &Connections, patience: Duration, server: &str) -> Result<Client, OpenError> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let error = match connections.try_once().await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let (reason, is_final) = match &error {
            PoolError::Backend(error) => {
                let code = error.code().map_or("", |code| code.code());
                // Class 57: it is starting or stopping. Class 53: it has too many connections just now.
                (chain(error), !matches!(code.get(..2), None | Some("57" | "53")))
            }
            PoolError::Timeout(_) => ("there is no answer".to_owned(), false),
            error => (error.to_string(), true),
        };
        if is_final || begun.elapsed() >= patience {
            return Err(OpenError::Connect { server: server.to_owned(), reason });
        }
        if !told {
            told = true;
            tracing::warn!(%reason, "cannot connect to the database {server} yet");
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// What an error says, without the words around it.
fn chain(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

impl Store for Postgres {
    fn submit(&self, id: RequestId, op: Arc<StoreOp>, sink: &Arc<dyn StoreSink>) {
        self.shared.queue.submit(Job::Store { id, op, sink: sink.clone() });
    }

    fn healthy(&self) -> bool {
        !self.shared.queue.is_closed() && self.shared.outage.is_healthy()
    }

    fn on_account_removed(&self, callback: AccountRemoved) {
        self.shared.removed.lock().unwrap_or_else(PoisonError::into_inner).push(callback);
    }

    /// Must not be called on a thread that runs the store's tasks.
    fn close(&self) {
        self.shared.queue.close();
        self.shared.queue.wait_until_over();
    }
}

impl Accounts for Postgres {
    fn begin(&self, op: AccountsOp, answer: AccountsAnswer) {
        self.shared.queue.submit(Job::account(op, answer));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}
