package checker

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// item is one thing said: the nth of a publisher.
type item struct{ publisher, n int }

func (i item) String() string { return fmt.Sprintf("message %d of publisher %d", i.n, i.publisher) }

// endings make the texts differ in length and in what JSON must escape.
var endings = []string{
	"apa kabar?", "a \"quoted\" \\ backslash, a / slash and <b>&amp;</b>", "é — 你好 \U0001F600 \u2028 \u00a0",
	"tab\tand\nline", strings.Repeat("long ", 60), "",
}

// text is what is said; parse finds the item of it again.
func (i item) text() string {
	return fmt.Sprintf("p%d n%d %s", i.publisher, i.n, endings[i.n%len(endings)])
}

func parse(text string) (item, bool) {
	p, rest, ok1 := strings.Cut(text, " ")
	n, _, ok2 := strings.Cut(rest, " ")
	if !ok1 || !ok2 || !strings.HasPrefix(p, "p") || !strings.HasPrefix(n, "n") {
		return item{}, false
	}
	publisher, err1 := strconv.Atoi(p[1:])
	nth, err2 := strconv.Atoi(n[1:])
	i := item{publisher, nth}
	return i, err1 == nil && err2 == nil && i.text() == text
}

// ack is what the server called an item when it said that it is stored.
type ack struct {
	id  string
	seq uint64 // 0 where the dialect does not say
}

// ledger is the account of one stream: everything said in it, and everybody
// who is to hear all of that in one order.
type ledger struct {
	found *findings // static
	name  string    // static
	other bool      // static: what is heard was made of what was acknowledged, and has ids and numbers of its own

	mu      sync.Mutex
	acked   map[item]ack                 // guarded by mu
	own     int                          // guarded by mu; how many of them no other ledger counts
	numbers map[string]map[uint64]string // guarded by mu; by topic and seq, the id seen there
	records []*record                    // guarded by mu
}

func newLedger(f *findings, name string) *ledger {
	return &ledger{found: f, name: name, acked: map[item]ack{}, numbers: map[string]map[uint64]string{}}
}

// ack notes that the server said that an item is stored.
func (l *ledger) ack(i item, a ack) { l.note(i, a, 1) }

// acks is ack for an item that stands in several ledgers. It counts once.
func acks(ledgers ...*ledger) func(i item, a ack) {
	return func(i item, a ack) {
		for n, l := range ledgers {
			l.note(i, a, max(0, 1-n))
		}
	}
}

func (l *ledger) note(i item, a ack, count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first, ok := l.acked[i]; ok {
		if first.id != a.id {
			l.found.add(Doubled, "%s: %v was acknowledged as %s and again as %s", l.name, i, first.id, a.id)
		}
		return
	}
	if a.id == "" && !l.other {
		l.found.add(Other, "%s: %v was acknowledged without an id", l.name, i)
	}
	l.acked[i] = a
	l.own += count
}

// count is how many items were acknowledged, each counted in one ledger.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.own
}

// number notes that id was seen at seq of a topic: it is the same for
// everybody, and for ever.
func (l *ledger) number(who, topic string, seq uint64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := l.numbers[topic]
	if ids == nil {
		ids = map[uint64]string{}
		l.numbers[topic] = ids
	}
	if have, ok := ids[seq]; ok && have != id {
		l.found.add(Swapped, "%s: at seq %d of %s there was %s, and now there is %s", who, seq, topic, have, id)
		return
	}
	ids[seq] = id
}

// missing is how many acknowledged items the connected receivers have not seen,
// all together.
func (l *ledger) missing() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, r := range l.records {
		if !r.ended() {
			n += r.missing(l.acked)
		}
	}
	return n
}

// reconcile compares what was acknowledged with what everybody saw, and
// returns how often something acknowledged was seen.
func (l *ledger) reconcile() (delivered int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ranks := map[string]int{}                  // by id, or by item where ids are many: the order in which the first receiver saw it
	for _, part := range []bool{false, true} { // who hears all of it says how it goes
		for _, r := range l.records {
			if part == (r.live || r.only != nil) {
				delivered += l.reconcileOne(r, ranks)
			}
		}
	}
	return delivered
}

func (l *ledger) reconcileOne(r *record, ranks map[string]int) (delivered int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := map[int]int{} // by publisher: the last of its items
	rank, after := -1, ""
	for _, s := range r.seen {
		moved := l.found.isMoved(s.item)
		if s.item.n <= said[s.item.publisher] && !moved {
			l.found.add(Swapped, "%s saw %v (%s, seq %d) after number %d of the same publisher", r.name, s.item, s.id, s.seq, said[s.item.publisher])
		}
		if !moved {
			said[s.item.publisher] = s.item.n
		}
		key := s.id
		if l.other {
			key = s.item.String()
		}
		at, known := ranks[key]
		if !known {
			at = max(len(ranks), rank+1)
			ranks[key] = at
		}
		if at < rank {
			l.found.add(Swapped, "%s saw %s after %s, and another receiver before it", r.name, key, after)
		}
		rank, after = at, key
	}
	if l.other {
		l.sameOrder(r)
	}
	if r.live {
		l.between(r)
	}
	var lost []item
	for i, a := range l.acked {
		ids := r.items[i]
		switch {
		case len(ids) == 0:
			if r.wants(i) {
				lost = append(lost, i)
			}
			continue
		case l.other:
		case len(ids) == 1 && ids[0].id != a.id:
			l.found.add(Other, "%s saw %v as %s; it was acknowledged as %s", r.name, i, ids[0].id, a.id)
		case a.seq != 0 && ids[0].seq != 0 && ids[0].seq != a.seq:
			l.found.add(Other, "%s saw %v at seq %d; it was acknowledged with seq %d", r.name, i, ids[0].seq, a.seq)
		}
		delivered++
	}
	if r.gone {
		return delivered
	}
	slices.SortFunc(lost, func(a, b item) int { return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.publisher, b.publisher)) })
	for _, i := range lost {
		a := l.acked[i]
		l.found.add(Lost, "%s never saw %v, acknowledged as %s (seq %d)", r.name, i, a.id, a.seq)
	}
	return delivered
}

// sameOrder sees to it that what was made came in the order of what it was made
// of, as far as that has numbers.
func (l *ledger) sameOrder(r *record) {
	last := sighting{}
	for _, s := range r.seen {
		seq := l.acked[s.item].seq
		if seq == 0 {
			continue
		}
		if seq < last.seq {
			l.found.add(Swapped, "%s saw what came of %v, which was acknowledged with seq %d, after that of %v with seq %d", r.name, s.item, seq, last.item, last.seq)
		}
		last = sighting{item: s.item, seq: seq}
	}
}

// between sees to it that a connection that hears only what is said meanwhile
// misses nothing between two messages of a publisher.
func (l *ledger) between(r *record) {
	last := map[int]sighting{}
	for _, s := range r.seen {
		if l.found.isMoved(s.item) {
			continue
		}
		before, known := last[s.item.publisher]
		last[s.item.publisher] = s
		if !known || before.conn != s.conn {
			continue
		}
		for n := before.item.n + 1; n < s.item.n; n++ {
			i := item{s.item.publisher, n}
			if a, ok := l.acked[i]; ok && !l.found.isMoved(i) && (r.only == nil || r.only(i)) {
				l.found.add(Lost, "%s heard %v and then %v, and never %v, acknowledged as %s", r.name, before.item, s.item, i, a.id)
			}
		}
	}
}
