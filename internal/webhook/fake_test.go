package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/webhook"
)

// tries is a Sender that keeps what it was given, and answers as it is told.
type tries struct {
	mu     sync.Mutex
	all    []try                                                   // guarded by mu
	answer func(e event, n int) (answer webhook.Answer, err error) // static; n counts from 1
	slow   time.Duration                                           // static
}

type try struct {
	event
	at    time.Time
	url   string
	where map[string]string
	body  []byte
}

func (s *tries) Post(ctx context.Context, r webhook.Request) (webhook.Answer, error) {
	s.mu.Lock()
	e := parse(r.Body)
	s.all = append(s.all, try{e, time.Now(), r.URL, r.Header, r.Body})
	n := len(s.all)
	s.mu.Unlock()
	if s.slow > 0 {
		select {
		case <-time.After(s.slow):
		case <-ctx.Done():
			return webhook.Answer{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answer(e, n)
}

func (s *tries) list() []try {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// data is what was tried, in order.
func (s *tries) data() string {
	var b strings.Builder
	for _, t := range s.list() {
		fmt.Fprintf(&b, "%s ", t.Data)
	}
	return b.String()
}

func status(code int) (webhook.Answer, error) { return webhook.Answer{Status: code}, nil }

// TestThreeDays sees a receiver that never answers: the times of its tries, and
// what becomes of what waited.
func TestThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return webhook.Answer{}, errors.New("down") }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		hook, _ := w.set(ref, "http://x")
		began := time.Now()
		w.emit(ref, 1, 3)
		time.Sleep(48 * time.Hour)
		w.emit(ref, 4, 4)
		time.Sleep(24*time.Hour - time.Minute)
		if list, err := w.Kept(bg, hook.ID, webhook.Dead, 0, 9); err != nil || len(list) != 0 {
			t.Errorf("dead before its time: %+v, %v", list, err)
		}
		all := s.list()
		near := func(n int, at, by time.Duration) {
			t.Helper()
			if got := all[n].at.Sub(began); got < at-by || got > at+by || string(all[n].Data) != "1" {
				t.Errorf("try %d of %s came after %v, not after %v", n, all[n].Data, got, at)
			}
		}
		near(0, 0, time.Second)
		near(1, 5*time.Second, 2*time.Second)
		near(2, 20*time.Second, 5*time.Second)
		near(3, 50*time.Second, 12*time.Second)
		near(63, 50*time.Second+time.Hour, 13*time.Minute)
		even := true
		for n := 4; n < 63; n++ {
			wait := all[n].at.Sub(all[n-1].at)
			if wait < 48*time.Second-time.Second || wait > 73*time.Second {
				t.Errorf("try %d came after %v", n, wait)
			}
			even = even && wait.Round(time.Second) == time.Minute
		}
		if even {
			t.Error("nothing spreads the tries")
		}
		if n := len(all); n < 70 || n > 80 {
			t.Errorf("%d tries in three days", n)
		}
		// The last one comes when the three days are over.
		time.Sleep(2 * time.Minute)
		if all = s.list(); all[len(all)-1].at.Sub(began).Round(time.Minute) != 72*time.Hour {
			t.Errorf("the last came after %v", all[len(all)-1].at.Sub(began))
		}
		list, err := w.Kept(bg, hook.ID, webhook.Dead, 0, 9)
		if err != nil || len(list) != 1 || list[0].First != 1 || list[0].Last != 3 || list[0].Tries != len(all) || list[0].Reason != "the connection failed" {
			t.Fatalf("dead: %+v, %v", list, err)
		}
		if h := w.find(ref); !h.Enabled || h.Hold.Tries != len(all) || h.Error == "" {
			t.Errorf("the webhook is %+v", h)
		}
		// What came later has its own three days.
		time.Sleep(30 * time.Hour)
		if all = s.list(); string(all[len(all)-1].Data) != "4" {
			t.Errorf("the last was %s", all[len(all)-1].Data)
		}
		time.Sleep(72 * time.Hour)
		if list, _ = w.Kept(bg, hook.ID, webhook.Dead, 0, 9); len(list) != 2 || list[1].First != 4 || list[1].Last != 4 {
			t.Errorf("dead: %+v", list)
		}
		if h := w.find(ref); !h.Hold.Since.IsZero() {
			t.Errorf("nothing waits, and it is on hold: %+v", h)
		}
		// What is said next is tried at once.
		n := len(s.list())
		w.emit(ref, 5, 5)
		time.Sleep(time.Second)
		if all = s.list(); len(all) != n+1 || string(all[n].Data) != "5" {
			t.Errorf("the next was tried %d times", len(all)-n)
		}
		if got := w.Stats(); got.Dead != 2 || got.Holds != 2 || got.Delivered != 0 || got.Failed != int64(len(all)) {
			t.Errorf("counted %+v", got)
		}
	})
}

