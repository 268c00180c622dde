package hub

import (
	"context"
	"sync"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// The bounds of one turn at reading: a page, and how much of it is handed to
// a connection at once.
const (
	pageMessages = 256
	pageBytes    = 64 << 10
)

// backlog is what waits to be read from the log. It is as long as there are
// sessions and topics at the most.
type backlog struct {
	mu   sync.Mutex
	more *sync.Cond
	jobs []func(context.Context) // guarded by mu
	done bool                    // guarded by mu
}

func newBacklog() *backlog {
	b := &backlog{}
	b.more = sync.NewCond(&b.mu)
	return b
}

func (b *backlog) push(job func(context.Context)) {
	b.mu.Lock()
	b.jobs = append(b.jobs, job)
	b.mu.Unlock()
	b.more.Signal()
}

// run carries jobs out until ctx ends; several may run it.
func (b *backlog) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		b.mu.Lock()
		b.done = true
		b.mu.Unlock()
		b.more.Broadcast()
	})()
	for {
		b.mu.Lock()
		for len(b.jobs) == 0 && !b.done {
			b.more.Wait()
		}
		if b.done {
			b.mu.Unlock()
			return
		}
		job := b.jobs[0]
		b.jobs[0] = nil
		b.jobs = b.jobs[1:]
		b.mu.Unlock()
		job(ctx)
	}
}

// read gives a session that catches up its next turn.
func (h *Hub) read(s *Session) {
	h.work.push(func(ctx context.Context) { h.turn(ctx, s) })
}

// page is what follows seq in topic: from the ring where it reaches back that
// far, else from the log.
func (h *Hub) page(ctx context.Context, topic string, seq uint64) ([]*journal.Message, error) {
	if ms := h.ring.read(topic, seq, pageMessages); len(ms) > 0 {
		return ms, nil
	}
	return h.log.Read(ctx, topic, seq, pageMessages)
}

// turn reads one page for a session and hands it over. At the end of what
// there is it asks the shard whether that is the present.
func (h *Hub) turn(ctx context.Context, s *Session) {
	if s.closed.Load() {
		return
	}
	if s.Skip && s.slow.Load() {
		s.shard.box.put(item{command: func(sh *shard) { sh.skip(s) }})
		return
	}
	ms, err := h.page(ctx, s.Topic, s.pos.Load())
	if err != nil {
		if ctx.Err() == nil {
			h.o.Log.Error("a session cannot catch up", "topic", s.Topic, "after", s.pos.Load(), "error", err)
			s.Conn.Close(status.Internal.Close(), "what was missed cannot be read; come back later")
		}
		return
	}
	frames, last := s.encode(nil, ms, pageBytes)
	if len(frames) > 0 && !s.Conn.Send(frames) {
		s.wait()
		return
	}
	s.pos.Store(last)
	if len(ms) > 0 && last < ms[len(ms)-1].Seq(s.Topic) || len(ms) == pageMessages {
		h.read(s)
		return
	}
	s.shard.box.put(item{command: func(sh *shard) { sh.arrive(s) }})
}

// fetch reads what a topic's shard missed, and brings it there.
func (h *Hub) fetch(sh *shard, topic string, after uint64) {
	h.counts.behind.Add(1)
	h.work.push(func(ctx context.Context) {
		ms, err := h.page(ctx, topic, after)
		sh.box.put(item{command: func(sh *shard) { sh.fetched(topic, ms, err) }})
	})
}
