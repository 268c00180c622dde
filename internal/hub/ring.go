package hub

import (
	"sync"

	"github.com/kabar-io/kabar/internal/journal"
)

// ring holds the newest messages of all topics under one budget of bytes, so
// that who was away for a moment is served without the disk.
type ring struct {
	budget int // static

	mu     sync.RWMutex
	topics map[string][]*journal.Message // guarded by mu; each without a hole, oldest first
	order  []held                        // guarded by mu; oldest first
	gone   int                           // guarded by mu; how many of order are dropped already
	bytes  int                           // guarded by mu
}

type held struct {
	topic string
	size  int
}

func newRing(budget int) *ring {
	return &ring{budget: budget, topics: map[string][]*journal.Message{}}
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
			if n := len(kept); n > 0 && kept[n-1].Seq(e.Topic) != e.Seq-1 {
				kept = nil // a hole: what is held must be without one
			}
			size := len(m.Data) + 200
			r.topics[e.Topic] = append(kept, m)
			r.order = append(r.order, held{e.Topic, size})
			r.bytes += size
		}
	}
	for r.bytes > r.budget && r.gone < len(r.order) {
		h := r.order[r.gone]
		r.order[r.gone] = held{}
		r.gone++
		r.bytes -= h.size
		if kept := r.topics[h.topic]; len(kept) > 1 {
			kept[0] = nil
			r.topics[h.topic] = kept[1:]
		} else {
			delete(r.topics, h.topic)
		}
	}
	if r.gone > 1024 && r.gone > len(r.order)/2 {
		r.order = append([]held(nil), r.order[r.gone:]...)
		r.gone = 0
	}
}

// read returns what follows seq after in topic, at most limit; nothing where
// the ring does not reach back that far.
func (r *ring) read(topic string, after uint64, limit int) []*journal.Message {
	r.mu.RLock()
	defer r.mu.RUnlock()
	kept := r.topics[topic]
	if len(kept) == 0 {
		return nil
	}
	first := kept[0].Seq(topic)
	if after+1 < first || after+1-first >= uint64(len(kept)) {
		return nil
	}
	kept = kept[after+1-first:]
	return append([]*journal.Message(nil), kept[:min(limit, len(kept))]...)
}