// TestDownForAMinute sees that what waited comes once, in order.
func TestDownForAMinute(t *testing.T) {
	for _, c := range []struct {
		code int
		err  error
	}{{err: errors.New("refused")}, {code: 500}, {code: 503}, {code: 599}, {code: 408}, {code: 429}, {code: 199}} {
		t.Run(strconv.Itoa(c.code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := time.Now().Add(time.Minute)
				var done []string
				s := &tries{}
				s.answer = func(e event, _ int) (webhook.Answer, error) {
					if time.Now().Before(up) {
						return webhook.Answer{Status: c.code}, c.err
					}
					done = append(done, string(e.Data))
					return status(204)
				}
				w := start(t, t.TempDir(), webhook.Options{Sender: s})
				defer w.stop()
				ref, _ := w.create("a")
				w.set(ref, "http://x")
				for n := 1; n <= 50; n++ {
					w.emit(ref, n, n)
					time.Sleep(time.Second)
				}
				if h := w.find(ref); h.Hold.Tries < 3 || h.Hold.Since.IsZero() || h.Hold.Next.IsZero() || h.Error == "" {
					t.Errorf("it is %+v", h)
				}
				time.Sleep(2 * time.Minute)
				want := make([]string, 50)
				for n := range want {
					want[n] = strconv.Itoa(n + 1)
				}
				synctest.Wait()
				if !slices.Equal(done, want) {
					t.Errorf("got %v", done)
				}
				for n, one := range s.list() {
					if one.at.Before(up) && string(one.Data) != "1" {
						t.Errorf("try %d of %s passed the head", n, one.Data)
					}
				}
				if h := w.find(ref); h.Hold != (webhook.Hold{}) || h.Error != "" {
					t.Errorf("it is %+v", h)
				}
			})
		})
	}
}

// TestRetryAfter sees that a receiver is not called before it asked to be, and
// that it cannot ask for ever.
func TestRetryAfter(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{10 * time.Minute: 10 * time.Minute, 1000 * time.Hour: 24 * time.Hour, time.Second: 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &tries{answer: func(_ event, n int) (webhook.Answer, error) {
				if n == 1 {
					return webhook.Answer{Status: 503, RetryAfter: asked}, nil
				}
				return status(200)
			}}
			w := start(t, t.TempDir(), webhook.Options{Sender: s})
			defer w.stop()
			ref, _ := w.create("a")
			w.set(ref, "http://x")
			w.emit(ref, 1, 2)
			time.Sleep(48 * time.Hour)
			all := s.list()
			if len(all) != 3 {
				t.Fatalf("%d tries", len(all))
			}
			if got := all[1].at.Sub(all[0].at); got < want-2*time.Second || got > want+2*time.Second {
				t.Errorf("asked for %v, came after %v", asked, got)
			}
		})
	}
}

