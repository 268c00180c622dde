package webhook

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
)

// maxParked is how many events an endpoint may have parked. One that refuses
// more refuses everything: it is put on hold, and no event is passed over.
const maxParked = 1000

// maxAhead bounds the bytes that one endpoint has read ahead.
const maxAhead = 1 << 20

// work begins where the webhook stands, and delivers until something is wrong
// that is not the receiver's doing.
func (w *worker) work(ctx context.Context) error {
	w.head = nil
	if err := w.load(ctx); err != nil {
		return err
	}
	end, err := w.watch(ctx)
	if err != nil {
		return err
	}
	defer end()
	// The instance may have gone before it was watched.
	if err := w.load(ctx); err != nil {
		return err
	}
	for {
		if err := w.turn(ctx); err != nil {
			return err
		}
	}
}

// load reads how the webhook stands.
func (w *worker) load(ctx context.Context) error {
	row, ok, err := w.s.o.Store.Webhook(ctx, w.id)
	switch {
	case err != nil:
		return err
	case !ok || row.Version != w.version || !row.Enabled:
		return errOutdated
	}
	w.row, w.signer = row, nil
	if w.read, err = w.s.position(ctx, row); err != nil {
		return err
	}
	w.handle.at.Store(w.read)
	if w.replay, err = w.nextReplay(ctx, w.s.o.Store); err != nil {
		return err
	}
	w.parked, w.some, err = w.s.o.Store.Due(ctx, w.id)
	return err
}

// settle has nothing wait for a time that a clock said which was set back since,
// and which is far away now.
func (w *worker) settle() {
	now := time.Now()
	if h := &w.row.Hold; now.Before(h.Since) {
		h.Since, h.Next = now, now
	}
	for _, k := range []*Kept{&w.parked, &w.replay.kept} {
		if now.Before(k.Since) { // fail sets that
			k.Next = now
		}
	}
}

// turn tries what is due: one that is parked, one that is replayed, then the
// next in order.
func (w *worker) turn(ctx context.Context) error {
	w.settle()
	if w.some && !w.held() && !time.Now().Before(w.parked.Next) {
		if err := w.again(ctx); err != nil {
			return err
		}
	}
	if w.replay.some && !w.held() && w.replayDue() {
		if err := w.replayOne(ctx); err != nil {
			return err
		}
	}
	if err := w.next(ctx); err != nil {
		return err
	}
	switch {
	case w.head != nil:
		return w.deliver(ctx)
	case w.replay.some && w.replayDue(): // on hold, too: it is the probe, where nothing else waits
		return w.replayOne(ctx)
	}
	return nil
}

func (w *worker) held() bool { return !w.row.Hold.Since.IsZero() }

// next finds the head: the next event that the webhook gets. It waits for one,
// but not longer than until what is parked or replayed is due.
func (w *worker) next(ctx context.Context) error {
	for w.head == nil {
		if len(w.page) == 0 {
			more, err := w.fill(ctx)
			if err != nil || !more {
				return err
			}
		}
		m := w.page[0]
		w.page[0] = nil
		w.page = w.page[1:]
		switch {
		case m.Kind == instance.KindDeleted:
			return errOutdated
		case w.wants(m):
			w.head = m
		default:
			w.pass(m.Seq(w.topic()))
		}
	}
	return nil
}

func (w *worker) topic() string { return topicOf(w.row.Webhook) }

func (w *worker) wants(m *journal.Message) bool {
	return m.Kind == instance.KindEvent && (w.row.Events == nil || slices.Contains(w.row.Events, instance.EventName(m.Data)))
}

// due is when something else than the next event is to be tried; ok is false
// where there is nothing.
func (w *worker) due() (at time.Time, ok bool) {
	if w.some && !w.held() {
		at, ok = w.parked.Next, true
	}
	if w.replay.some {
		if next := w.replayNext(); !ok || next.Before(at) {
			at, ok = next, true
		}
	}
	return at, ok
}

// replayNext is when the range that is replayed is tried next.
func (w *worker) replayNext() time.Time {
	if next := w.row.Hold.Next; next.After(w.replay.kept.Next) {
		return next
	}
	return w.replay.kept.Next
}

func (w *worker) replayDue() bool { return !time.Now().Before(w.replayNext()) }

