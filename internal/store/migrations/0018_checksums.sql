-- +goose Up

-- Rows of the journal and parts of its index have a checksum in front from here
-- on; those of before have none, and stay as they are. No table changes: a kabar
-- that takes the new ones for damaged has to see that the folder is a newer one's.
SELECT 1;
