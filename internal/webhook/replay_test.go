package webhook_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/webhook"
)

// replay asks for events once more, so many.
func (w *world) replay(id uint64, what webhook.Replay, want uint64) {
	w.t.Helper()
	if n, err := w.Replay(bg, noToken, id, what); err != nil || n != want {
		w.t.Fatalf("replaying %+v: %d, not %d, %v", what, n, want, err)
	}
}

// kept is what a webhook has of a state, as "1-3 5-5".
func (w *world) kept(id uint64, state webhook.State) string {
	w.t.Helper()
	list, err := w.Kept(bg, id, state, 0, 1000)
	w.ok(err)
	var all []string
	for _, k := range list {
		all = append(all, fmt.Sprintf("%d-%d", k.First, k.Last))
	}
	return strings.Join(all, " ")
}

// numbers are those from first to last, as tries.data has them.
func numbers(first, last int) string {
	var b strings.Builder
	for n := first; n <= last; n++ {
		fmt.Fprintf(&b, "%d ", n)
	}
	return b.String()
}

// TestReplay sees that what was told is told once more: the same events, under
// the same ids, in order, and to who asked for them alone.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		elsewhere, _ := w.create("b")
		foreign := w.emit(elsewhere, 1, 1)
		hook := w.add(ref, webhook.Changes{URL: to("http://x")})
		w.add(ref, webhook.Changes{URL: to("http://other")})
		ids := w.emit(ref, 1, 40)
		time.Sleep(2 * time.Second)
		n := len(s.list())
		again := func() string {
			t.Helper()
			time.Sleep(2 * time.Second)
			var b strings.Builder
			for _, one := range s.list()[n:] {
				if fmt.Fprintf(&b, "%s ", one.Data); one.url != "http://x" || one.ID != ids[one.Seq-1] || one.where["webhook-id"] != one.ID {
					t.Errorf("replayed %+v", one)
				}
			}
			n = len(s.list())
			return b.String()
		}
		for _, c := range []struct {
			what webhook.Replay
			n    uint64
			want string
		}{
			{webhook.Replay{From: 3, To: 5}, 3, numbers(3, 5)},
			{webhook.Replay{From: 1, To: 40}, 40, numbers(1, 40)},
			{webhook.Replay{To: 2}, 2, numbers(1, 2)},
			{webhook.Replay{From: 39}, 2, numbers(39, 40)},
			{webhook.Replay{From: 39, To: 1000}, 2, numbers(39, 40)},
			{webhook.Replay{IDs: []string{ids[8], ids[2], ids[8]}}, 2, "3 9 "},
			{webhook.Replay{Dead: true}, 0, ""},
		} {
			w.replay(hook.ID, c.what, c.n)
			if got := again(); got != c.want {
				t.Errorf("%+v replayed %s", c.what, got)
			}
		}
		for _, what := range []webhook.Replay{
			{}, {From: 5, To: 4}, {IDs: []string{}}, {IDs: make([]string, 101)}, {From: 1, Dead: true}, {IDs: ids[:1], Dead: true},
			{IDs: []string{"x"}}, {IDs: foreign}, {From: 41}, {From: 41, To: 1000},
		} {
			if n, err := w.Replay(bg, noToken, hook.ID, what); err == nil {
				t.Errorf("%+v replays %d", what, n)
			}
		}
		_, err := w.Replay(bg, noToken, 999, webhook.Replay{From: 1})
		w.refused(err, webhook.ErrNotFound)
		if got := w.kept(hook.ID, webhook.Replaying); got != "" || again() != "" {
			t.Errorf("left to replay: %s", got)
		}
		list := w.tried(hook.ID, webhook.TryQuery{Limit: 1})
		if len(list) != 1 || list[0].Cause != webhook.Replayed || list[0].Seq != 9 {
			t.Errorf("%+v", list)
		}
		if st := w.Stats(); st.Replayed != 51 || st.Delivered != 131 {
			t.Errorf("%+v", st)
		}
		// What a webhook does not get is passed by, and one may begin before it was.
		_, err = w.instances.Emit(ref, []instance.Event{{Name: "chats.set"}}, noKey).Wait(bg)
		w.ok(err)
		late := w.add(ref, webhook.Changes{URL: to("http://late"), Events: to([]string{"chats.set"})})
		time.Sleep(2 * time.Second)
		n = len(s.list())
		w.replay(late.ID, webhook.Replay{From: 1}, 41)
		time.Sleep(2 * time.Second)
		if all := s.list()[n:]; len(all) != 1 || all[0].url != "http://late" || all[0].Seq != 41 {
			t.Errorf("%+v", all)
		}
	})
}

