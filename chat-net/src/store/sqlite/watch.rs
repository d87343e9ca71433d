//! Watching for accounts that another process purges.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chat_core::jid::BareJid;
use rusqlite::Connection;

use super::connect_for_reading;
use crate::store::AccountRemoved;

/// A server notices within a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A thread that looks into the log of purged accounts; ends when dropped.
pub(super) struct Watch {
    callbacks: Arc<Mutex<Vec<AccountRemoved>>>,
    /// None once it was told to stop.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// None if the database cannot be opened once more, which the next health check will tell.
    pub(super) fn start(path: &Path, callback: AccountRemoved) -> Option<Watch> {
        let connection = connect_for_reading(path).ok()?;
        // From here on: what was purged before is not news.
        let mut seen = last(&connection).ok()?;
        let callbacks = Arc::new(Mutex::new(vec![callback]));
        let (stop, stopped) = mpsc::channel();
        let heard = callbacks.clone();
        let run = move || {
            let mut version = None;
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                // A failed look is repeated: the rows wait.
                let _ = look(&connection, &mut version, &mut seen, &heard);
            }
        };
        let thread = std::thread::Builder::new().name("chat-store-watch".into()).spawn(run).ok()?;
        Some(Watch { callbacks, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn add(&self, callback: AccountRemoved) {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner).push(callback);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn last(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT ifnull(max(seq), 0) FROM account_log", (), |row| row.get(0))
}

fn look(
    connection: &Connection,
    version: &mut Option<i64>,
    seen: &mut i64,
    callbacks: &Mutex<Vec<AccountRemoved>>,
) -> rusqlite::Result<()> {
    // Changes when any other connection has committed; costs no read of the file.
    let now = connection.query_row("PRAGMA data_version", (), |row| row.get(0))?;
    if *version == Some(now) {
        return Ok(());
    }
    let mut statement =
        connection.prepare_cached("SELECT seq, jid FROM account_log WHERE seq > ?1 ORDER BY seq")?;
    let rows = statement.query_map([*seen], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    for row in rows {
        let (seq, jid) = row?;
        *seen = seq;
        let Ok(jid) = BareJid::parse(&jid) else { continue };
        let callbacks = callbacks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        callbacks.iter().for_each(|callback| callback(&jid));
    }
    *version = Some(now);
    Ok(())
}
