-- +goose Up

-- What stands between two people, a < b: one row for both, so that one look
-- tells all, and a block works both ways. flags are chat.Flags; room is 0
-- until they first become friends.
CREATE TABLE relations (
    a     INTEGER NOT NULL,
    b     INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    room  INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (a, b)
) WITHOUT ROWID;
CREATE INDEX relations_by_b ON relations (b, a);