// TestReplayBesideTheOthers sees that what is said meanwhile keeps its order and
// is not held up.
func TestReplayBesideTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{slow: time.Second, answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		hook := w.add(ref, webhook.Changes{URL: to("http://x")})
		w.emit(ref, 1, 20)
		time.Sleep(30 * time.Second)
		w.replay(hook.ID, webhook.Replay{From: 1, To: 20}, 20)
		w.emit(ref, 21, 30)
		time.Sleep(time.Minute)
		want := numbers(1, 20)
		for n := 1; n <= 10; n++ {
			want += fmt.Sprintf("%d %d ", n, n+20)
		}
		if got := s.data(); got != want+numbers(11, 20) {
			t.Errorf("tried %s", got)
		}
	})
}

// TestDeadAreReplayed has a receiver come back after its events ran out of tries:
// all of them come, in order, whatever ends the server meanwhile.
func TestDeadAreReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		down := true
		s := &tries{slow: 100 * time.Millisecond}
		s.answer = func(event, int) (webhook.Answer, error) {
			if down {
				return webhook.Answer{}, errors.New("down")
			}
			return status(200)
		}
		w := start(t, folder, webhook.Options{Sender: s})
		ref, _ := w.create("a")
		hook := w.add(ref, webhook.Changes{URL: to("http://x")})
		w.emit(ref, 1, 60)
		time.Sleep(73 * time.Hour)
		w.emit(ref, 61, 70)
		if got := w.kept(hook.ID, webhook.Dead); got != "1-60" {
			t.Fatalf("dead %s", got)
		}
		time.Sleep(time.Minute)
		// Down, they wait with the rest.
		w.replay(hook.ID, webhook.Replay{Dead: true}, 60)
		time.Sleep(time.Minute)
		if d, r := w.kept(hook.ID, webhook.Dead), w.kept(hook.ID, webhook.Replaying); d != "" || r != "1-60" {
			t.Fatalf("dead %s, to be replayed %s", d, r)
		}
		// Up, they come, though the server ends in the middle of it.
		synctest.Wait()
		down = false
		n := len(s.list())
		w.replay(hook.ID, webhook.Replay{From: 1, To: 60}, 0+60)
		time.Sleep(3 * time.Second)
		w.stop()
		told := len(s.list()) - n
		if told < 20 || told > 40 {
			t.Fatalf("%d were told", told)
		}
		w = start(t, folder, webhook.Options{Sender: s})
		time.Sleep(2500 * time.Millisecond)
		seen := map[string]bool{}
		for _, one := range s.list()[n:] {
			if seen[one.ID] {
				t.Errorf("%s came twice, though nothing was killed", one.Data)
			}
			seen[one.ID] = true
		}
		w.die()
		w = start(t, folder, webhook.Options{Sender: s})
		time.Sleep(time.Minute)
		var got, live []int
		for _, one := range s.list()[n:] {
			if k, _ := strconv.Atoi(string(one.Data)); k <= 60 {
				got = append(got, k)
			} else {
				live = append(live, k)
			}
		}
		twice := 0
		for i, k := range got {
			if i > 0 && k != got[i-1]+1 {
				twice += got[i-1] + 1 - k
			}
		}
		if fresh := slices.Compact(slices.Sorted(slices.Values(got))); len(fresh) != 60 || twice < 0 || twice > 15 || len(got) != 60+twice {
			t.Errorf("replayed %v, %d twice", got, twice)
		}
		if fresh := slices.Compact(slices.Sorted(slices.Values(live))); len(fresh) != 10 {
			t.Errorf("in turn %v", live)
		}
		if d, r := w.kept(hook.ID, webhook.Dead), w.kept(hook.ID, webhook.Replaying); d != "" || r != "" {
			t.Errorf("dead %s, to be replayed %s", d, r)
		}
		w.stop()
	})
}

// moody is an instance with one webhook, whose receiver answers as it is told.
type moody struct {
	*world
	tries
	ref    instance.Ref
	hook   webhook.Made
	code   int    // of all answers
	refuse string // the data of the one that it refuses
	seen   int
}

