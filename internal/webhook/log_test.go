package webhook_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/webhook"
)

// tried is what is known of a webhook's tries, the newest first.
func (w *world) tried(id uint64, q webhook.TryQuery) []webhook.Try {
	w.t.Helper()
	list, err := w.Tries(bg, id, q)
	w.ok(err)
	return list
}

// TestDeliveryLog sees what is known of each try: at once, when it is stored,
// and after a restart.
func TestDeliveryLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		s := &tries{slow: 250 * time.Millisecond}
		s.answer = func(e event, n int) (webhook.Answer, error) {
			switch {
			case string(e.Data) == "2" && n == 2:
				return webhook.Answer{Status: 422, Body: []byte("no \xff " + strings.Repeat("x", 2000))}, nil
			case string(e.Data) == "3" && n < 5:
				return webhook.Answer{}, errors.New("down")
			}
			return webhook.Answer{Status: 200, Body: []byte(`{"ok":true}`)}, nil
		}
		w := start(t, folder, webhook.Options{Sender: s})
		ref, _ := w.create("a")
		made := w.add(ref, webhook.Changes{URL: to("http://x")})
		ids := w.emit(ref, 1, 3)
		began := time.Now()
		time.Sleep(600 * time.Millisecond)
		if list := w.tried(made.ID, webhook.TryQuery{Limit: 9}); len(list) != 2 || list[0].Seq != 2 {
			t.Errorf("in memory %+v", list)
		}
		time.Sleep(time.Minute)
		look := func() {
			t.Helper()
			list := w.tried(made.ID, webhook.TryQuery{Limit: 9})
			var got []string
			for _, one := range list {
				got = append(got, fmt.Sprintf("%d %d %d %d %d %s", one.Seq, one.Cause, one.Attempt, one.Verdict, one.Status, one.Error))
			}
			want := []string{"2 1 2 1 200 ", "3 0 3 1 200 ", "3 0 2 0 0 the connection failed", "3 0 1 0 0 the connection failed", "2 0 1 2 422 the receiver answered 422", "1 0 1 1 200 "}
			if strings.Join(got, "\n") != strings.Join(want, "\n") && // what was parked may come before the last
				strings.Join(got, "\n") != strings.Join([]string{want[1], want[0], want[2], want[3], want[4], want[5]}, "\n") &&
				strings.Join(got, "\n") != strings.Join([]string{want[1], want[2], want[0], want[3], want[4], want[5]}, "\n") {
				t.Fatalf("got\n%s", strings.Join(got, "\n"))
			}
			first := list[len(list)-1]
			if first.Event != ids[0] || first.Name != "messages.upsert" || first.Took != 250*time.Millisecond || first.Answer != `{"ok":true}` ||
				!first.At.Equal(began) || first.Header["webhook-id"] != ids[0] || first.Header[sign.HeaderSignature] != "v1,… v1a,…" || first.Header["Resource-Owner"] != "a" {
				t.Errorf("%+v", first)
			}
			if long := list[len(list)-2].Answer; len(long) > 1024+2 || !strings.HasPrefix(long, "no \ufffd xxx") {
				t.Errorf("kept %d bytes: %.20q", len(long), long)
			}
		}
		look()
		w.stop()
		w = start(t, folder, webhook.Options{Sender: s})
		defer w.stop()
		look()
		all := w.tried(made.ID, webhook.TryQuery{Limit: 9})
		if page := w.tried(made.ID, webhook.TryQuery{Before: all[2].ID, Limit: 2}); len(page) != 2 || page[0].ID != all[3].ID {
			t.Errorf("%+v", page)
		}
		if page := w.tried(made.ID, webhook.TryQuery{Verdict: to(webhook.Refused), Limit: 9}); len(page) != 1 || page[0].Status != 422 {
			t.Errorf("%+v", page)
		}
		one, body, err := w.Try(bg, made.ID, all[5].ID)
		if err != nil || one.Event != ids[0] || string(body) != string(s.list()[0].body) {
			t.Errorf("%+v, %s, %v", one, body, err)
		}
		_, _, err = w.Try(bg, made.ID, all[5].ID-1)
		w.refused(err, webhook.ErrNoTry)
		_, _, err = w.Try(bg, 999, all[5].ID)
		w.refused(err, webhook.ErrNotFound)
		if h, err := w.Get(bg, made.ID); err != nil || h.Taken.Before(began) || h.Taken.After(began.Add(time.Minute)) {
			t.Errorf("it took something %v, %v", h.Taken, err)
		}
	})
}

