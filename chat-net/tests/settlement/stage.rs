//! A server on a SQLite file whose writer does as it is told, and a look into that file from outside.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use chat_core::base::{Limits, Span};
use chat_core::effect::{AccountDone, AccountError, AccountOp};
use chat_core::jid::BareJid;
use chat_core::sasl::Mechanism;
use chat_net::auth::{AccountAnswer, Authenticator};
use chat_net::server::{Domain, Server, ServerBuilder, ServerHandle};
use chat_net::store::sqlite::{Durability, Fault, Faults, Options, Sqlite};
use chat_net::store::{RequestId, Store, StoreOp, StoreResult, StoreSink};
use tempfile::TempDir;

/// How long anything may take that should take no time.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long the server waits for its store. Twice the 2.5 s after which it asks again, and some.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(7);

/// Lets everybody in whose password is "secret".
pub struct Friendly;

impl Authenticator for Friendly {
    fn mechanisms(&self) -> Vec<Mechanism> {
        vec![Mechanism::Plain]
    }

    fn begin(&self, op: AccountOp, answer: AccountAnswer) {
        answer(match op {
            AccountOp::Check { password, .. } if password.expose() == "secret" => Ok(AccountDone::Accepted),
            AccountOp::Check { .. } => Err(AccountError::Refused),
            _ => Err(AccountError::Unsupported),
        });
    }
}

/// The limits of all cells.
pub fn limits() -> Limits {
    Limits {
        rate_bytes_per_second: 0,
        close_timeout: Span::millis(200),
        store_timeout: Span::millis(STORE_TIMEOUT.as_millis() as u64),
        ..Limits::default()
    }
}

/// A running server and its file.
pub struct Stage {
    pub server: ServerHandle,
    pub faults: Arc<Faults>,
    pub store: Arc<Sqlite>,
    folder: TempDir,
    outside: rusqlite::Connection,
}

fn file(folder: &Path) -> PathBuf {
    folder.join("chat.db")
}

impl Stage {
    /// A server on a new file, which knows juliet, romeo, mercutio and the nurse.
    pub fn new(limits: Limits) -> Stage {
        Stage::build(limits, |options| options, |builder, _| builder.authenticator(Arc::new(Friendly)))
    }

    /// The same, with other settings of the store and of the server.
    pub fn build(
        limits: Limits,
        options: impl FnOnce(Options) -> Options,
        finish: impl FnOnce(ServerBuilder, &Arc<Sqlite>) -> ServerBuilder,
    ) -> Stage {
        let stage = Stage::open(TempDir::new().expect("a folder"), limits, options, finish);
        for name in ["juliet", "romeo", "mercutio", "nurse"] {
            stage.ask(StoreOp::Touch { user: jid(name) });
        }
        stage
    }

    /// Another server, on what this one would leave behind if it were killed now: its files as they are, and nothing of
    /// what it has in memory.
    pub fn crashed(&self) -> Stage {
        let folder = TempDir::new().expect("a folder");
        // The log last: what is written meanwhile makes its end unreadable, at most.
        for name in ["chat.db", "chat.db-wal"] {
            std::fs::copy(self.folder.path().join(name), folder.path().join(name)).expect("copies");
        }
        Stage::open(folder, limits(), |o| o, |builder, _| builder.authenticator(Arc::new(Friendly)))
    }

    fn open(
        folder: TempDir,
        limits: Limits,
        options: impl FnOnce(Options) -> Options,
        finish: impl FnOnce(ServerBuilder, &Arc<Sqlite>) -> ServerBuilder,
    ) -> Stage {
        let faults = Arc::new(Faults::new());
        let mut options = options(Options::new(file(folder.path())).with_faults(faults.clone()));
        // What the files hold matters here; how fast the disk below them is does not.
        options.durability = Durability::Memory;
        let store = Arc::new(Sqlite::open(options).expect("opens"));
        let outside = rusqlite::Connection::open(file(folder.path())).expect("opens");
        outside.busy_timeout(PATIENCE).expect("an option");
        let builder = Server::builder()
            .domain(Domain::new("localhost"))
            .store(store.clone())
            // Who lives on which worker is different each time, and must not matter.
            .workers(2)
            .limits(limits);
        let server = finish(builder, &store).start().expect("it starts");
        Stage { server, faults, store, folder, outside }
    }

    /// Begins an operation beside the server.
    pub fn begin(&self, op: StoreOp) -> mpsc::Receiver<StoreResult> {
        let (send, receive) = mpsc::channel();
        let sink: Arc<dyn StoreSink> = Arc::new(Answers(send));
        self.store.submit(RequestId(1), Arc::new(op), &sink);
        receive
    }

    /// Waits for an operation, and so for all writes before it.
    pub fn ask(&self, op: StoreOp) {
        let answer = self.begin(op).recv_timeout(PATIENCE).expect("an answer");
        answer.expect("carried out");
    }

    /// Waits until the writer has done all that it was asked for.
    pub fn settle(&self) {
        self.ask(StoreOp::Touch { user: jid("nurse") });
    }

    /// The writer works again, and has done all that it was asked for.
    pub fn heal(&self) {
        self.faults.always(Fault::None);
        self.faults.release();
        // A fault that nothing has met yet is met by this.
        let healed = || self.begin(StoreOp::Touch { user: jid("nurse") }).recv_timeout(PATIENCE);
        eventually("the writer works", || matches!(healed(), Ok(Ok(_))));
    }

    /// How many rows there are with this body.
    pub fn rows(&self, body: &str) -> u32 {
        let sql = "SELECT count(*) FROM spool WHERE instr(stanza, CAST(?1 AS BLOB)) > 0";
        let mut statement = self.outside.prepare_cached(sql).expect("a query");
        statement.query_row([format!("<body>{body}</body>")], |row| row.get(0)).expect("a count")
    }

    /// How many rows wait for a user.
    pub fn waiting(&self, user: &str) -> u32 {
        let sql = "SELECT count(*) FROM spool JOIN user ON user.id = spool.owner WHERE user.jid = ?1";
        let mut statement = self.outside.prepare_cached(sql).expect("a query");
        statement.query_row([jid(user).as_str()], |row| row.get(0)).expect("a count")
    }

    pub fn shutdown(self) {
        self.faults.always(Fault::None);
        self.faults.release();
        self.server.shutdown_blocking();
    }
}

impl Drop for Stage {
    /// A test that fails must not hang: a store is closed only once its writer goes on.
    fn drop(&mut self) {
        self.faults.always(Fault::None);
        self.faults.release();
    }
}

struct Answers(mpsc::Sender<StoreResult>);

impl StoreSink for Answers {
    fn done(&self, batch: Vec<(RequestId, StoreResult)>) {
        for (_, result) in batch {
            // Nobody need listen.
            let _ = self.0.send(result);
        }
    }
}

pub fn jid(name: &str) -> BareJid {
    BareJid::parse(&format!("{name}@localhost")).expect("a JID")
}

/// Waits until something is so.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
