//! Opening the store that the configuration names.
//!
//! Owns: the way from `store.url` to an open store. Not here: the stores themselves (chat-net's `store/`).

use std::path::PathBuf;
use std::sync::Arc;

use chat_net::store::{self, Accounts, Memory, Store, postgres, sqlite};

use crate::Failure;
use crate::config::{Config, Durability, StoreUrl};

/// Who opens a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// A server. A file is for one of them only.
    Server,
    /// A command, beside a server or without one.
    Command,
}

/// An open store: both faces of one object.
pub struct Opened {
    /// Users and their messages.
    pub store: Arc<dyn Store>,
    /// Their credentials.
    pub accounts: Arc<dyn Accounts>,
    /// The key for the salts of users that do not exist, of a store that keeps it.
    pub salt_secret: Option<[u8; 16]>,
}

impl Opened {
    fn new<S: Store + Accounts>(store: S) -> Opened {
        let store = Arc::new(store);
        Opened { store: store.clone(), accounts: store, salt_secret: None }
    }
}

/// Opens the store of the configuration; makes it if it is missing.
///
/// # Errors
/// The store is in use, damaged, away, or (for a command) in the memory of another process.
pub fn open(config: &Config, opener: Opener) -> Result<Opened, Failure> {
    match (&config.store.url, opener) {
        (StoreUrl::Memory, Opener::Server) => Ok(Opened::new(Memory::new())),
        (StoreUrl::Memory, Opener::Command) => Err(Failure::new(
            "store.url is memory: its accounts live and end with the server's process, and no other can reach them",
        )),
        (StoreUrl::Sqlite(path), opener) => {
            let mut options = match opener {
                Opener::Server => sqlite::Options::new(path),
                Opener::Command => sqlite::Options::shared(path),
            };
            options.durability = durability(config);
            Ok(Opened::new(sqlite::Sqlite::open(options)?))
        }
        (StoreUrl::Postgres(url), opener) => {
            let mut options = match opener {
                Opener::Server => {
                    let mut options = postgres::Options::new(url.expose())?;
                    options.connections = config.store.connections;
                    options
                }
                Opener::Command => postgres::Options::shared(url.expose())?,
            };
            options.durability = durability(config);
            // Its tasks have a thread of their own, which the server may wait for when it ends.
            let store = postgres::Postgres::open_blocking(options)?;
            let salt_secret = Some(store.salt_secret());
            Ok(Opened { salt_secret, ..Opened::new(store) })
        }
    }
}

fn durability(config: &Config) -> store::Durability {
    match config.store.durability {
        Durability::Full => store::Durability::Full,
        Durability::Memory => store::Durability::Memory,
    }
}

/// Where the server keeps small files of its own: beside the data. `None`: nowhere, for nothing is to be left behind.
pub fn directory(config: &Config) -> Option<PathBuf> {
    match &config.store.url {
        StoreUrl::Sqlite(path) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            Some(parent.map_or_else(|| PathBuf::from("."), PathBuf::from))
        }
        StoreUrl::Memory | StoreUrl::Postgres(_) => None,
    }
}