// TestPark sees that what is refused alone is passed by, and comes late.
func TestPark(t *testing.T) {
	for _, code := range []int{400, 401, 404, 422, 301, 307} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tries{answer: func(e event, n int) (webhook.Answer, error) {
					if string(e.Data) == "2" && n < 10 {
						return status(code)
					}
					return status(200)
				}}
				w := start(t, t.TempDir(), webhook.Options{Sender: s})
				defer w.stop()
				ref, _ := w.create("a")
				hook, _ := w.set(ref, "http://x")
				w.emit(ref, 1, 4)
				time.Sleep(2 * time.Second)
				if got := s.data(); got != "1 2 3 4 " {
					t.Errorf("tried %s", got)
				}
				list, err := w.Kept(bg, hook.ID, webhook.Parked, 0, 9)
				if err != nil || len(list) != 1 || list[0].First != 2 || list[0].Last != 2 || list[0].Reason != fmt.Sprint("the receiver answered ", code) {
					t.Errorf("parked %+v, %v", list, err)
				}
				// It is tried again on the schedule, between the others.
				time.Sleep(5 * time.Second)
				w.emit(ref, 5, 6)
				time.Sleep(10 * time.Minute)
				if got := s.data(); got != "1 2 3 4 2 5 6 2 2 2 " {
					t.Errorf("tried %s", got)
				}
				all := s.list()
				if all[4].Seq != 2 || all[4].ID != all[1].ID {
					t.Errorf("it is not the same: %+v and %+v", all[1], all[4])
				}
				if list, err = w.Kept(bg, hook.ID, webhook.Parked, 0, 9); err != nil || len(list) != 0 {
					t.Errorf("still parked: %+v, %v", list, err)
				}
				if h := w.find(ref); !h.Hold.Since.IsZero() {
					t.Errorf("it is on hold: %+v", h)
				}
			})
		})
	}
}

// TestSetHastens sees that what is parked is tried as soon as its webhook is set.
func TestSetHastens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(_ event, n int) (webhook.Answer, error) {
			if n == 1 {
				return webhook.Answer{Status: 404, RetryAfter: 20 * time.Hour}, nil
			}
			return status(200)
		}}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		w.set(ref, "http://x")
		w.emit(ref, 1, 2)
		time.Sleep(time.Hour)
		if got := s.data(); got != "1 2 " {
			t.Errorf("tried %s", got)
		}
		w.set(ref, "http://y")
		time.Sleep(time.Second)
		if got := s.data(); got != "1 2 1 " {
			t.Errorf("tried %s", got)
		}
	})
}

// TestSetForNobody sees that an instance that goes while its webhook is set has none.
func TestSetForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), webhook.Options{Sender: &tries{}})
		defer w.stop()
		ref, id := w.create("a")
		first := make(chan struct{})
		w.journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
			<-first
			return nil, w.store.Instances().In(tx).DropInstance(bg, id)
		}))
		set := make(chan error)
		go func() {
			_, _, err := w.Set(bg, ref, webhook.Spec{URL: "http://x"})
			set <- err
		}()
		synctest.Wait() // it has seen the instance, and waits for its turn
		close(first)
		w.refused(<-set, instance.ErrNotFound)
		if list, err := w.List(bg, 0, 9); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// TestParkedDies sees that one that is refused for three days is kept, and no
// more tried.
func TestParkedDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(e event, _ int) (webhook.Answer, error) {
			if string(e.Data) == "1" {
				return status(400)
			}
			return status(200)
		}}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		hook, _ := w.set(ref, "http://x")
		w.emit(ref, 1, 2)
		time.Sleep(73 * time.Hour)
		list, err := w.Kept(bg, hook.ID, webhook.Dead, 0, 9)
		n := len(s.list())
		if err != nil || len(list) != 1 || list[0].First != 1 || list[0].Last != 1 || list[0].Tries != n-1 || n < 70 {
			t.Errorf("dead %+v, %v, after %d tries", list, err, n)
		}
		time.Sleep(100 * time.Hour)
		if more := len(s.list()); more != n {
			t.Errorf("%d tries of the dead", more-n)
		}
	})
}

