package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// firstTime gives a new folder its epoch.
func (s *Store) firstTime(ctx context.Context) error {
	for _, kv := range [][2]string{{"epoch", newEpoch()}, {"mark", "0"}} {
		if _, err := s.batch.execRaw(ctx, "INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", kv[0], kv[1]); err != nil {
			return fmt.Errorf("%s: %w", s.path, err)
		}
	}
	return nil
}

func newEpoch() string { return strings.ToLower(rand.Text()[:8]) }

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
		if c.Positions, err = unpack(topic, c.First, steps); err != nil {
			return q.Damaged(fmt.Errorf("the part from %d on is %w", c.First, err))
		}
		cs = append(cs, c)
		return nil
	})
	if err != nil {
		err = q.disk.about("the index of "+topic, err)
	}
	return cs, err
}

// RowBefore reads the last row before pos.
func (q queries) RowBefore(ctx context.Context, pos uint64) (journal.Row, bool, error) {
	rows, err := q.readRows(ctx, nil, "SELECT pos, data FROM journal WHERE pos < ? ORDER BY pos DESC LIMIT 1", int64(pos))
	if err != nil || len(rows) == 0 {
		return journal.Row{}, false, err
	}
	return rows[0], true, nil
}

// Ends is where a topic begins and ends, found with one statement: its floor
// where it has one, and the newest part of its index.
func (q queries) Ends(ctx context.Context, topic string) (journal.Ends, error) {
	e := journal.Ends{Floor: 1}
	cs, err := q.readChunks(ctx, topic, `SELECT floor AS first, NULL AS positions FROM journal_floors WHERE topic = ?
		UNION ALL SELECT * FROM (SELECT first, positions FROM journal_index WHERE topic = ? ORDER BY first DESC LIMIT 1)`, topic, topic)
	for _, c := range cs {
		if len(c.Positions) == 0 {
			e.Floor = c.First
		} else {
			e.Head = c.First + uint64(len(c.Positions)) - 1
		}
	}
	return e, err
}

// ChunksFrom is a topic's index from the part that holds seq.
func (q queries) ChunksFrom(ctx context.Context, topic string, seq uint64, limit int) ([]journal.Chunk, error) {
	return q.readChunks(ctx, topic, `SELECT first, positions FROM journal_index WHERE topic = ? AND first >=
		coalesce((SELECT max(first) FROM journal_index WHERE topic = ? AND first <= ?), 0) ORDER BY first LIMIT ?`,
		topic, topic, int64(seq), limit)
}

// Refs finds those of the keys that are remembered, many with one statement.
func (q queries) Refs(ctx context.Context, keys []journal.Key) ([]journal.Ref, error) {
	var refs []journal.Ref
	err := findRefs.each(len(keys), func(query string, from, to int) error {
		args := make([]any, 0, 2*(to-from))
		for _, k := range keys[from:to] {
			args = append(args, k.Scope, k.Ref)
		}
		var err error
		refs, err = q.readRefs(ctx, refs, query, args...)
		return err
	})
	return refs, err
}

// lookUps is where a batch reads of what others wrote before it. What SQLite
// finds damaged inside a transaction ends that transaction; so, from when it is
// known that something is, it is looked up beside it, and costs who asks alone.
// There is nothing that the batch itself has written of it.
func (t *Tx) lookUps() queries {
	if t.disk.isDamaged() {
		return t.aside
	}
	return t.queries
}

// Ends is where a topic begins and ends, before this batch.
func (t *Tx) Ends(ctx context.Context, topic string) (journal.Ends, error) {
	return t.lookUps().Ends(ctx, topic)
}

// Refs finds those of the keys that were remembered before this batch.
func (t *Tx) Refs(ctx context.Context, keys []journal.Key) ([]journal.Ref, error) {
	return t.lookUps().Refs(ctx, keys)
}

