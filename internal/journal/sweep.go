package journal

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// The bounds of one slice of sweeping: nobody waits long for the writer.
const (
	sweepTopics = 64
	sweepRows   = 512
	sweepBytes  = 256 << 10
)

// Stored is a message's row, without what was said.
type Stored struct {
	Pos     uint64 // 1, 2, 3, … over all topics
	Time    time.Time
	Size    int // of the row, in bytes
	Entries []Entry
}

// stored is what rows are about; of one that is damaged only where it stands is
// known.
func stored(from Reader, rows []Row) []Stored {
	all := make([]Stored, len(rows))
	for i, row := range rows {
		all[i] = Stored{Pos: row.Pos, Size: len(row.Data)}
		if r, err := decodeFrom(from, row); err == nil {
			all[i].Time, all[i].Entries = r.Time, r.Entries
		}
	}
	return all
}

// Scan returns the rows after pos in the order in which they were written, at
// most limit. Their times never go back.
func (j *Journal) Scan(ctx context.Context, pos uint64, limit int) ([]Stored, error) {
	rows, err := j.o.Store.Rows(ctx, pos, limit)
	return stored(j.o.Store, rows), err
}

// Stored returns the rows of seq and what follows it in topic, at most limit,
// as far as they are still there.
func (j *Journal) Stored(ctx context.Context, topic string, seq uint64, limit int) ([]Stored, error) {
	positions, err := j.positions(ctx, topic, seq, limit)
	if err != nil {
		return nil, err
	}
	rows, err := j.o.Store.RowsAt(ctx, positions)
	return stored(j.o.Store, rows), err
}

