package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/status"
)

// The bounds of what is known of tries: of each endpoint the newest, and not for
// ever, since an answer may hold what somebody wrote.
const (
	keptTries  = 100
	triesLast  = 7 * 24 * time.Hour
	logEvery   = time.Second // how long a try may be in memory only
	maxWaiting = 10_000      // tries in memory; more are counted and not kept
	maxSaved   = 500         // in one change, so that others come between
	trimFirst  = time.Minute
	trimEvery  = time.Hour
	trimPause  = 10 * time.Millisecond
)

// Cause says why an event was tried.
type Cause byte

// The causes of a Try.
const (
	Ordinary Cause = iota // it was its turn
	Late                  // it had been parked
	Replayed              // somebody asked for it once more
	Tested                // somebody tried the endpoint out, with an event of no topic
)

// Try is one request to an endpoint, and what came of it. Its body is the event
// that is in the log, and not here.
type Try struct {
	ID      uint64 // in the order of the tries; unlike any other of the endpoint
	Event   string // the event's id
	Name    string
	Seq     uint64 // in the webhook's topic; 0 where it was in none
	Cause   Cause
	Attempt int // counts from 1 as long as the endpoint, or what is parked, fails
	At      time.Time
	Took    time.Duration
	Verdict Verdict
	Header  map[string]string // of the request, without what its signatures say
	Status  int               // of the answer; 0: there was none
	Answer  string            // its beginning
	Error   string            // why it was not taken
}

// TryRow is a Try as it is stored: JSON, and what is asked for beside it.
type TryRow struct {
	Webhook, ID uint64
	Verdict     Verdict
	Text        []byte
}

// tryLog is what was tried and is not stored yet.
type tryLog struct {
	wake chan struct{} // static; one place: something waits
	lost atomic.Int64

	mu      sync.Mutex
	last    uint64   // guarded by mu; the newest id
	waiting []logged // guarded by mu; in order
	saving  []logged // guarded by mu; on their way

	begun atomic.Bool    // the stored ones are known, too: see numbered
	since map[uint64]int // owned by keepTries: what was stored of an endpoint since it was trimmed
}

// logged is a try of a webhook.
type logged struct {
	webhook uint64
	Try
}

