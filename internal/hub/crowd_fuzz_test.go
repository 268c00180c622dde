package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
)

// TestWhateverTheOrder: sessions come, go, refuse, drain, are excepted and
// catch up, shards and readers have their turns in any order, and some of what
// is said is not published. Everybody hears all of theirs once and in order,
// and a position never moves back.
func TestWhateverTheOrder(t *testing.T) {
	for seed := range uint64(300) {
		d := newDisorder(t, seed)
		for range 150 {
			d.step()
			d.positions()
		}
		d.calm()
		for i := range d.hearers {
			d.heardAll(i)
		}
		d.nothingStays()
		if t.Failed() {
			return
		}
	}
}

// kept is a log of one topic, in memory.
type kept struct{ ms []*journal.Message }

func (l *kept) Epoch() string                                 { return "e" }
func (l *kept) Head(context.Context, string) (uint64, error)  { return uint64(len(l.ms)), nil }
func (l *kept) Floor(context.Context, string) (uint64, error) { return 1, nil }
func (l *kept) Watch(func(journal.Amended))                   {}
func (l *kept) Read(_ context.Context, _ string, after uint64, limit int) ([]*journal.Message, error) {
	ms := l.ms[min(after, uint64(len(l.ms))):]
	return append([]*journal.Message(nil), ms[:min(limit, len(ms))]...), nil
}

// narrow is a connection that takes so many sends until it has room again.
type narrow struct {
	list
	room    int
	refused bool
}

func (n *narrow) Send(frames ...[]byte) bool { return n.takes() && n.list.Send(frames...) }
func (n *narrow) Share(p []byte, keep func() []byte) bool {
	return n.takes() && n.list.Share(p, keep)
}

func (n *narrow) takes() bool {
	if n.room == 0 {
		n.refused = true
		return false
	}
	n.room--
	return true
}

// thin writes numbers, those of what is not kept with a t; the even ones alone
// where it is 2.
type thin int

func (f thin) skips(seq uint64) bool { return f == 2 && seq%2 == 1 }

func (f thin) Append(dst []byte, m *journal.Message, seq uint64) []byte {
	switch {
	case seq == 0:
		return fmt.Appendf(dst, "t%s|", m.Data)
	case f.skips(seq):
		return dst
	}
	return fmt.Appendf(dst, "%d|", seq)
}

// disorder drives a hub by chance, all in one goroutine.
type disorder struct {
	*testing.T
	seed    uint64
	rnd     *rand.Rand
	hub     *Hub
	log     kept
	hearers []*hearer
	told    int
}

type hearer struct {
	*Session
	conn  *narrow
	after uint64 // where it began
	at    uint64 // its position, when it was last seen
	gone  bool
}

func newDisorder(t *testing.T, seed uint64) *disorder {
	t.Helper()
	d := &disorder{T: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 7))}
	d.hub = New(&d.log, Options{Shards: 1 + int(seed%3), Ring: []int{-1, 2 << 10}[d.rnd.IntN(2)]})
	d.hub.SetCrowd(1 + d.rnd.IntN(24))
	return d
}

// step lets one thing happen.
func (d *disorder) step() {
	switch k := d.rnd.IntN(20); {
	case k < 5:
		d.join()
	case k < 11:
		d.say(1 + d.rnd.IntN(3))
	case k < 12:
		d.told++
		d.hub.Tell("feed", &journal.Message{Data: strconv.AppendInt(nil, int64(d.told), 10)}, nil)
	case k < 16 && len(d.hearers) > 0:
		s := d.hearers[d.rnd.IntN(len(d.hearers))]
		switch k {
		case 12, 13:
			s.gone = true
			d.hub.Unsubscribe(s.Session)
		case 14:
			s.conn.room = d.rnd.IntN(5)
		case 15:
			s.drain(3)
		}
	case k < 17:
		d.read()
	default:
		d.turn(d.rnd.IntN(len(d.hub.shards)))
	}
}

// turn is one of a shard's, counted from the topic's own: which that is differs
// from hub to hub.
func (d *disorder) turn(i int) {
	all := d.hub.shards
	all[(slices.Index(all, d.hub.shardOf("feed"))+i)%len(all)].turn()
}

func (d *disorder) join() {
	s := &hearer{conn: &narrow{room: 1 << 30}, after: uint64(len(d.log.ms))}
	if d.rnd.IntN(4) == 0 {
		s.conn.room = d.rnd.IntN(4)
	}
	s.Session = &Session{Conn: s.conn, Format: thin(d.rnd.IntN(3)), Topic: "feed", Key: uint64(d.rnd.IntN(6))}
	from := Now()
	if d.rnd.IntN(2) == 0 {
		s.after = d.rnd.Uint64N(s.after + 1)
		from = After(s.after)
	}
	if err := d.hub.Subscribe(context.Background(), s.Session, from); err != nil {
		d.Fatal(err)
	}
	d.hearers = append(d.hearers, s)
}

