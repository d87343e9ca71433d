//! Credentials in SQL.

use std::collections::HashMap;

use chat_core::effect::StoreError;
use chat_core::jid::BareJid;
use chat_core::sasl::Hash;
use deadpool_postgres::Client;
use tokio_postgres::types::ToSql;

use super::connection::Trouble;
use super::ops::get;
use super::pipeline::Sent;
use super::statements::{Sql, Statements};
use crate::store::accounts::{from_text, to_text};
use crate::store::{AccountsDone, AccountsError, AccountsOp, AccountsResult, Credentials, Existing};

/// Purged accounts that are remembered for nodes that have not looked yet; they look twice a second.
const LOG_ROWS_MAX: i64 = 10_000;

/// Held by whoever writes that log, so that its rows become visible in the order of their numbers.
const LOG_LOCK: i64 = super::LOCKS + 1;

/// The answer to an operation, or why there is none.
pub(super) type Answer = Result<AccountsResult, Trouble>;

/// The text forms of the keys, the weakest hash first.
type Texts = [Option<String>; 3];

/// Whether an operation makes its users if need be.
pub(super) fn makes_user(op: &AccountsOp) -> bool {
    matches!(op, AccountsOp::Insert { .. } | AccountsOp::Import { .. })
}

/// Carries out one operation in one statement: those on one account, but for [`AccountsOp::Purge`], and reads. `owner`
/// is as in `ops::send`. `repeat`: an earlier try may have been carried out.
pub(super) fn send<'a>(
    client: &'a Client,
    statements: &'a Statements,
    owner: Option<i64>,
    op: &'a AccountsOp,
    repeat: bool,
) -> Sent<'a, Answer> {
    match op {
        AccountsOp::Get { user } => Box::pin(find(client, statements, user)),
        AccountsOp::List { domain, after, rows_max } => {
            Box::pin(list(client, domain.as_deref(), after.as_ref(), *rows_max))
        }
        AccountsOp::Count { domain, lacking, most } => {
            Box::pin(count(client, domain.as_deref(), *lacking, *most))
        }
        AccountsOp::Insert { credentials, .. } => {
            change(client, statements, Sql::AccountInsert, owner, texts(credentials).into(), || {
                Err(AccountsError::Exists)
            })
        }
        AccountsOp::Replace { credentials, .. } => {
            change(client, statements, Sql::AccountReplace, owner, texts(credentials).into(), || {
                Err(AccountsError::NoSuchUser)
            })
        }
        AccountsOp::Complete { present, more, .. } => {
            let texts = texts(present).into_iter().chain(texts(more)).collect();
            change(client, statements, Sql::AccountComplete, owner, texts, || Err(AccountsError::NoSuchUser))
        }
        AccountsOp::Remove { .. } => {
            change(client, statements, Sql::AccountRemove, owner, Vec::new(), move || gone(repeat))
        }
        AccountsOp::Purge { .. } | AccountsOp::Import { .. } => unreachable!("they have transactions alone"),
    }
}

/// The answer when somebody is to be removed who is not there.
fn gone(repeat: bool) -> AccountsResult {
    if repeat { Ok(AccountsDone::Done) } else { Err(AccountsError::NoSuchUser) }
}

/// A statement on the user with the number `owner` that says whether it found what it needs.
fn change<'a>(
    client: &'a Client,
    statements: &'a Statements,
    sql: Sql,
    owner: Option<i64>,
    texts: Vec<Option<String>>,
    otherwise: impl Fn() -> AccountsResult + Send + 'a,
) -> Sent<'a, Answer> {
    Box::pin(async move {
        let Some(owner) = owner else { return Ok(otherwise()) };
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&owner];
        parameters.extend(texts.iter().map(|text| text as &(dyn ToSql + Sync)));
        let found = client.query_one(statements.get(sql), &parameters).await?;
        Ok(if get(&found, 0)? { Ok(AccountsDone::Done) } else { otherwise() })
    })
}

async fn find(client: &Client, statements: &Statements, user: &BareJid) -> Answer {
    let found = client.query_opt(statements.get(Sql::AccountGet), &[&user.as_str()]).await?;
    let Some(row) = found else { return Ok(Ok(AccountsDone::Found(None))) };
    let mut credentials = Credentials::default();
    for (column, hash) in Hash::ALL.into_iter().enumerate() {
        let Some(text) = get::<Option<&str>>(&row, column)? else { continue };
        let Some(keys) = from_text(hash, text) else { return Ok(Err(StoreError::Damaged.into())) };
        credentials.set(hash, keys);
    }
    Ok(Ok(AccountsDone::Found(Some(credentials))))
}