// RowsAt reads single rows as this batch has written them, which it may have: so
// looking them up beside it tells only whether they can be read.
func (t *Tx) RowsAt(ctx context.Context, positions []uint64) ([]journal.Row, error) {
	if t.disk.isDamaged() {
		if rows, err := t.aside.RowsAt(ctx, positions); err != nil {
			return rows, err
		}
	}
	return t.queries.RowsAt(ctx, positions)
}

// readRefs appends what a query for refs finds.
func (q queries) readRefs(ctx context.Context, refs []journal.Ref, query string, args ...any) ([]journal.Ref, error) {
	err := q.rows(ctx, query, args, func(scan func(...any) error) error {
		var r journal.Ref
		var at int64
		err := scan(&r.Scope, &r.Key.Ref, &r.Pos, &r.Count, &at)
		r.At = time.UnixMilli(at)
		refs = append(refs, r)
		return err
	})
	return refs, err
}

// batches is a statement for one row, and the same for several rows at once:
// most of what a short statement costs is the way to it.
type batches [len(batchSizes)]string

var batchSizes = [...]int{64, 8, 1}

// newBatches repeats one row's part between what stands before and behind it.
func newBatches(before, row, behind string) (b batches) {
	for i, n := range batchSizes {
		b[i] = before + row + strings.Repeat(", "+row, n-1) + behind
	}
	return b
}

// each calls f with the statement for some rows, those from the first number up
// to the second, until all n had their turn.
func (b *batches) each(n int, f func(query string, from, to int) error) error {
	from := 0
	for i, size := range batchSizes {
		for n-from >= size {
			if err := f(b[i], from, from+size); err != nil {
				return err
			}
			from += size
		}
	}
	return nil
}

var (
	appendRows = newBatches("INSERT INTO journal (pos, data) VALUES ", "(?, ?)", "")
	addChunks  = newBatches("INSERT OR REPLACE INTO journal_index (topic, first, positions) VALUES ", "(?, ?, ?)", "")
	addRefs    = newBatches("INSERT OR REPLACE INTO journal_refs (scope, ref, pos, count, at) VALUES ", "(?, ?, ?, ?, ?)", "")
	findRefs   = newBatches("SELECT scope, ref, pos, count, at FROM journal_refs WHERE (scope, ref) IN (VALUES ", "(?, ?)", ")")
)

// insert writes n rows, whose values row appends to args.
func (t *Tx) insert(into *batches, n int, row func(args []any, i int) []any) error {
	var args []any
	return into.each(n, func(query string, from, to int) error {
		args = args[:0]
		for i := from; i < to; i++ {
			args = row(args, i)
		}
		_, err := t.execRaw(background, query, args...)
		return err
	})
}

// Append adds rows at the journal's end.
func (t *Tx) Append(rows []journal.Row) error {
	return t.insert(&appendRows, len(rows), func(args []any, i int) []any {
		return append(args, int64(rows[i].Pos), rows[i].Data)
	})
}

// Derive adds to the index and moves its mark.
func (t *Tx) Derive(d journal.Derived) error {
	err := t.insert(&addChunks, len(d.Chunks), func(args []any, i int) []any {
		c := &d.Chunks[i]
		return append(args, c.Topic, int64(c.First), pack(c))
	})
	if err != nil {
		return err
	}
	err = t.insert(&addRefs, len(d.Refs), func(args []any, i int) []any {
		r := &d.Refs[i]
		return append(args, r.Scope, r.Key.Ref, int64(r.Pos), r.Count, r.At.UnixMilli())
	})
	if err != nil {
		return err
	}
	_, err = t.execRaw(background, "UPDATE meta SET value = ? WHERE name = 'mark'", strconv.FormatUint(d.Mark, 10))
	return err
}

// Raise has a topic begin later.
func (t *Tx) Raise(topic string, floor uint64) error {
	_, err := t.exec(background, `INSERT INTO journal_floors (topic, floor, swept) VALUES (?, ?, 1)
		ON CONFLICT (topic) DO UPDATE SET floor = max(floor, excluded.floor)`, topic, int64(floor))
	return err
}

