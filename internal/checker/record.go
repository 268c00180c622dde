package checker

import (
	"slices"
	"sync"
	"time"
)

// A pong may not reach the server, and what the server knows from it may not
// be kept when it is killed. How many pings, of its own clock, must have come
// since a pong for it to count as heard, and as kept: which pings, because no
// clock here says how fast a busy machine is.
const (
	heardAfter = 5
	keptAfter  = 20
	pingEvery  = 200 * time.Millisecond // what the server is told
)

// frame is what a receiver was sent, whatever the dialect.
type frame struct {
	seq   uint64
	epoch string // "" where the dialect says none
	id    string
	text  string
	other bool // not one of the messages that are counted here
}

// sighting is a message as a receiver saw it.
type sighting struct {
	item item
	id   string
	seq  uint64
	conn int // on which of its connections
}

// pong is an answered ping.
type pong struct {
	seq   uint64
	life  int // of which life of the server
	since int // pings since
	heard bool
}

// traits are what a receiver's dialect makes of its stream.
type traits struct {
	loose bool            // frames before the first message may have holes: what its own user did is not told
	gaps  bool            // numbers have holes everywhere: not all that has one makes a frame
	live  bool            // it hears only what is said while it is connected
	only  func(item) bool // what of its ledger it is to hear, nil for all
}

// place is where a receiver has got to.
type place struct {
	last   uint64 // the newest number
	lastID string // the newest message
	lastAt uint64 // and its number
	epoch  string
}

// record is what one receiver saw, over all of its connections. It keeps the
// rules of a client: it says from where it goes on, drops only the repeats
// that the contract allows, and reports everything else.
type record struct {
	// static
	ledger *ledger
	name   string
	topic  string // whose numbers its frames carry, "" for none
	traits

	mu    sync.Mutex
	seen  []sighting          // guarded by mu
	items map[item][]sighting // guarded by mu
	over  bool                // guarded by mu: it will see no more
	gone  bool                // guarded by mu: it was refused, and what it missed says nothing more
	lacks []item              // guarded by mu: what was missing when it was last counted
	known int                 // guarded by mu: and how many were acknowledged then

	// owned by the receiver
	place
	pongs   []pong
	life    int       // of the server, on this connection
	conn    int       // how often it connected
	counted time.Time // the last ping that counted
	base    uint64    // the number of the first message
	cur     uint64    // the last number on this connection, 0 for none yet
	repeats bool      // this connection may begin with what was seen
	floor   uint64    // and then after this number only
}

func (l *ledger) record(name, topic string) *record {
	r := &record{ledger: l, name: name, topic: topic, items: map[item][]sighting{}}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
	return r
}

func (r *record) ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

func (r *record) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}

func (r *record) giveUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
}

func (r *record) missing(acked map[item]ack) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known != len(acked) { // else what was there is there
		r.known, r.lacks = len(acked), r.lacks[:0]
		for i := range acked {
			r.lacks = append(r.lacks, i)
		}
	}
	r.lacks = slices.DeleteFunc(r.lacks, func(i item) bool { return !r.wants(i) || len(r.items[i]) > 0 })
	return len(r.lacks)
}

// wants says whether an item must come, whenever it is said.
func (r *record) wants(i item) bool { return !r.live && (r.only == nil || r.only(i)) }

// connected begins a connection that goes on exactly after a number or, with
// repeats, somewhere between the last pong and there. life counts the server's
// lives.
func (r *record) connected(after uint64, repeats bool, life int) {
	r.cur, r.repeats, r.life, r.counted, r.floor = after, repeats, life, time.Now(), 0
	r.conn++
	if !repeats {
		r.pongs = nil // nobody asks
		return
	}
	r.cur = 0
	r.pongs = slices.DeleteFunc(r.pongs, func(p pong) bool { return p.life != life && p.since < keptAfter })
	for _, p := range r.pongs {
		r.floor = max(r.floor, p.seq)
	}
}

// disconnected ends a connection. A pong of its last moments counts for nothing.
func (r *record) disconnected() {
	for i := range r.pongs {
		r.pongs[i].heard = r.pongs[i].heard || r.pongs[i].since >= heardAfter
	}
	r.pongs = slices.DeleteFunc(r.pongs, func(p pong) bool { return !p.heard })
}

