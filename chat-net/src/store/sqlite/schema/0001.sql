-- Numbers of users and of spool rows are never given twice (AUTOINCREMENT), so that what still refers to a removed one
-- never finds its successor.

CREATE TABLE user (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    jid TEXT NOT NULL UNIQUE,
    -- Has logged in, whoever keeps the credentials.
    known INTEGER NOT NULL DEFAULT 0
);

-- RFC 5803 text forms; SHA-512 may come later.
CREATE TABLE account (
    owner INTEGER PRIMARY KEY,
    sha1 TEXT,
    sha256 TEXT,
    sha512 TEXT
);

-- Whether SCRAM-SHA-512 can be offered is asked again and again.
CREATE INDEX account_without_sha512 ON account (owner) WHERE sha512 IS NULL;

CREATE TABLE roster (
    owner INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    data BLOB NOT NULL
);

CREATE TABLE blocked (
    owner INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    data BLOB NOT NULL
);

-- Appended to and read by number; the index makes a message unique for its user and counts without touching the rows.
CREATE TABLE spool (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    owner INTEGER NOT NULL,
    id BLOB NOT NULL,
    at INTEGER NOT NULL,
    stanza BLOB NOT NULL
);
CREATE UNIQUE INDEX spool_owner_id ON spool (owner, id);

-- Accounts that were purged: how a running server learns what another process did.
CREATE TABLE account_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    jid TEXT NOT NULL
);

-- One row, written to find out whether writing works again.
CREATE TABLE health (
    id INTEGER PRIMARY KEY,
    probes INTEGER NOT NULL
);