// fill reads on; more is false where something else is due before there is more.
func (w *worker) fill(ctx context.Context) (more bool, err error) {
	until := ctx
	if at, some := w.due(); some {
		head, err := w.s.o.Journal.Head(ctx, w.topic())
		if err != nil {
			return false, err
		}
		if head <= w.read { // nothing is there yet
			if !time.Now().Before(at) {
				return false, nil
			}
			var cancel context.CancelFunc
			until, cancel = context.WithDeadline(ctx, at)
			defer cancel()
		}
	}
	if w.cursor == nil {
		if w.cursor, err = w.s.o.Hub.Cursor(ctx, w.topic(), w.read); err != nil {
			w.cursor = nil
			return false, err
		}
	}
	ms, err := w.cursor.Next(until)
	switch {
	case errors.Is(err, journal.ErrExpired), errors.Is(err, journal.ErrDamaged):
		last, why, err := w.s.lost(ctx, w.topic(), w.read+1, err)
		if err != nil {
			return false, err
		}
		return false, w.missed(ctx, last, why)
	case err != nil && until.Err() != nil && ctx.Err() == nil:
		return false, nil
	case err != nil:
		return false, err
	}
	w.page = ms
	bytes := 0
	for i, m := range ms {
		if bytes += len(m.Data); bytes > maxAhead && i > 0 {
			w.cursor.Close()
			w.cursor, w.page = nil, slices.Clone(ms[:i])
			break
		}
	}
	w.read = w.page[len(w.page)-1].Seq(w.topic())
	return true, nil
}

// Why an event is dead that cannot be read any more.
const (
	swept   = "it was not taken for as long as events are kept"
	damaged = "the database is damaged where it is stored"
)

// lost is up to where what begins at first cannot be read, and why, by the error
// that reading it had.
func (s *Service) lost(ctx context.Context, topic string, first uint64, err error) (last uint64, why string, _ error) {
	if errors.Is(err, journal.ErrDamaged) {
		last, err = s.o.Journal.Unreadable(ctx, topic, first)
		return last, damaged, err
	}
	floor, err := s.o.Journal.Floor(ctx, topic)
	return floor - 1, swept, err
}

// missed keeps as dead what was not told up to last and cannot be read any more,
// and goes on with what can.
func (w *worker) missed(ctx context.Context, last uint64, why string) error {
	k := Kept{Webhook: w.id, First: w.read + 1, Last: last, State: Dead, Since: stored(time.Now()), Reason: why}
	head, err := w.s.o.Journal.Head(ctx, w.topic())
	if err != nil {
		return err
	}
	w.s.o.Log.Warn("a webhook missed what cannot be read any more", "webhook", w.id, "first", k.First, "last", k.Last, "why", why)
	err = w.change(ctx, func(t Tx, row *Row) error {
		if k.Last >= head { // nothing waits: what is said next is tried at once
			row.Hold = Hold{}
		}
		row.keepsTo(k.Last)
		return t.Keep(background, k)
	})
	if err != nil {
		return err
	}
	w.s.counts.died.Add(1)
	w.release()
	w.read = k.Last
	w.pass(k.Last)
	return nil
}

// release lets go of what was read ahead: one that waits long holds no memory
// but its head's.
func (w *worker) release() {
	if w.cursor != nil {
		w.cursor.Close()
	}
	if len(w.page) > 0 {
		w.read = w.page[0].Seq(w.topic()) - 1
	}
	w.cursor, w.page, w.replay.page = nil, nil, nil
}

// pass notes that everything up to seq is told, or durably kept.
func (w *worker) pass(seq uint64) {
	w.handle.at.Store(seq)
	w.s.o.Acked.Acked(hub.Acked{Owner: positionOwner(w.id), Topic: w.topic(), Seq: seq})
}

// keepsTo has a webhook go on after seq, in the same change in which what was not
// taken up to there is kept: else a kill before its position is stored would have
// it told, too.
func (r *Row) keepsTo(seq uint64) { r.Start = max(r.Start, seq) }

