package retention

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// page is how many rows are read together; unsaved how many pages without
// anything to do are looked at again after a kill.
const (
	page    = 256
	unsaved = 64
)

// rule is one bound of a kind: it looks at each message once, when it has
// become old enough for it. So a pass costs what has become so since the last
// one, and nothing where that is nothing.
type rule struct {
	// name is under what it is stored how far it came. Another count or size is
	// another rule, which looks at everything once: no message becomes old
	// enough for it that was looked at for the other.
	name  string
	kind  string
	after time.Duration
	// floor is where a topic begins once the message with this number of it
	// has become that old; 0: it does not matter.
	floor func(ctx context.Context, topic string, seq uint64, size int) (uint64, error)
}

func (r *rule) has(topic string) bool {
	rest, ok := strings.CutPrefix(topic, r.kind)
	return ok && (rest == "" || rest[0] == '/')
}

func (s *Service) rulesOf(k Kind) []rule {
	var rules []rule
	if k.Age > 0 {
		rules = append(rules, rule{
			name: k.Name + ".age", kind: k.Name, after: max(k.Age, k.Spare),
			floor: func(_ context.Context, _ string, seq uint64, _ int) (uint64, error) { return seq + 1, nil },
		})
	}
	if k.Count > 0 {
		rules = append(rules, rule{
			name: fmt.Sprintf("%s.count.%d", k.Name, k.Count), kind: k.Name, after: k.Spare,
			floor: func(ctx context.Context, topic string, seq uint64, _ int) (uint64, error) {
				head, err := s.o.Journal.Head(ctx, topic)
				if head < k.Count {
					return 0, err
				}
				return min(seq+1, head+1-k.Count), err
			},
		})
	}
	if k.Bytes > 0 {
		w := &weights{journal: s.o.Journal, most: k.Bytes, of: map[string]weight{}}
		rules = append(rules, rule{name: fmt.Sprintf("%s.size.%d", k.Name, k.Bytes), kind: k.Name, after: k.Spare, floor: w.floor})
	}
	return rules
}

// scan carries a rule on, page by page.
func (s *Service) scan(ctx context.Context, r *rule) error {
	saved, err := s.o.Store.Scanned(ctx, r.name)
	if err != nil {
		return err
	}
	pos := saved
	for n := 1; ; n++ {
		began := time.Now()
		rows, err := s.o.Journal.Scan(ctx, pos, page)
		if err != nil {
			return err
		}
		floors, last, err := s.floors(ctx, r, rows, began.Add(-r.after))
		if err != nil {
			return err
		}
		pos = max(pos, last)
		more := len(rows) == page && pos == rows[page-1].Pos
		if more && len(floors) == 0 && n%unsaved != 0 {
			continue
		}
		if pos == saved {
			return nil
		}
		if err := s.raise(ctx, r, floors, pos); err != nil {
			return err
		}
		if saved = pos; !more {
			return nil
		}
	}
}

// raise has topics begin later, and then stores how far the rule came. Messages
// may be in thousands of topics each, so it takes several changes.
func (s *Service) raise(ctx context.Context, r *rule, floors map[string]uint64, pos uint64) error {
	for part := range slices.Chunk(slices.Sorted(maps.Keys(floors)), slice) {
		err := s.change(ctx, func(tx *journal.Tx) error {
			for _, topic := range part {
				if _, err := tx.Head(topic); errors.Is(err, journal.ErrDamaged) {
					continue // as in floors
				}
				if err := tx.Raise(topic, floors[topic]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.change(ctx, func(tx *journal.Tx) error { return s.o.Store.SetScanned(tx, r.name, pos) })
}

// floors is where topics begin after the rows that are not younger than limit;
// last is the last of these, 0 for none.
func (s *Service) floors(ctx context.Context, r *rule, rows []journal.Stored, limit time.Time) (floors map[string]uint64, last uint64, err error) {
	floors = map[string]uint64{}
	for _, row := range rows {
		if row.Time.After(limit) {
			break
		}
		last = row.Pos
		for _, e := range row.Entries {
			if !r.has(e.Topic) {
				continue
			}
			floor, err := r.floor(ctx, e.Topic, e.Seq, row.Size)
			if errors.Is(err, journal.ErrDamaged) {
				continue // that topic keeps what it has
			}
			if err != nil {
				return nil, 0, err
			}
			if floor > max(1, floors[e.Topic]) {
				floors[e.Topic] = floor
			}
		}
	}
	return floors, last, nil
}

// weights knows how long topics are, as far as a rule has looked at them. It is
// kept in memory only: what is not known is added up again.
type weights struct {
	journal *journal.Journal
	most    int64
	of      map[string]weight
}

// weight is the bytes of a topic's messages from floor up to before next, as
// they were when so many rows of the journal had been rewritten.
type weight struct {
	floor, next uint64
	bytes       int64
	rewritten   uint64
}

// maxWeights bounds the topics that are known.
const maxWeights = 1 << 16

func (w *weights) floor(ctx context.Context, topic string, seq uint64, size int) (uint64, error) {
	begin, err := w.journal.Floor(ctx, topic)
	if err != nil || seq < begin {
		return 0, err
	}
	t, ok := w.of[topic]
	// Nothing goes for bytes that have gone already: who edits, deletes or is
	// erased makes messages shorter.
	rewritten := w.journal.Stats().Rewritten
	if !ok || t.next != seq || t.floor < begin || t.bytes+int64(size) > w.most && t.rewritten != rewritten {
		if t, err = w.sum(ctx, topic, begin, seq); err != nil {
			return 0, err
		}
		t.rewritten = rewritten
	}
	t.next, t.bytes = seq+1, t.bytes+int64(size)
	for t.bytes > w.most && t.floor <= seq {
		rows, err := w.journal.Stored(ctx, topic, t.floor, page)
		if err != nil {
			return 0, err
		}
		if len(rows) == 0 {
			break
		}
		for _, r := range rows {
			if t.bytes <= w.most || t.floor > seq {
				break
			}
			t.bytes -= int64(r.Size)
			t.floor++
		}
	}
	if len(w.of) >= maxWeights {
		clear(w.of)
	}
	w.of[topic] = t
	return t.floor, nil
}

// sum adds up what a topic keeps from floor up to before next.
func (w *weights) sum(ctx context.Context, topic string, floor, next uint64) (weight, error) {
	t := weight{floor: floor, next: floor}
	for t.next < next {
		rows, err := w.journal.Stored(ctx, topic, t.next, int(min(page, next-t.next)))
		if err != nil {
			return t, err
		}
		if len(rows) == 0 {
			break
		}
		for _, r := range rows {
			t.bytes += int64(r.Size)
			t.next++
		}
	}
	return t, nil
}
