package hub

import (
	"sync"

	"github.com/kabar-io/kabar/internal/journal"
)

// op is what an item asks of its shard.
type op byte

const (
	opHear        op = iota // a message at its place in topic, told where seq is 0
	opHold                  // session is about to join its topic
	opRelease               // and does not
	opSubscribe             // and does; seq is where the log stood after the hold
	opUnsubscribe           // session has gone
	opArrive                // session has read to its position
	opSkip                  // session is too slow, and loses what it missed
	opDo                    // command
)

// item is one thing for a shard to do.
type item struct {
	topic   string
	seq     uint64
	message *journal.Message
	session *Session
	command func(*shard) // where it is given with a message, it takes the message's place
	op      op
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

// maxSpare is how many items the array may have that a shard keeps for the next ones.
const maxSpare = 4096

func newMailbox(most int) *mailbox {
	return &mailbox{wake: make(chan struct{}, 1), most: most}
}

// put adds an item; false where it is a message and was dropped.
func (b *mailbox) put(it item) bool {
	b.mu.Lock()
	if it.message != nil {
		if b.count >= b.most || it.seq == 0 && b.count >= b.most/2 { // what is told must not crowd out what is kept
			if it.seq > 0 {
				if b.behind == nil {
					b.behind = map[string]uint64{}
				}
				b.behind[it.topic] = it.seq
			}
			b.mu.Unlock()
			return false
		}
		b.count++
	}
	b.items = append(b.items, it)
	first := len(b.items) == 1
	b.mu.Unlock()
	if first { // whoever put the first has woken the shard, which takes all
		signal(b.wake)
	}
	return true
}

// take empties the box into spare.
func (b *mailbox) take(spare []item) (items []item, behind map[string]uint64) {
	if cap(spare) > maxSpare {
		spare = nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	items, behind = b.items, b.behind
	b.items, b.count, b.behind = spare[:0], 0, nil
	return items, behind
}