// Sweep deletes a slice of the rows that no topic keeps any more, and of the
// index that finds them; more says that there is another. Rows are chosen
// before the writer is asked: floors never go down, so what may go then still
// may when it is deleted. It is called by one goroutine at a time.
func (j *Journal) Sweep(ctx context.Context) (more bool, err error) {
	due, err := j.o.Store.Due(ctx, sweepTopics)
	if err != nil || len(due) == 0 {
		return false, err
	}
	s := slice{j: j, floors: map[string]uint64{}, gone: map[uint64]bool{}}
	for _, d := range due { // what memory says of them may be a moment older
		s.floors[d.Topic] = d.Floor
	}
	taken := due[:0]
	for _, d := range due {
		if s.full() {
			break
		}
		switch err := s.take(ctx, &d); {
		case err == nil:
			taken = append(taken, d)
		case !errors.Is(err, ErrDamaged): // that topic keeps what it has
			return false, err
		}
	}
	if s.rows == 0 { // of what was committed a moment ago memory does not know yet
		return false, nil
	}
	drop := ChangeFunc(func(tx *Tx) ([]*Message, error) {
		// What is behind the mark is needed at a start, to make the index again.
		if s.last > j.mark {
			j.unstored = true
			return nil, errUnstored
		}
		if err := tx.batch.Drop(slices.Sorted(maps.Keys(s.gone))); err != nil {
			return nil, err
		}
		for _, d := range taken {
			if err := tx.batch.Swept(d.Topic, d.Swept); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	if _, err = j.Do(drop).Wait(ctx); errors.Is(err, errUnstored) {
		_, err = j.Do(drop).Wait(ctx) // now it is stored, if it can be
	}
	if err != nil {
		return false, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Swept += uint64(len(s.gone))
	return true, nil
}

// errUnstored is the answer to a Sweep of rows that a start may need.
var errUnstored = errors.New("journal: the index of what is to go is not stored yet")

// slice is what one Sweep deletes.
type slice struct {
	j      *Journal
	floors map[string]uint64
	gone   map[uint64]bool // positions of the rows that no topic keeps
	last   uint64          // the last position that was looked at
	rows   int             // how many were
	bytes  int
}

// sweepPart is how many rows of a topic are looked at together: each may be
// long, and all of them are in memory.
const sweepPart = 16

func (s *slice) full() bool { return s.rows >= sweepRows || s.bytes >= sweepBytes }

// take looks at what is due in a topic, and moves d.Swept as far as it did.
func (s *slice) take(ctx context.Context, d *Due) error {
	for d.Swept < d.Floor && !s.full() {
		positions, err := s.j.positions(ctx, d.Topic, d.Swept, int(min(sweepPart, d.Floor-d.Swept)))
		if err != nil || len(positions) == 0 {
			return err
		}
		rows, err := s.j.o.Store.RowsAt(ctx, positions)
		if err != nil {
			return err
		}
		for _, r := range stored(s.j.o.Store, rows) {
			if s.gone[r.Pos] { // found in another of its topics
				continue
			}
			kept, err := s.kept(ctx, r.Entries)
			if err != nil {
				return err
			}
			if !kept {
				s.gone[r.Pos] = true
				s.bytes += r.Size
			}
		}
		s.rows += len(positions)
		s.last = max(s.last, positions[len(positions)-1])
		d.Swept += uint64(len(positions))
	}
	return nil
}

// Walk returns the messages of the rows after pos in the order in which they
// were written, of at most limit rows: last is the last of these, pos where there
// are no more. One that is damaged is left out, and the damage is known.
func (j *Journal) Walk(ctx context.Context, pos uint64, limit int) (ms []*Message, last uint64, err error) {
	rows, err := j.o.Store.Rows(ctx, pos, limit)
	last = pos
	for _, row := range rows {
		if r, err := decodeFrom(j.o.Store, row); err == nil {
			ms = append(ms, &r.Message)
		}
		last = row.Pos
	}
	return ms, last, err
}

// kept says whether a topic still reads one of the entries. A row that is in
// none, or damaged, stays.
func (s *slice) kept(ctx context.Context, entries []Entry) (bool, error) {
	if len(entries) == 0 {
		return true, nil
	}
	for _, e := range entries {
		floor, known := s.floors[e.Topic]
		if !known {
			var err error
			if floor, err = s.j.Floor(ctx, e.Topic); errors.Is(err, ErrDamaged) {
				return true, nil // nobody can say what that topic keeps
			} else if err != nil {
				return false, err
			}
			s.floors[e.Topic] = floor
		}
		if e.Seq >= floor {
			return true, nil
		}
	}
	return false, nil
}

// Rewrite puts another From, Kind and Data in the place of a committed
// message's: what it said before is nowhere any more, and its id, its time and
// its numbers stay. One that is nobody's any more loses its key, too. It is
// ErrNoMessage where the row is gone.
func (tx *Tx) Rewrite(m *Message) error { return tx.rewrite(m, m.From == 0) }

// Disown is Rewrite, of one that loses its key though it stays somebody's: who
// said it is gone, and never hands it over again. The key is forgotten.
func (tx *Tx) Disown(m *Message) error { return tx.rewrite(m, true) }

func (tx *Tx) rewrite(m *Message, disown bool) error {
	pos, salt, ok := parseID(m.ID)
	if !ok {
		return ErrNoMessage
	}
	rows, err := tx.batch.RowsAt(context.Background(), []uint64{pos})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return ErrNoMessage
	}
	r, err := decodeFrom(tx.batch, rows[0])
	if err != nil {
		return err
	}
	if r.salt != salt {
		return ErrNoMessage
	}
	now := r.Message
	now.From, now.Kind, now.Data = m.From, m.Kind, m.Data
	if disown && r.key != (Key{}) {
		if err := tx.batch.Forget(r.key); err != nil {
			return err
		}
		tx.disowned = append(tx.disowned, r.key)
		r.key, r.of = Key{}, 0
	}
	tx.rewritten = append(tx.rewritten, &now)
	return tx.batch.Replace(Row{Pos: pos, Data: r.append(nil, &now)})
}
