package checker

import (
	"fmt"
	"testing"
)

// line n of publisher 0, as a receiver gets it.
func said(seq uint64, n int) frame {
	return frame{seq: seq, id: fmt.Sprintf("id%d", n), text: item{0, n}.text(), epoch: "e"}
}

// cases are what a receiver may see of acked messages, and what is to be found
// in it.
var cases = []struct {
	name  string
	acked int
	sees  func(r *record)
	want  [kinds]int
}{
	{"everything", 3, func(r *record) {
		r.take(said(1, 1))
		r.take(said(2, 2))
		r.take(said(3, 3))
	}, [kinds]int{}},
	{"what was not acknowledged", 1, func(r *record) {
		r.take(said(1, 1))
		r.take(said(2, 2))
	}, [kinds]int{}},
	{"the last is lost", 2, func(r *record) { r.take(said(1, 1)) }, [kinds]int{Lost: 1}},
	{"one is lost, and the numbers show it", 3, func(r *record) {
		r.take(said(1, 1))
		r.take(said(3, 3))
	}, [kinds]int{Lost: 2}},
	{"stored twice", 1, func(r *record) {
		r.take(said(1, 1))
		f := said(2, 1)
		f.id = "another"
		r.take(f)
	}, [kinds]int{Doubled: 1, Swapped: 1}},
	{"given twice after a reconnect", 2, func(r *record) {
		r.take(said(1, 1))
		r.take(said(2, 2))
		r.connected(1, false, 1)
		r.take(said(2, 2))
	}, [kinds]int{Doubled: 1, Swapped: 1}},
	{"given again as the contract allows", 3, func(r *record) {
		r.take(said(1, 1))
		r.ping(1)
		r.take(said(2, 2))
		r.disconnected()
		r.connected(0, true, 1)
		r.take(said(1, 1))
		r.take(said(2, 2))
		r.take(said(3, 3))
	}, [kinds]int{}},
	{"given again although acknowledged long ago", 2, func(r *record) {
		r.take(said(1, 1))
		r.ping(1)
		r.pongs[0].since = heardAfter
		r.take(said(2, 2))
		r.disconnected()
		r.connected(0, true, 1)
		r.take(said(1, 1))
		r.take(said(2, 2))
	}, [kinds]int{Doubled: 1}},
	{"given again after a kill, although acknowledged long ago", 2, func(r *record) {
		r.take(said(1, 1))
		r.ping(1)
		r.pongs[0].since = keptAfter
		r.disconnected()
		r.connected(0, true, 2)
		r.take(said(1, 1))
		r.take(said(2, 2))
	}, [kinds]int{Doubled: 1}},
	{"given again after a kill, acknowledged just before", 2, func(r *record) {
		r.take(said(1, 1))
		r.ping(1)
		r.pongs[0].since = heardAfter
		r.disconnected()
		r.connected(0, true, 2)
		r.take(said(1, 1))
		r.take(said(2, 2))
	}, [kinds]int{}},
	{"a reconnect goes on too late", 3, func(r *record) {
		r.take(said(1, 1))
		r.connected(0, true, 1)
		r.take(said(3, 3))
	}, [kinds]int{Lost: 2}},
	{"two are swapped", 2, func(r *record) {
		r.take(said(1, 2))
		r.take(said(2, 1))
	}, [kinds]int{Swapped: 1}},
	{"another number after a restart", 1, func(r *record) {
		r.take(said(1, 1))
		r.ledger.number("another", r.topic, 1, "id7")
	}, [kinds]int{Swapped: 1}},
	{"a ping ahead of what was sent", 1, func(r *record) {
		r.take(said(1, 1))
		r.ping(2)
	}, [kinds]int{Lost: 1}},
	{"another id than was acknowledged", 1, func(r *record) {
		f := said(1, 1)
		f.id = "another"
		r.take(f)
	}, [kinds]int{Other: 1}},
	{"a changed text", 0, func(r *record) {
		f := said(1, 1)
		f.text += "!"
		r.take(f)
	}, [kinds]int{Other: 1}},
	{"another epoch, and no number", 1, func(r *record) {
		r.take(said(1, 1))
		f := said(2, 2)
		f.epoch = "f"
		r.take(f)
		r.take(frame{text: "?"})
	}, [kinds]int{Other: 2}},
	{"refused: what it missed says nothing more", 2, func(r *record) {
		r.take(said(1, 1))
		r.giveUp()
	}, [kinds]int{}},
}

