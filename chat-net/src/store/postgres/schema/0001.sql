-- Names begin with chat_, as the database may have other tables as well. Numbers of users and of rows are never given
-- twice. Text is compared byte by byte (COLLATE "C"), as everywhere else in the program.
--
-- Whoever changes anything of a user holds the lock of its row in chat_user until the commit: so the changes of one
-- user are carried out one after the other, whichever node makes them, and rows of the spool become visible in the order
-- of their numbers.

CREATE TABLE chat_user (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    jid TEXT COLLATE "C" NOT NULL UNIQUE,
    -- Has logged in, whoever keeps the credentials.
    known BOOLEAN NOT NULL DEFAULT FALSE
);

-- RFC 5803 text forms; SHA-512 may come later.
CREATE TABLE chat_account (
    owner BIGINT PRIMARY KEY,
    sha1 TEXT,
    sha256 TEXT,
    sha512 TEXT
);

-- Whether SCRAM-SHA-512 can be offered is asked again and again.
CREATE INDEX chat_account_without_sha512 ON chat_account (owner) WHERE sha512 IS NULL;

CREATE TABLE chat_roster (
    owner BIGINT PRIMARY KEY,
    version BIGINT NOT NULL,
    data BYTEA NOT NULL
);

CREATE TABLE chat_blocked (
    owner BIGINT PRIMARY KEY,
    version BIGINT NOT NULL,
    data BYTEA NOT NULL
);

CREATE TABLE chat_spool (
    owner BIGINT NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    id BYTEA NOT NULL,
    at BIGINT NOT NULL,
    stanza BYTEA NOT NULL,
    PRIMARY KEY (owner, seq),
    UNIQUE (owner, id)
);

-- Accounts that were purged: how running nodes learn what another process did.
CREATE TABLE chat_account_log (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    jid TEXT COLLATE "C" NOT NULL
);

-- One row, written to find out whether writing works again.
CREATE TABLE chat_health (
    id INTEGER PRIMARY KEY,
    probes BIGINT NOT NULL
);

-- Random keys that all nodes share, and that outlive each of them.
CREATE TABLE chat_key (
    name TEXT COLLATE "C" PRIMARY KEY,
    value BYTEA NOT NULL
);