// Replace puts another text in the place of a row's.
func (t *Tx) Replace(row journal.Row) error {
	_, err := t.exec(background, "UPDATE journal SET data = ? WHERE pos = ?", row.Data, int64(row.Pos))
	return err
}

// Forget deletes what is remembered of a key.
func (t *Tx) Forget(k journal.Key) error {
	_, err := t.exec(background, "DELETE FROM journal_refs WHERE scope = ? AND ref = ?", k.Scope, k.Ref)
	return err
}

var dropRows = newBatches("DELETE FROM journal WHERE pos IN (", "?", ")")

// Drop deletes rows.
func (t *Tx) Drop(positions []uint64) error {
	if len(positions) == 0 {
		return nil
	}
	if err := t.touch(); err != nil {
		return err
	}
	return t.insert(&dropRows, len(positions), func(args []any, i int) []any {
		return append(args, int64(positions[i]))
	})
}

// Swept notes how far a topic's rows have gone, and deletes the index that
// finds these alone. Its newest part stays: it tells where the topic stands.
func (t *Tx) Swept(topic string, upTo uint64) error {
	if _, err := t.exec(background, "UPDATE journal_floors SET swept = max(swept, ?) WHERE topic = ?", int64(upTo), topic); err != nil {
		return err
	}
	_, err := t.exec(background, `DELETE FROM journal_index WHERE topic = ? AND first <
		(SELECT max(first) FROM journal_index WHERE topic = ? AND first <= ?)`, topic, topic, int64(upTo))
	if room, ok := strings.CutPrefix(topic, "room/"); err == nil && ok {
		_, err = t.exec(background, "DELETE FROM chat_revisions WHERE room = CAST(? AS INTEGER) AND seq < ?", room, int64(upTo))
	}
	return err
}

// Due returns topics of which rows can go.
func (q queries) Due(ctx context.Context, limit int) ([]journal.Due, error) {
	var due []journal.Due
	err := q.rows(ctx, "SELECT topic, swept, floor FROM journal_floors WHERE swept < floor LIMIT ?", []any{limit}, func(scan func(...any) error) error {
		var d journal.Due
		err := scan(&d.Topic, &d.Swept, &d.Floor)
		due = append(due, d)
		return err
	})
	return due, err
}

// sealed is how a part of the index with a checksum begins: two steps of nothing,
// which no part has. Parts of before begin with their first step.
var sealed = []byte{0, 0}

const sealEnd = 2 + crc32.Size

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the checksum of the steps of a topic's part.
func sum(topic string, first uint64, steps []byte) uint32 {
	c := uint32(first) ^ uint32(first>>32)
	for i := range len(topic) { // crc32.Update takes no string
		c = castagnoli[byte(c)^topic[i]] ^ c>>8
	}
	return crc32.Update(c, castagnoli, steps)
}

// pack writes ascending positions as the steps between them, behind a checksum.
func pack(c *journal.Chunk) []byte {
	b := make([]byte, sealEnd, sealEnd+len(c.Positions)+8)
	last := uint64(0)
	for _, p := range c.Positions {
		b = binary.AppendUvarint(b, p-last)
		last = p
	}
	binary.BigEndian.PutUint32(b[len(sealed):], sum(c.Topic, c.First, b[sealEnd:]))
	return b
}

func unpack(topic string, first uint64, b []byte) ([]uint64, error) {
	if bytes.HasPrefix(b, sealed) {
		if len(b) < sealEnd || binary.BigEndian.Uint32(b[len(sealed):]) != sum(topic, first, b[sealEnd:]) {
			return nil, errors.New("damaged: it does not hold what was written")
		}
		b = b[sealEnd:]
	}
	positions := make([]uint64, 0, len(b))
	last := uint64(0)
	for len(b) > 0 {
		step, n := binary.Uvarint(b)
		if n <= 0 || step == 0 {
			return nil, fmt.Errorf("damaged after %d positions", len(positions))
		}
		last += step
		positions, b = append(positions, last), b[n:]
	}
	return positions, nil
}
