-- +goose Up

INSERT INTO meta (name, value) VALUES ('last_ticket', '0');

-- proven: a code mailed to the address came back. badges is JSON, '' for none.
ALTER TABLE users ADD COLUMN proven INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN badges TEXT NOT NULL DEFAULT '';

-- A login's one ticket; ticket_hash is NULL for none, and the rest is of the
-- last one then (ticket_id 0: it never had one). The positions are in the
-- user's inbox.
ALTER TABLE logins ADD COLUMN ticket_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE logins ADD COLUMN ticket_start INTEGER NOT NULL DEFAULT 0;
ALTER TABLE logins ADD COLUMN ticket_head INTEGER NOT NULL DEFAULT 0;
ALTER TABLE logins ADD COLUMN ticket_hash BLOB;
CREATE UNIQUE INDEX logins_by_ticket ON logins (ticket_hash);

-- The code last mailed to an address, and what was counted; times in ms. hash
-- is empty once the code was used.
CREATE TABLE mail_codes (
    email_key TEXT NOT NULL PRIMARY KEY,
    hash      BLOB NOT NULL,
    made      INTEGER NOT NULL,
    tries     INTEGER NOT NULL,
    sends     INTEGER NOT NULL,
    since     INTEGER NOT NULL,
    day_sends INTEGER NOT NULL,
    day       INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX mail_codes_by_age ON mail_codes (made);

-- Who is in which group of accounts. name is the group's, as its first member
-- was added to it.
CREATE TABLE account_groups (
    group_key TEXT NOT NULL,
    user_id   INTEGER NOT NULL,
    name      TEXT NOT NULL,
    PRIMARY KEY (group_key, user_id)
) WITHOUT ROWID;
CREATE INDEX account_groups_by_user ON account_groups (user_id);
