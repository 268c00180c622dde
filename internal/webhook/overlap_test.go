package webhook_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/webhook"
)

// overlap is a webhook with 100 events told, whose receiver takes 100 ms for
// each that is told again.
type overlap struct {
	*world
	*tries
	hook uint64
	ids  []string
	seen int
}

func newOverlap(t *testing.T, folder string) *overlap {
	t.Helper()
	o := &overlap{tries: &tries{slow: 100 * time.Millisecond, answer: func(event, int) (webhook.Answer, error) { return status(200) }}}
	o.world = start(t, folder, webhook.Options{Sender: o.tries})
	var ref instance.Ref
	ref, _ = o.create("a")
	o.hook = o.add(ref, webhook.Changes{URL: to("http://x")}).ID
	o.ids = o.emit(ref, 1, 100)
	time.Sleep(time.Minute)
	o.fresh()
	return o
}

// becomes sets what is answered from now on.
func (o *overlap) becomes(code int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = func(event, int) (webhook.Answer, error) { return status(code) }
}

// fresh is what was tried since it was asked last.
func (o *overlap) fresh() (told string) {
	for _, one := range o.tries.list()[o.seen:] {
		told += fmt.Sprintf("%s ", one.Data)
		o.seen++
	}
	return told
}

// TestReplaysThatOverlap asks for what another replay has told, is telling and
// has still to tell: that goes on where it is, and each tells what it names once.
func TestReplaysThatOverlap(t *testing.T) {
	type asks = []webhook.Replay
	const wait = 1030 * time.Millisecond // never as a try begins or ends
	one := func(n int) webhook.Replay { return webhook.Replay{From: uint64(n), To: uint64(n)} }
	for name, c := range map[string]struct {
		asks asks
		want string
	}{
		"what is still to be told":    {asks{{To: 60}, one(50)}, numbers(1, 60)},
		"what is being told":          {asks{{To: 60}, one(11)}, numbers(1, 11) + "11 " + numbers(12, 60)},
		"what was told":               {asks{{To: 60}, one(5)}, numbers(1, 11) + "5 " + numbers(12, 60)},
		"told and to be told":         {asks{{To: 60}, {From: 5, To: 20}}, numbers(1, 11) + numbers(5, 60)},
		"all of it":                   {asks{{To: 30}, {To: 60}}, numbers(1, 11) + numbers(1, 60)},
		"its end, and more":           {asks{{To: 30}, {From: 30, To: 60}}, numbers(1, 60)},
		"before it":                   {asks{{From: 30, To: 60}, {To: 29}}, numbers(30, 40) + numbers(1, 29) + numbers(41, 60)},
		"one after the other":         {asks{{To: 60}, one(50), one(40), {To: 3}, one(60)}, numbers(1, 31) + numbers(1, 3) + numbers(32, 60)},
		"one for what another does":   {asks{{To: 60}, {From: 5, To: 20}, {From: 5, To: 20}}, numbers(1, 11) + numbers(5, 14) + numbers(5, 60)},
		"the end, the beginning, one": {asks{{From: 90}, {To: 90}, one(80), {From: 1, To: 3}}, numbers(90, 100) + numbers(1, 20) + numbers(1, 3) + numbers(21, 90)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOverlap(t, t.TempDir())
				defer o.stop()
				for i, what := range c.asks {
					if i > 0 {
						time.Sleep(wait)
					}
					_, err := o.Replay(bg, noToken, o.hook, what)
					o.ok(err)
				}
				time.Sleep(time.Minute)
				if got := o.fresh(); got != c.want {
					t.Errorf("told   %s\nwanted %s", got, c.want)
				}
				if left := o.kept(o.hook, webhook.Replaying); left != "" {
					t.Errorf("left: %s", left)
				}
			})
		})
	}
}

