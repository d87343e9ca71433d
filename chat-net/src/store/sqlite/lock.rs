//! The lock file that keeps a second server away, and the making of private files.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::OpenError;

/// A lock on `<database>.lock`, released when dropped or when the process ends, however it ends.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(database: &Path) -> Result<Lock, OpenError> {
        let path = beside(database, ".lock");
        let failed = |error: io::Error| OpenError::File { path: path.clone(), reason: error.to_string() };
        let mut file = private().truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The number is a courtesy: without it the message is still right.
                let _ = file.read_to_string(&mut holder);
                let holder = match holder.trim().parse::<u32>() {
                    Ok(process) => format!(" (process {process})"),
                    Err(_) => String::new(),
                };
                return Err(OpenError::InUse { path: database.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(Lock { _file: file })
    }
}

/// Makes the folder of the database.
pub(super) fn make_folder(database: &Path) -> Result<(), OpenError> {
    let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    let failed = |error: io::Error| OpenError::File { path: folder.to_owned(), reason: error.to_string() };
    std::fs::create_dir_all(folder).map_err(failed)
}

/// Makes an empty database file that only its owner may read: it will hold keys and messages. SQLite gives the files
/// beside it the same mode.
pub(super) fn make_private(database: &Path) -> Result<(), OpenError> {
    let failed = |error: io::Error| OpenError::File { path: database.to_owned(), reason: error.to_string() };
    private().truncate(false).open(database).map(drop).map_err(failed)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
