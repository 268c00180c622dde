-- +goose Up

-- When a try was stored, in ms of the log's time, which never goes back: id is
-- the order in which tries were written, whatever the clock said.
ALTER TABLE webhook_tries ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
UPDATE webhook_tries SET at = id / 1000;

-- What was dead and is not kept any more: how many numbers, and the highest.
ALTER TABLE webhooks ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhooks ADD COLUMN dropped_to INTEGER NOT NULL DEFAULT 0;
