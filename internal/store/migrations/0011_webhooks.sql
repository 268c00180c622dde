-- +goose Up

-- An instance may have several endpoints. One of them is the one that its own
-- route sets (is_main). What else is new: the format of the bodies, events a
-- second (0: no bound), how often the keys were replaced, the Idempotency-Key
-- that made it ('': none), and when it took something last. old_until is of the
-- secret and of the key. A column's UNIQUE cannot be taken away, so the rows move.
DROP TRIGGER webhooks_go_with_instances;
DROP TRIGGER webhook_kept_goes_with_webhooks;
ALTER TABLE webhooks RENAME TO webhooks_before;
CREATE TABLE webhooks (
    id          INTEGER PRIMARY KEY,
    instance_id INTEGER NOT NULL,
    is_main     INTEGER NOT NULL,
    url         TEXT NOT NULL,
    enabled     INTEGER NOT NULL,
    events      TEXT NOT NULL,
    format      INTEGER NOT NULL,
    rate        REAL NOT NULL,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    start       INTEGER NOT NULL,
    secret      BLOB NOT NULL,
    old_secret  BLOB NOT NULL,
    old_until   INTEGER NOT NULL,
    keys        INTEGER NOT NULL,
    ref         TEXT NOT NULL,
    hold_since  INTEGER NOT NULL,
    hold_tries  INTEGER NOT NULL,
    hold_next   INTEGER NOT NULL,
    error       TEXT NOT NULL,
    last_taken  INTEGER NOT NULL
);
INSERT INTO webhooks SELECT id, instance_id, 1, url, enabled, events, 0, 0, created, updated, version, start,
    secret, old_secret, old_until, 0, '', hold_since, hold_tries, hold_next, error, 0 FROM webhooks_before;
DROP TABLE webhooks_before;
CREATE INDEX webhooks_by_instance ON webhooks (instance_id, id);
CREATE UNIQUE INDEX webhooks_main ON webhooks (instance_id) WHERE is_main = 1;
CREATE UNIQUE INDEX webhooks_by_ref ON webhooks (instance_id, ref) WHERE ref <> '';

-- What was tried, the newest of each endpoint: id is the time in µs, made
-- unlike any other of the endpoint; verdict is what came of it; try is JSON.
CREATE TABLE webhook_tries (
    webhook_id INTEGER NOT NULL,
    id         INTEGER NOT NULL,
    verdict    INTEGER NOT NULL,
    try        TEXT NOT NULL,
    PRIMARY KEY (webhook_id, id)
) WITHOUT ROWID;

-- webhook_kept has a third state: 2, to be told again, the lowest first.

-- +goose StatementBegin
CREATE TRIGGER webhooks_go_with_instances AFTER DELETE ON instances BEGIN
    DELETE FROM webhooks WHERE instance_id = OLD.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER what_is_kept_goes_with_webhooks AFTER DELETE ON webhooks BEGIN
    DELETE FROM webhook_kept WHERE webhook_id = OLD.id;
    DELETE FROM webhook_tries WHERE webhook_id = OLD.id;
    DELETE FROM positions WHERE owner = 'webhook/' || OLD.id;
END;
-- +goose StatementEnd
