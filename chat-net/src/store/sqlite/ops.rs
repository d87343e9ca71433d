//! The engine's operations in SQL.

use std::sync::Arc;

use chat_core::base::{MsgId, Utc};
use chat_core::effect::{Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError, StoreOp};
use chat_core::jid::BareJid;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};

/// Why an operation was not carried out.
pub(super) enum Fault {
    /// It was refused before it changed anything; the transaction goes on.
    Refused(StoreError),
    /// SQLite failed; the transaction must be rolled back.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sql(error)
    }
}

type Result<T> = std::result::Result<T, Fault>;

/// Carries out one operation.
pub(super) fn apply(db: &Connection, op: &StoreOp) -> Result<StoreDone> {
    match op {
        StoreOp::LoadUser { user } => return Ok(StoreDone::User(load(db, user)?)),
        StoreOp::Touch { user } => {
            let sql = "INSERT INTO user (jid, known) VALUES (?1, 1)
                ON CONFLICT (jid) DO UPDATE SET known = 1 WHERE known = 0";
            db.prepare_cached(sql)?.execute([user.as_str()])?;
        }
        StoreOp::PutRoster { user, expected, roster } => put(db, &ROSTER, user, *expected, roster)?,
        StoreOp::PutBlocked { user, expected, blocked } => put(db, &BLOCKED, user, *expected, blocked)?,
        StoreOp::SpoolPut { user, row, rows_max } => spool_put(db, user, row, *rows_max)?,
        StoreOp::SpoolRead { user, after, rows_max, bytes_max } => {
            return Ok(StoreDone::Spool(spool_read(db, user, *after, *rows_max, *bytes_max)?));
        }
        StoreOp::SpoolWaiting { users } => {
            let sql = "SELECT 1 FROM spool WHERE owner = (SELECT id FROM user WHERE jid = ?1) LIMIT 1";
            let mut waits = db.prepare_cached(sql)?;
            let mut found = Vec::new();
            for user in users {
                if waits.exists([user.as_str()])? {
                    found.push(user.clone());
                }
            }
            return Ok(StoreDone::Waiting(found));
        }
        StoreOp::SpoolDelete { user, ids } => {
            let Some(owner) = find(db, user)? else { return Ok(StoreDone::Done) };
            let mut delete = db.prepare_cached("DELETE FROM spool WHERE owner = ?1 AND id = ?2")?;
            for id in ids {
                delete.execute((owner, id.0.to_be_bytes()))?;
            }
        }
        StoreOp::RemoveUser { user } => {
            let Some(owner) = find(db, user)? else { return Ok(StoreDone::Done) };
            remove_data(db, owner)?;
            let mut anew = db.prepare_cached("UPDATE user SET known = 0 WHERE id = ?1")?;
            match db.prepare_cached("SELECT 1 FROM account WHERE owner = ?1")?.exists([owner])? {
                true => anew.execute([owner])?,
                false => db.prepare_cached("DELETE FROM user WHERE id = ?1")?.execute([owner])?,
            };
        }
    }
    Ok(StoreDone::Done)
}

fn load(db: &Connection, user: &BareJid) -> Result<Loaded> {
    let sql = "SELECT user.known OR account.owner IS NOT NULL,
            ifnull(roster.version, 0), roster.data, ifnull(blocked.version, 0), blocked.data,
            (SELECT count(*) FROM spool WHERE spool.owner = user.id)
        FROM user LEFT JOIN account ON account.owner = user.id
            LEFT JOIN roster ON roster.owner = user.id LEFT JOIN blocked ON blocked.owner = user.id
        WHERE user.jid = ?1";
    let read = |row: &Row<'_>| {
        Ok(Loaded {
            exists: row.get(0)?,
            roster: (version(row, 1)?, blob(row, 2)?),
            blocked: (version(row, 3)?, blob(row, 4)?),
            spooled: row.get(5)?,
        })
    };
    Ok(db.prepare_cached(sql)?.query_row([user.as_str()], read).optional()?.unwrap_or_default())
}

fn version(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let version: i64 = row.get(column)?;
    u64::try_from(version).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, version))
}

fn blob(row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<[u8]>> {
    let bytes = row.get_ref(column)?.as_bytes_or_null()?;
    Ok(Arc::from(bytes.unwrap_or_default()))
}

/// The SQL of a versioned blob.
struct Versioned {
    select: &'static str,
    write: &'static str,
}

const ROSTER: Versioned = Versioned {
    select: "SELECT version, data = ?2 FROM roster WHERE owner = ?1",
    write: "INSERT INTO roster (owner, version, data) VALUES (?1, ?2, ?3)
        ON CONFLICT (owner) DO UPDATE SET version = excluded.version, data = excluded.data",
};

const BLOCKED: Versioned = Versioned {
    select: "SELECT version, data = ?2 FROM blocked WHERE owner = ?1",
    write: "INSERT INTO blocked (owner, version, data) VALUES (?1, ?2, ?3)
        ON CONFLICT (owner) DO UPDATE SET version = excluded.version, data = excluded.data",
};

/// A compare-and-set under which a repeat of what was carried out is no conflict.
fn put(db: &Connection, sql: &Versioned, user: &BareJid, expected: u64, data: &[u8]) -> Result<()> {
    let owner = find_or_make(db, user)?;
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?));
    let stored = db.prepare_cached(sql.select)?.query_row((owner, data), read).optional()?;
    let (version, same) = stored.unwrap_or((0, false));
    let next = i64::try_from(expected).ok().and_then(|expected| expected.checked_add(1));
    let Some(next) = next else { return Err(Fault::Refused(StoreError::Conflict)) };
    if version == next && same {
        return Ok(());
    }
    if version != next - 1 {
        return Err(Fault::Refused(StoreError::Conflict));
    }
    db.prepare_cached(sql.write)?.execute((owner, next, data))?;
    Ok(())
}