// ping notes the position of a ping: the answer proves that everything up to
// it has come.
func (r *record) ping(seq uint64) {
	if first := r.repeats && r.cur == 0; seq > r.cur && r.settled() && !first {
		r.ledger.found.add(Lost, "%s got a ping with position %d when the newest frame was %d: the answer would acknowledge what never came", r.name, seq, r.cur)
	}
	if r.ledger.found.sick.Load() {
		for i := range r.pongs {
			if r.pongs[i].since < keptAfter {
				r.pongs[i].since = 0
			}
		}
	} else if time.Since(r.counted) >= pingEvery/2 { // pings that waited here together show no time
		r.counted = time.Now()
		for i := range r.pongs {
			if r.pongs[i].life == r.life {
				r.pongs[i].since++
			}
		}
	}
	// Of those that are kept the newest says it all.
	if i := slices.IndexFunc(r.pongs, func(p pong) bool { return p.since < keptAfter }); i > 1 {
		r.pongs = slices.Delete(r.pongs, 0, i-1)
	}
	r.pongs = append(r.pongs, pong{seq: seq, life: r.life})
}

// settled says whether holes count already.
func (r *record) settled() bool { return !r.gaps && (!r.loose || r.lastID != "") }

// take notes a frame.
func (r *record) take(f frame) {
	found := r.ledger.found
	if f.epoch != "" {
		if r.epoch != "" && r.epoch != f.epoch {
			found.add(Other, "%s: the epoch was %s and is %s now", r.name, r.epoch, f.epoch)
		}
		r.epoch = f.epoch
	}
	repeat := false
	if r.topic != "" {
		if f.seq == 0 {
			found.add(Other, "%s: a frame without seq: %.100q", r.name, f.text)
			return
		}
		repeat = r.inOrder(f)
		if f.id != "" {
			r.ledger.number(r.name, r.topic, f.seq, f.id)
		}
		r.cur, r.last = f.seq, max(r.last, f.seq)
	}
	if !f.other && !repeat {
		r.see(f)
	}
}

// inOrder judges a frame's number; repeat is that it is an allowed one.
func (r *record) inOrder(f frame) (repeat bool) {
	found, settled := r.ledger.found, r.settled()
	switch {
	case !settled && !r.gaps:
		return f.seq <= r.last
	case r.repeats && r.cur == 0: // the first of a connection that may repeat
		if settled && f.seq > r.last+1 {
			found.add(Lost, "%s came back having seen %d, and the first frame was %d", r.name, r.last, f.seq)
		}
		if f.seq <= r.floor {
			found.add(Doubled, "%s acknowledged %d with a pong, and after a reconnect got %d again", r.name, r.floor, f.seq)
		}
		return f.seq <= r.last
	case settled && f.seq > r.cur+1 && f.seq > r.base:
		found.add(Lost, "%s: a hole: %d after %d (%.60q)", r.name, f.seq, r.cur, f.text)
	case f.seq <= r.cur:
		found.add(Swapped, "%s: %d came after %d (%.60q)", r.name, f.seq, r.cur, f.text)
	}
	return r.repeats && f.seq <= r.last
}

// see counts a message.
func (r *record) see(f frame) {
	i, ok := parse(f.text)
	if !ok {
		r.ledger.found.add(Other, "%s saw what nobody said: %.100q (%s)", r.name, f.text, f.id)
		return
	}
	if r.only != nil && !r.only(i) {
		r.ledger.found.add(Other, "%s saw %v, which is not for it: %.100q (%s)", r.name, i, f.text, f.id)
		return
	}
	s := sighting{i, f.id, f.seq, r.conn}
	r.mu.Lock()
	r.seen = append(r.seen, s)
	before := r.items[i]
	r.items[i] = append(before, s)
	r.mu.Unlock()
	if len(before) > 0 {
		r.ledger.found.add(Doubled, "%s saw %v as %s (seq %d) and as %s (seq %d)", r.name, i, before[0].id, before[0].seq, f.id, f.seq)
	}
	r.lastID, r.lastAt = f.id, f.seq
	if r.loose && len(r.seen) == 1 {
		r.base = f.seq
	}
}
