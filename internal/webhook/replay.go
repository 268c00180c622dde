package webhook

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// Replay says what is to be told once more: numbers From to To of the webhook's
// topic, or events by their ids, or what ran out of tries. One of them is set.
type Replay struct {
	From, To uint64 // To 0: up to what was told last
	IDs      []string
	Dead     bool
}

// The bounds of what waits to be replayed. A range is read as it is told, and
// may be as long as the topic.
const (
	maxReplayIDs = 100
	maxReplays   = 1000 // ranges of one webhook
)

// What a caller may learn of replays.
var (
	errReplay  = status.Errorf(status.Invalid, "REPLAY_INVALID", "name what to replay: from and to (numbers), or ids (1 to %d of events), or dead: true", maxReplayIDs)
	errReplays = status.Errorf(status.Conflict, "TOO_MANY_REPLAYS", "a webhook may have %d ranges to replay; wait until some are done", maxReplays)
)

// span is numbers of a topic, first and last among them.
type span struct{ first, last uint64 }

// Replay tells events once more, under their ids and in their order, between
// those whose turn it is. An event is in one place: what is replayed is not
// parked or dead any more, and is again if it is not taken; what another replay has
// still to tell is told once for both, and what it has told, again. What was not told
// yet is left out, since it comes anyway, and of a range what is not kept. n is how many numbers it is; those that
// the webhook does not get are passed by. A hold ends with it.
func (s *Service) Replay(ctx context.Context, by instance.Ref, id uint64, what Replay) (n uint64, err error) {
	row, ok, err := s.o.Store.Webhook(ctx, id)
	if err == nil && !ok {
		err = ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	spans, err := s.spans(ctx, row, what)
	if err != nil || len(spans) == 0 && !what.Dead {
		return 0, err
	}
	bound, err := s.deadBound(ctx, row)
	if err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *journal.Tx, t Tx) error {
		n = 0
		if err := s.may(tx, by); err != nil {
			return err
		}
		row, ok, err := t.Webhook(background, id)
		if err != nil || !ok {
			return orNotFound(err)
		}
		others, err := t.Kept(background, id, Replaying, 0, maxReplays)
		if err != nil {
			return err
		}
		have, now := len(others), sinceNone(others, stored(tx.Now()))
		if have+len(spans) > maxReplays || what.Dead && have >= maxReplays {
			return errReplays
		}
		if what.Dead {
			if n, err = t.ReplayDead(background, id, maxReplays-have, now); err != nil {
				return err
			}
		}
		for _, r := range spans {
			if err := carve(t, id, r); err != nil {
				return err
			}
			k := Kept{Webhook: id, First: r.first, Last: r.last, State: Replaying, Since: now}
			if err := t.Keep(background, k); err != nil {
				return err
			}
			n += r.last - r.first + 1
		}
		if n == 0 { // nothing is dead: nothing changes
			return nil
		}
		if err := t.TrimDead(background, id, bound); err != nil { // ranges that are cut are more
			return err
		}
		return s.put(tx, t, &row, true, nil, row.Webhook)
	})
	if err != nil || n == 0 {
		return 0, err
	}
	s.outdated(id)
	return n, nil
}

// sinceNone is now, or the first moment after the others began: by its Since a
// worker tells what is left of the range that it told from what was asked for then.
func sinceNone(others []Kept, now time.Time) time.Time {
	for _, k := range others {
		if !now.After(k.Since) {
			now = k.Since.Add(time.Millisecond)
		}
	}
	return now
}

func orNotFound(err error) error {
	if err == nil {
		return ErrNotFound
	}
	return err
}

