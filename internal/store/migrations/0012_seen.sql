-- +goose Up

-- When a person was last here, in ms, and up to where their inbox was delivered
-- to logins that have ended; 0 for never.
CREATE TABLE seen (
    user_id INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    inbox   INTEGER NOT NULL
);
CREATE INDEX positions_by_topic ON positions (topic);

-- When the mark was set, in ms; 0 where that was not written down.
ALTER TABLE chat_read ADD COLUMN at INTEGER NOT NULL DEFAULT 0;

-- A login takes its positions with it; what was delivered stays delivered.
-- +goose StatementBegin
CREATE TRIGGER positions_go_with_logins AFTER DELETE ON logins BEGIN
    INSERT INTO seen (user_id, at, inbox)
        SELECT OLD.user_id, OLD.seen, max(seq) FROM positions
        WHERE owner IN ('login/' || OLD.id, 'login/' || OLD.id || '/relay') AND topic = 'user/' || OLD.user_id
            AND EXISTS (SELECT 1 FROM users WHERE id = OLD.user_id)
        HAVING max(seq) IS NOT NULL
        ON CONFLICT (user_id) DO UPDATE SET at = max(at, excluded.at), inbox = max(inbox, excluded.inbox);
    DELETE FROM positions WHERE owner = 'login/' || OLD.id
        OR owner > 'login/' || OLD.id || '/' AND owner < 'login/' || OLD.id || '0';
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER seen_goes_with_users AFTER DELETE ON users BEGIN
    DELETE FROM seen WHERE user_id = OLD.id;
END;
-- +goose StatementEnd
