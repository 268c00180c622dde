-- +goose Up

-- Facts about the whole: the log's epoch, the index's mark, the last id given.
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- What was said: one appended row a message.
CREATE TABLE journal (
    pos  INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);

-- Derived: the rows of a topic's messages first, first+1, …, as varint steps.
CREATE TABLE journal_index (
    topic     TEXT NOT NULL,
    first     INTEGER NOT NULL,
    positions BLOB NOT NULL,
    PRIMARY KEY (topic, first)
) WITHOUT ROWID;

-- Derived: the first row of a change that had a key, and how many it made.
CREATE TABLE journal_refs (
    scope TEXT NOT NULL,
    ref   TEXT NOT NULL,
    pos   INTEGER NOT NULL,
    count INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (scope, ref)
) WITHOUT ROWID;

-- Up to where a login or a consumer has everything of its topic.
CREATE TABLE positions (
    owner TEXT NOT NULL PRIMARY KEY,
    topic TEXT NOT NULL,
    seq   INTEGER NOT NULL,
    at    INTEGER NOT NULL
) WITHOUT ROWID;
