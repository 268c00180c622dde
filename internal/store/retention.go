package store

import (
	"context"
	"strconv"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/retention"
)

// retentions is the retention package's port.
type retentions struct{ s *Store }

// Retention is where the sweeper's passes stand.
func (s *Store) Retention() retention.Store { return retentions{s} }

// Scanned is how far rows were looked at under a name.
func (r retentions) Scanned(ctx context.Context, name string) (uint64, error) {
	text := "0"
	if _, err := r.s.row(ctx, "SELECT value FROM meta WHERE name = ?", []any{"scanned/" + name}, &text); err != nil {
		return 0, err
	}
	return strconv.ParseUint(text, 10, 64)
}

func (r retentions) SetScanned(tx *journal.Tx, name string, pos uint64) error {
	_, err := In(tx).exec(background, "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", "scanned/"+name, strconv.FormatUint(pos, 10))
	return err
}

// Refs reads what is remembered of keys, in their order.
func (r retentions) Refs(ctx context.Context, after journal.Key, limit int) ([]journal.Ref, error) {
	return r.s.readRefs(ctx, nil, "SELECT scope, ref, pos, count, at FROM journal_refs WHERE (scope, ref) > (?, ?) ORDER BY scope, ref LIMIT ?",
		after.Scope, after.Ref, limit)
}

var dropPositions = newBatches("DELETE FROM positions WHERE owner IN (", "?", ")")

// DropRefs looks at the position, too: the same key may be another ref by now.
// A row each, since a list of three columns would not be found by the index.
func (r retentions) DropRefs(tx *journal.Tx, refs []journal.Ref) error {
	for _, f := range refs {
		if _, err := In(tx).exec(background, "DELETE FROM journal_refs WHERE scope = ? AND ref = ? AND pos = ?", f.Scope, f.Key.Ref, int64(f.Pos)); err != nil {
			return err
		}
	}
	return nil
}

// Orphans finds positions whose owner is gone. A number is given once: what is
// not there in the same snapshot as its position never comes.
func (r retentions) Orphans(ctx context.Context, after string, limit int) (gone []string, last string, err error) {
	n := 0
	err = r.s.rows(ctx, `SELECT owner, CASE substr(owner, 1, instr(owner, '/'))
		WHEN 'login/' THEN NOT EXISTS (SELECT 1 FROM logins WHERE id = CAST(substr(owner, 7) AS INTEGER))
		WHEN 'consumer/' THEN NOT EXISTS (SELECT 1 FROM instances WHERE id = CAST(substr(owner, 10) AS INTEGER))
		WHEN 'webhook/' THEN NOT EXISTS (SELECT 1 FROM webhooks WHERE id = CAST(substr(owner, 9) AS INTEGER))
		WHEN 'process/' THEN topic LIKE 'instance/%' AND NOT EXISTS (SELECT 1 FROM instances WHERE id = CAST(substr(topic, 10) AS INTEGER))
		ELSE 0 END FROM positions WHERE owner > ? ORDER BY owner LIMIT ?`, []any{after, limit}, func(scan func(...any) error) error {
		var orphan bool
		if err := scan(&last, &orphan); err != nil {
			return err
		}
		if n++; orphan {
			gone = append(gone, last)
		}
		return nil
	})
	if n < limit {
		last = ""
	}
	return gone, last, err
}

func (r retentions) DropPositions(tx *journal.Tx, owners []string) error {
	t := In(tx)
	if err := t.touch(); err != nil {
		return err
	}
	return t.insert(&dropPositions, len(owners), func(args []any, i int) []any { return append(args, owners[i]) })
}

// Truncate brings the write-ahead log into the file and empties it. It waits
// for nobody: while it stands at the door, so would the writer.
func (r retentions) Truncate(ctx context.Context) (bool, error) {
	db, err := openDatabase(r.s.path, pragma{"busy_timeout", "0"})
	if err != nil {
		return false, err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	var busy, pages, done int
	// What can be copied without holding up the writer is, before the rest.
	for _, mode := range []string{"PASSIVE", "TRUNCATE"} {
		if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &pages, &done); err != nil {
			return false, err
		}
	}
	return busy == 0, nil
}

// Size is how long the file is, and how much of it is free.
func (r retentions) Size(ctx context.Context) (bytes, free int64, err error) {
	var page, pages, unused int64
	for query, n := range map[string]*int64{"PRAGMA page_size": &page, "PRAGMA page_count": &pages, "PRAGMA freelist_count": &unused} {
		if _, err := r.s.row(ctx, query, nil, n); err != nil {
			return 0, 0, err
		}
	}
	return page * pages, page * unused, nil
}
