package hub

import (
	"slices"
	"sync"

	"github.com/kabar-io/kabar/internal/journal"
)

// ring holds the newest messages of all topics under one budget of bytes, so
// that who was away for a moment is served without the disk.
type ring struct {
	budget int // static

	mu     sync.RWMutex
	topics map[string]newest // guarded by mu
	order  []held            // guarded by mu; oldest first
	gone   int               // guarded by mu; how many of order are dropped already
	bytes  int               // guarded by mu
}

// newest are a topic's messages up to the number last, without a hole. The
// numbers are counted from there: looking for one in each message would make a
// message with many entries cost their square.
type newest struct {
	messages []*journal.Message // oldest first
	last     uint64
}

type held struct {
	topic string
	size  int
}

// perEntry is about what a place in a topic takes beside the message.
const perEntry = 60

func newRing(budget int) *ring {
	return &ring{budget: budget, topics: map[string]newest{}}
}

// add keeps a message in each of its topics, and drops the oldest over budget.
func (r *ring) add(ms []*journal.Message) {
	if r.budget <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range ms {
		for _, e := range m.Entries {
			kept := r.topics[e.Topic]
			if kept.last != e.Seq-1 {
				kept.messages = nil // a hole: what is held must be without one
			}
			r.topics[e.Topic] = newest{append(kept.messages, m), e.Seq}
			size := perEntry + (len(m.Data)+200)/len(m.Entries)
			r.order = append(r.order, held{e.Topic, size})
			r.bytes += size
		}
	}
	for r.bytes > r.budget && r.gone < len(r.order) {
		h := r.order[r.gone]
		r.order[r.gone] = held{}
		r.gone++
		r.bytes -= h.size
		if kept := r.topics[h.topic]; len(kept.messages) > 1 {
			kept.messages[0] = nil
			r.topics[h.topic] = newest{kept.messages[1:], kept.last}
		} else {
			delete(r.topics, h.topic)
		}
	}
	if r.gone > 1024 && r.gone > len(r.order)/2 {
		n := copy(r.order, r.order[r.gone:])
		clear(r.order[n:])
		r.order, r.gone = r.order[:n], 0
	}
}

// read returns what follows seq after in topic, at most limit; nothing where
// the ring does not reach back that far.
func (r *ring) read(topic string, after uint64, limit int) []*journal.Message {
	r.mu.RLock()
	defer r.mu.RUnlock()
	kept := r.topics[topic]
	n := uint64(len(kept.messages))
	if after >= kept.last || kept.last-after > n {
		return nil
	}
	ms := kept.messages[n-(kept.last-after):]
	return append([]*journal.Message(nil), ms[:min(limit, len(ms))]...)
}

// amend lets go of what is not to be read any more, or not as it was.
func (r *ring) amend(a journal.Amended) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range a.Messages {
		for _, e := range m.Entries {
			kept := r.topics[e.Topic]
			if n := uint64(len(kept.messages)); e.Seq <= kept.last && kept.last-e.Seq < n {
				kept.messages[n-1-(kept.last-e.Seq)] = m
			}
		}
	}
	for _, f := range a.Floors {
		kept, ok := r.topics[f.Topic]
		n := uint64(len(kept.messages))
		if first := kept.last + 1 - n; !ok || f.Seq <= first {
			continue
		}
		if f.Seq > kept.last {
			delete(r.topics, f.Topic)
			continue
		}
		// A new slice: the old one's array would go on holding them.
		r.topics[f.Topic] = newest{slices.Clone(kept.messages[n-(kept.last+1-f.Seq):]), kept.last}
	}
}