func newMoody(t *testing.T) *moody {
	t.Helper()
	m := &moody{code: 200}
	m.answer = func(e event, _ int) (webhook.Answer, error) {
		if m.refuse == string(e.Data) {
			return status(400)
		}
		return status(m.code)
	}
	m.world = start(t, t.TempDir(), webhook.Options{Sender: &m.tries})
	m.ref, _ = m.create("a")
	m.hook = m.add(m.ref, webhook.Changes{URL: to("http://x")})
	m.emit(m.ref, 1, 10)
	time.Sleep(2 * time.Second)
	m.fresh()
	return m
}

// becomes sets how it answers from now on.
func (m *moody) becomes(code int, refuse string) {
	synctest.Wait()
	m.tries.mu.Lock()
	defer m.tries.mu.Unlock()
	m.code, m.refuse = code, refuse
}

// fresh is what was tried since it was asked last.
func (m *moody) fresh() string {
	var b strings.Builder
	for _, one := range m.tries.list()[m.seen:] {
		fmt.Fprintf(&b, "%s ", one.Data)
		m.seen++
	}
	return b.String()
}

// has wants what is parked, dead, and to be replayed.
func (m *moody) has(want ...string) {
	m.t.Helper()
	for state, want := range want {
		if got := m.kept(m.hook.ID, webhook.State(state)); got != want {
			m.t.Errorf("of state %d there is %q, not %q", state, got, want)
		}
	}
}

// again replays a range.
func (m *moody) again(from, to uint64) {
	m.t.Helper()
	m.replay(m.hook.ID, webhook.Replay{From: from, To: to}, to-from+1)
}

// TestReplayIsRefused sees what becomes of a replayed event that is refused: it
// is parked, the rest comes, and it is in one place.
func TestReplayIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody(t)
		defer m.stop()
		m.becomes(200, "4")
		m.again(3, 6)
		time.Sleep(time.Second)
		if got := m.fresh(); got != "3 4 5 6 " {
			t.Errorf("tried %s", got)
		}
		m.has("4-4", "", "")
		time.Sleep(73 * time.Hour)
		m.has("", "4-4", "")
		m.again(4, 4)
		time.Sleep(time.Second)
		m.has("4-4", "", "")
		m.becomes(200, "")
		m.again(1, 10)
		m.fresh()
		time.Sleep(time.Minute)
		m.has("", "", "")
		if got := m.fresh(); got != numbers(1, 10) {
			t.Errorf("tried %s", got)
		}
	})
}

// TestReplayWaits sees what becomes of what is replayed to a receiver that is
// down, that stays down, or that wants no more.
func TestReplayWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody(t)
		defer m.stop()
		m.becomes(500, "")
		m.again(2, 8)
		time.Sleep(10 * time.Minute)
		m.has("", "", "2-8")
		if list, err := m.Kept(bg, m.hook.ID, webhook.Replaying, 0, 1); err != nil || list[0].Tries < 10 {
			t.Errorf("it is %+v, %v", list, err)
		}
		m.emit(m.ref, 11, 12)
		time.Sleep(10 * time.Minute)
		m.becomes(200, "")
		m.fresh()
		time.Sleep(2 * time.Minute)
		if got := m.fresh(); got != "11 2 12 3 4 5 6 7 8 " && got != "2 11 3 12 4 5 6 7 8 " {
			t.Errorf("tried %s", got)
		}
		m.has("", "", "")
		// Three days of it, and it is dead again, from where it stood.
		m.becomes(500, "")
		m.again(2, 8)
		time.Sleep(73 * time.Hour)
		m.has("", "2-8", "")
		if h := m.find2(m.hook.ID); !h.Hold.Since.IsZero() {
			t.Errorf("nothing waits, and it is %+v", h)
		}
		// A part of it: the rest stays dead.
		m.becomes(200, "")
		m.again(4, 5)
		time.Sleep(time.Second)
		m.has("", "2-3 6-8", "")
		// Gone: it waits until the webhook is on again.
		m.becomes(410, "")
		m.replay(m.hook.ID, webhook.Replay{Dead: true}, 5)
		time.Sleep(time.Second)
		m.has("", "", "2-3 6-8")
		if h := m.find2(m.hook.ID); h.Enabled {
			t.Errorf("it is %+v", h)
		}
		m.becomes(200, "")
		m.fresh()
		_, err := m.Change(bg, noToken, m.hook.ID, webhook.Changes{Enabled: to(true)})
		m.ok(err)
		time.Sleep(time.Second)
		if got := m.fresh(); got != "2 3 6 7 8 " {
			t.Errorf("tried %s", got)
		}
		m.has("", "", "")
	})
}

