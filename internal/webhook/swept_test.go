package webhook_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/webhook"
)

// rewrite has an event say something else.
func (w *world) rewrite(id, data string) {
	w.t.Helper()
	w.change(func(tx *journal.Tx) error {
		m, err := tx.Find(id)
		if err != nil {
			return err
		}
		now := *m
		now.Data = []byte(strings.Replace(string(m.Data), `"data":`+string(parse(m.Data).Data), `"data":`+data, 1))
		if string(now.Data) == string(m.Data) {
			w.t.Errorf("%s says the same", m.Data)
		}
		return tx.Rewrite(&now)
	})
}

// of is the id of a webhook's instance.
func (m *moody) of() uint64 { return m.find2(m.hook.ID).Instance }

// TestSweptAroundACursor has retention pass a webhook: below where it stands,
// over what it has read, over what it waits with, and over all there is.
func TestSweptAroundACursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody(t)
		defer m.stop()
		gets := func(when, want string) {
			t.Helper()
			if got := m.fresh(); got != want {
				t.Errorf("%s: tried %s, not %s", when, got, want)
			}
		}
		m.raise(m.of(), 8) // below
		m.emit(m.ref, 11, 12)
		time.Sleep(time.Second)
		gets("below", "11 12 ")
		m.has("", "", "")

		m.slow = time.Second // what is read ahead is told
		m.emit(m.ref, 13, 18)
		time.Sleep(2500 * time.Millisecond)
		m.raise(m.of(), 17)
		time.Sleep(10 * time.Second)
		gets("read ahead", numbers(13, 18))
		m.has("", "", "")
		synctest.Wait()
		m.slow = 0

		m.becomes(500, "") // what it waits with is dead, and the rest told
		m.emit(m.ref, 19, 26)
		time.Sleep(time.Second)
		gets("down", "19 ")
		m.raise(m.of(), 23)
		m.becomes(200, "")
		time.Sleep(time.Minute)
		gets("up again", numbers(23, 26))
		m.has("", "19-22", "")
		if h := m.find2(m.hook.ID); h.Hold != (webhook.Hold{}) {
			t.Errorf("it is %+v", h)
		}

		m.becomes(500, "") // all there is: what is said next is tried at once
		m.emit(m.ref, 27, 30)
		time.Sleep(time.Hour)
		m.raise(m.of(), 31)
		m.becomes(200, "")
		m.fresh()
		time.Sleep(5 * time.Minute)
		gets("all gone", "")
		m.has("", "19-22 27-30", "")
		if h := m.find2(m.hook.ID); h.Hold != (webhook.Hold{}) {
			t.Errorf("nothing waits, and it is %+v", h)
		}
		m.emit(m.ref, 31, 32)
		time.Sleep(time.Second)
		gets("the next", "31 32 ")

		m.becomes(200, "33") // what is parked is dead, once
		ids := m.emit(m.ref, 33, 34)
		time.Sleep(time.Second)
		m.raise(m.of(), 34)
		time.Sleep(time.Minute)
		gets("parked", "33 34 ")
		m.has("", "19-22 27-30 33-33", "")
		if n := strings.Count(m.log.String(), "missed what cannot be read any more"); n != 2 {
			t.Errorf("said %d times", n)
		}
		// What cannot be read any more is not replayed, by id as by number.
		if n, err := m.Replay(bg, noToken, m.hook.ID, webhook.Replay{IDs: ids[:1]}); err == nil {
			t.Errorf("%d are replayed", n)
		}
		if st, err := m.Standing(bg, m.hook.ID); err != nil || st.Position != 34 || st.Behind() != 0 {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// TestRewrittenAroundACursor sees that what is told is what an event says then:
// whether the webhook was on hold with it, has it parked or replays it.
func TestRewrittenAroundACursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody(t)
		defer m.stop()
		m.becomes(500, "")
		ids := m.emit(m.ref, 11, 13)
		time.Sleep(time.Second)
		m.rewrite(ids[0], "111")
		m.rewrite(ids[1], "112")
		m.becomes(200, "13")
		m.fresh()
		time.Sleep(7 * time.Second) // what is parked then waits for longer
		if got := m.fresh(); got != "111 112 13 " {
			t.Errorf("tried %s", got)
		}
		m.rewrite(ids[2], "113")
		time.Sleep(time.Minute)
		if got := m.fresh(); got != "113 " {
			t.Errorf("tried %s", got)
		}
		m.rewrite(ids[0], "211")
		m.again(11, 13)
		time.Sleep(time.Minute)
		if got := m.fresh(); got != "211 112 113 " {
			t.Errorf("tried %s", got)
		}
		m.has("", "", "")
	})
}