// say makes n messages, of which the hub is told most.
func (d *disorder) say(n int) {
	var ms []*journal.Message
	for range n {
		m := &journal.Message{Except: uint64(d.rnd.IntN(6)), Entries: []journal.Entry{{Topic: "feed", Seq: uint64(len(d.log.ms) + 1)}}}
		d.log.ms = append(d.log.ms, m)
		if d.rnd.IntN(15) > 0 {
			ms = append(ms, m)
		}
	}
	d.hub.Publish(ms)
}

// drain gives a connection room.
func (s *hearer) drain(room int) {
	s.conn.room += room
	if s.conn.refused {
		s.conn.refused = false
		s.Drained()
	}
}

// read does one of what waits to be read.
func (d *disorder) read() {
	jobs := d.hub.work.jobs
	if len(jobs) == 0 {
		return
	}
	i := d.rnd.IntN(len(jobs))
	job := jobs[i]
	d.hub.work.jobs = slices.Delete(jobs, i, i+1)
	d.hub.do(context.Background(), job)
}

// positions sees to it that none moves back.
func (d *disorder) positions() {
	for i, s := range d.hearers {
		if s.gone {
			continue
		}
		at := s.Position()
		if at < s.at {
			d.Errorf("seed %d: the position of %d went from %d back to %d", d.seed, i, s.at, at)
		}
		s.at = at
	}
}

// calm says a last message, which shows what was missed, and lets everything
// that is under way end.
func (d *disorder) calm() {
	d.log.ms = append(d.log.ms, &journal.Message{Entries: []journal.Entry{{Topic: "feed", Seq: uint64(len(d.log.ms) + 1)}}})
	d.hub.Publish(d.log.ms[len(d.log.ms)-1:])
	for range 10_000 {
		for _, s := range d.hearers {
			s.drain(1 << 30)
		}
		d.read()
		for _, i := range d.rnd.Perm(len(d.hub.shards)) {
			d.turn(i)
			d.positions()
		}
		idle := len(d.hub.work.jobs) == 0
		for _, sh := range d.hub.shards {
			idle = idle && len(sh.active) == 0 && len(sh.box.items) == 0
		}
		if idle {
			return
		}
	}
	d.Fatalf("seed %d: it does not end", d.seed)
}

// heardAll compares what a session heard with what was said; one that left has
// heard the beginning of it.
func (d *disorder) heardAll(i int) {
	s := d.hearers[i]
	var got, want strings.Builder
	told := map[string]bool{}
	for _, f := range strings.SplitAfter(strings.Join(s.conn.got, ""), "|") {
		if !strings.HasPrefix(f, "t") {
			got.WriteString(f)
			continue
		}
		if told[f] {
			d.Errorf("seed %d: %d is told %s twice", d.seed, i, f)
		}
		told[f] = true
	}
	for seq := s.after + 1; seq <= uint64(len(d.log.ms)); seq++ {
		if !s.excepted(d.log.ms[seq-1]) && !s.Format.(thin).skips(seq) {
			fmt.Fprintf(&want, "%d|", seq)
		}
	}
	if g, w := got.String(), want.String(); g != w && !(s.gone && strings.HasPrefix(w, g)) {
		d.Errorf("seed %d, %d shards, a crowd is %d: %d (gone: %v, format %v) heard\n%s\nnot\n%s", d.seed, len(d.hub.shards), d.hub.crowd, i, s.gone, s.Format, g, w)
	}
	if at := s.Position(); !s.gone && at != uint64(len(d.log.ms)) {
		d.Errorf("seed %d: %d is at %d of %d", d.seed, i, at, len(d.log.ms))
	}
}

// nothingStays sees to it that the topic holds who is here, and nothing else.
func (d *disorder) nothingStays() {
	here := 0
	for _, s := range d.hearers {
		if !s.gone {
			here++
		}
	}
	topic := d.hub.shardOf("feed").topics["feed"]
	switch {
	case topic == nil:
		if here > 0 {
			d.Errorf("seed %d: the topic is gone, and %d are here", d.seed, here)
		}
	case topic.size() != here || topic.count().total() != here || topic.delivery != nil || len(topic.lagging) != 0:
		d.Errorf("seed %d: %d are here, the topic has %d and counts %d, %d of them behind, and on their way %v",
			d.seed, here, topic.size(), topic.count().total(), len(topic.lagging), topic.delivery)
	}
}