// TestHoldStopsTheParked sees that a receiver that is down is probed by its
// head alone.
func TestHoldStopsTheParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &tries{answer: func(e event, _ int) (webhook.Answer, error) {
			switch {
			case time.Since(began) > 30*time.Minute:
				return status(200)
			case string(e.Data) == "1":
				return status(400)
			}
			return status(500)
		}}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		w.set(ref, "http://x")
		w.emit(ref, 1, 3)
		time.Sleep(time.Hour)
		for n, one := range s.list() {
			if n > 0 && one.at.Sub(began) < 30*time.Minute && string(one.Data) != "2" {
				t.Errorf("try %d is of %s", n, one.Data)
			}
		}
		if got := s.data(); !strings.HasPrefix(got, "1 2 2 2 2 ") || !strings.HasSuffix(got, " 2 2 1 3 ") && !strings.HasSuffix(got, " 2 2 3 1 ") {
			t.Errorf("tried %s", got)
		}
	})
}

// TestRefusesEverything sees that a receiver cannot make the server park
// without end: it is on hold then, and nothing is passed over.
func TestRefusesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(event, int) (webhook.Answer, error) {
			return webhook.Answer{Status: 401, RetryAfter: time.Hour}, nil
		}}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		hook, _ := w.set(ref, "http://x")
		w.emit(ref, 1, 1100)
		time.Sleep(time.Minute)
		list, err := w.Kept(bg, hook.ID, webhook.Parked, 0, 2000)
		if h := w.find(ref); err != nil || len(list) != 1000 || h.Hold.Since.IsZero() {
			t.Errorf("%d are parked, and it is %+v, %v", len(list), h, err)
		}
	})
}

// TestGone sees 410: no more tries, and nothing lost when it is switched on again.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		code := 410
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(code) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		w.set(ref, "http://x")
		w.emit(ref, 1, 2)
		time.Sleep(time.Hour)
		if h := w.find(ref); h.Enabled || h.Error != "the receiver answered 410, so it was switched off" || s.data() != "1 " {
			t.Errorf("it is %+v, tried %s", h, s.data())
		}
		synctest.Wait()
		code = 200
		w.set(ref, "http://x")
		time.Sleep(time.Second)
		if h := w.find(ref); !h.Enabled || h.Error != "" || s.data() != "1 1 2 " {
			t.Errorf("it is %+v, tried %s", h, s.data())
		}
	})
}

// TestPause sees that one that was off gets what it missed, but nothing older
// than tries last.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		w.set(ref, "http://x")
		w.emit(ref, 1, 1)
		time.Sleep(2 * time.Second)
		hook, _, err := w.Set(bg, ref, webhook.Spec{URL: "http://x"})
		w.ok(err)
		w.emit(ref, 2, 4)
		time.Sleep(72 * time.Hour)
		w.emit(ref, 5, 6)
		time.Sleep(time.Hour)
		if got := s.data(); got != "1 " {
			t.Errorf("one that is off got %s", got)
		}
		w.set(ref, "http://x")
		time.Sleep(time.Second)
		if got := s.data(); got != "1 5 6 " {
			t.Errorf("got %s", got)
		}
		if list, err := w.Kept(bg, hook.ID, webhook.Dead, 0, 9); err != nil || len(list) != 1 || list[0].First != 2 || list[0].Last != 4 {
			t.Errorf("dead %+v, %v", list, err)
		}
	})
}

// TestHoldAfterRestart sees that a restart makes no more tries than there would
// have been, and forgets none.
func TestHoldAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(500) }}
		w := start(t, folder, webhook.Options{Sender: s})
		ref, _ := w.create("a")
		w.set(ref, "http://x")
		w.emit(ref, 1, 2)
		time.Sleep(30 * time.Minute)
		before := w.find(ref)
		w.stop()
		w = start(t, folder, webhook.Options{Sender: s})
		if got := w.find(ref); got.Hold != before.Hold || got.Hold.Tries < 20 {
			t.Errorf("%+v became %+v", before.Hold, got.Hold)
		}
		n := len(s.list())
		time.Sleep(time.Until(before.Hold.Next) - time.Second)
		if more := len(s.list()); more != n {
			t.Errorf("%d tries before it was time", more-n)
		}
		time.Sleep(2 * time.Second)
		all := s.list()
		if len(all) != n+1 || string(all[n].Data) != "1" {
			t.Errorf("%d tries when it was time", len(all)-n)
		}
		// Changed, it is tried at once.
		w.set(ref, "http://y")
		time.Sleep(time.Second)
		if all = s.list(); len(all) != n+2 || all[n+1].url != "http://y" {
			t.Errorf("%d tries after it was changed, the last at %s", len(all)-n-1, all[len(all)-1].url)
		}
		if h := w.find(ref); h.Hold.Tries != 1 {
			t.Errorf("the old hold lasts: %+v", h.Hold)
		}
		w.stop()
	})
}