// spans are the numbers that a Replay names, in order, apart from each other.
func (s *Service) spans(ctx context.Context, row Row, what Replay) ([]span, error) {
	kinds := 0
	for _, given := range []bool{what.From > 0 || what.To > 0, what.IDs != nil, what.Dead} {
		if given {
			kinds++
		}
	}
	if kinds != 1 || what.IDs != nil && (len(what.IDs) == 0 || len(what.IDs) > maxReplayIDs) {
		return nil, errReplay
	}
	if what.To > 0 && what.From > what.To {
		return nil, status.Errorf(status.Invalid, errReplay.Reason, "from (%d) is after to (%d)", what.From, what.To)
	}
	told, err := s.position(ctx, row)
	if err != nil || what.Dead {
		return nil, err
	}
	floor, err := s.o.Journal.Floor(ctx, topicOf(row.Webhook))
	if err != nil {
		return nil, err
	}
	if what.IDs == nil {
		head, err := s.o.Journal.Head(ctx, topicOf(row.Webhook))
		if err != nil {
			return nil, err
		}
		if what.From > head {
			return nil, status.Errorf(status.Invalid, errReplay.Reason, "from is %d, and the newest event has the number %d", what.From, head)
		}
		r := span{max(what.From, floor, 1), told}
		if what.To > 0 {
			r.last = min(what.To, told)
		}
		if r.first > r.last {
			return nil, nil
		}
		return []span{r}, nil
	}
	var spans []span
	topic := topicOf(row.Webhook)
	for _, id := range what.IDs {
		m, err := s.o.Journal.Find(ctx, id)
		if err != nil && status.Of(err).Code != status.NotFound {
			return nil, err
		}
		if err != nil || m.Seq(topic) < floor { // a floor is 1 or higher
			return nil, status.Errorf(status.NotFound, "EVENT_NOT_FOUND", "there is no event %.80q of this webhook's", id)
		}
		if seq := m.Seq(topic); seq <= told {
			spans = append(spans, span{seq, seq})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return int(a.first) - int(b.first) })
	return slices.Compact(spans), nil
}

// carve takes a range out of what is kept of a webhook: what reaches over its
// edges is cut there.
func carve(t Tx, id uint64, r span) error {
	across, err := t.KeptAcross(background, id, r.first, r.last)
	if err != nil {
		return err
	}
	if err := t.DropKeptIn(background, id, r.first, r.last); err != nil {
		return err
	}
	for _, k := range across {
		before, after := k, k
		before.Last, after.First = r.first-1, r.last+1
		if k.First < r.first {
			if err := t.Keep(background, before); err != nil {
				return err
			}
		}
		if k.Last > r.last {
			if err := t.Keep(background, after); err != nil {
				return err
			}
		}
	}
	return nil
}

// replay is the range that a worker tells once more: the first of those that
// are kept.
type replay struct {
	some  bool
	kept  Kept // as it is stored
	at    uint64
	saved time.Time          // when kept was
	page  []*journal.Message // read ahead, in order, from at on
}

// nextReplay is where a worker goes on replaying.
func (w *worker) nextReplay(ctx context.Context, r Reader) (replay, error) {
	list, err := r.Kept(ctx, w.id, Replaying, 0, 1)
	if err != nil || len(list) == 0 {
		return replay{}, err
	}
	return replay{some: true, kept: list[0], at: list[0].First, saved: time.Now()}, nil
}

// replayPage is how much of a range is read at once: events may be large.
const replayPage = 16

// replayed is the next event of the range; nil at its end.
func (w *worker) replayed(ctx context.Context) (*journal.Message, error) {
	r := &w.replay
	for r.at <= r.kept.Last {
		if len(r.page) == 0 {
			ms, err := w.s.o.Journal.Read(ctx, w.topic(), r.at-1, replayPage)
			if err != nil || len(ms) == 0 {
				return nil, err
			}
			r.page = ms
		}
		m := r.page[0]
		seq := m.Seq(w.topic())
		if seq > r.kept.Last {
			break
		}
		if r.at = seq; w.wants(m) {
			return m, nil
		}
		r.at++
		r.page = r.page[1:]
	}
	return nil, nil //nolint:nilnil // the end
}

// replayOne tries the next event of the range, or ends it.
func (w *worker) replayOne(ctx context.Context) error {
	m, err := w.replayed(ctx)
	switch {
	case errors.Is(err, journal.ErrExpired), errors.Is(err, journal.ErrDamaged):
		last, why, err := w.s.lost(ctx, w.topic(), w.replay.at, err)
		if err != nil {
			return err
		}
		return w.expireReplay(ctx, last, why)
	case err != nil:
		return err
	}
	if m == nil {
		w.replay.at = w.replay.kept.Last + 1
		return w.saveReplay(ctx)
	}
	seq := w.replay.at
	a := w.try(ctx, m, Try{Cause: Replayed, Attempt: w.row.Hold.Tries + 1})
	if err := ctx.Err(); err != nil {
		if a.verdict == Taken {
			w.passReplayed(seq)
		}
		return err
	}
	switch a.verdict {
	case Taken:
		w.s.counts.replayed.Add(1)
		w.passReplayed(seq)
		if w.held() || w.row.Error != "" {
			return w.well(ctx)
		}
		if time.Since(w.replay.saved) >= logEvery {
			return w.saveReplay(ctx)
		}
		return nil
	case Gone:
		if err := w.saveReplay(ctx); err != nil {
			return err
		}
		return w.disable(ctx, a)
	case Refused:
		w.passReplayed(seq)
		full, err := w.park(ctx, seq, a, w.moveReplay)
		if err == nil && !full {
			w.replay, err = w.nextReplay(ctx, w.s.o.Store)
			return err
		}
		w.replay.at, w.replay.page = seq, nil // it is not parked
		if err != nil {
			return err
		}
	case Failed:
	}
	return w.delayReplay(ctx, a)
}

