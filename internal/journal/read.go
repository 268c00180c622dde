package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kabar-io/kabar/internal/status"
)

// maxRead bounds one page: what is read is held in memory as a whole.
const maxRead = 1000

// ErrNoMessage is the answer to an id that names nothing.
var ErrNoMessage = status.Errorf(status.NotFound, "NO_MESSAGE", "there is no message with that id")

// ErrExpired is the answer to a position behind which not everything is kept
// any more.
var ErrExpired = status.Errorf(status.Gone, "expired", "what follows that position is not all kept any more")

// ErrDamaged is the answer to what is stored where the database is damaged. It
// is of that alone: what is stored elsewhere is served.
var ErrDamaged = status.Errorf(status.Internal, "DATA_DAMAGED", "the database is damaged where this is stored; a backup can be put in its place")

// Head is the last committed number of topic, 0 where nothing was said in it.
func (j *Journal) Head(ctx context.Context, topic string) (uint64, error) {
	j.mu.RLock()
	head, known := j.index.head(topic)
	j.mu.RUnlock()
	if known {
		return head, nil
	}
	e, err := j.ends(ctx, topic)
	return e.Head, err
}

// Floor is the first number of topic that can be read: 1, until something was
// swept. Where everything was, it is one more than the head.
func (j *Journal) Floor(ctx context.Context, topic string) (uint64, error) {
	j.mu.RLock()
	floor, known := j.index.floor(topic)
	j.mu.RUnlock()
	if known {
		return floor, nil
	}
	e, err := j.ends(ctx, topic)
	return e.Floor, err
}