// TestStopWhileItTries sees that a try that is under way when the server stops
// may come to its end, and is not made again; one that hangs holds up nobody.
func TestStopWhileItTries(t *testing.T) {
	for slow, tried := range map[time.Duration]string{2 * time.Second: "1 2 ", 10 * time.Second: "1 1 2 "} {
		synctest.Test(t, func(t *testing.T) {
			folder := t.TempDir()
			s := &tries{slow: slow, answer: func(event, int) (webhook.Answer, error) { return status(200) }}
			w := start(t, folder, webhook.Options{Sender: s})
			ref, _ := w.create("a")
			w.set(ref, "http://x")
			w.emit(ref, 1, 2)
			time.Sleep(time.Second)
			began := time.Now()
			w.stop()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v to stop", took)
			}
			w = start(t, folder, webhook.Options{Sender: s})
			time.Sleep(time.Minute)
			if got := s.data(); got != tried {
				t.Errorf("tries of %v: %q, want %q", slow, got, tried)
			}
			w.stop()
		})
	}
}

// TestClockSetBack sees that what waits does not wait for a clock that was set
// back to come to a time once more. Each bubble's clock begins at the same time.
func TestClockSetBack(t *testing.T) {
	folder := t.TempDir()
	answers := 500
	s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(answers) }}
	synctest.Test(t, func(t *testing.T) {
		w := start(t, folder, webhook.Options{Sender: s})
		time.Sleep(30 * time.Hour)
		ref, _ := w.create("a")
		w.set(ref, "http://x")
		w.emit(ref, 1, 2)
		time.Sleep(time.Hour)
		w.stop()
	})
	answers = 200
	n := len(s.list())
	synctest.Test(t, func(t *testing.T) {
		w := start(t, folder, webhook.Options{Sender: s})
		time.Sleep(time.Minute)
		var got string
		for _, try := range s.list()[n:] {
			got += string(try.Data) + " "
		}
		if got != "1 2 " {
			t.Errorf("a minute after the clock was set back: %q", got)
		}
		w.stop()
	})
}

// TestDeletedWhileItWaits sees that the end of an instance is the end of its
// webhook, whatever that waits for.
func TestDeletedWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{slow: time.Hour, answer: func(event, int) (webhook.Answer, error) { return status(400) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s, Attempt: 10 * time.Second})
		defer w.stop()
		var hooks []uint64
		for n, name := range []string{"trying", "waiting", "off", "idle"} {
			ref, _ := w.create(name)
			h, _, err := w.Set(bg, ref, webhook.Spec{URL: "http://" + name, Enabled: name != "off"})
			w.ok(err)
			hooks = append(hooks, h.ID)
			if name != "idle" {
				w.emit(ref, n, n)
			}
			if name == "waiting" {
				time.Sleep(11 * time.Second)
			}
		}
		w.emit(instance.ByName("trying"), 9, 9)
		time.Sleep(5 * time.Second)
		for _, name := range []string{"trying", "waiting", "off", "idle"} {
			_, err := w.instances.Delete(bg, instance.ByName(name))
			w.ok(err)
			_, err = w.Find(bg, instance.ByName(name))
			w.refused(err, instance.ErrNotFound)
		}
		n := len(s.list())
		time.Sleep(time.Hour)
		for _, one := range s.list()[n:] {
			t.Errorf("%s was tried after its instance's end", one.url)
		}
		for _, id := range hooks {
			_, err := w.Get(bg, id)
			w.refused(err, webhook.ErrNotFound)
			if seq, ok, err := w.store.Position(bg, fmt.Sprintf("webhook/%d", id)); ok || err != nil {
				t.Errorf("the position %d of %d is left, %v", seq, id, err)
			}
		}
	})
}
