-- +goose Up

INSERT INTO meta (name, value) VALUES ('last_token', '0');

-- Sources of events, each with the one token that it has now; times in ms.
-- attributes and status_reason are JSON, '' for none.
CREATE TABLE instances (
    id              INTEGER PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    description     TEXT NOT NULL,
    attributes      TEXT NOT NULL,
    owner_jid       TEXT NOT NULL,
    created         INTEGER NOT NULL,
    updated         INTEGER NOT NULL,
    state           TEXT NOT NULL,
    status_reason   TEXT NOT NULL,
    last_connection INTEGER NOT NULL,
    last_qrcode     INTEGER NOT NULL,
    token_id        INTEGER NOT NULL,
    token_hash      BLOB NOT NULL
);