// TestReplaysAtOnce asks in the same moment, by the clock, in which the first
// has told something, and stops the server in the middle: what is stored still
// tells the one from the other.
func TestReplaysAtOnce(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", killed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				folder := t.TempDir()
				o := newOverlap(t, folder)
				// Ids that lie between: the range is in pieces.
				for _, what := range []webhook.Replay{{To: 80}, {IDs: []string{o.ids[29], o.ids[49]}}, {From: 70}} {
					_, err := o.Replay(bg, noToken, o.hook, what)
					o.ok(err)
				}
				time.Sleep(2050 * time.Millisecond)
				_, err := o.Replay(bg, noToken, o.hook, webhook.Replay{To: 5})
				o.ok(err)
				want := numbers(1, 21) + numbers(1, 5) + numbers(22, 100)
				if killed {
					time.Sleep(300 * time.Millisecond) // the worker has stored where it was
					o.die()
				} else {
					o.stop()
				}
				o.world = start(t, folder, webhook.Options{Sender: o.tries})
				time.Sleep(time.Minute)
				got := o.fresh()
				if killed { // the last that was told is told again
					want = numbers(1, 21) + "1 2 3 " + numbers(1, 5) + numbers(22, 100)
				}
				if got != want {
					t.Errorf("told   %s\nwanted %s", got, want)
				}
				o.stop()
			})
		})
	}
}

// TestReplaysInOneMoment asks again for what was told in the same moment of the
// log's time, which may stand still: what is asked for is not what was told.
func TestReplaysInOneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody(t)
		defer m.stop()
		gate := make(chan struct{})
		m.answer = func(e event, _ int) (webhook.Answer, error) {
			if string(e.Data) == "5" {
				<-gate
			}
			return status(200)
		}
		m.again(1, 10)
		synctest.Wait() // 5 is being told, and no time has passed
		m.again(1, 3)
		close(gate)
		time.Sleep(time.Minute)
		if got, want := m.fresh(), numbers(1, 5)+numbers(1, 3)+numbers(6, 10); got != want {
			t.Errorf("told   %s\nwanted %s", got, want)
		}
		m.has("", "", "")
	})
}

// TestReplaysAfterTheClockWasSetBack sees that they go on where they are, and are
// tried no longer than others. Each bubble's clock begins at the same time.
func TestReplaysAfterTheClockWasSetBack(t *testing.T) {
	folder := t.TempDir()
	var o *overlap
	synctest.Test(t, func(t *testing.T) {
		o = newOverlap(t, folder)
		time.Sleep(100 * time.Hour)
		o.emit(instance.ByName("a"), 101, 101)
		time.Sleep(time.Minute)
		o.becomes(500)
		o.replay(o.hook, webhook.Replay{To: 10}, 10)
		time.Sleep(time.Minute)
		o.stop()
	})
	synctest.Test(t, func(t *testing.T) {
		o.world = start(t, folder, webhook.Options{Sender: o.tries})
		defer o.stop()
		time.Sleep(73 * time.Hour)
		if dead := o.kept(o.hook, webhook.Dead); dead != "1-10" {
			t.Errorf("dead: %q", dead)
		}
		o.becomes(200)
		o.fresh()
		o.replay(o.hook, webhook.Replay{To: 60}, 60)
		time.Sleep(530 * time.Millisecond) // before it is stored how far it came
		o.replay(o.hook, webhook.Replay{From: 50, To: 50}, 1)
		time.Sleep(time.Minute)
		if got := o.fresh(); got != numbers(1, 60) {
			t.Errorf("told %s", got)
		}
	})
}

// TestRefusedAsAnotherIsAsked has a replayed event be refused as another replay
// is asked for: it is not taken for told.
func TestRefusedAsAnotherIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoody(t)
		defer m.stop()
		refused := 0
		m.answer = func(e event, _ int) (webhook.Answer, error) {
			if string(e.Data) == "5" && refused < 2 {
				if refused++; refused == 1 {
					m.again(8, 8)
				}
				return status(400)
			}
			return status(200)
		}
		m.again(1, 10)
		time.Sleep(time.Second)
		m.has("5-5", "", "")
		time.Sleep(time.Minute)
		if got, want := m.fresh(), numbers(1, 5)+numbers(5, 10)+"5 "; got != want {
			t.Errorf("told   %s\nwanted %s", got, want)
		}
		m.has("", "", "")
	})
}
