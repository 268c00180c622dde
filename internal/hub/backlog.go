package hub

import (
	"context"
	"errors"
	"fmt"
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

// task is one page to read: for a session that catches up, or for a shard that
// missed something of a topic.
type task struct {
	session *Session // nil where it is for a shard
	shard   *shard
	topic   string
	after   uint64
}

// backlog is what waits to be read from the log. It is as long as there are
// sessions and topics at the most.
type backlog struct {
	mu   sync.Mutex
	more *sync.Cond
	jobs []task // guarded by mu
	done bool   // guarded by mu
}

func newBacklog() *backlog {
	b := &backlog{}
	b.more = sync.NewCond(&b.mu)
	return b
}

func (b *backlog) push(job task) {
	b.mu.Lock()
	b.jobs = append(b.jobs, job)
	b.mu.Unlock()
	b.more.Signal()
}

// run carries jobs out until ctx ends; several may run it.
func (b *backlog) run(ctx context.Context, do func(context.Context, task)) {
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
		b.jobs[0] = task{}
		b.jobs = b.jobs[1:]
		b.mu.Unlock()
		do(ctx, job)
	}
}

// read gives a session that catches up its next turn.
func (h *Hub) read(s *Session) { h.work.push(task{session: s}) }

// fetch reads what a topic's shard missed, and brings it there.
func (h *Hub) fetch(sh *shard, topic string, after uint64) {
	h.counts.behind.Add(1)
	h.work.push(task{shard: sh, topic: topic, after: after})
}

func (h *Hub) do(ctx context.Context, t task) {
	if t.session != nil {
		h.turn(ctx, t.session)
		return
	}
	ms, err := h.page(ctx, t.topic, t.after)
	if errors.Is(err, journal.ErrExpired) {
		var floor uint64
		if floor, err = h.log.Floor(ctx, t.topic); err == nil {
			t.shard.box.put(item{op: opDo, command: func(sh *shard) { sh.expired(t.topic, floor) }})
			return
		}
	}
	t.shard.box.put(item{op: opDo, command: func(sh *shard) { sh.fetched(t.topic, ms, err) }})
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
	if s.closed() {
		return
	}
	if s.Skip && s.slow {
		s.shard.box.put(item{op: opSkip, session: s})
		return
	}
	ms, err := h.page(ctx, s.Topic, s.pos.Load())
	if errors.Is(err, journal.ErrExpired) {
		if s.Skip || s.Inside == Own { // what is lost to it is not looked for, or it looks for itself
			s.shard.box.put(item{op: opSkip, session: s})
			return
		}
		s.expired()
		return
	}
	if err != nil {
		if ctx.Err() == nil {
			h.o.Log.Error("a session cannot catch up", "topic", s.Topic, "after", s.pos.Load(), "error", err)
			why := "what was missed cannot be read; come back later"
			if pos := s.pos.Load(); errors.Is(err, journal.ErrDamaged) {
				why = fmt.Sprintf("number %d is damaged; what follows it can be had by coming back after it", pos+1)
			}
			s.Conn.Close(status.Internal.Close(), why)
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
	s.shard.box.put(item{op: opArrive, session: s})
}
