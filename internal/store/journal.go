package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// firstTime gives a new folder its epoch.
func (s *Store) firstTime(ctx context.Context) error {
	epoch := strings.ToLower(rand.Text()[:8])
	for _, kv := range [][2]string{{"epoch", epoch}, {"mark", "0"}} {
		if _, err := s.batch.execRaw(ctx, "INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", kv[0], kv[1]); err != nil {
			return fmt.Errorf("%s: %w", s.path, err)
		}
	}
	return nil
}

// State is the epoch and how far the index is complete.
func (s *Store) State(ctx context.Context) (journal.State, error) {
	var st journal.State
	var mark string
	if _, err := s.row(ctx, "SELECT value FROM meta WHERE name = 'epoch'", nil, &st.Epoch); err != nil {
		return st, err
	}
	if _, err := s.row(ctx, "SELECT value FROM meta WHERE name = 'mark'", nil, &mark); err != nil {
		return st, err
	}
	n, err := strconv.ParseUint(mark, 10, 64)
	st.Mark = n
	return st, err
}

func (q queries) readRows(ctx context.Context, rows []journal.Row, query string, args ...any) ([]journal.Row, error) {
	err := q.rows(ctx, query, args, func(scan func(...any) error) error {
		var r journal.Row
		if err := scan(&r.Pos, &r.Data); err != nil {
			return err
		}
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

// Rows reads the journal in order.
func (q queries) Rows(ctx context.Context, after uint64, limit int) ([]journal.Row, error) {
	return q.readRows(ctx, nil, "SELECT pos, data FROM journal WHERE pos > ? ORDER BY pos LIMIT ?", int64(after), limit)
}

// RowsAt reads single rows: neighbours in one stretch, others one by one.
func (q queries) RowsAt(ctx context.Context, positions []uint64) ([]journal.Row, error) {
	rows := make([]journal.Row, 0, len(positions))
	var err error
	for len(positions) > 0 {
		n := 1
		for n < len(positions) && positions[n] == positions[n-1]+1 {
			n++
		}
		rows, err = q.readRows(ctx, rows, "SELECT pos, data FROM journal WHERE pos BETWEEN ? AND ? ORDER BY pos", int64(positions[0]), int64(positions[n-1]))
		if err != nil {
			return nil, err
		}
		positions = positions[n:]
	}
	return rows, nil
}

func (q queries) readChunks(ctx context.Context, topic, query string, args ...any) ([]journal.Chunk, error) {
	var cs []journal.Chunk
	err := q.rows(ctx, query, args, func(scan func(...any) error) error {
		c := journal.Chunk{Topic: topic}
		var steps []byte
		if err := scan(&c.First, &steps); err != nil {
			return err
		}
		var err error
		if c.Positions, err = unpack(steps); err != nil {
			return fmt.Errorf("the index of %s at %d: %w", topic, c.First, err)
		}
		cs = append(cs, c)
		return nil
	})
	return cs, err
}

// LastChunk is the newest part of a topic's index.
func (q queries) LastChunk(ctx context.Context, topic string) (journal.Chunk, bool, error) {
	cs, err := q.readChunks(ctx, topic, "SELECT first, positions FROM journal_index WHERE topic = ? ORDER BY first DESC LIMIT 1", topic)
	if err != nil || len(cs) == 0 {
		return journal.Chunk{}, false, err
	}
	return cs[0], true, nil
}

// ChunksFrom is a topic's index from the part that holds seq.
func (q queries) ChunksFrom(ctx context.Context, topic string, seq uint64, limit int) ([]journal.Chunk, error) {
	return q.readChunks(ctx, topic, `SELECT first, positions FROM journal_index WHERE topic = ? AND first >=
		coalesce((SELECT max(first) FROM journal_index WHERE topic = ? AND first <= ?), 0) ORDER BY first LIMIT ?`,
		topic, topic, int64(seq), limit)
}

// Ref finds a remembered key.
func (q queries) Ref(ctx context.Context, k journal.Key) (journal.Ref, bool, error) {
	r := journal.Ref{Key: k}
	var at int64
	ok, err := q.row(ctx, "SELECT pos, count, at FROM journal_refs WHERE scope = ? AND ref = ?", []any{k.Scope, k.Ref}, &r.Pos, &r.Count, &at)
	r.At = time.UnixMilli(at)
	return r, ok, err
}

// manyRows is how many rows one statement appends; the rest goes one by one.
const manyRows = 32

var (
	appendOne  = "INSERT INTO journal (pos, data) VALUES (?, ?)"
	appendMany = appendOne + strings.Repeat(", (?, ?)", manyRows-1)
)

// Append adds rows at the journal's end.
func (t *Tx) Append(rows []journal.Row) error {
	args := make([]any, 0, 2*manyRows)
	for len(rows) > 0 {
		query, n := appendOne, 1
		if len(rows) >= manyRows {
			query, n = appendMany, manyRows
		}
		args = args[:0]
		for _, r := range rows[:n] {
			args = append(args, int64(r.Pos), r.Data)
		}
		if _, err := t.execRaw(background, query, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// Derive adds to the index and moves its mark.
func (t *Tx) Derive(d journal.Derived) error {
	for _, c := range d.Chunks {
		if _, err := t.execRaw(background, "INSERT OR REPLACE INTO journal_index (topic, first, positions) VALUES (?, ?, ?)", c.Topic, int64(c.First), pack(c.Positions)); err != nil {
			return err
		}
	}
	for _, r := range d.Refs {
		if _, err := t.execRaw(background, "INSERT OR REPLACE INTO journal_refs (scope, ref, pos, count, at) VALUES (?, ?, ?, ?, ?)", r.Scope, r.Key.Ref, int64(r.Pos), r.Count, r.At.UnixMilli()); err != nil {
			return err
		}
	}
	_, err := t.execRaw(background, "UPDATE meta SET value = ? WHERE name = 'mark'", strconv.FormatUint(d.Mark, 10))
	return err
}

// Forget drops the refs that are too old or too many.
func (t *Tx) Forget(before time.Time, keep int) error {
	if _, err := t.execRaw(background, "DELETE FROM journal_refs WHERE at < ?", before.UnixMilli()); err != nil {
		return err
	}
	_, err := t.execRaw(background, `DELETE FROM journal_refs WHERE (scope, ref) IN (
		SELECT scope, ref FROM (SELECT scope, ref, row_number() OVER (PARTITION BY scope ORDER BY pos DESC) AS nth FROM journal_refs)
		WHERE nth > ?)`, keep)
	return err
}

// pack writes ascending positions as the steps between them.
func pack(positions []uint64) []byte {
	b := make([]byte, 0, len(positions)+8)
	last := uint64(0)
	for _, p := range positions {
		b = binary.AppendUvarint(b, p-last)
		last = p
	}
	return b
}

func unpack(b []byte) ([]uint64, error) {
	positions := make([]uint64, 0, len(b))
	last := uint64(0)
	for len(b) > 0 {
		step, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fmt.Errorf("damaged after %d positions", len(positions))
		}
		last += step
		positions, b = append(positions, last), b[n:]
	}
	return positions, nil
}