// others are cases of receivers that do not hear everything with a number.
var others = []struct {
	name   string
	traits traits
	other  bool // what is heard was made of what was acknowledged
	acked  int
	sees   func(r *record)
	want   [kinds]int
}{
	{"numbers with holes", traits{gaps: true}, false, 2, func(r *record) {
		r.take(said(2, 1))
		r.take(said(7, 2))
	}, [kinds]int{}},
	{"numbers with holes, and one is lost", traits{gaps: true}, false, 3, func(r *record) {
		r.take(said(2, 1))
		r.take(said(7, 3))
	}, [kinds]int{Lost: 1}},
	{"numbers with holes, going back", traits{gaps: true}, false, 2, func(r *record) {
		r.take(said(7, 1))
		r.take(said(2, 2))
	}, [kinds]int{Swapped: 1}},
	{"what is not for it", traits{only: func(i item) bool { return i.n != 2 }}, false, 3, func(r *record) {
		r.take(said(1, 1))
		r.take(said(2, 3))
	}, [kinds]int{}},
	{"what is not for it comes", traits{only: func(i item) bool { return i.n != 2 }}, false, 2, func(r *record) {
		r.take(said(1, 1))
		r.take(said(2, 2))
	}, [kinds]int{Other: 1}},
	{"live, and away between", traits{live: true}, false, 4, func(r *record) {
		r.take(said(1, 2))
		r.connected(1, false, 1)
		r.take(said(2, 4))
	}, [kinds]int{}},
	{"live, and one is lost", traits{live: true}, false, 4, func(r *record) {
		r.take(said(1, 1))
		r.take(said(2, 3))
	}, [kinds]int{Lost: 1}},
	{"live, and one is doubled", traits{live: true}, false, 1, func(r *record) {
		r.take(said(1, 1))
		r.connected(1, false, 1)
		r.take(said(2, 1))
	}, [kinds]int{Doubled: 1, Swapped: 1}},
	{"made of it, with ids of its own", traits{}, true, 2, func(r *record) {
		r.take(frame{seq: 1, id: "x", text: item{0, 1}.text()})
		r.take(frame{seq: 2, id: "y", text: item{0, 2}.text()})
	}, [kinds]int{}},
	{"made of it in another order", traits{}, true, 0, func(r *record) {
		r.ledger.ack(item{0, 1}, ack{seq: 5})
		r.ledger.ack(item{1, 1}, ack{seq: 4})
		r.take(frame{seq: 1, id: "x", text: item{0, 1}.text()})
		r.take(frame{seq: 2, id: "y", text: item{1, 1}.text()})
	}, [kinds]int{Swapped: 1}},
	{"made of it twice", traits{}, true, 1, func(r *record) {
		r.take(frame{seq: 1, id: "x", text: item{0, 1}.text()})
		r.take(frame{seq: 2, id: "y", text: item{0, 1}.text()})
	}, [kinds]int{Doubled: 1, Swapped: 1}},
}

func TestTraits(t *testing.T) {
	for _, c := range others {
		t.Run(c.name, func(t *testing.T) {
			found := &findings{name: "test"}
			l := newLedger(found, "stream")
			l.other = c.other
			r := l.record("receiver", "topic")
			r.traits = c.traits
			r.connected(0, false, 1)
			for n := 1; n <= c.acked; n++ {
				l.ack(item{0, n}, ack{id: fmt.Sprintf("id%d", n)})
			}
			c.sees(r)
			l.reconcile()
			if found.found != c.want {
				t.Errorf("found %v, want %v (lost, doubled, swapped, other): %q", found.found, c.want, found.examples)
			}
		})
	}
}

// TestPartFirst: who hears a part says nothing of the order of the rest.
func TestPartFirst(t *testing.T) {
	found := &findings{name: "test"}
	l := newLedger(found, "stream")
	part, all := l.record("part", ""), l.record("all", "")
	part.only = func(i item) bool { return i.n != 2 }
	for n := range 3 {
		if n != 1 {
			part.take(said(0, n+1))
		}
		all.take(said(0, n+1))
	}
	l.reconcile()
	if found.any() {
		t.Errorf("found %v: %q", found.found, found.examples)
	}
}

// TestSeveralLedgers: what several hear counts once, and is missing everywhere.
func TestSeveralLedgers(t *testing.T) {
	found := &findings{name: "test"}
	a, b := newLedger(found, "a"), newLedger(found, "b")
	a.record("of a", "")
	b.record("of b", "")
	acks(a, b)(item{0, 1}, ack{id: "x"})
	if a.count() != 1 || b.count() != 0 || a.missing() != 1 || b.missing() != 1 {
		t.Errorf("counts %d and %d, missing %d and %d", a.count(), b.count(), a.missing(), b.missing())
	}
}

func TestLedger(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			found := &findings{name: "test"}
			l := newLedger(found, "stream")
			r := l.record("receiver", "topic")
			r.connected(0, false, 1)
			for n := 1; n <= c.acked; n++ {
				l.ack(item{0, n}, ack{id: fmt.Sprintf("id%d", n)})
			}
			c.sees(r)
			l.reconcile()
			if found.found != c.want {
				t.Errorf("found %v, want %v (lost, doubled, swapped, other): %q", found.found, c.want, found.examples)
			}
		})
	}
}

// TestOrders: two receivers, each in a possible order, but not in the same.
func TestOrders(t *testing.T) {
	found := &findings{name: "test"}
	l := newLedger(found, "stream")
	a, b := l.record("a", ""), l.record("b", "")
	one, other := said(0, 1), frame{id: "x", text: item{1, 1}.text()}
	a.take(one)
	a.take(other)
	b.take(other)
	b.take(one)
	l.reconcile()
	if found.found != [kinds]int{Swapped: 1} {
		t.Errorf("found %v: %q", found.found, found.examples)
	}
}

func TestAckedTwice(t *testing.T) {
	found := &findings{name: "test"}
	l := newLedger(found, "stream")
	l.ack(item{0, 1}, ack{id: "a"})
	l.ack(item{0, 1}, ack{id: "a"})
	l.ack(item{0, 1}, ack{id: "b"})
	if found.found != [kinds]int{Doubled: 1} {
		t.Errorf("found %v: %q", found.found, found.examples)
	}
}

func TestText(t *testing.T) {
	for n := range 2 * len(endings) {
		i := item{n % 3, n}
		if got, ok := parse(i.text()); !ok || got != i {
			t.Errorf("%q is read as %v", i.text(), got)
		}
	}
	for _, text := range []string{"", "p1", "p1 n2", "x1 n1 apa kabar?", "p1 n99999999999999999999 ", "p1 n6 apa kabar"} {
		if i, ok := parse(text); ok {
			t.Errorf("%q is read as %v", text, i)
		}
	}
}
