-- +goose Up

-- One-time codes stand in memory: what was used, or issued before the server
-- was started, is not known there.
DROP TABLE spent_codes;
