package simulator

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// heard is one kept message, as a receiver got it.
type heard struct {
	seq  uint64
	id   string
	text string
	at   time.Time
}

// said is one thing that somebody said, or tried to.
type said struct {
	text  string
	began int64     // the order of things: before a byte of it was written
	acked int64     // and when it was acknowledged; 0: it was not
	at    time.Time // the same, by the clock
	life  int64     // of the server that acknowledged it
	id    string    // as the acknowledgement had it
	seq   uint64    // the same, 0 where it had none
	gates []*gate   // that it must pass to be heard
}

// ledger is what was said in a topic, and who hears it.
type ledger struct {
	w    *world
	name string
	// truth reads the whole topic, as its receivers see it; from is the number
	// after which that is possible.
	truth func() (all []heard, from uint64, ok bool)
	kept  uint64 // static: how many of the newest can be asked for; 0 is all
	dense bool   // static: every number is heard
	past  uint64 // static: how much was said before the run, at least

	mu        sync.Mutex
	said      map[string]*said // guarded by mu
	receivers []*receiver      // static once the run has begun
}

func (w *world) ledger(name string) *ledger {
	l := &ledger{w: w, name: name, said: map[string]*said{}}
	w.ledgers = append(w.ledgers, l)
	return l
}

// serverSaid says that a text is the server's own: people here say one word.
func serverSaid(text string) bool { return text == "" || strings.Contains(text, " ") }

// says notes that something is about to be said.
func (l *ledger) says(text string, gates ...*gate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.said[text] == nil {
		l.said[text] = &said{text: text, began: l.w.order.Add(1), gates: gates}
	}
}

// ack notes what was acknowledged. The same twice must be the same.
func (l *ledger) ack(text, id string, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.said[text]
	switch {
	case s == nil:
		l.w.fail(other, "%s: %q was acknowledged, and nobody said it", l.name, text)
	case s.acked != 0:
		if s.id != id || s.seq != seq {
			l.w.fail(inOrder, "%s: %q was acknowledged as %s at %d, and the second time as %s at %d", l.name, text, s.id, s.seq, id, seq)
		}
	default:
		s.acked, s.at, s.life, s.id, s.seq = l.w.order.Add(1), time.Now(), l.w.life.Load(), id, seq
	}
}

// missing is what the receivers still have to hear, of what was acknowledged.
func (l *ledger) missing() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.receivers {
		since := r.since.Load()
		if since == 0 {
			n++ // not there yet
			continue
		}
		for _, s := range l.said {
			if s.due(since) && !r.has(s.text) {
				n++
			}
		}
	}
	return n
}

// audit compares what was acknowledged and what was heard with what is kept.
func (l *ledger) audit() {
	all, from, ok := l.truth()
	if !ok {
		return
	}
	at := map[string]int{} // text → index in all
	index := map[uint64]int{}
	for i, h := range all {
		if i > 0 && h.seq <= all[i-1].seq {
			l.w.fail(inOrder, "%s: the log has %d after %d", l.name, h.seq, all[i-1].seq)
		}
		if _, twice := at[h.text]; twice && !serverSaid(h.text) {
			l.w.fail(inOrder, "%s: %q is kept twice, at %d and %d", l.name, h.text, all[at[h.text]].seq, h.seq)
		}
		at[h.text], index[h.seq] = i, i
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.said {
		i, kept := at[s.text]
		switch passage := s.passage(); {
		case kept && passage == barred:
			l.w.fail(other, "%s: %q is there at %d, and was said by who is blocked, or to who does not belong there", l.name, s.text, all[i].seq)
		case s.acked == 0 || !kept && passage != passes:
		case !kept && from > 0 && (s.seq == 0 || s.seq <= from): // it was let go
		case !kept:
			l.w.fail(durable, "%s: %q was acknowledged (%s at %d, life %d), and is not there any more", l.name, s.text, s.id, s.seq, s.life)
		case s.id != "" && all[i].id != s.id || s.seq != 0 && all[i].seq != s.seq:
			l.w.fail(durable, "%s: %q was acknowledged as %s at %d, and is there as %s at %d", l.name, s.text, s.id, s.seq, all[i].id, all[i].seq)
		}
	}
	for _, r := range l.receivers {
		r.audit(all, index, from)
	}
}

// check follows one connection of a receiver: what it heard is a stretch of
// what is kept, without a hole.
func (c *hearing) check(l *ledger, who string, all []heard, index map[uint64]int, from uint64) {
	before := -1
	for n, h := range c.heard {
		i, kept := index[h.seq]
		switch {
		case l.dense && n > 0 && h.seq != c.heard[n-1].seq+1:
			l.w.fail(inOrder, "%s: on its connection %d %s heard %d after %d", l.name, c.number, who, h.seq, c.heard[n-1].seq)
			return
		case l.dense && n == 0 && c.exact && h.seq != c.after+1:
			l.w.fail(wholePast, "%s: %s asked for what follows %d, and its connection %d began with %d", l.name, who, c.after, c.number, h.seq)
			return
		case !kept && h.seq <= from: // it was let go
			continue
		case !kept:
			l.w.fail(durable, "%s: %s heard %q (%s at %d), which is not there any more", l.name, who, h.text, h.id, h.seq)
			return
		case all[i].id != h.id || all[i].text != h.text:
			l.w.fail(durable, "%s: %s heard %q (%s) at %d, where %q (%s) is now", l.name, who, h.text, h.id, h.seq, all[i].text, all[i].id)
			return
		case before >= 0 && i != before+1:
			l.w.fail(inOrder, "%s: on its connection %d %s heard %d after %d, and what is between them is %s", l.name, c.number, who, h.seq, all[before].seq, between(before, i))
			return
		case n == 0 && c.exact && i > 0 && all[i-1].seq > c.after:
			l.w.fail(wholePast, "%s: %s asked for what follows %d, and its connection %d began with %d, after %s", l.name, who, c.after, c.number, h.seq, between(index[c.after], i))
			return
		case n == 0 && c.exact && h.seq <= c.after:
			l.w.fail(inOrder, "%s: %s asked for what follows %d, and its connection %d began with %d", l.name, who, c.after, c.number, h.seq)
			return
		}
		before = i
	}
}

// between says what stands between two places of the log.
func between(a, b int) string {
	if b <= a {
		return "nothing: it came again"
	}
	return fmt.Sprintf("%d messages", b-a-1)
}
