//! The engine's operations in SQL.

use std::collections::HashSet;
use std::sync::Arc;

use chat_core::base::{MsgId, Utc};
use chat_core::effect::{Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError, StoreOp, StoreResult};
use chat_core::jid::BareJid;
use deadpool_postgres::Client;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Error, Row};

use super::connection::Trouble;
use super::pipeline::Sent;
use super::statements::{Sql, Statements};

/// The answer to an operation, or why there is none.
pub(super) type Answer = Result<StoreResult, Trouble>;

const DONE: Answer = Ok(Ok(StoreDone::Done));

/// Whether an operation makes its user if need be.
pub(super) fn makes_user(op: &StoreOp) -> bool {
    match op {
        StoreOp::Touch { .. }
        | StoreOp::PutRoster { .. }
        | StoreOp::PutBlocked { .. }
        | StoreOp::SpoolPut { .. } => true,
        StoreOp::LoadUser { .. }
        | StoreOp::SpoolRead { .. }
        | StoreOp::SpoolWaiting { .. }
        | StoreOp::SpoolDelete { .. }
        | StoreOp::RemoveUser { .. } => false,
    }
}

/// Carries out one operation, in one statement. Writes are for the user with the number `owner`, whose row is locked;
/// none if there is no such user.
pub(super) fn send<'a>(
    client: &'a Client,
    statements: &'a Statements,
    owner: Option<i64>,
    op: &'a StoreOp,
) -> Sent<'a, Answer> {
    let sql = |sql| statements.get(sql);
    let owner = match (op, owner) {
        (StoreOp::LoadUser { user }, _) => {
            return Box::pin(async move {
                let found = client.query_opt(sql(Sql::Load), &[&user.as_str()]).await?;
                let loaded = found.map_or_else(|| Ok(Loaded::default()), |row| load(&row));
                Ok(Ok(StoreDone::User(loaded?)))
            });
        }
        (StoreOp::SpoolRead { user, after, rows_max, bytes_max }, _) => {
            let (rows_max, bytes_max) = (i64::from((*rows_max).max(1)), i64::from(*bytes_max));
            return Box::pin(async move {
                let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                    [&user.as_str(), &after.0, &rows_max, &bytes_max];
                let rows = client.query(sql(Sql::SpoolRead), &parameters).await?;
                Ok(Ok(StoreDone::Spool(rows.iter().map(spooled).collect::<Result<_, _>>()?)))
            });
        }
        (StoreOp::SpoolWaiting { users }, _) => {
            return Box::pin(async move {
                let names: Vec<&str> = users.iter().map(BareJid::as_str).collect();
                let rows = client.query(sql(Sql::SpoolWaiting), &[&names]).await?;
                let there = rows.iter().map(|row| get(row, 0)).collect::<Result<HashSet<&str>, _>>()?;
                let waits = |user: &&BareJid| there.contains(user.as_str());
                Ok(Ok(StoreDone::Waiting(users.iter().filter(waits).cloned().collect())))
            });
        }
        (_, Some(owner)) => owner,
        // Only what needs nobody: the others have made their user.
        (_, None) => return Box::pin(async { DONE }),
    };
    match op {
        StoreOp::Touch { .. } => Box::pin(async move {
            client.execute(sql(Sql::Touch), &[&owner]).await?;
            DONE
        }),
        StoreOp::PutRoster { expected, roster, .. } => {
            put(client, sql(Sql::PutRoster), owner, *expected, roster)
        }
        StoreOp::PutBlocked { expected, blocked, .. } => {
            put(client, sql(Sql::PutBlocked), owner, *expected, blocked)
        }
        StoreOp::SpoolPut { row, rows_max, .. } => {
            let (id, rows_max) = (row.id.0.to_be_bytes(), i64::from(*rows_max));
            Box::pin(async move {
                let (id, stanza) = (id.as_slice(), &*row.stanza);
                let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                    [&owner, &id, &row.at.0, &stanza, &rows_max];
                let there = client.query_one(sql(Sql::SpoolPut), &parameters).await?;
                Ok(if get(&there, 0)? { Ok(StoreDone::Done) } else { Err(StoreError::Full) })
            })
        }
        StoreOp::SpoolDelete { ids, .. } => {
            let ids: Vec<_> = ids.iter().map(|id| id.0.to_be_bytes()).collect();
            Box::pin(async move {
                let ids: Vec<_> = ids.iter().map(<[u8; 16]>::as_slice).collect();
                client.execute(sql(Sql::SpoolDelete), &[&owner, &ids]).await?;
                DONE
            })
        }
        StoreOp::RemoveUser { .. } => Box::pin(async move {
            client.execute(sql(Sql::Remove), &[&owner]).await?;
            DONE
        }),
        StoreOp::LoadUser { .. } | StoreOp::SpoolRead { .. } | StoreOp::SpoolWaiting { .. } => {
            unreachable!("reads are above")
        }
    }
}

fn put<'a>(
    client: &'a Client,
    sql: &'a tokio_postgres::Statement,
    owner: i64,
    expected: u64,
    data: &'a [u8],
) -> Sent<'a, Answer> {
    let next = i64::try_from(expected).ok().and_then(|expected| expected.checked_add(1));
    Box::pin(async move {
        let Some(next) = next else { return Ok(Err(StoreError::Conflict)) };
        let there = client.query_one(sql, &[&owner, &next, &data]).await?;
        Ok(if get(&there, 0)? { Ok(StoreDone::Done) } else { Err(StoreError::Conflict) })
    })
}

fn load(row: &Row) -> Result<Loaded, Trouble> {
    let blob = |column| {
        let bytes: Option<&[u8]> = get(row, column)?;
        Ok::<_, Trouble>(Arc::from(bytes.unwrap_or_default()))
    };
    let spooled: i64 = get(row, 5)?;
    Ok(Loaded {
        exists: get(row, 0)?,
        roster: (version(row, 1)?, blob(2)?),
        blocked: (version(row, 3)?, blob(4)?),
        spooled: u32::try_from(spooled).unwrap_or(u32::MAX),
    })
}

fn version(row: &Row, column: usize) -> Result<u64, Trouble> {
    let version: i64 = get(row, column)?;
    u64::try_from(version).map_err(|_| Trouble::damage(&format!("version {version}")))
}

fn spooled(row: &Row) -> Result<(SpoolSeq, SpoolRow), Trouble> {
    let (id, stanza): (&[u8], &[u8]) = (get(row, 1)?, get(row, 3)?);
    let id = id.try_into().map_err(|_| Trouble::damage("a message id of another length"))?;
    let (id, at) = (MsgId(u128::from_be_bytes(id)), Utc(get(row, 2)?));
    Ok((SpoolSeq(get(row, 0)?), SpoolRow { id, at, stanza: stanza.into() }))
}

/// A column; another type than expected is damage.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Trouble> {
    row.try_get(column).map_err(|error: Error| Trouble::damage(&super::chain(&error)))
}
