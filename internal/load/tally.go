package load

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// taken is set in a message's mark once the server has answered for it; the
// rest of a mark counts who heard it.
const taken = 1 << 31

// tally is the account of a run. All may write to it at once.
type tally struct {
	marks []atomic.Uint32 // static; of each message

	// Set once, before the first message is due.
	hearers atomic.Int64 // of each message
	warm    atomic.Int64 // since the run began: what was due earlier is not measured

	due, sent, unsent      atomic.Int64 // messages: each that is due is sent or not
	acked, refused         atomic.Int64 // each that is sent is taken or not
	delivered, repeated    atomic.Int64
	joined, rejoined, here atomic.Int64 // connections: the first of each client, later ones, and those that are there now
	connect, lately        histogram    // lately: every arrival, measured or not
	measured               measured
	refusals               reasons // of connections
	closes                 reasons
	errors                 reasons // of messages
}

// measured is about what was due after the warm-up.
type measured struct {
	acked, heard atomic.Int64
	last         atomic.Int64 // arrival, since the run began
	ack, arrival histogram
}

// reasons counts troubles by what they say.
type reasons struct {
	total atomic.Int64

	mu sync.Mutex
	of map[string]int64 // guarded by mu
}

// mostReasons bounds what a server may have to say.
const mostReasons = 50

func (r *reasons) note(what string, n int) {
	r.total.Add(int64(n))
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.of[what]; !known && len(r.of) >= mostReasons {
		what = "others"
	}
	if r.of == nil {
		r.of = map[string]int64{}
	}
	r.of[what] += int64(n)
}

func (r *reasons) noted() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		return map[string]int64{}
	}
	return maps.Clone(r.of)
}

// troubles is how many there were so far.
func (t *tally) troubles() int64 {
	return t.refusals.total.Load() + t.closes.total.Load() + t.errors.total.Load()
}

// owed notes that the server has answered for a message: now everybody is to
// hear it.
func (t *tally) owed(m message) {
	if t.marks[m.n].Or(taken)&taken == 0 {
		t.acked.Add(1)
		if int64(m.at) >= t.warm.Load() {
			t.measured.acked.Add(1)
		}
	}
}

// disowned notes that a message is not owed after all.
func (t *tally) disowned(m message) {
	if t.marks[m.n].And(^uint32(taken))&taken != 0 {
		t.acked.Add(-1)
		if int64(m.at) >= t.warm.Load() {
			t.measured.acked.Add(-1)
		}
	}
}

// acknowledged notes the answer to a message.
func (t *tally) acknowledged(m message, now time.Duration) {
	t.owed(m)
	if int64(m.at) >= t.warm.Load() {
		t.measured.ack.add(now - m.at)
	}
}

// notTaken notes messages that the server refused.
func (t *tally) notTaken(why string, messages int) {
	t.refused.Add(int64(messages))
	t.errors.note(why, messages)
}

// notSent notes a message that could not be sent.
func (t *tally) notSent(why string) {
	t.unsent.Add(1)
	t.errors.note(why, 1)
}

// heard notes that one of those who are to hear a message did.
func (t *tally) heard(m message, now time.Duration) {
	if int64(t.marks[m.n].Add(1)&^taken) > t.hearers.Load() {
		t.repeated.Add(1)
		return
	}
	t.delivered.Add(1)
	t.lately.add(now - m.at)
	if int64(m.at) >= t.warm.Load() {
		t.measured.heard.Add(1)
		t.measured.last.Store(int64(now))
		t.measured.arrival.add(now - m.at)
	}
}

// missing is how many deliveries of messages that the server answered for did
// not come.
func (t *tally) missing() int64 {
	missing := int64(0)
	for i := range t.marks {
		if mark := t.marks[i].Load(); mark&taken != 0 {
			missing += max(t.hearers.Load()-int64(mark&^taken), 0)
		}
	}
	return missing
}

// complete says whether all that was due is sent, answered and heard.
func (t *tally) complete() bool {
	acked := t.acked.Load()
	return t.sent.Load()+t.unsent.Load() >= t.due.Load() && acked+t.refused.Load() >= t.sent.Load() && t.delivered.Load() >= acked*t.hearers.Load()
}