func (w *worker) passReplayed(seq uint64) {
	w.replay.at = seq + 1
	w.replay.kept.Tries, w.replay.kept.Next = 0, time.Time{}
	if len(w.replay.page) > 0 {
		w.replay.page = w.replay.page[1:]
	}
}

// moveReplay stores how far the range was told.
func (w *worker) moveReplay(t Tx) error {
	r := &w.replay
	if err := t.DropKept(background, w.id, r.kept.First); err != nil || r.at > r.kept.Last {
		return err
	}
	rest := r.kept
	rest.First = r.at
	return t.Keep(background, rest)
}

// leaveReplay stores how far the range was told when the worker ends, whatever
// was changed meanwhile: what another replay has left of the range is cut there,
// and what that asks for is not.
func (w *worker) leaveReplay(ctx context.Context) error {
	r := &w.replay
	if !r.some || r.at == r.kept.First {
		return nil
	}
	defer func() { *r = replay{} }() // the next one reads it again
	return w.s.change(ctx, func(_ *journal.Tx, t Tx) error {
		for after := r.kept.First - 1; ; {
			list, err := t.Kept(background, w.id, Replaying, after, 1)
			if err != nil || len(list) == 0 || list[0].First >= r.at {
				return err
			}
			left := list[0]
			after = left.First
			if !left.Since.Equal(r.kept.Since) {
				continue
			}
			if err := t.DropKept(background, w.id, left.First); err != nil {
				return err
			}
			if left.Last < r.at {
				continue
			}
			left.First, left.Tries, left.Next = r.at, 0, time.Time{} // as passReplayed has it
			if err := t.Keep(background, left); err != nil {
				return err
			}
		}
	})
}

// saveReplay stores how far the range was told, and takes up the next one at
// its end.
func (w *worker) saveReplay(ctx context.Context) error {
	r := &w.replay
	if !r.some || r.at == r.kept.First {
		return nil
	}
	if err := w.change(ctx, func(t Tx, _ *Row) error { return w.moveReplay(t) }); err != nil {
		return err
	}
	if r.at > r.kept.Last {
		var err error
		*r, err = w.nextReplay(ctx, w.s.o.Store)
		return err
	}
	r.kept.First, r.saved = r.at, time.Now()
	return nil
}

// expireReplay keeps as dead what cannot be read any more up to last, and goes on
// with the rest of the range.
func (w *worker) expireReplay(ctx context.Context, last uint64, why string) error {
	dead := w.replay.kept
	dead.First, dead.Last, dead.State, dead.Reason = w.replay.at, min(w.replay.kept.Last, last), Dead, why
	at := w.replay.at
	w.replay.at = dead.Last + 1
	err := w.change(ctx, func(t Tx, _ *Row) error {
		if err := w.moveReplay(t); err != nil {
			return err
		}
		return t.Keep(background, dead)
	})
	if err != nil {
		w.replay.at = at // it is not dead
		return err
	}
	w.replay, err = w.nextReplay(ctx, w.s.o.Store)
	return err
}

// delayReplay has the range wait by a schedule of its own, because its next event
// was not taken: what is said meanwhile need not share its fate. It is dead again
// when that has lasted as long as tries last.
func (w *worker) delayReplay(ctx context.Context, a attempt) error {
	now := time.Now()
	k := w.replay.kept
	k.First = w.replay.at
	if k.Tries == 0 {
		k.Since = stored(now)
	}
	k.fail(now, a)
	err := w.change(ctx, func(t Tx, row *Row) error {
		row.Error = a.words
		if err := t.DropKept(background, w.id, w.replay.kept.First); err != nil {
			return err
		}
		return t.Keep(background, k)
	})
	if err != nil {
		return err
	}
	if k.State == Dead {
		w.s.counts.died.Add(1)
		w.replay, err = w.nextReplay(ctx, w.s.o.Store)
		return err
	}
	w.replay.kept, w.replay.saved, w.replay.page = k, now, nil
	return nil
}