// TestDeliveryLogIsBounded sees that the newest tries are kept, and for a week,
// and what the log costs: a statement for many of them.
func TestDeliveryLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		folder := t.TempDir()
		w := start(t, folder, webhook.Options{Sender: s})
		ref, _ := w.create("a")
		made := w.add(ref, webhook.Changes{URL: to("http://x")})
		other := w.add(ref, webhook.Changes{URL: to("http://y")})
		w.emit(ref, 1, 50)
		time.Sleep(2 * time.Second)
		before, _ := w.store.Statements()
		w.emit(ref, 51, 1050)
		time.Sleep(3 * time.Second)
		after, _ := w.store.Statements()
		if n := after - before; n > 200 { // the 10 changes that say 1,000 events, the positions, the log
			t.Errorf("%d statements for 2,000 deliveries", n)
		}
		list := w.tried(made.ID, webhook.TryQuery{Limit: 1000})
		if len(list) < 100 || len(list) > 200 || list[0].Seq != 1050 || list[99].Seq != 951 {
			t.Errorf("%d are kept, the newest %+v", len(list), list[0])
		}
		w.ok(w.Drop(bg, noToken, other.ID))
		if list := w.tried(other.ID, webhook.TryQuery{Limit: 1000}); len(list) != 0 {
			t.Errorf("%d are kept of what is no more", len(list))
		}
		if st := w.Stats(); st.Unlogged != 0 || st.Delivered != 2100 {
			t.Errorf("%+v", st)
		}
		// One that is silent is looked at once an hour.
		w.stop()
		time.Sleep(7*24*time.Hour - time.Minute)
		w = start(t, folder, webhook.Options{Sender: s})
		if list := w.tried(made.ID, webhook.TryQuery{Limit: 1000}); len(list) < 100 {
			t.Errorf("%d are kept of a week", len(list))
		}
		time.Sleep(time.Hour + time.Minute)
		if list := w.tried(made.ID, webhook.TryQuery{Limit: 1000}); len(list) != 0 {
			t.Errorf("%d are kept after a week", len(list))
		}
		w.stop()
	})
}

// TestRate sees that an endpoint is tried as often as it wants, and gets all of
// it in order.
func TestRate(t *testing.T) {
	for rate, want := range map[float64]time.Duration{0: 0, 10: 9 * time.Second, 0.5: 198 * time.Second} {
		t.Run(strconv.FormatFloat(rate, 'g', -1, 64), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
				w := start(t, t.TempDir(), webhook.Options{Sender: s})
				defer w.stop()
				ref, _ := w.create("a")
				w.add(ref, webhook.Changes{URL: to("http://x"), Rate: &rate})
				w.emit(ref, 1, 100)
				time.Sleep(4 * time.Minute)
				all := s.list()
				for n, one := range all {
					if string(one.Data) != strconv.Itoa(n+1) {
						t.Fatalf("%d is %s", n, one.Data)
					}
				}
				if len(all) != 100 {
					t.Fatalf("%d came", len(all))
				}
				if took := all[99].at.Sub(all[0].at); took < want-100*time.Millisecond || took > want+100*time.Millisecond {
					t.Errorf("a rate of %v took %v, not %v", rate, took, want)
				}
				// After a pause there is a second's worth at once, and no more.
				w.emit(ref, 101, 130)
				began := time.Now()
				time.Sleep(4 * time.Minute)
				atOnce := 0
				for _, one := range s.list()[100:] {
					if one.at.Sub(began) < 10*time.Millisecond {
						atOnce++
					}
				}
				if most := map[float64]int{0: 30, 10: 10, 0.5: 1}[rate]; atOnce != most {
					t.Errorf("%d at once, not %d", atOnce, most)
				}
			})
		})
	}
}

// TestRateWithWhatIsParked sees that waiting for the rate loses nothing that was
// read ahead, whatever is tried meanwhile.
func TestRateWithWhatIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(e event, n int) (webhook.Answer, error) {
			if string(e.Data) == "1" && n < 5 {
				return status(400)
			}
			return status(200)
		}}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		w.add(ref, webhook.Changes{URL: to("http://x"), Rate: to(0.2)})
		w.emit(ref, 1, 20)
		time.Sleep(10 * time.Minute)
		seen := map[string]int{}
		last := 0
		for _, one := range s.list() {
			n, _ := strconv.Atoi(string(one.Data))
			if seen[string(one.Data)]++; n != 1 && n < last {
				t.Errorf("%d after %d", n, last)
			}
			last = max(last, n)
		}
		for n := 2; n <= 20; n++ {
			if seen[strconv.Itoa(n)] != 1 {
				t.Errorf("%d came %d times", n, seen[strconv.Itoa(n)])
			}
		}
	})
}
