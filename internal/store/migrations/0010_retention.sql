-- +goose Up

-- Where a topic begins, for one that does not at 1. What is below floor is not
-- read any more; below swept its rows have gone, but for those that another
-- topic keeps.
CREATE TABLE journal_floors (
    topic TEXT NOT NULL PRIMARY KEY,
    floor INTEGER NOT NULL,
    swept INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX journal_floors_due ON journal_floors (topic) WHERE swept < floor;
