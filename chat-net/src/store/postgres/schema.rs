//! The tables, and the runner that brings a database up to date.

use deadpool_postgres::Client;
use tokio_postgres::Error;

use super::{LOCKS, OpenError, chain};
use crate::store::migrate::{Applied, Migration, pending};

/// Every change, oldest first.
pub(super) static MIGRATIONS: [Migration; 1] =
    [Migration { version: 1, needs: 1, sql: include_str!("schema/0001.sql") }];

/// Held by whoever changes the schema.
const MIGRATION_LOCK: i64 = LOCKS;

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS chat_schema (
    version INTEGER PRIMARY KEY,
    needs INTEGER NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
)";

/// Carries out what is pending, all of it in one transaction under a lock: of several nodes that start together one does
/// it and the others find it done. A node that finds everything done takes no lock, and needs no right to make tables.
pub(super) async fn migrate(
    client: &mut Client,
    all: &'static [Migration],
    server: &str,
) -> Result<(), OpenError> {
    let failed = |error: Error| OpenError::Failed { server: server.to_owned(), reason: chain(&error) };
    let too_new = |error: crate::store::migrate::TooNew| OpenError::TooNew {
        server: server.to_owned(),
        reason: error.to_string(),
    };
    let encoding: String = client.query_one("SHOW server_encoding", &[]).await.map_err(failed)?.get(0);
    if encoding != "UTF8" {
        let reason = format!("its encoding is {encoding}; it must be made with ENCODING 'UTF8'");
        return Err(OpenError::Failed { server: server.to_owned(), reason });
    }
    let found = applied(client).await.map_err(failed)?;
    if pending(all, found).map_err(too_new)?.is_empty() {
        return Ok(());
    }
    let transaction = client.transaction().await.map_err(failed)?;
    // An index of a large table takes its time, and so does whoever else holds the lock.
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await.map_err(failed)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await.map_err(failed)?;
    transaction.batch_execute(VERSIONS).await.map_err(failed)?;
    let found = applied(transaction.client()).await.map_err(failed)?;
    for migration in pending(all, found).map_err(too_new)? {
        transaction.batch_execute(migration.sql).await.map_err(failed)?;
        let (version, needs) = (migration.version.cast_signed(), migration.needs.cast_signed());
        let insert = "INSERT INTO chat_schema (version, needs) VALUES ($1, $2)";
        transaction.execute(insert, &[&version, &needs]).await.map_err(failed)?;
        tracing::info!(version, server, "the schema of the database was brought up to date");
    }
    transaction.commit().await.map_err(failed)
}

async fn applied(client: &tokio_postgres::Client) -> Result<Applied, Error> {
    let table = client.query_one("SELECT to_regclass('chat_schema') IS NOT NULL", &[]).await?;
    if !table.try_get(0)? {
        return Ok(Applied::default());
    }
    let newest = "SELECT coalesce(max(version), 0), coalesce(max(needs), 0) FROM chat_schema";
    let newest = client.query_one(newest, &[]).await?;
    let number = |column| newest.try_get(column).map(i32::cast_unsigned);
    Ok(Applied { version: number(0)?, needs: number(1)? })
}
