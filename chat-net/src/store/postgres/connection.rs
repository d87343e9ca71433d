//! Connections: how they are made, kept, and given up.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use chat_core::effect::StoreError;
use deadpool_postgres::{Client, Connect, Manager, Pool, PoolError, Timeouts};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::{Config, Connection, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::url::Target;
use super::{Durability, chain};

/// How long work on a connection may take before the connection is given up.
pub(super) const WORK_TIMEOUT: Duration = Duration::from_secs(8);

/// How long it may take until there is a connection, log-in included.
const CREATE_TIMEOUT: Duration = Duration::from_secs(8);

/// The settings of a session, where the server knows them. What the server does for a client that has vanished must end
/// soon, for it holds locks that others wait for.
const SETTINGS: &str = "SELECT set_config(known.name, wanted.value, FALSE)
    FROM (VALUES
        ('default_transaction_isolation', 'read committed'),
        ('statement_timeout', '8s'),
        ('idle_in_transaction_session_timeout', '8s'),
        ('client_connection_check_interval', '4s'),
        ('tcp_keepalives_idle', '10'),
        ('tcp_keepalives_interval', '3'),
        ('tcp_keepalives_count', '3'),
        ('client_min_messages', 'warning'),
        -- Every statement has its index. Without this, plans made while a table was small would stay.
        ('enable_seqscan', 'off'),
        ('jit', 'off')
    ) AS wanted (name, value) JOIN pg_settings AS known ON known.name = wanted.name";

/// An answer is worth what the commit is worth: a server that does not sync by default must for us.
const FULL: &str = "SELECT set_config('synchronous_commit', 'on', FALSE) WHERE current_setting('synchronous_commit') = 'off'";

const MEMORY: &str = "SET synchronous_commit = off";

/// Why something did not work.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) fault: Fault,
    pub(super) reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection, the server, its disk: nothing else would fare better, and it may work later.
    Surroundings,
    /// Two transactions were in each other's way. The next try will do.
    Collision,
    /// This one statement, whenever it is tried; its transaction is lost.
    Statement(StoreError),
    /// What a statement found makes no sense; its transaction goes on.
    Value,
}

impl Trouble {
    pub(super) fn surroundings(reason: impl Into<String>) -> Trouble {
        Trouble { fault: Fault::Surroundings, reason: reason.into() }
    }

    /// What is stored makes no sense.
    pub(super) fn damage(what: &str) -> Trouble {
        Trouble { fault: Fault::Value, reason: what.to_owned() }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        // PostgreSQL, Appendix A: the first two characters are the class.
        let code = error.code().map_or("", |code| code.code());
        let fault = match (code.get(..2).unwrap_or_default(), code) {
            ("40", _) => Fault::Collision,
            (_, "XX001" | "XX002") => Fault::Statement(StoreError::Damaged),
            ("21" | "22" | "23" | "54", _) => Fault::Statement(StoreError::Unavailable),
            _ => Fault::Surroundings,
        };
        Trouble { fault, reason: chain(&error) }
    }
}

/// The connections of one store.
#[derive(Clone)]
pub(super) struct Connections {
    pool: Pool,
}

impl Connections {
    pub(super) fn new(
        target: Target,
        tls: Option<MakeRustlsConnect>,
        durability: Durability,
        count: usize,
    ) -> Result<Connections, String> {
        let manager = Manager::from_connect(target.config, Connector { tls, durability }, Default::default());
        let timeouts = Timeouts { wait: None, create: Some(CREATE_TIMEOUT), recycle: Some(CREATE_TIMEOUT) };
        let pool = Pool::builder(manager)
            .max_size(count)
            .timeouts(timeouts)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .build();
        Ok(Connections { pool: pool.map_err(|error| error.to_string())? })
    }

    /// A connection that was alive when last heard of.
    pub(super) async fn get(&self) -> Result<Client, Trouble> {
        // Those that died while idle; there is nothing to say about each.
        self.pool.retain(|client, _| !client.is_closed());
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => Trouble::surroundings("there is no answer"),
            error => Trouble::surroundings(error.to_string()),
        })
    }

    /// Connects, and tells errors by the database apart from others.
    pub(super) async fn try_once(&self) -> Result<Client, PoolError> {
        self.pool.get().await
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }
}

/// Ends a connection of which nobody knows in what state it is.
pub(super) fn discard(client: Client) {
    drop(Client::take(client));
}

struct Connector {
    tls: Option<MakeRustlsConnect>,
    durability: Durability,
}

type Made = Result<(tokio_postgres::Client, JoinHandle<()>), Error>;

impl Connect for Connector {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Made> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, mut task) = match &self.tls {
                Some(tls) => spawn(config.connect(tls.clone()).await?),
                None => spawn(config.connect(NoTls).await?),
            };
            let durability = match self.durability {
                Durability::Full => FULL,
                Durability::Memory => MEMORY,
            };
            client.batch_execute(&format!("{SETTINGS}; {durability}")).await?;
            Ok((client, task.0.take().expect("nobody has taken it")))
        })
    }
}

/// A task that ends with this.
struct Ends(Option<JoinHandle<()>>);

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Moves bytes for a client until it is dropped or the connection breaks; its requests say why.
fn spawn<S, T>(
    (client, connection): (tokio_postgres::Client, Connection<S, T>),
) -> (tokio_postgres::Client, Ends)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let run = async move {
        let _ = connection.await;
    };
    (client, Ends(Some(tokio::spawn(run))))
}
