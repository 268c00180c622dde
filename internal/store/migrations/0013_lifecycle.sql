-- +goose Up

-- What the lifecycle events of an instance are about: a person, a topic, or the
-- sessions of one. number is that of the last event about it; up says whether
-- it is there, as was said last; since when, in ms.
CREATE TABLE lifecycle (
    instance_id INTEGER NOT NULL,
    subject     TEXT NOT NULL,
    number      INTEGER NOT NULL,
    up          INTEGER NOT NULL,
    since       INTEGER NOT NULL,
    PRIMARY KEY (instance_id, subject)
) WITHOUT ROWID;
CREATE INDEX lifecycle_up ON lifecycle (instance_id, subject) WHERE up = 1;

-- They go with the instance, in the same change.
-- +goose StatementBegin
CREATE TRIGGER lifecycle_goes_with_instances AFTER DELETE ON instances BEGIN
    DELETE FROM lifecycle WHERE instance_id = OLD.id;
END;
-- +goose StatementEnd
