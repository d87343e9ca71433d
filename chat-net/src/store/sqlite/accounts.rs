//! Credentials in SQL.

use chat_core::effect::StoreError;
use chat_core::jid::BareJid;
use chat_core::sasl::Hash;
use rusqlite::{Connection, OptionalExtension, Row};

use super::ops::{find, find_or_make, remove};
use crate::store::accounts::{from_text, to_text};
use crate::store::{AccountsDone, AccountsError, AccountsOp, Credentials, Existing};

/// Purged accounts that are remembered for servers that have not looked yet; they look twice a second.
const LOG_ROWS_MAX: i64 = 10_000;

/// Why an operation was not carried out.
pub(super) enum Fault {
    /// It was refused before it changed anything; the transaction goes on.
    Refused(AccountsError),
    /// SQLite failed; the transaction must be rolled back.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sql(error)
    }
}

impl From<AccountsError> for Fault {
    fn from(error: AccountsError) -> Fault {
        Fault::Refused(error)
    }
}

type Result<T> = std::result::Result<T, Fault>;

/// Carries out one operation.
pub(super) fn apply(db: &Connection, op: &AccountsOp) -> Result<AccountsDone> {
    match op {
        AccountsOp::Get { user } => return Ok(AccountsDone::Found(get(db, user)?.map(|(_, found)| found))),
        AccountsOp::Insert { user, credentials } => {
            if get(db, user)?.is_some() {
                return Err(AccountsError::Exists.into());
            }
            write(db, find_or_make(db, user)?, credentials)?;
        }
        AccountsOp::Replace { user, credentials } => {
            let (owner, _) = get(db, user)?.ok_or(AccountsError::NoSuchUser)?;
            write(db, owner, credentials)?;
        }
        AccountsOp::Complete { user, present, more } => {
            let (owner, mut stored) = get(db, user)?.ok_or(AccountsError::NoSuchUser)?;
            if stored == *present {
                stored.complete(more);
                write(db, owner, &stored)?;
            }
        }
        AccountsOp::Remove { user } => {
            let owner = find(db, user)?.ok_or(AccountsError::NoSuchUser)?;
            let removed = db.prepare_cached("DELETE FROM account WHERE owner = ?1")?.execute([owner])?;
            if removed == 0 {
                return Err(AccountsError::NoSuchUser.into());
            }
        }
        AccountsOp::Purge { user } => purge(db, user)?,
        AccountsOp::Import { accounts, existing } => return import(db, accounts, *existing),
        AccountsOp::List { domain, after, rows_max } => {
            return list(db, domain.as_deref(), after.as_ref(), *rows_max);
        }
        AccountsOp::Count { domain, lacking, most } => return count(db, domain.as_deref(), *lacking, *most),
    }
    Ok(AccountsDone::Done)
}

fn get(db: &Connection, user: &BareJid) -> Result<Option<(i64, Credentials)>> {
    let sql = "SELECT owner, sha1, sha256, sha512 FROM account JOIN user ON user.id = account.owner
        WHERE user.jid = ?1";
    let read = |row: &Row<'_>| {
        Ok((row.get::<_, i64>(0)?, [row.get(1)?, row.get(2)?, row.get::<_, Option<String>>(3)?]))
    };
    let found = db.prepare_cached(sql)?.query_row([user.as_str()], read).optional()?;
    let Some((owner, texts)) = found else { return Ok(None) };
    let mut credentials = Credentials::default();
    for (hash, text) in Hash::ALL.into_iter().zip(texts) {
        let Some(text) = text else { continue };
        let keys = from_text(hash, &text).ok_or(AccountsError::Store(StoreError::Damaged))?;
        credentials.set(hash, keys);
    }
    Ok(Some((owner, credentials)))
}

fn write(db: &Connection, owner: i64, credentials: &Credentials) -> rusqlite::Result<()> {
    let text = |hash| credentials.get(hash).map(|keys| to_text(hash, keys));
    let sql = "INSERT OR REPLACE INTO account (owner, sha1, sha256, sha512) VALUES (?1, ?2, ?3, ?4)";
    let [sha1, sha256, sha512] = Hash::ALL.map(text);
    db.prepare_cached(sql)?.execute((owner, sha1, sha256, sha512)).map(drop)
}

fn purge(db: &Connection, user: &BareJid) -> Result<()> {
    if !remove(db, user)? {
        return Err(AccountsError::NoSuchUser.into());
    }
    let seq = db.prepare_cached("INSERT INTO account_log (jid) VALUES (?1)")?.insert([user.as_str()])?;
    db.prepare_cached("DELETE FROM account_log WHERE seq <= ?1")?.execute([seq - LOG_ROWS_MAX])?;
    Ok(())
}

fn import(db: &Connection, accounts: &[(BareJid, Credentials)], existing: Existing) -> Result<AccountsDone> {
    let mut taken = db.prepare_cached("SELECT 1 FROM account WHERE owner = ?1")?;
    let (mut added, mut replaced, mut kept) = (0, 0, 0);
    for (user, credentials) in accounts {
        let owner = find_or_make(db, user)?;
        match (taken.exists([owner])?, existing) {
            (false, _) => added += 1,
            (true, Existing::Replace) => replaced += 1,
            (true, Existing::Keep) => {
                kept += 1;
                continue;
            }
        }
        write(db, owner, credentials)?;
    }
    Ok(AccountsDone::Imported { added, replaced, kept })
}

fn list(
    db: &Connection,
    domain: Option<&str>,
    after: Option<&BareJid>,
    rows_max: u32,
) -> Result<AccountsDone> {
    // Neither part of a bare JID holds an `@`; without a local part the whole is the domain.
    let sql = "SELECT jid FROM user JOIN account ON account.owner = user.id
        WHERE jid > ?1 AND (?2 IS NULL OR substr(jid, instr(jid, '@') + 1) = ?2)
        ORDER BY jid LIMIT ?3";
    let mut statement = db.prepare_cached(sql)?;
    let after = after.map_or("", |after| after.as_str());
    let names = statement.query_map((after, domain, rows_max), |row| row.get::<_, String>(0))?;
    let mut listed = Vec::new();
    for name in names {
        let jid = BareJid::parse(&name?);
        listed.push(jid.map_err(|_| AccountsError::Store(StoreError::Damaged))?);
    }
    Ok(AccountsDone::Listed(listed))
}

fn count(
    db: &Connection,
    domain: Option<&str>,
    lacking: Option<Hash>,
    most: Option<u32>,
) -> Result<AccountsDone> {
    let lacks = match lacking {
        None => "1",
        Some(Hash::Sha1) => "sha1 IS NULL",
        Some(Hash::Sha256) => "sha256 IS NULL",
        Some(Hash::Sha512) => "sha512 IS NULL",
    };
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM user JOIN account ON account.owner = user.id
        WHERE {lacks} AND (?1 IS NULL OR substr(jid, instr(jid, '@') + 1) = ?1) LIMIT ?2)"
    );
    // A limit below zero is none.
    let most = most.map_or(-1, i64::from);
    let count: u32 = db.prepare_cached(&sql)?.query_row((domain, most), |row| row.get(0))?;
    Ok(AccountsDone::Counted(count.into()))
}
