package ws

import "sync/atomic"

const (
	chunkSlots = 1 << 11
	maxChunks  = 1 << 10
	maxSlots   = chunkSlots * maxChunks
)

// table holds the connections by slot. Who reads it takes no lock, as the poller
// does for each event; who writes it holds the Server's.
type table struct {
	chunks [maxChunks]atomic.Pointer[chunk]
}

type chunk [chunkSlots]atomic.Pointer[Conn]

func (t *table) get(slot int32) *Conn {
	if k := t.chunks[slot/chunkSlots].Load(); k != nil {
		return k[slot%chunkSlots].Load()
	}
	return nil
}

func (t *table) set(slot int32, c *Conn) {
	at := &t.chunks[slot/chunkSlots]
	k := at.Load()
	if k == nil {
		k = new(chunk)
		at.Store(k)
	}
	k[slot%chunkSlots].Store(c)
}
