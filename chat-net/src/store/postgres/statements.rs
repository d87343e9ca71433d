//! Every statement that is used again and again, prepared once for each connection.

use deadpool_postgres::Client;
use tokio_postgres::Statement;

use super::connection::Trouble;

/// A statement. `owner` is the number of a user whose row in `chat_user` the transaction has locked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sql {
    Lock,
    Make,
    Load,
    Touch,
    PutRoster,
    PutBlocked,
    SpoolPut,
    SpoolRead,
    SpoolWaiting,
    SpoolDelete,
    Remove,
    AccountGet,
    AccountInsert,
    AccountReplace,
    AccountComplete,
    AccountRemove,
    AccountsTaken,
    AccountsImport,
    Purge,
    PurgeLog,
}

/// In the order of [`Sql`].
const ALL: [(Sql, &str); 20] = [
    // In the order of names, so that two transactions never wait for each other.
    (
        Sql::Lock,
        "SELECT jid, id FROM chat_user WHERE jid = ANY ($1::text[]) ORDER BY jid FOR NO KEY UPDATE",
    ),
    (
        Sql::Make,
        "INSERT INTO chat_user (jid) SELECT unnest($1::text[]) ON CONFLICT (jid) DO NOTHING",
    ),
    (
        Sql::Load,
        "SELECT owner.known OR EXISTS (SELECT FROM chat_account WHERE chat_account.owner = owner.id),
                coalesce(roster.version, 0), roster.data, coalesce(blocked.version, 0), blocked.data,
                (SELECT count(*) FROM chat_spool WHERE chat_spool.owner = owner.id)
            FROM chat_user AS owner LEFT JOIN chat_roster AS roster ON roster.owner = owner.id
                LEFT JOIN chat_blocked AS blocked ON blocked.owner = owner.id
            WHERE owner.jid = $1",
    ),
    (Sql::Touch, "UPDATE chat_user SET known = TRUE WHERE id = $1 AND NOT known"),
    // A compare-and-set under which a repeat of what was carried out is no conflict: $2 is the new version.
    (
        Sql::PutRoster,
        "WITH stored AS (SELECT version, data FROM chat_roster WHERE owner = $1),
            put AS (INSERT INTO chat_roster (owner, version, data) SELECT $1::bigint, $2::bigint, $3::bytea
                WHERE coalesce((SELECT version FROM stored), 0) = $2::bigint - 1
                ON CONFLICT (owner) DO UPDATE SET version = excluded.version, data = excluded.data
                RETURNING 1)
            SELECT EXISTS (SELECT FROM put) OR EXISTS (SELECT FROM stored WHERE version = $2::bigint AND data = $3::bytea)",
    ),
    (
        Sql::PutBlocked,
        "WITH stored AS (SELECT version, data FROM chat_blocked WHERE owner = $1),
            put AS (INSERT INTO chat_blocked (owner, version, data) SELECT $1::bigint, $2::bigint, $3::bytea
                WHERE coalesce((SELECT version FROM stored), 0) = $2::bigint - 1
                ON CONFLICT (owner) DO UPDATE SET version = excluded.version, data = excluded.data
                RETURNING 1)
            SELECT EXISTS (SELECT FROM put) OR EXISTS (SELECT FROM stored WHERE version = $2::bigint AND data = $3::bytea)",
    ),
    // Whether the row is there now.
    (
        Sql::SpoolPut,
        "WITH put AS (INSERT INTO chat_spool (owner, id, at, stanza) SELECT $1::bigint, $2::bytea, $3::bigint, $4::bytea
                WHERE (SELECT count(*) FROM (SELECT FROM chat_spool WHERE owner = $1 LIMIT $5::bigint) AS present)
                    < $5::bigint
                ON CONFLICT (owner, id) DO NOTHING
                RETURNING 1)
            SELECT EXISTS (SELECT FROM put) OR EXISTS (SELECT FROM chat_spool WHERE owner = $1::bigint AND id = $2::bytea)",
    ),
    // A row beyond the first only if those before it have fewer than $4 bytes.
    (
        Sql::SpoolRead,
        "SELECT seq, id, at, stanza
            FROM (SELECT seq, id, at, stanza,
                    sum(octet_length(stanza)) OVER (ORDER BY seq) - octet_length(stanza) AS before
                FROM (SELECT seq, id, at, stanza FROM chat_spool
                    WHERE owner = (SELECT id FROM chat_user WHERE jid = $1) AND seq > $2
                    ORDER BY seq LIMIT $3::bigint) AS page) AS counted
            WHERE before = 0 OR before < $4::bigint ORDER BY seq",
    ),
    (
        Sql::SpoolWaiting,
        "SELECT jid FROM chat_user WHERE jid = ANY ($1::text[])
            AND EXISTS (SELECT FROM chat_spool WHERE chat_spool.owner = chat_user.id)",
    ),
    (Sql::SpoolDelete, "DELETE FROM chat_spool WHERE owner = $1 AND id = ANY ($2::bytea[])"),
    // Somebody whose account was made anew stays, and begins with nothing.
    (
        Sql::Remove,
        "WITH account AS (SELECT owner FROM chat_account WHERE owner = $1),
            spool AS (DELETE FROM chat_spool WHERE owner = $1),
            roster AS (DELETE FROM chat_roster WHERE owner = $1),
            blocked AS (DELETE FROM chat_blocked WHERE owner = $1),
            kept AS (UPDATE chat_user SET known = FALSE WHERE id = $1 AND EXISTS (SELECT FROM account))
            DELETE FROM chat_user WHERE id = $1 AND NOT EXISTS (SELECT FROM account)",
    ),
    (
        Sql::AccountGet,
        "SELECT sha1, sha256, sha512 FROM chat_account
            WHERE owner = (SELECT id FROM chat_user WHERE jid = $1)",
    ),
    // Salts are random: the same credentials are a repeat.
    (
        Sql::AccountInsert,
        "WITH put AS (INSERT INTO chat_account (owner, sha1, sha256, sha512)
                VALUES ($1::bigint, $2::text, $3::text, $4::text) ON CONFLICT (owner) DO NOTHING RETURNING 1)
            SELECT EXISTS (SELECT FROM put) OR EXISTS (SELECT FROM chat_account WHERE owner = $1
                AND (sha1, sha256, sha512) IS NOT DISTINCT FROM ($2::text, $3::text, $4::text)
                AND coalesce(sha1, sha256, sha512) IS NOT NULL)",
    ),
    (
        Sql::AccountReplace,
        "WITH put AS (UPDATE chat_account SET sha1 = $2, sha256 = $3, sha512 = $4 WHERE owner = $1 RETURNING 1)
            SELECT EXISTS (SELECT FROM put)",
    ),
    // Whether there is an account; $2 to $4 are its credentials if they are still the same.
    (
        Sql::AccountComplete,
        "WITH put AS (UPDATE chat_account SET sha1 = coalesce(sha1, $5), sha256 = coalesce(sha256, $6),
                    sha512 = coalesce(sha512, $7)
                WHERE owner = $1 AND (sha1, sha256, sha512) IS NOT DISTINCT FROM ($2::text, $3::text, $4::text))
            SELECT EXISTS (SELECT FROM chat_account WHERE owner = $1)",
    ),
    (
        Sql::AccountRemove,
        "WITH gone AS (DELETE FROM chat_account WHERE owner = $1 RETURNING 1) SELECT EXISTS (SELECT FROM gone)",
    ),
    (Sql::AccountsTaken, "SELECT owner FROM chat_account WHERE owner = ANY ($1::bigint[])"),
    (
        Sql::AccountsImport,
        "INSERT INTO chat_account (owner, sha1, sha256, sha512)
            SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
            ON CONFLICT (owner) DO UPDATE
                SET sha1 = excluded.sha1, sha256 = excluded.sha256, sha512 = excluded.sha512",
    ),
    (
        Sql::Purge,
        "WITH account AS (DELETE FROM chat_account WHERE owner = $1),
            spool AS (DELETE FROM chat_spool WHERE owner = $1),
            roster AS (DELETE FROM chat_roster WHERE owner = $1),
            blocked AS (DELETE FROM chat_blocked WHERE owner = $1)
            DELETE FROM chat_user WHERE id = $1",
    ),
    (Sql::PurgeLog, "INSERT INTO chat_account_log (jid) VALUES ($1) RETURNING seq"),
];

/// The statements of one connection.
pub(super) struct Statements(Vec<Statement>);

impl Statements {
    /// Prepares what is not prepared yet.
    pub(super) async fn of(client: &Client) -> Result<Statements, Trouble> {
        let mut all = Vec::with_capacity(ALL.len());
        for (_, sql) in ALL {
            all.push(client.prepare_cached(sql).await?);
        }
        Ok(Statements(all))
    }

    pub(super) fn get(&self, sql: Sql) -> &Statement {
        &self.0[sql as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_in_the_order_of_their_names() {
        for (place, (sql, _)) in ALL.into_iter().enumerate() {
            assert_eq!(sql as usize, place, "{sql:?}");
        }
    }
}
