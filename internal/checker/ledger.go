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

	mu      sync.Mutex
	acked   map[item]ack                 // guarded by mu
	numbers map[string]map[uint64]string // guarded by mu; by topic and seq, the id seen there
	records []*record                    // guarded by mu
}

func newLedger(f *findings, name string) *ledger {
	return &ledger{found: f, name: name, acked: map[item]ack{}, numbers: map[string]map[uint64]string{}}
}

// ack notes that the server said that an item is stored.
func (l *ledger) ack(i item, a ack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first, ok := l.acked[i]; ok {
		if first.id != a.id {
			l.found.add(Doubled, "%s: %v was acknowledged as %s and again as %s", l.name, i, first.id, a.id)
		}
		return
	}
	if a.id == "" {
		l.found.add(Other, "%s: %v was acknowledged without an id", l.name, i)
	}
	l.acked[i] = a
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
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

// missing is how many acknowledged items the slowest of the connected
// receivers has not seen.
func (l *ledger) missing() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := 0
	for _, r := range l.records {
		if !r.ended() {
			most = max(most, r.missing(l.acked))
		}
	}
	return most
}

// reconcile compares what was acknowledged with what everybody saw, and
// returns how often something acknowledged was seen.
func (l *ledger) reconcile() (delivered int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ranks := map[string]int{} // by id: the order in which the first receiver saw it
	for _, r := range l.records {
		delivered += l.reconcileOne(r, ranks)
	}
	return delivered
}

func (l *ledger) reconcileOne(r *record, ranks map[string]int) (delivered int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := map[int]int{} // by publisher: the last of its items
	rank, after := -1, ""
	for _, s := range r.seen {
		if s.item.n <= said[s.item.publisher] {
			l.found.add(Swapped, "%s saw %v (%s, seq %d) after number %d of the same publisher", r.name, s.item, s.id, s.seq, said[s.item.publisher])
		}
		said[s.item.publisher] = s.item.n
		at, known := ranks[s.id]
		if !known {
			at = max(len(ranks), rank+1)
			ranks[s.id] = at
		}
		if at < rank {
			l.found.add(Swapped, "%s saw %s after %s, and another receiver before it", r.name, s.id, after)
		}
		rank, after = at, s.id
	}
	var lost []item
	for i, a := range l.acked {
		ids := r.items[i]
		switch {
		case len(ids) == 0:
			lost = append(lost, i)
			continue
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