// TestReplayHoldsUpNobody has a receiver fail with one event that is replayed to it,
// and with nothing else: what is said meanwhile comes at once, and the range is
// dead when it has been tried for three days.
func TestReplayHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody(t)
		defer m.stop()
		m.answer = func(e event, _ int) (webhook.Answer, error) {
			if string(e.Data) == "4" {
				return status(500)
			}
			return status(200)
		}
		m.again(3, 5)
		time.Sleep(time.Minute)
		if got := m.fresh(); !strings.HasPrefix(got, "3 4 ") {
			t.Errorf("tried %s", got)
		}
		m.has("", "", "4-5")
		for n := 11; n <= 85; n++ {
			m.emit(m.ref, n, n)
			time.Sleep(time.Second)
			if got := m.fresh(); !strings.Contains(got, strconv.Itoa(n)) {
				t.Errorf("tried %s, and not %d", got, n)
			}
			time.Sleep(time.Hour)
		}
		m.has("", "4-5", "")
		if h := m.find2(m.hook.ID); h.Hold != (webhook.Hold{}) {
			t.Errorf("it is %+v", h)
		}
	})
}

// find2 is the webhook with an id.
func (w *world) find2(id uint64) webhook.Webhook {
	w.t.Helper()
	h, err := w.Get(bg, id)
	w.ok(err)
	return h
}

// TestDownForLong has a receiver be down for an hour, and for almost as long as
// tries last: all that was said meanwhile comes once, in order, and nothing is
// dead.
func TestDownForLong(t *testing.T) {
	for _, down := range []time.Duration{time.Hour, 72*time.Hour - 10*time.Minute} {
		t.Run(down.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := time.Now().Add(down)
				var done strings.Builder
				s := &tries{}
				s.answer = func(e event, _ int) (webhook.Answer, error) {
					if time.Now().Before(up) {
						return webhook.Answer{}, errors.New("down")
					}
					fmt.Fprintf(&done, "%s ", e.Data)
					return status(200)
				}
				w := start(t, t.TempDir(), webhook.Options{Sender: s})
				defer w.stop()
				ref, _ := w.create("a")
				hook := w.add(ref, webhook.Changes{URL: to("http://x")})
				for n := range 20 {
					w.emit(ref, n*50+1, n*50+50)
					time.Sleep(down / 20)
				}
				time.Sleep(11 * time.Minute)
				synctest.Wait()
				if done.String() != numbers(1, 1000) {
					t.Errorf("told %.200s", done.String())
				}
				if h := w.find2(hook.ID); h.Hold != (webhook.Hold{}) || w.kept(hook.ID, webhook.Dead) != "" {
					t.Errorf("it is %+v", h)
				}
			})
		})
	}
}

// TestReplayOfWhatIsNotKept sees that what was swept is dead, and the rest told.
func TestReplayOfWhatIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody(t)
		defer m.stop()
		m.becomes(500, "")
		m.again(2, 7)
		time.Sleep(time.Second)
		m.becomes(200, "")
		i, err := m.instances.Get(bg, m.ref)
		m.ok(err)
		_, err = m.journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
			return nil, tx.Raise(instance.Topic(i.ID), 5)
		})).Wait(bg)
		m.ok(err)
		time.Sleep(10 * time.Second)
		if got := m.fresh(); got != "2 5 6 7 " {
			t.Errorf("tried %s", got)
		}
		m.has("", "2-4", "")
		// What was taken is not dead for being asked for too late, nor is what is dead any more so.
		m.replay(m.hook.ID, webhook.Replay{From: 1, To: 3}, 0)
		m.replay(m.hook.ID, webhook.Replay{From: 1, To: 5}, 1)
		time.Sleep(2 * time.Second)
		m.has("", "2-4", "")
		m.replay(m.hook.ID, webhook.Replay{Dead: true}, 3)
		time.Sleep(2 * time.Second)
		m.has("", "2-4", "")
		if list := m.tried(m.hook.ID, webhook.TryQuery{Limit: 1000}); len(list) != 15 {
			t.Errorf("%d are in the log", len(list))
		} else if _, body, err := m.Try(bg, m.hook.ID, list[14].ID); err != nil || body != nil {
			t.Errorf("%s, %v", body, err)
		}
	})
}