async fn list(client: &Client, domain: Option<&str>, after: Option<&BareJid>, rows_max: u32) -> Answer {
    // Neither part of a bare JID holds an `@`; without a local part the whole is the domain.
    let sql = "SELECT jid FROM chat_user JOIN chat_account ON chat_account.owner = chat_user.id
        WHERE jid > $1 AND ($2::text IS NULL OR substr(jid, strpos(jid, '@') + 1) = $2)
        ORDER BY jid LIMIT $3::bigint";
    let sql = client.prepare_cached(sql).await?;
    let after = after.map_or("", |after| after.as_str());
    let rows = client.query(&sql, &[&after, &domain, &i64::from(rows_max)]).await?;
    let mut listed = Vec::with_capacity(rows.len());
    for row in &rows {
        match BareJid::parse(get(row, 0)?) {
            Ok(jid) => listed.push(jid),
            Err(_) => return Ok(Err(StoreError::Damaged.into())),
        }
    }
    Ok(Ok(AccountsDone::Listed(listed)))
}

async fn count(client: &Client, domain: Option<&str>, lacking: Option<Hash>, most: Option<u32>) -> Answer {
    let lacks = match lacking {
        None => "TRUE",
        Some(Hash::Sha1) => "sha1 IS NULL",
        Some(Hash::Sha256) => "sha256 IS NULL",
        Some(Hash::Sha512) => "sha512 IS NULL",
    };
    let sql = format!(
        "SELECT count(*) FROM (SELECT FROM chat_user JOIN chat_account ON chat_account.owner = chat_user.id
        WHERE {lacks} AND ($1::text IS NULL OR substr(jid, strpos(jid, '@') + 1) = $1) LIMIT $2::bigint) AS found"
    );
    let sql = client.prepare_cached(&sql).await?;
    let count: i64 = get(&client.query_one(&sql, &[&domain, &most.map(i64::from)]).await?, 0)?;
    Ok(Ok(AccountsDone::Counted(count.unsigned_abs())))
}

/// The end of everything about a user whose row is locked, and a note for all nodes. In a transaction of its own.
pub(super) async fn purge(
    client: &Client,
    statements: &Statements,
    owner: Option<i64>,
    user: &BareJid,
    repeat: bool,
) -> Answer {
    let Some(owner) = owner else { return Ok(gone(repeat)) };
    client.execute(statements.get(Sql::Purge), &[&owner]).await?;
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOG_LOCK]).await?;
    let seq = client.query_one(statements.get(Sql::PurgeLog), &[&user.as_str()]).await?;
    let last = get::<i64>(&seq, 0)? - LOG_ROWS_MAX;
    client.execute("DELETE FROM chat_account_log WHERE seq <= $1", &[&last]).await?;
    Ok(Ok(AccountsDone::Done))
}

/// Many accounts at once; `owners` has the number of each, and their rows are locked.
pub(super) async fn import(
    client: &Client,
    statements: &Statements,
    owners: &HashMap<String, i64>,
    accounts: &[(BareJid, Credentials)],
    existing: Existing,
) -> Answer {
    let all: Vec<i64> = owners.values().copied().collect();
    let rows = client.query(statements.get(Sql::AccountsTaken), &[&all]).await?;
    let mut taken = rows.iter().map(|row| get::<i64>(row, 0)).collect::<Result<Vec<_>, _>>()?;
    taken.sort_unstable();
    let (mut added, mut replaced, mut kept) = (0, 0, 0);
    // What is to be written: nobody twice, although a list may name somebody twice.
    let mut written: HashMap<i64, &Credentials> = HashMap::new();
    for (user, credentials) in accounts {
        let owner = owners[user.as_str()];
        let is_new = !written.contains_key(&owner) && taken.binary_search(&owner).is_err();
        match (is_new, existing) {
            (true, _) => added += 1,
            (false, Existing::Replace) => replaced += 1,
            (false, Existing::Keep) => {
                kept += 1;
                continue;
            }
        }
        written.insert(owner, credentials);
    }
    let mut owners = Vec::with_capacity(written.len());
    let mut columns: [Vec<Option<String>>; 3] = Default::default();
    for (owner, credentials) in written {
        owners.push(owner);
        for (column, text) in columns.iter_mut().zip(texts(credentials)) {
            column.push(text);
        }
    }
    let [sha1, sha256, sha512] = &columns;
    client.execute(statements.get(Sql::AccountsImport), &[&owners, sha1, sha256, sha512]).await?;
    Ok(Ok(AccountsDone::Imported { added, replaced, kept }))
}

fn texts(credentials: &Credentials) -> Texts {
    Hash::ALL.map(|hash| credentials.get(hash).map(|keys| to_text(hash, keys)))
}
