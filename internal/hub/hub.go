package hub

import (
	"context"
	"hash/maphash"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// Options says how a hub works. The zero value is right for most.
type Options struct {
	Shards    int           // 0: one a core
	Ring      int           // bytes of the newest messages kept in memory; 0: 64 MiB, less than 0: none
	Queue     int           // messages that may wait for a shard; 0: 65,536
	Readers   int           // sessions that read from the log at once; 0: 4
	Settle    time.Duration // least time between two presence messages of a topic; 0: 1 s
	Retention func(topic string) uint64
	// Retention is how many of a topic's newest messages can be asked for
	// with After and Last, of those that are kept; All for every one. nil: all
	// of all topics.
	Log *slog.Logger // nil: slog.Default()

	// Occupied hears that the first client of a topic came, and that the last
	// one went and nobody came back within Linger (0: 3 s). It is called by the
	// topic's shard, and must not wait. nil: nobody asks.
	Occupied func(topic string, here bool)
	Linger   time.Duration
}

// All is the Retention of a topic that keeps everything.
const All = math.MaxUint64

// Hub owns the shards and what is known of all sessions.
type Hub struct {
	// static
	o      Options
	made   time.Time
	log    Log
	seed   maphash.Seed
	shards []*shard
	ring   *ring
	work   *backlog
	creds  credentials
	counts counts
	crowd  int // a group of that many sessions is sent to by all shards
}

// counts are the hub's counters.
type counts struct {
	sessions, deliveries, fallbacks, skipped, behind, resumed atomic.Int64
}

// Stats is what a hub holds and did.
type Stats struct {
	Sessions   int64 // connected now
	Deliveries int64 // messages handed to live sessions, joined or not
	Fallbacks  int64 // times a live session could not keep up
	Skipped    int64 // messages lost by sessions that chose to
	Behind     int64 // times a topic was read from the log, because its shard could not keep up
	Resumed    int64 // sessions that caught up and became live
	Ended      int64 // sessions closed because what they rested on ended
}

// New makes a hub that catches up from log.
func New(log Log, o Options) *Hub {
	if o.Shards == 0 {
		o.Shards = runtime.GOMAXPROCS(0)
	}
	if o.Ring == 0 {
		o.Ring = 64 << 20
	}
	if o.Queue == 0 {
		o.Queue = 1 << 16
	}
	if o.Readers == 0 {
		o.Readers = 4
	}
	if o.Settle == 0 {
		o.Settle = time.Second
	}
	if o.Linger == 0 {
		o.Linger = 3 * time.Second
	}
	if o.Retention == nil {
		o.Retention = func(string) uint64 { return All }
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	h := &Hub{o: o, made: time.Now(), log: log, seed: maphash.MakeSeed(), ring: newRing(o.Ring), work: newBacklog(), crowd: crowdSessions}
	log.Watch(h.ring.amend)
	h.creds.init()
	for range o.Shards {
		h.shards = append(h.shards, newShard(h))
	}
	return h
}

// Run works until ctx ends. Sessions that are left are forgotten, not closed:
// Close does that.
func (h *Hub) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range h.shards {
		wg.Go(func() { s.run(ctx) })
	}
	for range h.o.Readers {
		wg.Go(func() { h.work.run(ctx, h.do) })
	}
	wg.Go(func() { h.creds.expire(ctx) })
	wg.Wait()
	return nil
}

func (h *Hub) shardOf(topic string) *shard {
	return h.shards[maphash.String(h.seed, topic)%uint64(len(h.shards))]
}

// Publish hands committed messages to the shards, in order, and ends the
// sessions whose credential ends with them. It does not wait.
func (h *Hub) Publish(ms []*journal.Message) {
	h.ring.add(ms)
	for _, m := range ms {
		for _, e := range m.Entries {
			h.shardOf(e.Topic).box.put(item{topic: e.Topic, seq: e.Seq, message: m})
		}
	}
	for _, m := range ms {
		if m.Ends != "" {
			h.creds.end(m)
		}
	}
}

// Tell says something to those who hear topic at this moment, and keeps
// nothing: who is away misses it. It takes the way of what is kept from the
// shard on. then, where it is not nil, gets how many sessions were told
// something in their dialect; it is called once, soon, and must not wait.
func (h *Hub) Tell(topic string, m *journal.Message, then func(heard int)) {
	it := item{topic: topic, message: m}
	if then != nil {
		it.command = func(sh *shard) {
			n := 0
			if t := sh.topics[topic]; t != nil {
				n = t.tell(m, true)
			}
			then(n)
		}
	}
	if !h.shardOf(topic).box.put(it) && then != nil {
		then(0)
	}
}

// Start is where in its topic a session begins.
type Start struct {
	kind startKind
	n    uint64
	gone string // why no session begins there
}

type startKind byte

const (
	startNow startKind = iota
	startAfter
	startLast
	startKept
	startGone
)

// Now begins with what is said from now on.
func Now() Start { return Start{} }

// After begins with what follows seq; 0 is the beginning.
func After(seq uint64) Start { return Start{kind: startAfter, n: seq} }

// Last begins with the newest n messages.
func Last(n uint64) Start { return Start{kind: startLast, n: n} }

// GoneError says why a position cannot be served, and where the topic stands.
type GoneError struct {
	Reason string // "expired", "epoch", "ahead"
	Head   uint64
}

func (e *GoneError) Error() string { return "that position cannot be served: " + e.Reason }

// Unwrap makes it known to clients as a 410.
func (e *GoneError) Unwrap() error {
	return status.Errorf(status.Gone, e.Reason, "that position cannot be served (%s); the newest is %d", e.Reason, e.Head)
}

// Subscribe adds the session. When it returns, the session hears everything
// that is published after; its connection may be sent to already. The error is
// a *GoneError, ErrEnded, ErrClosing, or the log's.
func (h *Hub) Subscribe(ctx context.Context, s *Session, from Start) error {
	_, err := h.Begin(ctx, s, from)
	return err
}

// Begin is Subscribe, and says where the session begins.
func (h *Hub) Begin(ctx context.Context, s *Session, from Start) (b Began, err error) {
	s.shard = h.shardOf(s.Topic)
	// From here on the shard hears of the topic: what is said between reading
	// its head and joining it would be nobody's otherwise.
	s.shard.box.put(item{op: opHold, session: s})
	defer func() {
		if err != nil {
			s.shard.box.put(item{op: opRelease, session: s})
		}
	}()
	head, err := h.log.Head(ctx, s.Topic)
	if err != nil {
		return b, err
	}
	floor, err := h.log.Floor(ctx, s.Topic)
	if err != nil {
		return b, err
	}
	if b, err = h.start(s.Topic, from, head, floor); err != nil {
		return b, err
	}
	s.pos.Store(b.Position)
	h.begin(s)
	if err := h.creds.add(s); err != nil {
		return b, err
	}
	h.count(s, 1)
	if b.Lost > 0 {
		s.tell(expired(b.Lost)) // the first thing it is sent: there is room
	}
	s.shard.box.put(item{op: opSubscribe, session: s, seq: head})
	return b, nil
}

// start finds where a session begins by from, given where the topic begins and
// ends.
func (h *Hub) start(topic string, from Start, head, floor uint64) (Began, error) {
	kept := min(h.o.Retention(topic), head-min(head, floor-1))
	at := func(pos uint64) (Began, error) { return Began{Position: pos, Head: head}, nil }
	switch from.kind {
	case startGone:
		return Began{}, &GoneError{from.gone, head}
	case startAfter, startKept:
		switch first := head - kept; {
		case from.n > head:
			return Began{}, &GoneError{"ahead", head}
		case from.n >= first:
			return at(from.n)
		case from.kind == startKept:
			return Began{Position: first, Head: head, Lost: first - from.n}, nil
		}
		return Began{}, &GoneError{"expired", head}
	case startLast:
		return at(head - min(from.n, kept))
	default: // startNow
		return at(head)
	}
}

// Unsubscribe takes the session out. It may be called more than once; the first
// one returns true.
func (h *Hub) Unsubscribe(s *Session) bool {
	if s.flags.Or(closed)&closed != 0 {
		return false
	}
	h.count(s, -1)
	h.creds.remove(s)
	s.shard.box.put(item{op: opUnsubscribe, session: s})
	return true
}

// count keeps the number of connected clients.
func (h *Hub) count(s *Session, n int64) {
	if s.Inside == 0 {
		h.counts.sessions.Add(n)
	}
}

// Close refuses new sessions, and returns the connections of those that are
// there, for the caller to close: each client's once, and not what it hears
// beside its own.
func (h *Hub) Close() []Conn {
	var conns []Conn
	for _, s := range h.creds.close() {
		if s.Inside != Beside {
			conns = append(conns, s.Conn)
		}
	}
	return conns
}

// Stats is what the hub holds and did so far.
func (h *Hub) Stats() Stats {
	c := &h.counts
	return Stats{
		Sessions: c.sessions.Load(), Deliveries: c.deliveries.Load(), Fallbacks: c.fallbacks.Load(), Skipped: c.skipped.Load(),
		Behind: c.behind.Load(), Resumed: c.resumed.Load(), Ended: h.creds.ended.Load(),
	}
}
