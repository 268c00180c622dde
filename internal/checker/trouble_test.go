package checker

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestTroubles: whatever befalls a server, nothing is lost. Those that need a
// disk or a clock of their own are for the long runs.
func TestTroubles(t *testing.T) {
	report := check(t, Options{Kills: 6, Most: time.Second, Troubles: []string{deploy, still, receivers}})
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	n := 0
	for _, times := range report.Struck {
		n += times
	}
	if n != 6 || report.Kills != 0 {
		t.Errorf("%d troubles, and %d kills", n, report.Kills)
	}
}

// TestChoose: every trouble has its turn, kills every other time, and a seed
// has always the same.
func TestChoose(t *testing.T) {
	chosen := func(seed uint64, troubles []string) (all []string) {
		r := &run{o: &Options{Troubles: troubles}, random: rand.New(rand.NewPCG(seed, 0))}
		for range 200 {
			all = append(all, r.choose())
		}
		return all
	}
	all := chosen(1, Troubles)
	kills := 0
	for _, trouble := range Troubles {
		if !slices.Contains(all, trouble) {
			t.Errorf("%s never came", trouble)
		}
	}
	for _, c := range all {
		if c == kill {
			kills++
		}
	}
	if kills < 70 || kills > 130 {
		t.Errorf("%d kills of %d", kills, len(all))
	}
	if !slices.Equal(all, chosen(1, Troubles)) || slices.Equal(all, chosen(2, Troubles)) {
		t.Error("a seed does not decide")
	}
	if all := chosen(1, []string{kill}); slices.ContainsFunc(all, func(c string) bool { return c != kill }) {
		t.Error(all)
	}
	if all := chosen(1, []string{still}); slices.ContainsFunc(all, func(c string) bool { return c != still }) {
		t.Error(all)
	}
}

// TestEnough: a run goes on until there was trouble enough, and every gateway
// has acknowledged enough.
func TestEnough(t *testing.T) {
	one, other := newLedger(&findings{name: "one"}, "one"), newLedger(&findings{name: "other"}, "other")
	r := &run{o: &Options{Kills: 2, Messages: 3, Troubles: []string{kill, still}}, struck: map[string]int{still: 9, kill: 1}}
	for _, l := range []*ledger{one, other} {
		r.gateways = append(r.gateways, &feed{cast: cast{found: l.found, ledgers: []*ledger{l}}})
	}
	say := func(l *ledger, n int) {
		for ; n > 0; n-- {
			l.ack(item{0, l.count() + 1}, ack{id: "x"})
		}
	}
	say(one, 3)
	say(other, 2)
	if r.enough() || one.found.rest() == 0 || other.found.rest() != 0 {
		t.Error("enough with 1 kill and 2 messages, or the wrong one rests")
	}
	say(other, 1)
	if r.enough() {
		t.Error("enough with 1 kill")
	}
	r.struck[power]++
	if !r.enough() {
		t.Error("never enough")
	}
}

// TestStoppedTime: time in which the server was stopped is none of its own.
func TestStoppedTime(t *testing.T) {
	s := &server{}
	s.stills.past = time.Hour
	s.stills.since = time.Now().Add(-time.Minute)
	if d := time.Since(s.now()); d < 61*time.Minute || d > 70*time.Minute {
		t.Error(d)
	}
	s.freeze(false)
	if d := time.Since(s.now()); d < 61*time.Minute || d > 70*time.Minute || !s.stills.since.IsZero() {
		t.Error(d)
	}
}

// TestMoved: what was refused for a while may stand behind what was said after
// it; everybody hears it there, and it is not lost.
func TestMoved(t *testing.T) {
	for _, moved := range []bool{false, true} {
		f := &findings{name: "test"}
		l := newLedger(f, "test")
		r := l.record("one", "")
		for _, n := range []int{1, 3, 2, 4} {
			l.ack(item{0, n}, ack{id: said(1, n).id})
			r.take(frame{id: said(1, n).id, text: item{0, n}.text()})
		}
		if moved {
			f.move([]item{{0, 2}})
		}
		if l.reconcile(); f.any() == moved {
			t.Errorf("moved %v: %v", moved, f.examples)
		}
	}
}
