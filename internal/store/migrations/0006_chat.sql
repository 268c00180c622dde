-- +goose Up

-- Blocks, found by either of the two (see chat.Blocked).
CREATE INDEX relations_blocked_a ON relations (a) WHERE flags & 24 <> 0;
CREATE INDEX relations_blocked_b ON relations (b) WHERE flags & 24 <> 0;

-- Rooms of many; times in ms.
CREATE TABLE chat_groups (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    owner   INTEGER NOT NULL,
    link    TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL
);

-- Who is in them; serial orders memberships by age.
CREATE TABLE chat_members (
    serial   INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id INTEGER NOT NULL,
    user_id  INTEGER NOT NULL,
    joined   INTEGER NOT NULL,
    UNIQUE (group_id, user_id)
);
CREATE INDEX chat_members_by_user ON chat_members (user_id, serial);

-- Who had to go, until the group's link is a new one.
CREATE TABLE chat_kicked (
    group_id INTEGER NOT NULL,
    user_id  INTEGER NOT NULL,
    PRIMARY KEY (group_id, user_id)
) WITHOUT ROWID;

-- What became of messages, by their number in their room. edited is 0 for one
-- that was deleted and never edited.
CREATE TABLE chat_revisions (
    room    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    text    TEXT NOT NULL,
    edited  INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    PRIMARY KEY (room, seq)
) WITHOUT ROWID;

-- Up to where a room was cleared, and up to where its people have read it.
CREATE TABLE chat_cleared (
    room INTEGER PRIMARY KEY,
    seq  INTEGER NOT NULL
);
CREATE TABLE chat_read (
    room    INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (room, user_id)
) WITHOUT ROWID;

-- Posts, who likes them, and what was said to them. The counts are kept with
-- the rows that they count.
CREATE TABLE posts (
    serial   INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL UNIQUE,
    user_id  INTEGER NOT NULL,
    text     TEXT NOT NULL,
    created  INTEGER NOT NULL,
    likes    INTEGER NOT NULL DEFAULT 0,
    comments INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE post_likes (
    post    INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    PRIMARY KEY (post, user_id)
) WITHOUT ROWID;
CREATE TABLE post_comments (
    serial  INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT NOT NULL UNIQUE,
    post    INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    text    TEXT NOT NULL,
    created INTEGER NOT NULL
);
CREATE INDEX post_comments_by_post ON post_comments (post, serial);