// deliver tries the head once, when it may be. One that waits is read again then:
// it may be said in other words by that time, or not be kept any more.
func (w *worker) deliver(ctx context.Context) error {
	if w.held() {
		w.release()
		w.read, w.head = w.head.Seq(w.topic())-1, nil
		if err := wait(ctx, w.row.Hold.Next); err != nil {
			return err
		}
		if err := w.next(ctx); err != nil || w.head == nil {
			return err
		}
	}
	m := w.head
	seq := m.Seq(w.topic())
	a := w.try(ctx, m, Try{Attempt: w.row.Hold.Tries + 1})
	if err := ctx.Err(); err != nil {
		if a.verdict == Taken {
			w.pass(seq)
		}
		return err
	}
	var err error
	switch a.verdict {
	case Taken:
		if w.held() || w.row.Error != "" {
			err = w.well(ctx)
		}
	case Gone:
		return w.disable(ctx, a)
	case Refused:
		var full bool
		if full, err = w.park(ctx, seq, a, nothing); err == nil && full {
			return w.hold(ctx, m, seq, a)
		}
	default:
		return w.hold(ctx, m, seq, a)
	}
	if err != nil {
		return err
	}
	w.head = nil
	w.pass(seq)
	return nil
}

// change writes the webhook's row, if it is the one that the worker knows, and
// reads again what is parked.
func (w *worker) change(ctx context.Context, f func(t Tx, row *Row) error) error {
	var row Row
	var parked Kept
	var some bool
	err := w.s.change(ctx, func(_ *journal.Tx, t Tx) error {
		var ok bool
		var err error
		row, ok, err = t.Webhook(background, w.id)
		switch {
		case err != nil:
			return err
		case !ok || row.Version != w.version:
			return errOutdated
		}
		if err := f(t, &row); err != nil {
			return err
		}
		if err := t.SetWebhook(background, row); err != nil {
			return err
		}
		parked, some, err = t.Due(background, w.id)
		return err
	})
	if err == nil {
		w.row, w.parked, w.some = row, parked, some
	}
	return err
}

// reached says in the log that a hold is over, whoever ended it: who changes the
// webhook, or replays, ends it too, before it is known whether it is well.
func (w *worker) reached() {
	if since := w.lasting.held; !since.IsZero() {
		w.s.o.Log.Info("a webhook is reached again", "webhook", w.id, "since", since)
		w.lasting.held = time.Time{}
	}
}

// well ends a hold.
func (w *worker) well(ctx context.Context) error {
	if w.held() {
		w.replay.kept.Tries, w.replay.kept.Next = 0, time.Time{}
	}
	return w.change(ctx, func(_ Tx, row *Row) error {
		row.Hold, row.Error = Hold{}, ""
		return nil
	})
}

// disable switches the webhook off, because its receiver said so. The event
// that it said it to waits with what follows.
func (w *worker) disable(ctx context.Context, a attempt) error {
	w.s.o.Log.Warn("a webhook is switched off: its receiver is gone", "webhook", w.id)
	err := w.change(ctx, func(_ Tx, row *Row) error {
		row.Enabled, row.Hold, row.Error = false, Hold{}, a.words+", so it was switched off"
		row.Version++
		return nil
	})
	if err != nil {
		return err
	}
	return errOutdated
}

// heldOn is the hold after one more try in vain, and whether what was said then
// has been tried as long as tries last.
func (w *worker) heldOn(now, said time.Time, a attempt) (h Hold, over bool) {
	h = w.row.Hold
	if h.Since.IsZero() {
		h.Since = stored(now)
		w.s.counts.holds.Add(1)
	}
	if w.lasting.held.IsZero() {
		w.lasting.held = h.Since
		w.s.o.Log.Warn("a webhook is on hold", "webhook", w.id, "error", a.words)
	}
	h.Tries++
	began := h.Since
	if said := stored(said); said.After(began) {
		began = said
	}
	end := began.Add(maxTrying)
	h.Next = stored(next(now, end, h.Tries, a.retryAfter, rand.Float64())) //nolint:gosec // it spreads tries, and is no secret
	return h, !now.Before(end)
}

