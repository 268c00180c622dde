-- +goose Up

-- Business processes; published is 0 where no version is; times in ms.
CREATE TABLE processes (
    name      TEXT NOT NULL PRIMARY KEY,
    newest    INTEGER NOT NULL,
    published INTEGER NOT NULL,
    since     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE process_versions (
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    created INTEGER NOT NULL,
    source  BLOB NOT NULL,
    PRIMARY KEY (name, version)
);

-- What stands where. groups is a JSON list, '' for every account; declared says
-- that the process's own definition put it there.
CREATE TABLE process_endpoints (
    url       TEXT NOT NULL PRIMARY KEY,
    process   TEXT NOT NULL,
    anonymous INTEGER NOT NULL,
    groups    TEXT NOT NULL,
    declared  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX process_endpoints_by_process ON process_endpoints (process);
