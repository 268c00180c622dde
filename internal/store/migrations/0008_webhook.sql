-- +goose Up

-- Endpoints that get an instance's events; instance_id 0 gets those of all.
-- events is a JSON list of names, '' for all; secrets are sealed; times in ms,
-- 0 for none. What is behind hold_since is the worker's, the rest its owner's.
CREATE TABLE webhooks (
    id          INTEGER PRIMARY KEY,
    instance_id INTEGER NOT NULL UNIQUE,
    url         TEXT NOT NULL,
    enabled     INTEGER NOT NULL,
    events      TEXT NOT NULL,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    start       INTEGER NOT NULL,
    secret      BLOB NOT NULL,
    old_secret  BLOB NOT NULL,
    old_until   INTEGER NOT NULL,
    hold_since  INTEGER NOT NULL,
    hold_tries  INTEGER NOT NULL,
    hold_next   INTEGER NOT NULL,
    error       TEXT NOT NULL
);

-- Events of a webhook that were not taken, first to last of its topic: parked
-- (state 0), to be tried again at next, or dead (state 1).
CREATE TABLE webhook_kept (
    webhook_id INTEGER NOT NULL,
    first      INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    since      INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    next       INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    PRIMARY KEY (webhook_id, first)
) WITHOUT ROWID;
CREATE INDEX webhook_kept_by_state ON webhook_kept (webhook_id, state, next);

-- An instance's webhook goes with it, in the same change, whoever makes it.
-- +goose StatementBegin
CREATE TRIGGER webhooks_go_with_instances AFTER DELETE ON instances BEGIN
    DELETE FROM webhooks WHERE instance_id = OLD.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER webhook_kept_goes_with_webhooks AFTER DELETE ON webhooks BEGIN
    DELETE FROM webhook_kept WHERE webhook_id = OLD.id;
    DELETE FROM positions WHERE owner = 'webhook/' || OLD.id;
END;
-- +goose StatementEnd