// TestInOnePlaceAfterAKill sees that what was parked is that and nothing else,
// though the server is killed before it has stored how far the webhook is.
func TestInOnePlaceAfterAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		refuse := "2"
		s := &tries{answer: func(e event, _ int) (webhook.Answer, error) {
			if string(e.Data) == refuse {
				return status(400)
			}
			return status(200)
		}}
		w := start(t, folder, webhook.Options{Sender: s})
		ref, _ := w.create("a")
		w.add(ref, webhook.Changes{URL: to("http://x")})
		w.emit(ref, 1, 3)
		time.Sleep(100 * time.Millisecond)
		w.die()
		refuse = ""
		w = start(t, folder, webhook.Options{Sender: s})
		defer w.stop()
		time.Sleep(10 * time.Minute)
		if got := s.data(); got != "1 2 3 3 2 " { // 3 was told, and nobody knows
			t.Errorf("tried %s", got)
		}
	})
}

// TestTakenAsItEnds changes a webhook while what is parked is tried: what was
// taken is not told again.
func TestTakenAsItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody(t)
		defer m.stop()
		m.becomes(200, "11")
		m.emit(m.ref, 11, 11)
		time.Sleep(time.Second)
		m.becomes(200, "")
		m.slow = 2 * time.Second
		_, err := m.Change(bg, noToken, m.hook.ID, webhook.Changes{URL: to("http://y")}) // it is tried at once
		m.ok(err)
		time.Sleep(time.Second)
		_, err = m.Change(bg, noToken, m.hook.ID, webhook.Changes{URL: to("http://z")})
		m.ok(err)
		time.Sleep(time.Hour)
		if got := m.fresh(); got != "11 11 " {
			t.Errorf("tried %s", got)
		}
		m.has("", "", "")
	})
}

// TestSweptByChance has retention, the receiver and its owner do what they want,
// by seeds, and the server be killed in some: each event is told, or is said not to
// have been; without a kill once, and in one of both ways.
func TestSweptByChance(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { byChance(t, seed, seed%3 == 2) })
		})
	}
}

func byChance(t *testing.T, seed uint64, kills bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	s := &chance{r: rand.New(rand.NewPCG(seed, 2)), told: map[uint64]int{}}
	folder := t.TempDir()
	w := start(t, folder, webhook.Options{Sender: s})
	ref, id := w.create("a")
	hook := w.add(ref, webhook.Changes{URL: to("http://x")})
	head, floor := uint64(0), uint64(1)
	for range 40 {
		switch r.IntN(8) {
		case 0, 1, 2, 3:
			n := uint64(r.IntN(6) + 1)
			w.emit(ref, int(head+1), int(head+n))
			head += n
		case 4:
			if floor < head {
				floor += uint64(r.IntN(int(head-floor))/2 + 1)
				w.raise(id, floor)
			}
		case 5:
			_, err := w.Change(bg, noToken, hook.ID, webhook.Changes{Rate: to(float64(r.IntN(100)))})
			w.ok(err)
		case 6:
			if kills && r.IntN(3) == 0 {
				w.die()
				w = start(t, folder, webhook.Options{Sender: s})
			}
		}
		time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
	}
	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	time.Sleep(30 * time.Minute)
	defer w.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := w.Kept(bg, hook.ID, webhook.Dead, 0, 1000)
	w.ok(err)
	for seq := uint64(1); seq <= head; seq++ {
		dead := 0
		for _, k := range list {
			if k.First <= seq && seq <= k.Last {
				dead++
			}
		}
		switch n := s.told[seq]; {
		case n+dead == 0:
			t.Errorf("%d is lost", seq)
		case !kills && n+dead > 1 || dead > 1:
			t.Errorf("%d was told %d times, and is dead %d times", seq, n, dead)
		}
	}
	if st, err := w.Standing(bg, hook.ID); err != nil || st.Behind() != 0 || st.Parked != 0 || !st.Hold.Since.IsZero() {
		t.Errorf("%+v, %v", st, err)
	}
	if t.Failed() {
		t.Logf("told %v, dead %+v, floor %d of %d", s.order, list, floor, head)
	}
}

// chance is a Sender that answers by the number of the event.
type chance struct {
	mu    sync.Mutex
	r     *rand.Rand     // guarded by mu
	calm  bool           // guarded by mu: it takes everything
	told  map[uint64]int // guarded by mu: how often it took which
	order []uint64       // guarded by mu
}

func (c *chance) Post(_ context.Context, r webhook.Request) (webhook.Answer, error) {
	time.Sleep(50 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	seq, code := parse(r.Body).Seq, []int{200, 200, 500, 400}[c.r.IntN(4)]
	if !c.calm && code != 200 {
		return webhook.Answer{Status: code}, nil
	}
	c.told[seq]++
	c.order = append(c.order, seq)
	return webhook.Answer{Status: 200}, nil
}
