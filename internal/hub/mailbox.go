package hub

import (
	"sync"

	"github.com/kabar-io/kabar/internal/journal"
)

// item is one thing for a shard to do: a message at its place in a topic, or
// a command.
type item struct {
	topic   string
	seq     uint64
	message *journal.Message
	command func(*shard)
	then    func(heard int) // of a message that is told; nil: nobody asks
}

// mailbox is a shard's queue. Commands always enter; messages that find it
// full are dropped, and their topics noted, to be read from the log.
type mailbox struct {
	wake chan struct{}
	most int // static: how many messages may wait

	mu     sync.Mutex
	items  []item            // guarded by mu
	count  int               // guarded by mu: messages among items
	behind map[string]uint64 // guarded by mu: the newest seq dropped of each topic
}

func newMailbox(most int) *mailbox {
	return &mailbox{wake: make(chan struct{}, 1), most: most}
}

// put adds items; false where a message among them was dropped.
func (b *mailbox) put(its ...item) bool {
	all := true
	b.mu.Lock()
	for _, it := range its {
		if it.message != nil {
			if b.count >= b.most || it.seq == 0 && b.count >= b.most/2 { // what is told must not crowd out what is kept
				if it.seq > 0 {
					if b.behind == nil {
						b.behind = map[string]uint64{}
					}
					b.behind[it.topic] = it.seq
				}
				all = false
				continue
			}
			b.count++
		}
		b.items = append(b.items, it)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return all
}

// take empties the box into spare.
func (b *mailbox) take(spare []item) (items []item, behind map[string]uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items, behind = b.items, b.behind
	b.items, b.count, b.behind = spare[:0], 0, nil
	return items, behind
}
