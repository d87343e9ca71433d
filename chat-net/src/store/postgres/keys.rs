//! Random keys that all nodes share, and that outlive each of them: whoever needs one first makes it.

use deadpool_postgres::Client;

use super::chain;

/// Makes the salts of users that do not exist. Were they others after each restart or on each node, anybody could tell who
/// exists (RFC 5802 §9).
const SALT: &str = "salt-secret";

/// The key for salts, of 16 bytes.
///
/// # Errors
/// The database, or the system's randomness; what is stored is no such key.
pub(super) async fn salt_secret(client: &Client) -> Result<[u8; 16], String> {
    const GET: &str = "SELECT value FROM chat_key WHERE name = $1";
    let mut rows = client.query(GET, &[&SALT]).await.map_err(|error| chain(&error))?;
    if rows.is_empty() {
        let mut fresh = [0; 16];
        getrandom::fill(&mut fresh).map_err(|error| format!("the system gives no randomness: {error}"))?;
        // Of several nodes at once one is first, and the others take what it made.
        let put = "INSERT INTO chat_key (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        client.execute(put, &[&SALT, &&fresh[..]]).await.map_err(|error| chain(&error))?;
        rows = client.query(GET, &[&SALT]).await.map_err(|error| chain(&error))?;
    }
    let value: Option<Vec<u8>> = rows.first().and_then(|row| row.try_get(0).ok());
    value
        .and_then(|value| value.try_into().ok())
        .ok_or_else(|| format!("the key {SALT} in chat_key is damaged"))
}
