package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// receiver hears a topic over many connections, one after another.
type receiver struct {
	// static
	*party
	ledger  *ledger
	connect func(r *receiver) (*socket, error)
	decode  func(r *receiver, b []byte) (h heard, ok bool)
	exact   bool   // goes on where it knows it is; else where the server remembers
	steady  bool   // reads at once, and nothing is done to its wires
	strays  bool   // asks for what it has heard already, too
	recalls uint64 // where the server remembered it before the run; 0: it did not

	// owned by run
	begun  bool
	last   uint64
	lastID string
	epoch  string
	gone   bool   // it was told that its position is not kept any more
	told   []gone // owned by run until the run is over

	since atomic.Int64 // what began after that it is to hear; 0: nothing yet

	mu       sync.Mutex
	hearings []*hearing      // guarded by mu
	texts    map[string]bool // guarded by mu
}

// hearing is what came over one connection.
type hearing struct {
	number int
	exact  bool   // it asked for what follows after
	after  uint64 // and the first that it hears stands right behind
	opened int64  // the order of things: when the upgrade had been answered
	at     time.Time
	lost   uint64 // so many were not kept any more, it was told
	heard  []heard
}

// gone is a position that was refused because what follows is not kept.
type gone struct{ after, head uint64 }

func (w *world) receiver(l *ledger, name string) *receiver {
	r := &receiver{party: w.party(name), ledger: l, texts: map[string]bool{}}
	l.receivers = append(l.receivers, r)
	w.actors = append(w.actors, r.run)
	return r
}

func (r *receiver) has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.texts[text]
}

func (r *receiver) run() {
	for {
		r.manner = plain
		if rough := !r.steady && !r.w.isCalm(); rough {
			r.manner = manner{[...]time.Duration{beat, 10 * beat, 60 * beat}[r.random.IntN(3)], 512 << r.random.IntN(8)}
		}
		if r.strays && r.begun && !r.w.isCalm() && r.chance(60) {
			r.last = uint64(r.random.Int64N(int64(r.last) + 1))
		}
		if r.exact && !r.begun && !r.gone && r.ledger.past > 0 && r.chance(70) { // it was there long ago
			r.begun, r.last = true, r.random.Uint64N(r.ledger.past)
		}
		h := &hearing{exact: r.exact && r.begun, after: r.last}
		s, err := r.connect(r)
		if err == nil {
			r.open(h)
			r.w.trace.add("%s: connection %d, after %d", r.name, h.number, h.after)
			err = r.listen(s, h)
			s.close()
		}
		r.w.trace.add("%s: %v", r.name, err)
		r.judge(err)
		if !r.w.pause(r.between(10*time.Millisecond, 800*time.Millisecond)) {
			return
		}
	}
}

