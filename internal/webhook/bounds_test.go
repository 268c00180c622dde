package webhook_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/webhook"
)

// change does something in the store.
func (w *world) change(f func(tx *journal.Tx) error) {
	w.t.Helper()
	_, err := w.journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) { return nil, f(tx) })).Wait(bg)
	w.ok(err)
}

// raise has an instance's topic begin later.
func (w *world) raise(id, floor uint64) {
	w.t.Helper()
	w.change(func(tx *journal.Tx) error { return tx.Raise(instance.Topic(id), floor) })
}

// TestDeadAreBounded sees what is kept of what is dead, and that what went is
// counted. What is old is so from the start: a month costs a clock in memory, too.
func TestDeadAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, id := w.create("a")
		hook := w.add(ref, webhook.Changes{URL: to("http://x")})
		other := w.add(ref, webhook.Changes{URL: to("http://y"), Events: to([]string{"chats.set"})})
		w.emit(ref, 1, 1200)
		time.Sleep(2 * time.Minute)
		const day = 24 * time.Hour
		dead := func(hook, first, last uint64, old time.Duration) webhook.Kept {
			return webhook.Kept{Webhook: hook, First: first, Last: last, State: webhook.Dead, Since: time.Now().Add(-old)}
		}
		w.change(func(tx *journal.Tx) error {
			in := w.store.Webhooks().In(tx)
			for n := uint64(1); n <= 1100; n++ {
				err := in.Keep(bg, dead(hook.ID, n, n, 7*day-2*time.Hour))
				if n < 1000 {
					err = errors.Join(err, in.Keep(bg, dead(other.ID, n, n, 30*day-2*time.Hour)))
				}
				if err != nil {
					return err
				}
			}
			return in.Keep(bg, dead(other.ID, 1000, 1200, 0))
		})
		// A range that is cut is one more than are kept.
		w.replay(other.ID, webhook.Replay{From: 1100, To: 1100}, 1)
		if st, err := w.Standing(bg, other.ID); err != nil || st.Dead != 1000 || st.Dropped != 1 {
			t.Errorf("%+v, %v", st, err)
		}
		has := func(when string, n int, first, dropped, to uint64) {
			t.Helper()
			st, err := w.Standing(bg, hook.ID)
			w.ok(err)
			list, err := w.Kept(bg, hook.ID, webhook.Dead, 0, 1)
			w.ok(err)
			if st.Dead != n || st.Dropped != dropped || st.DroppedTo != to || n > 0 && list[0].First != first {
				t.Errorf("%s: %d, from %+v on; %d went, up to %d", when, st.Dead, list, st.Dropped, st.DroppedTo)
			}
		}
		has("at once", 1100, 1, 0, 0)
		time.Sleep(time.Hour)
		has("after an hour", 1000, 101, 100, 100)
		w.raise(id, 601)
		time.Sleep(30 * time.Minute)
		has("before a week", 1000, 101, 100, 100)
		time.Sleep(90 * time.Minute)
		has("after a week", 500, 601, 600, 600)
		n := len(s.list())
		w.replay(hook.ID, webhook.Replay{Dead: true}, 500)
		has("replayed", 0, 0, 600, 600)
		time.Sleep(time.Minute)
		if again := s.list()[n:]; len(again) != 500 || again[0].Seq != 601 || again[499].Seq != 1100 {
			t.Errorf("%d came", len(again))
		}
		if list, err := w.Kept(bg, other.ID, webhook.Dead, 0, 9); err != nil || len(list) != 2 || list[0].First != 1000 {
			t.Errorf("%+v are dead after a month, %v", list, err)
		}
		if h := w.find2(other.ID); h.Dropped != 999 || h.DroppedTo != 999 {
			t.Errorf("%d went, up to %d", h.Dropped, h.DroppedTo)
		}
		if !strings.Contains(w.log.String(), "dead events of a webhook are not kept any more") {
			t.Error("nothing is in the log")
		}
	})
}

