package webhook_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/webhook"
)

// TestAdministeringRestartsNothing changes a webhook while it replays at a rate:
// nothing is told twice or left out, and never sooner than the rate lets it.
func TestAdministeringRestartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		hook := w.add(ref, webhook.Changes{URL: to("http://x")})
		w.emit(ref, 1, 40)
		time.Sleep(2 * time.Second)
		_, err := w.Change(bg, noToken, hook.ID, webhook.Changes{Rate: to(1.0)})
		w.ok(err)
		n := len(s.list())
		w.replay(hook.ID, webhook.Replay{From: 1}, 40)
		for i := range 12 {
			time.Sleep(2500 * time.Millisecond)
			w.replay(hook.ID, webhook.Replay{Dead: true}, 0)
			_, err := w.Change(bg, noToken, hook.ID, webhook.Changes{}) // nothing
			w.ok(err)
			_, err = w.Change(bg, noToken, hook.ID, webhook.Changes{URL: to("http://" + strings.Repeat("x", i+1))})
			w.ok(err)
		}
		time.Sleep(time.Minute)
		var told strings.Builder
		all := s.list()[n:]
		for i, one := range all {
			told.Write(one.Data)
			told.WriteByte(' ')
			if i > 0 && one.at.Sub(all[i-1].at) < time.Second {
				t.Errorf("%s was told %v after the one before", one.Data, one.at.Sub(all[i-1].at))
			}
		}
		if told.String() != numbers(1, 40) {
			t.Errorf("replayed %s", told.String())
		}
		// A rate that is higher is had at once.
		_, err = w.Change(bg, noToken, hook.ID, webhook.Changes{Rate: to(0.001)})
		w.ok(err)
		w.emit(ref, 41, 41)
		time.Sleep(time.Second)
		w.emit(ref, 42, 42)
		time.Sleep(time.Second)
		_, err = w.Change(bg, noToken, hook.ID, webhook.Changes{Rate: to(10.0)})
		w.ok(err)
		time.Sleep(5 * time.Second)
		if got := len(s.list()) - n; got != 42 {
			t.Errorf("%d of 42 are told", got)
		}
	})
}

// TestNothingIsChanged sees that what a webhook is already leaves its worker alone.
func TestNothingIsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		hook, _ := w.set(ref, "http://x")
		time.Sleep(time.Second)
		for range 3 {
			w.set(ref, "http://x")
			_, err := w.Change(bg, noToken, hook.ID, webhook.Changes{URL: to("http://x"), Enabled: to(true)})
			w.ok(err)
			w.replay(hook.ID, webhook.Replay{Dead: true}, 0)
			time.Sleep(time.Second)
		}
		if now := w.find(ref); !now.Updated.Equal(hook.Updated) {
			t.Errorf("it was changed at %v", now.Updated)
		}
	})
}

// TestTheEndOfAHoldIsLogged whoever ends it: a try, or who changes or replays.
func TestTheEndOfAHoldIsLogged(t *testing.T) {
	for name, end := range map[string]func(w *world, id uint64){
		"a try": func(*world, uint64) {},
		"a change": func(w *world, id uint64) {
			_, err := w.Change(bg, noToken, id, webhook.Changes{Rate: to(50.0)})
			w.ok(err)
		},
		"a replay": func(w *world, id uint64) { w.replay(id, webhook.Replay{From: 1, To: 1}, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				down := false
				s := &tries{answer: func(event, int) (webhook.Answer, error) {
					if down {
						return status(500)
					}
					return status(200)
				}}
				w := start(t, t.TempDir(), webhook.Options{Sender: s})
				defer w.stop()
				ref, _ := w.create("a")
				hook := w.add(ref, webhook.Changes{URL: to("http://x")})
				w.emit(ref, 1, 2)
				time.Sleep(time.Second)
				s.mu.Lock()
				down = true
				s.mu.Unlock()
				w.emit(ref, 3, 3)
				time.Sleep(time.Minute)
				s.mu.Lock()
				down = false
				s.mu.Unlock()
				end(w, hook.ID)
				time.Sleep(5 * time.Minute)
				if log := w.log.String(); strings.Count(log, "is on hold") != 1 || strings.Count(log, "is reached again") != 1 {
					t.Errorf("the log says %s", log)
				}
			})
		})
	}
}

// TestChangesTakeNothingOfTheRate: what waits for its turn while the webhook is
// changed again and again has it when it would have it anyway.
func TestChangesTakeNothingOfTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		hook := w.add(ref, webhook.Changes{URL: to("http://x"), Rate: to(0.1)})
		w.emit(ref, 1, 3)
		for i := range 10 {
			time.Sleep(2500 * time.Millisecond)
			_, err := w.Change(bg, noToken, hook.ID, webhook.Changes{URL: to("http://" + strings.Repeat("x", i+1))})
			w.ok(err)
		}
		if got := s.data(); got != "1 2 3 " {
			t.Errorf("told %s", got)
		}
	})
}