// ends reads where a topic begins and ends, and keeps that in memory.
func (j *Journal) ends(ctx context.Context, topic string) (Ends, error) {
	j.mu.RLock()
	resets := j.index.resets
	j.mu.RUnlock()
	e, err := j.o.Store.Ends(ctx, topic)
	if err != nil {
		return Ends{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.index.keep(topic, e, resets)
	return e, nil
}

// Read returns the messages of topic after seq in order, at most limit (and at
// most 1,000); none where there are no more at the moment. Where the first of them
// is below the topic's floor, it is ErrExpired. What can be read in front of one
// that is damaged is returned; where the first is, it is ErrDamaged.
func (j *Journal) Read(ctx context.Context, topic string, after uint64, limit int) ([]*Message, error) {
	for limit = min(limit, maxRead); ; limit /= 2 {
		ms, err := j.readAfter(ctx, topic, after, limit)
		if !errors.Is(err, ErrDamaged) || limit <= 1 {
			return ms, err
		}
	}
}

// Unreadable is up to which number what begins at first is damaged, as far as a
// thousand: who goes on behind it hears whatever can be read.
func (j *Journal) Unreadable(ctx context.Context, topic string, first uint64) (last uint64, err error) {
	head, err := j.Head(ctx, topic)
	for last = first; err == nil && last < min(head, first+maxRead-1); last++ {
		if _, err := j.Read(ctx, topic, last, 1); !errors.Is(err, ErrDamaged) {
			break
		}
	}
	return last, err
}

func (j *Journal) readAfter(ctx context.Context, topic string, after uint64, limit int) ([]*Message, error) {
	if floor, err := j.Floor(ctx, topic); err != nil || after+1 < floor {
		return nil, cmp.Or(err, error(ErrExpired))
	}
	ms, err := j.read(ctx, topic, after+1, limit)
	if err != nil { // it may have been swept while it was read
		if floor, ferr := j.Floor(ctx, topic); ferr == nil && after+1 < floor {
			return nil, ErrExpired
		}
	}
	return ms, j.lacking(err)
}

// errMissing is of what should be there: where the topic did not begin later
// meanwhile, it was damaged.
var errMissing = errors.New("journal: something is missing")

func (j *Journal) lacking(err error) error {
	if errors.Is(err, errMissing) {
		return j.o.Store.Damaged(err)
	}
	return err
}

// read returns the messages of seq and what follows it.
func (j *Journal) read(ctx context.Context, topic string, seq uint64, limit int) ([]*Message, error) {
	positions, err := j.positions(ctx, topic, seq, limit)
	if err != nil || len(positions) == 0 {
		return nil, err
	}
	ms, err := messagesAt(ctx, j.o.Store, positions)
	for i, m := range ms {
		if m.Seq(topic) != seq+uint64(i) { // the index alone says so
			return nil, fmt.Errorf("%w: %d of %s is not where its index says", errMissing, seq+uint64(i), topic)
		}
	}
	return ms, err
}

// ReadBefore returns the messages of topic before seq, newest first, at most
// limit (and at most 1,000). seq 0 is from the newest. What is below the
// topic's floor is not there.
func (j *Journal) ReadBefore(ctx context.Context, topic string, before uint64, limit int) ([]*Message, error) {
	limit = min(limit, maxRead)
	head, err := j.Head(ctx, topic)
	if err != nil {
		return nil, err
	}
	if before == 0 || before > head+1 {
		before = head + 1
	}
	if before <= 1 || limit < 1 {
		return nil, nil
	}
	from := uint64(1)
	if before > uint64(limit) {
		from = before - uint64(limit)
	}
	floor, err := j.Floor(ctx, topic)
	for err == nil {
		if from = max(from, floor); from >= before {
			return nil, nil
		}
		var ms []*Message
		ms, failed := j.read(ctx, topic, from, int(before-from))
		if failed == nil {
			slices.Reverse(ms)
			return ms, nil
		}
		// It may have been swept while it was read.
		if floor, err = j.Floor(ctx, topic); err == nil && floor <= from {
			err = j.lacking(failed)
		}
	}
	return nil, err
}

// Find is the message that id names, or ErrNoMessage.
func (j *Journal) Find(ctx context.Context, id string) (*Message, error) {
	return find(ctx, j.o.Store, id)
}

func find(ctx context.Context, from Reader, id string) (*Message, error) {
	pos, salt, ok := parseID(id)
	if !ok {
		return nil, ErrNoMessage
	}
	rows, err := from.RowsAt(ctx, []uint64{pos})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, ErrNoMessage
	}
	r, err := decodeFrom(from, rows[0])
	if err != nil {
		return nil, err
	}
	if r.salt != salt {
		return nil, ErrNoMessage
	}
	return &r.Message, nil
}

// positions finds the rows of seq and what follows it in topic: the older part
// in the stored index, the newer in memory. What moves from memory into the
// store meanwhile is found in the copy taken before.
func (j *Journal) positions(ctx context.Context, topic string, seq uint64, limit int) ([]uint64, error) {
	j.mu.RLock()
	hot, first := j.index.from(topic, seq, limit)
	if hot == nil && first > seq {
		hot, _ = j.index.from(topic, first, limit)
	}
	j.mu.RUnlock()
	if len(hot) > 0 && first <= seq {
		return hot, nil
	}
	if first != 0 && first <= seq { // seq is beyond the head
		return nil, nil
	}
	var found []uint64
	next := seq
	for len(found) < limit && (first == 0 || next < first) {
		cs, err := j.o.Store.ChunksFrom(ctx, topic, next, 8)
		if err != nil {
			return nil, err
		}
		before := next
		for _, c := range cs {
			if c.First > next {
				return nil, fmt.Errorf("%w: the index of %s lacks %d", errMissing, topic, next)
			}
			if skip := next - c.First; skip < uint64(len(c.Positions)) {
				found = append(found, c.Positions[skip:]...)
				next += uint64(len(c.Positions)) - skip
			}
		}
		if next == before {
			break
		}
	}
	if first != 0 && next < first && len(found) < limit {
		return nil, fmt.Errorf("%w: the index of %s lacks %d", errMissing, topic, next)
	}
	if len(hot) > 0 && next >= first {
		if over := next - first; over < uint64(len(hot)) {
			found = append(found, hot[over:]...)
		}
	}
	return found[:min(limit, len(found))], nil
}

// messagesAt reads the rows at ascending positions.
func messagesAt(ctx context.Context, s Reader, positions []uint64) ([]*Message, error) {
	rows, err := s.RowsAt(ctx, positions)
	if err != nil {
		return nil, err
	}
	if len(rows) != len(positions) {
		return nil, fmt.Errorf("%w: %d of %d rows", errMissing, len(positions)-len(rows), len(positions))
	}
	return messages(s, rows, nil)
}

// messages are those of rows that were read.
func messages(from Reader, rows []Row, err error) ([]*Message, error) {
	if err != nil {
		return nil, err
	}
	ms := make([]*Message, len(rows))
	for i, row := range rows {
		r, err := decodeFrom(from, row)
		if err != nil {
			return nil, err
		}
		ms[i] = &r.Message
	}
	return ms, nil
}