// TestTriesAreInTheOrderOfWriting sees that the delivery log is read in the order
// in which it was written, page by page, though the clock was set back for longer
// than it is kept. Each bubble's clock begins at the same time.
func TestTriesAreInTheOrderOfWriting(t *testing.T) {
	folder := t.TempDir()
	s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
	var hook webhook.Made
	synctest.Test(t, func(t *testing.T) {
		w := start(t, folder, webhook.Options{Sender: s})
		time.Sleep(8 * 24 * time.Hour)
		ref, _ := w.create("a")
		hook = w.add(ref, webhook.Changes{URL: to("http://x")})
		w.emit(ref, 1, 3)
		time.Sleep(time.Minute)
		w.stop()
	})
	synctest.Test(t, func(t *testing.T) {
		w := start(t, folder, webhook.Options{Sender: s})
		defer w.stop()
		tested, err := w.Test(bg, hook.ID) // whatever else has begun
		w.ok(err)
		w.emit(instance.ByName("a"), 4, 6)
		pages := func(when string) {
			t.Helper()
			var got []uint64
			var ids []uint64
			for q := (webhook.TryQuery{Limit: 2}); ; {
				page := w.tried(hook.ID, q)
				if len(page) == 0 {
					break
				}
				for _, one := range page {
					got, ids = append(got, one.Seq), append(ids, one.ID)
				}
				q.Before = page[len(page)-1].ID
			}
			if fmt.Sprint(got) != "[6 5 4 0 3 2 1]" || !slices.IsSortedFunc(ids, func(a, b uint64) int { return int(b) - int(a) }) || ids[3] != tested.ID {
				t.Errorf("%s: %v, with the ids %v", when, got, ids)
			}
		}
		time.Sleep(500 * time.Millisecond)
		pages("some of it in memory")
		time.Sleep(2 * time.Hour)
		pages("when what is too old has gone")
	})
}

// TestTryOutsOfOneInstance sees that one instance that tries out all that it has
// leaves room for others.
func TestTryOutsOfOneInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{slow: time.Minute, answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s, Attempt: time.Hour})
		defer w.stop()
		try := func(hook webhook.Made, all *sync.WaitGroup) *error {
			err := new(error)
			all.Go(func() { _, *err = w.Test(bg, hook.ID) })
			return err
		}
		var hooks []webhook.Made
		for _, name := range []string{"greedy", "other"} {
			ref, _ := w.create(name)
			for range 64 {
				hooks = append(hooks, w.add(ref, webhook.Changes{URL: to("http://x"), Enabled: to(false)}))
			}
		}
		for range 2 { // what ended makes room
			var all sync.WaitGroup
			var errs []*error
			for _, hook := range hooks[:64] {
				errs = append(errs, try(hook, &all))
			}
			synctest.Wait()
			other := try(hooks[64], &all)
			all.Wait()
			refused := 0
			for _, err := range errs {
				if *err != nil {
					refused++
				}
			}
			if *other != nil || refused != 60 {
				t.Errorf("%d are refused, and of another instance: %v", refused, *other)
			}
		}
	})
}

// TestTokenThatEnded sees that who was let in by a token does nothing by it once
// it has ended.
func TestTokenThatEnded(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	i, token, err := w.instances.Create(bg, instance.Spec{Name: "a"})
	w.ok(err)
	hook := w.add(instance.ByID(i.ID), webhook.Changes{URL: to("https://x.test"), Enabled: to(false)})
	w.emit(instance.ByID(i.ID), 1, 1)
	access, err := w.instances.Authenticate(bg, token.Text)
	w.ok(err)
	ref := access.Ref()
	do := map[string]func() error{
		"add":    func() error { _, err := w.Add(bg, ref, webhook.Changes{URL: to("https://y.test")}, ""); return err },
		"change": func() error { _, err := w.Change(bg, ref, hook.ID, webhook.Changes{Rate: to(2.0)}); return err },
		"rotate": func() error { _, err := w.Rotate(bg, ref, hook.ID, 0, ""); return err },
		"replay": func() error { _, err := w.Replay(bg, ref, hook.ID, webhook.Replay{Dead: true}); return err },
	}
	for what, f := range do {
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	do["drop"] = func() error { return w.Drop(bg, ref, hook.ID) }
	_, err = w.instances.RefreshToken(bg, ref, token.Text)
	w.ok(err)
	for _, f := range do {
		w.refused(f(), instance.ErrTokenEnded)
	}
}
