-- +goose Up

-- The sessions that are open, while the instance is there whose events say that
-- they closed: those that the next start finds are those that this server was
-- killed with. opened in ms.
CREATE TABLE lifecycle_sessions (
    instance_id INTEGER NOT NULL,
    id          INTEGER NOT NULL,
    gateway     TEXT NOT NULL,
    topic       TEXT NOT NULL,
    user_id     INTEGER NOT NULL,
    login_id    INTEGER NOT NULL,
    opened      INTEGER NOT NULL,
    PRIMARY KEY (instance_id, id)
) WITHOUT ROWID;
-- +goose StatementBegin
CREATE TRIGGER lifecycle_sessions_go_with_instances AFTER DELETE ON instances BEGIN
    DELETE FROM lifecycle_sessions WHERE instance_id = OLD.id;
END;
-- +goose StatementEnd

-- One row for each start of a server where somebody was here: when it is known
-- to have run last, in ms. run says in which a person came who has not gone; 0
-- where they have.
CREATE TABLE runs (
    run   INTEGER PRIMARY KEY,
    alive INTEGER NOT NULL
);
ALTER TABLE seen ADD COLUMN run INTEGER NOT NULL DEFAULT 0;