// hold has everything wait for the head, which is tried again by the schedule.
// What waited as long as tries last is dead, and the rest waits on.
func (w *worker) hold(ctx context.Context, m *journal.Message, seq uint64, a attempt) error {
	now := time.Now()
	h, over := w.heldOn(now, m.Time, a)
	var dead *Kept
	if over {
		last, err := w.s.lastBefore(ctx, w.topic(), seq, now.Add(-maxTrying))
		if err != nil {
			return err
		}
		dead = &Kept{Webhook: w.id, First: seq, Last: last, State: Dead, Since: h.Since, Tries: h.Tries, Reason: a.words}
		head, err := w.s.o.Journal.Head(ctx, w.topic())
		if err != nil {
			return err
		}
		if last >= head { // nothing waits: what is said next is tried at once
			h = Hold{}
		}
	}
	err := w.change(ctx, func(t Tx, row *Row) error {
		row.Hold, row.Error = h, a.words
		if dead == nil {
			return nil
		}
		row.keepsTo(dead.Last)
		return t.Keep(background, *dead)
	})
	if err != nil || dead == nil {
		return err
	}
	w.s.counts.died.Add(1)
	w.release()
	w.head, w.read = nil, dead.Last
	w.pass(dead.Last)
	return nil
}

func nothing(Tx) error { return nil }

var errFull = errors.New("webhook: too many are parked")

// park keeps one event apart that was refused alone; full is true where too many
// are. It was reached, so a hold is over. also is done in the same change.
func (w *worker) park(ctx context.Context, seq uint64, a attempt, also func(t Tx) error) (full bool, err error) {
	now := time.Now()
	k := Kept{
		Webhook: w.id, First: seq, Last: seq, Since: stored(now), Tries: 1, Reason: a.words,
		Next: stored(next(now, now.Add(maxTrying), 1, a.retryAfter, rand.Float64())), //nolint:gosec // it spreads tries, and is no secret
	}
	err = w.change(ctx, func(t Tx, row *Row) error {
		if n, err := t.CountKept(background, k.Webhook, Parked); err != nil {
			return err
		} else if n >= maxParked {
			return errFull
		}
		row.Hold, row.Error = Hold{}, a.words
		row.keepsTo(seq)
		if err := also(t); err != nil {
			return err
		}
		return t.Keep(background, k)
	})
	switch {
	case errors.Is(err, errFull):
		return true, nil
	case err == nil:
		w.s.counts.parked.Add(1)
		w.reached()
	}
	return false, err
}

// fail notes one more try in vain: it is tried again by the schedule, and dead at
// its end.
func (k *Kept) fail(now time.Time, a attempt) {
	if now.Before(k.Since) { // the clock was set back
		k.Since = stored(now)
	}
	end := k.Since.Add(maxTrying)
	k.Tries++
	k.Reason = a.words
	k.Next = stored(next(now, end, k.Tries, a.retryAfter, rand.Float64())) //nolint:gosec // it spreads tries, and is no secret
	if !now.Before(end) {
		k.State, k.Next = Dead, time.Time{}
	}
}

// again tries the parked event that is due.
func (w *worker) again(ctx context.Context) error {
	k := w.parked
	m, err := w.s.message(ctx, w.topic(), k.First)
	a := attempt{verdict: Taken} // where it is no more, or not wanted any more
	switch {
	case errors.Is(err, journal.ErrExpired):
		a = attempt{verdict: Failed, words: swept}
	case errors.Is(err, journal.ErrDamaged):
		a = attempt{verdict: Failed, words: damaged}
	case err != nil:
		return err
	}
	lost := err != nil
	if m != nil && w.wants(m) {
		if a = w.try(ctx, m, Try{Cause: Late, Attempt: k.Tries + 1}); ctx.Err() != nil && a.verdict == Taken {
			return cmp.Or(w.leaveParked(context.WithoutCancel(ctx), k.First), ctx.Err())
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case a.verdict == Gone:
		return w.disable(ctx, a)
	}
	if k.fail(time.Now(), a); lost {
		k.State, k.Next = Dead, time.Time{}
	}
	err = w.change(ctx, func(t Tx, _ *Row) error {
		if a.verdict != Taken {
			return t.Keep(background, k)
		}
		return t.DropKept(background, k.Webhook, k.First)
	})
	if err == nil && a.verdict != Taken && k.State == Dead {
		w.s.counts.died.Add(1)
	}
	return err
}

// leaveParked drops what was taken as the worker ended, unless it is not parked any
// more: somebody may have asked for it once more.
func (w *worker) leaveParked(ctx context.Context, first uint64) error {
	return w.s.change(ctx, func(_ *journal.Tx, t Tx) error {
		list, err := t.Kept(background, w.id, Parked, first-1, 1)
		if err != nil || len(list) == 0 || list[0].First != first {
			return err
		}
		return t.DropKept(background, w.id, first)
	})
}
