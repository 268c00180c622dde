-- +goose Up

INSERT INTO meta (name, value) VALUES ('last_id', '0'), ('last_login', '0');

-- People. The keys are the forms that are compared; email_key is NULL for none.
CREATE TABLE users (
    id         INTEGER PRIMARY KEY,
    handle     TEXT NOT NULL,
    handle_key TEXT NOT NULL UNIQUE,
    display    TEXT NOT NULL,
    name_key   TEXT NOT NULL,
    email      TEXT NOT NULL,
    email_key  TEXT UNIQUE,
    password   TEXT NOT NULL,
    about      TEXT NOT NULL,
    avatar     TEXT NOT NULL,
    created    INTEGER NOT NULL,
    suspended  INTEGER NOT NULL
);
CREATE INDEX users_by_name ON users (name_key);

-- A device's way in; times in ms.
CREATE TABLE logins (
    id          INTEGER PRIMARY KEY,
    user_id     INTEGER NOT NULL,
    token_hash  BLOB NOT NULL UNIQUE,
    gateway     TEXT NOT NULL,
    created     INTEGER NOT NULL,
    seen        INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    idle        INTEGER NOT NULL,
    inbox_start INTEGER NOT NULL
);
CREATE INDEX logins_by_user ON logins (user_id);
CREATE INDEX logins_by_expiry ON logins (expires);

-- One-time codes that were used, until nobody could use them any more.
CREATE TABLE spent_codes (
    hash    BLOB NOT NULL PRIMARY KEY,
    expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX spent_codes_by_expiry ON spent_codes (expires);
