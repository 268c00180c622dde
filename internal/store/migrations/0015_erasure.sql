-- +goose Up

-- An account that was erased stays as a row without a person: what others said
-- to it goes on to name it, by its number.
ALTER TABLE users ADD COLUMN erased INTEGER NOT NULL DEFAULT 0;

-- How far erasing somebody came: pos is the last row of the journal that was
-- looked at; ended is 0 until all of it is done; times in ms.
CREATE TABLE erasures (
    user_id INTEGER PRIMARY KEY,
    begun   INTEGER NOT NULL,
    pos     INTEGER NOT NULL,
    ended   INTEGER NOT NULL
);
CREATE INDEX erasures_open ON erasures (user_id) WHERE ended = 0;

-- What somebody has, found by them.
CREATE INDEX posts_by_user ON posts (user_id, serial);
CREATE INDEX post_likes_by_user ON post_likes (user_id, post);
CREATE INDEX post_comments_by_user ON post_comments (user_id, serial);
CREATE INDEX chat_read_by_user ON chat_read (user_id, room);
CREATE INDEX chat_kicked_by_user ON chat_kicked (user_id, group_id);
