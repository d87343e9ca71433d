//! The tables, and the runner that brings a file up to date.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{OpenError, open_error};
use crate::store::migrate::{Applied, Migration, pending};

/// Every change, oldest first.
static MIGRATIONS: [Migration; 1] =
    [Migration { version: 1, needs: 1, sql: include_str!("schema/0001.sql") }];

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER PRIMARY KEY,
    needs INTEGER NOT NULL,
    applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)";

/// Carries out what is pending, all of it in one transaction, so that of two processes one does it and the other
/// finds it done.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let broken = |error| open_error(path, &error);
    if todo(connection, path)?.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
    transaction.execute_batch(VERSIONS).map_err(broken)?;
    for migration in todo(&transaction, path)? {
        transaction.execute_batch(migration.sql).map_err(broken)?;
        let insert = "INSERT INTO schema_version (version, needs) VALUES (?1, ?2)";
        transaction.execute(insert, (migration.version, migration.needs)).map_err(broken)?;
    }
    transaction.commit().map_err(broken)
}

fn todo(connection: &Connection, path: &Path) -> Result<&'static [Migration], OpenError> {
    let applied = applied(connection).map_err(|error| open_error(path, &error))?;
    let Some(applied) = applied else {
        let reason = "it has tables of something else".to_owned();
        return Err(OpenError::Damaged { path: path.to_owned(), reason });
    };
    let too_new = |error: crate::store::migrate::TooNew| OpenError::TooNew {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    pending(&MIGRATIONS, applied).map_err(too_new)
}

/// None if the file is in use for something else.
fn applied(connection: &Connection) -> rusqlite::Result<Option<Applied>> {
    let table = "SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'";
    if connection.query_row(table, (), |_| Ok(())).optional()?.is_none() {
        let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
        return Ok((tables == 0).then(Applied::default));
    }
    let newest = "SELECT ifnull(max(version), 0), ifnull(max(needs), 0) FROM schema_version";
    let applied =
        connection.query_row(newest, (), |row| Ok(Applied { version: row.get(0)?, needs: row.get(1)? }))?;
    Ok(Some(applied))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> Applied {
        applied(connection).expect("readable").expect("ours")
    }

    #[test]
    fn an_empty_file_is_brought_up_to_date_once() {
        let mut connection = Connection::open_in_memory().expect("in memory");
        let path = Path::new("x");
        migrate(&mut connection, path).expect("migrates");
        let last = &MIGRATIONS[MIGRATIONS.len() - 1];
        assert_eq!(version(&connection).version, last.version);
        migrate(&mut connection, path).expect("nothing to do");
    }

    #[test]
    fn a_newer_schema_is_refused_only_when_it_must_be() {
        let mut connection = Connection::open_in_memory().expect("in memory");
        let path = Path::new("x");
        migrate(&mut connection, path).expect("migrates");
        let newer = "INSERT INTO schema_version (version, needs) VALUES (?1, ?2)";
        connection.execute(newer, (1_000, 1)).expect("inserts");
        migrate(&mut connection, path).expect("additive");
        connection.execute(newer, (1_001, 1_000)).expect("inserts");
        let error = migrate(&mut connection, path).expect_err("too new");
        assert!(matches!(error, OpenError::TooNew { .. }), "{error}");
        let knows = MIGRATIONS.len();
        let text = format!(
            "x: the database has schema 1001, which needs a program that knows schema 1000; this one knows {knows}"
        );
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_foreign_file_is_left_alone() {
        let mut connection = Connection::open_in_memory().expect("in memory");
        connection.execute_batch("CREATE TABLE cookies (x)").expect("creates");
        let error = migrate(&mut connection, Path::new("x")).expect_err("foreign");
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
}