fn spool_put(db: &Connection, user: &BareJid, row: &SpoolRow, rows_max: u32) -> Result<()> {
    let owner = find_or_make(db, user)?;
    let id = row.id.0.to_be_bytes();
    let sql = "INSERT INTO spool (owner, id, at, stanza) SELECT ?1, ?2, ?3, ?4
        WHERE (SELECT count(*) FROM spool WHERE owner = ?1) < ?5
        ON CONFLICT (owner, id) DO NOTHING";
    let added = db.prepare_cached(sql)?.execute((owner, id, row.at.0, &*row.stanza, rows_max))?;
    if added > 0 {
        return Ok(());
    }
    let present = "SELECT 1 FROM spool WHERE owner = ?1 AND id = ?2";
    match db.prepare_cached(present)?.exists((owner, id))? {
        true => Ok(()),
        false => Err(Fault::Refused(StoreError::Full)),
    }
}

fn spool_read(
    db: &Connection,
    user: &BareJid,
    after: SpoolSeq,
    rows_max: u32,
    bytes_max: u32,
) -> Result<Vec<(SpoolSeq, SpoolRow)>> {
    let Some(owner) = find(db, user)? else { return Ok(Vec::new()) };
    // The numbers come from the index alone, so that rows beyond the page are never read.
    let numbers = "SELECT seq FROM spool INDEXED BY spool_owner_id WHERE owner = ?1 AND seq > ?2
        ORDER BY seq LIMIT ?3";
    let mut numbers = db.prepare_cached(numbers)?;
    let numbers = numbers.query_map((owner, after.0, rows_max.max(1)), |row| row.get::<_, i64>(0))?;
    let numbers = numbers.collect::<rusqlite::Result<Vec<_>>>()?;

    let mut one = db.prepare_cached("SELECT id, at, stanza FROM spool WHERE seq = ?1")?;
    let (mut rows, mut bytes) = (Vec::with_capacity(numbers.len()), 0);
    for seq in numbers {
        if !rows.is_empty() && bytes >= bytes_max as usize {
            break;
        }
        let read = |row: &Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?, row.get(1)?, blob(row, 2)?));
        // Another process may have removed the user in between.
        let Some((id, at, stanza)) = one.query_row([seq], read).optional()? else { continue };
        bytes += stanza.len();
        let row = SpoolRow { id: MsgId(u128::from_be_bytes(id)), at: Utc(at), stanza };
        rows.push((SpoolSeq(seq), row));
    }
    Ok(rows)
}

/// Removes everything about a user; says whether there was anything.
pub(super) fn remove(db: &Connection, user: &BareJid) -> rusqlite::Result<bool> {
    let Some(owner) = find(db, user)? else { return Ok(false) };
    remove_data(db, owner)?;
    for sql in ["DELETE FROM account WHERE owner = ?1", "DELETE FROM user WHERE id = ?1"] {
        db.prepare_cached(sql)?.execute([owner])?;
    }
    Ok(true)
}

fn remove_data(db: &Connection, owner: i64) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM spool WHERE owner = ?1",
        "DELETE FROM roster WHERE owner = ?1",
        "DELETE FROM blocked WHERE owner = ?1",
    ] {
        db.prepare_cached(sql)?.execute([owner])?;
    }
    Ok(())
}

pub(super) fn find(db: &Connection, user: &BareJid) -> rusqlite::Result<Option<i64>> {
    let mut find = db.prepare_cached("SELECT id FROM user WHERE jid = ?1")?;
    find.query_row([user.as_str()], |row| row.get(0)).optional()
}

pub(super) fn find_or_make(db: &Connection, user: &BareJid) -> rusqlite::Result<i64> {
    if let Some(owner) = find(db, user)? {
        return Ok(owner);
    }
    db.prepare_cached("INSERT INTO user (jid) VALUES (?1)")?.insert([user.as_str()])
}

/// Whether the error is about the surroundings, so that no other write would fare better.
pub(super) fn is_environment(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport
        )
    )
}

/// Whether the error says that the file is damaged, or holds what we never wrote.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || matches!(
            error,
            FromSqlConversionFailure(..)
                | IntegralValueOutOfRange(..)
                | InvalidColumnType(..)
                | Utf8Error(..)
        )
}

/// What the engine is told.
pub(super) fn store_error(error: &rusqlite::Error) -> StoreError {
    match is_damage(error) {
        true => StoreError::Damaged,
        false => StoreError::Unavailable,
    }
}