// numbered has the ids of tries go on after those that are stored: the clock may
// have been set back since. Nothing is noted before.
func (s *Service) numbered(ctx context.Context) error {
	l := &s.log
	if l.begun.Load() {
		return nil
	}
	last, err := s.o.Store.LastTry(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.last = max(l.last, last)
	l.mu.Unlock()
	l.begun.Store(true)
	return nil
}

// note keeps a try, and names it. It does not wait.
func (s *Service) note(webhook uint64, t Try) (id uint64) {
	l := &s.log
	l.mu.Lock()
	if len(l.waiting) >= maxWaiting {
		l.mu.Unlock()
		l.lost.Add(1)
		return 0
	}
	l.last = max(l.last+1, uint64(max(0, t.At.UnixMicro())))
	t.ID = l.last
	l.waiting = append(l.waiting, logged{webhook, t})
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return t.ID
}

// redacted is a request's header, with no more of its signatures than which there
// were.
func redacted(header map[string]string) map[string]string {
	header = maps.Clone(header)
	var b strings.Builder
	for one := range strings.FieldsSeq(header[sign.HeaderSignature]) {
		version, _, _ := strings.Cut(one, ",")
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(version + ",…")
	}
	header[sign.HeaderSignature] = b.String()
	return header
}

// keepTries stores what was tried until ctx ends, and then once more. What is
// too old goes once an hour.
func (s *Service) keepTries(ctx context.Context) {
	trim := time.NewTimer(trimFirst) // a server may be restarted more often than each hour
	defer trim.Stop()
	for ctx.Err() == nil {
		select {
		case <-s.log.wake:
			_ = wait(ctx, time.Now().Add(logEvery))
			s.saveTries(context.WithoutCancel(ctx))
		case <-trim.C:
			clear(s.log.since) // all are trimmed, and some are no more
			s.trimAll(ctx)
			trim.Reset(trimEvery)
		case <-ctx.Done():
		}
	}
	s.saveTries(context.WithoutCancel(ctx))
}

// saveTries stores what waits: of each endpoint the newest that would be kept.
func (s *Service) saveTries(ctx context.Context) {
	l := &s.log
	l.mu.Lock()
	l.waiting, l.saving = nil, l.waiting
	all := l.saving
	l.mu.Unlock()
	count := map[uint64]int{}
	took := map[uint64]time.Time{}
	rows := make([]TryRow, 0, len(all))
	for _, t := range slices.Backward(all) {
		if t.Verdict == Taken && took[t.webhook].IsZero() && t.Cause != Tested {
			took[t.webhook] = stored(t.At)
		}
		if count[t.webhook]++; count[t.webhook] <= keptTries {
			text, err := json.Marshal(t.Try)
			if err != nil { // a clock of another age
				l.lost.Add(1)
				continue
			}
			rows = append(rows, TryRow{t.webhook, t.ID, t.Verdict, text})
		}
	}
	for len(rows) > 0 || len(took) > 0 {
		now := rows[:min(len(rows), maxSaved)]
		rows = rows[len(now):]
		trim := l.due(now)
		taken := took
		took = nil
		err := s.change(ctx, func(tx *journal.Tx, t Tx) error {
			if err := t.AddTries(background, now, tx.Now(), taken); err != nil {
				return err
			}
			return t.TrimTries(background, trim, keptTries, tx.Now().Add(-triesLast))
		})
		if err != nil {
			l.lost.Add(int64(len(now)))
			if status.Of(err).Code == status.Unavailable { // of the disk's trouble the log has a line already
				continue
			}
			s.o.Log.Warn("some of what was tried cannot be kept", "tries", len(now), "error", err)
		}
	}
	l.mu.Lock()
	l.saving = nil
	l.mu.Unlock()
}

// due counts what is stored of endpoints, and says which of them have twice what
// is kept. One that is new here may have that already.
func (l *tryLog) due(rows []TryRow) (trim []uint64) {
	for _, r := range rows {
		n, known := l.since[r.Webhook]
		if l.since[r.Webhook] = n + 1; !known || n+1 >= keptTries {
			l.since[r.Webhook] = 0
			trim = append(trim, r.Webhook)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(trim)))
}

// trimAll drops what is too old, of endpoints that are silent, too; secrets that
// were replaced and hold no more; and what was dead for too long.
func (s *Service) trimAll(ctx context.Context) {
	for after := uint64(0); ; {
		rows, err := s.o.Store.Webhooks(ctx, after, pageRows)
		if err != nil || len(rows) == 0 {
			return
		}
		ids := make([]uint64, len(rows))
		for i, row := range rows {
			ids[i] = row.ID
		}
		after = ids[len(ids)-1]
		err = s.change(ctx, func(tx *journal.Tx, t Tx) error {
			for _, row := range rows {
				if len(row.OldSecret) > 0 && !tx.Now().Before(row.OldUntil) {
					if err := t.DropOldSecret(background, row.ID, stored(tx.Now())); err != nil {
						return err
					}
				}
			}
			return t.TrimTries(background, ids, keptTries, tx.Now().Add(-triesLast))
		})
		if err == nil {
			err = s.trimDead(ctx, rows)
		}
		if err != nil || wait(ctx, time.Now().Add(trimPause)) != nil {
			return
		}
	}
}

// TryQuery says which tries are asked for: those before one, the newest first.
type TryQuery struct {
	Before  uint64   // 0: from the newest
	Verdict *Verdict // nil: all
	Limit   int      // at most 1,000
}

// has says whether a try is one of those.
func (q TryQuery) has(t Try) bool {
	return (q.Before == 0 || t.ID < q.Before) && (q.Verdict == nil || t.Verdict == *q.Verdict)
}

// Tries is what was tried at a webhook, the newest first: what is stored, and
// what will be in a moment.
func (s *Service) Tries(ctx context.Context, id uint64, q TryQuery) ([]Try, error) {
	q.Limit = max(0, min(q.Limit, maxList))
	list := s.log.of(id, q) // before the store is asked: what moves between the two is found twice
	if len(list) >= q.Limit {
		return list[:q.Limit], nil
	}
	rows, err := s.o.Store.Tries(ctx, id, q)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		var t Try
		if err := json.Unmarshal(row.Text, &t); err != nil {
			return nil, err
		}
		t.ID = row.ID
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Try) int { return int(b.ID) - int(a.ID) })
	list = slices.CompactFunc(list, func(a, b Try) bool { return a.ID == b.ID })
	return list[:min(len(list), q.Limit)], nil
}

func (l *tryLog) of(id uint64, q TryQuery) (list []Try) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, all := range [][]logged{l.waiting, l.saving} {
		for _, t := range slices.Backward(all) {
			if t.webhook == id && q.has(t.Try) {
				list = append(list, t.Try)
			}
		}
	}
	return list
}

// ErrNoTry is the answer to a try that is not known, or not any more.
var ErrNoTry = status.Errorf(status.NotFound, "DELIVERY_NOT_FOUND", "this webhook has no such delivery; of each the newest %d are kept, for a week", keptTries)

// Try is one of them, with its body as the webhook would be sent it now; nil
// where its event is not in the log.
func (s *Service) Try(ctx context.Context, id, try uint64) (Try, []byte, error) {
	row, ok, err := s.o.Store.Webhook(ctx, id)
	if err == nil && !ok {
		err = ErrNotFound
	}
	if err != nil {
		return Try{}, nil, err
	}
	list, err := s.Tries(ctx, id, TryQuery{Before: try + 1, Limit: 1})
	switch {
	case err != nil:
		return Try{}, nil, err
	case len(list) == 0 || list[0].ID != try:
		return Try{}, nil, ErrNoTry
	}
	t := list[0]
	m, err := s.message(ctx, topicOf(row.Webhook), t.Seq)
	if errors.Is(err, journal.ErrExpired) {
		err = nil
	}
	if m == nil || m.Kind != instance.KindEvent || m.ID != t.Event {
		return t, nil, err
	}
	return t, bodyOf(row.Format, m), err
}

// message is the one with a number; nil where there is none.
func (s *Service) message(ctx context.Context, topic string, seq uint64) (*journal.Message, error) {
	if seq == 0 {
		return nil, nil //nolint:nilnil // none has it
	}
	ms, err := s.o.Journal.Read(ctx, topic, seq-1, 1)
	if err != nil || len(ms) == 0 || ms[0].Seq(topic) != seq {
		return nil, err
	}
	return ms[0], nil
}