// open notes that the upgrade was answered.
func (r *receiver) open(h *hearing) {
	h.opened, h.at = r.w.order.Add(1), time.Now()
	r.gone = false
	if !r.begun || r.since.Load() == 0 {
		r.since.Store(h.opened)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h.number = len(r.hearings) + 1
	r.hearings = append(r.hearings, h)
}

// judge says whether a connection may end so.
func (r *receiver) judge(err error) {
	var no *refused
	var bye *closed
	switch {
	case errors.As(err, &no) && no.status == http.StatusGone:
		if no.gone("expired") {
			if r.exact {
				r.told = append(r.told, gone{r.last, no.head()})
			}
			r.begun, r.last, r.gone = false, 0, true // it begins anew
			r.since.Store(0)
			return
		}
		r.w.fail(durable, "%s: %s may not go on after %d, which it has: %v", r.ledger.name, r.name, r.last, err)
	case errors.As(err, &no) && !no.passing():
		r.w.fail(other, "%s: %s was refused: %v", r.ledger.name, r.name, err)
	case !errors.As(err, &bye), bye.code == 1001 && strings.HasPrefix(bye.reason, "retry-after-ms="):
	case bye.code == 4008 && !r.steady: // too slow, and told so
	case bye.code == 4010 && bye.reason == "expired": // what it was about to be sent has gone
	case bye.code == 1011 && r.w.troubled(): // the log could not be read
	default:
		r.w.fail(other, "%s: %s was closed with %d %q", r.ledger.name, r.name, bye.code, bye.reason)
	}
}

// listen hears a connection until it ends, one way or another.
func (r *receiver) listen(s *socket, h *hearing) error {
	rough := !r.steady && !r.w.isCalm()
	sleepy := rough && r.chance(30)
	if rough {
		mute := r.chance(10)
		s.pong = func([]byte) bool { return !mute }
		defer r.disturb(s)()
	}
	for {
		b, err := s.next()
		if err != nil {
			return err
		}
		got, ok := r.decode(r, b)
		if !ok {
			r.skipped(h, b)
			continue
		}
		got.at, r.begun = time.Now(), true
		r.mu.Lock()
		h.heard = append(h.heard, got)
		r.texts[got.text] = true
		r.mu.Unlock()
		r.last, r.lastID = max(r.last, got.seq), got.id
		if sleepy && r.chance(20) {
			r.w.doze(r.between(0, 6*time.Second))
		}
	}
}

// skipped takes word of what is not kept any more.
func (r *receiver) skipped(h *hearing, b []byte) {
	var f struct {
		Kind  string
		Count uint64
		Type  any
		Text  string                         // relay's
		Data  struct{ Kind, Message string } // direct's
	}
	if r.exact || json.Unmarshal(b, &f) != nil || f.Kind != "skipped" && f.Type != "notice" && f.Data.Kind != "expired" {
		return
	}
	if n, ok := strings.CutPrefix(f.Text+f.Data.Message, "the oldest of what you missed is not kept any more: "); ok {
		_, _ = fmt.Sscan(n, &f.Count)
	}
	r.mu.Lock()
	h.lost += f.Count
	r.mu.Unlock()
	if r.ledger.kept > 0 {
		r.since.Store(h.opened)
	}
}

// disturb does something to a connection, after a while and at the latest when
// the rough time is over.
func (p *party) disturb(s *socket) (stop func()) {
	does, after, back := p.random.IntN(5), p.between(0, 5*time.Second), p.between(0, 9*time.Second)
	timer := time.AfterFunc(after, func() {
		switch does {
		case 0, 1:
			s.cut()
		case 2:
			s.close()
		case 3, 4: // what was on its way waits, and comes all at once or not at all
			s.stall(does == 3, true)
			time.AfterFunc(back, func() { s.stall(false, false) })
		}
	})
	over := p.w.whenCalm(s.cut)
	return func() {
		timer.Stop()
		over()
	}
}

// audit compares what this receiver heard with what is kept.
func (r *receiver) audit(all []heard, index map[uint64]int, from uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.told {
		if t.after >= from && (r.ledger.kept == 0 || t.head <= t.after+r.ledger.kept) {
			r.w.fail(wholePast, "%s: %s may not go on after %d of %d, and what follows %d is kept", r.ledger.name, r.name, t.after, t.head, from)
		}
	}
	furthest := -1
	for n, c := range r.hearings {
		if n == 0 && r.recalls > 0 && len(c.heard) > 0 && c.heard[0].seq > r.recalls+1+c.lost {
			r.w.fail(wholePast, "%s: the server remembered %s at %d, and sent it %d without saying that something has gone", r.ledger.name, r.name, r.recalls, c.heard[0].seq)
		}
		if !r.exact && len(c.heard) > 0 && furthest >= 0 {
			if i, kept := index[c.heard[0].seq]; kept && all[i].seq > all[furthest].seq+c.lost && i > furthest+1+int(c.lost) {
				r.w.fail(inOrder, "%s: %s let the server remember where it was, had heard %d, and was sent %d next", r.ledger.name, r.name, all[furthest].seq, all[i].seq)
			}
		}
		c.check(r.ledger, r.name, all, index, from)
		for _, h := range c.heard {
			if i, kept := index[h.seq]; kept {
				furthest = max(furthest, i)
			}
		}
	}
	r.check(r.ledger.said)
}

// check compares it with what was said, and when. Needs the ledger's lock.
func (r *receiver) check(all map[string]*said) {
	for _, c := range r.hearings {
		r.missed(c, all)
	}
	since := r.since.Load()
	for _, s := range all {
		if s.due(since) && !r.texts[s.text] {
			r.w.fail(inOrder, "%s: %s never heard %q (%s at %d)", r.ledger.name, r.name, s.text, s.id, s.seq)
		}
	}
	for _, c := range r.hearings {
		for _, h := range c.heard {
			s := all[h.text]
			if s == nil {
				if serverSaid(h.text) {
					continue
				}
				r.w.fail(other, "%s: %s heard %q, which nobody said", r.ledger.name, r.name, h.text)
				continue
			}
			if s.acked == 0 || !r.steady || r.w.troubled() {
				continue
			}
			due := s.at
			if c.at.After(due) {
				due = c.at
			}
			if late := h.at.Sub(due); late > atOnce {
				r.w.fail(unhindered, "%s: %s, who keeps up, heard %q %v after it was acknowledged", r.ledger.name, r.name, h.text, late)
			}
		}
	}
}

// atOnce is how long a message may take to one who keeps up, by the clock of
// the simulation, which computing does not move.
const atOnce = time.Second

// missed looks for what was said after a connection's upgrade had been answered,
// and is not among what it heard although later things are.
func (r *receiver) missed(c *hearing, all map[string]*said) {
	if len(c.heard) == 0 {
		return
	}
	first, last := c.heard[0].seq, c.heard[len(c.heard)-1].seq
	for _, s := range all {
		if s.acked != 0 && s.seq != 0 && s.began > c.opened && s.seq < first && s.seq <= last {
			r.w.fail(upgraded, "%s: the upgrade of %s was answered before %q was said (at %d), and what it heard begins with %d", r.ledger.name, r.name, s.text, s.seq, first)
		}
	}
}
