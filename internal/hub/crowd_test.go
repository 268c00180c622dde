package hub

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
)

// room is a connection that takes up to a number of sends, and counts.
type room struct {
	list
	calls, takes int
	refused      func() // nil, or called by a Send that is refused
}

func (r *room) Send(frames ...[]byte) bool { return r.take() && r.list.Send(frames...) }
func (r *room) Share(p []byte, keep func() []byte) bool {
	return r.take() && r.list.Share(p, keep)
}

func (r *room) take() bool {
	if r.calls++; r.calls > r.takes {
		if r.refused != nil {
			r.refused()
		}
		return false
	}
	return true
}

func (r *room) text() string { return strings.Join(r.got, "") }

// numbered writes the number and the text.
type numbered struct{}

func (numbered) Append(dst []byte, m *journal.Message, seq uint64) []byte {
	return fmt.Appendf(dst, "%d%s|", seq, m.Data)
}

// byHand is a hub whose shards are driven by the test, with n live sessions in
// one topic; the keys are their numbers, from 1.
func byHand(shards, n, takes int) (h *Hub, at *shard, ss []*Session, conns []*room) {
	h = New(nothing{}, Options{Shards: shards})
	at = h.shardOf("feed")
	for i := range n {
		conns = append(conns, &room{takes: takes})
		ss = append(ss, &Session{Conn: conns[i], Format: numbered{}, Topic: "feed", Key: uint64(i + 1), shard: at})
		at.hold("feed")
		at.subscribe(ss[i], 0)
	}
	return h, at, ss, conns
}

func say(sh *shard, seq, except uint64) {
	sh.hear(&item{topic: "feed", seq: seq, message: &journal.Message{Data: []byte("m"), Except: except, Entries: []journal.Entry{{Topic: "feed", Seq: seq}}}})
}

// ends drives the shards until nothing is under way.
func ends(t *testing.T, shards ...*shard) {
	t.Helper()
	for range 10_000 {
		idle := true
		for _, sh := range shards {
			sh.turn()
			idle = idle && len(sh.active) == 0 && len(sh.box.items) == 0
		}
		if idle {
			return
		}
	}
	t.Fatal("it does not end")
}

// A large group is sent to by all shards; while pieces of it are elsewhere,
// sessions come, go, refuse and are excepted, and the topic says more.
func TestACrowdIsSentToByAllShards(t *testing.T) {
	const n = crowdSessions + 100
	h, at, ss, conns := byHand(2, n, 1000)
	other := h.shards[0]
	if other == at {
		other = h.shards[1]
	}
	conns[5].takes, conns[1000].takes = 0, 0
	say(at, 1, 8)
	at.deliver() // it has sent a slice, and asked for help
	top := at.topics["feed"]
	if top.delivery.crowd == nil || conns[0].text() != "1m|" || conns[n-1].text() != "" {
		t.Fatal("it is no crowd")
	}
	late := &room{takes: 1000}
	s := &Session{Conn: late, Format: numbered{}, Topic: "feed", shard: at}
	s.pos.Store(1)
	at.hold("feed")
	at.subscribe(s, 1)
	for _, i := range []int{3, 1000, n - 1} { // one that has it, one that will refuse, one that may get it still
		h.Unsubscribe(ss[i])
	}
	say(at, 2, 0)
	if size := top.size(); size != n+1 {
		t.Errorf("%d sessions", size)
	}
	for range 3 {
		at.turn() // it takes what it may, and waits for nobody
	}
	if size, here := top.size(), top.count().total(); size != n-2 || here != n-2 {
		t.Errorf("%d sessions, %d are here", size, here)
	}
	if c := top.delivery.crowd; c == nil || c.entries[3].session != ss[3] {
		t.Error("the row is changed while others read it")
	}
	if top.delivery.crowd != nil && len(at.active) > 0 && top.delivery.crowd.next.Load() >= n {
		t.Error("it turns and turns while others are at work")
	}
	ends(t, other, at)
	if top.size() != n-2 || top.delivery != nil || len(top.lagging) != 1 || h.Stats().Fallbacks != 1 {
		t.Errorf("%d sessions, %d of them behind, fallbacks %d", top.size(), len(top.lagging), h.Stats().Fallbacks)
	}
	here := top.count()
	if here.total() != n-2 {
		t.Errorf("%d are here", here.total())
	}
	for i, c := range conns {
		want := "1m|2m|"
		switch i {
		case 5:
			want = ""
		case 7: // excepted from the first
			want = "2m|"
		case 3, 1000, n - 1:
			continue
		}
		if got := c.text(); got != want {
			t.Errorf("session %d of %d heard %q", i, n, got)
		}
		if p := ss[i].Position(); i != 5 && p != 2 || i == 5 && p != 0 {
			t.Errorf("session %d is at %d", i, p)
		}
	}
	if late.text() != "2m|" || slices.Contains(conns[3].got, "2m|") {
		t.Errorf("who came heard %q, who went %q", late.text(), conns[3].text())
	}
	for i := range top.groups.entries {
		if e := top.groups.entries[i]; e.session == nil || int(e.session.index) != i {
			t.Fatalf("entry %d is %+v", i, e)
		}
	}
}

// The work is shared: without its own shard a crowd is sent to by the others
// but for the slice that began it.
func TestTheOtherShardsHelp(t *testing.T) {
	const n = 4 * crowdSessions
	h, at, _, conns := byHand(3, n, 1000)
	say(at, 1, 0)
	at.deliver()
	top := at.topics["feed"]
	for range n {
		for _, sh := range h.shards {
			if sh != at {
				sh.turn()
			}
		}
	}
	if left := top.delivery.crowd.left.Load(); left != 0 {
		t.Fatalf("%d are left", left)
	}
	if !top.active {
		at.turn()
	}
	ends(t, at)
	for i, c := range conns {
		if c.text() != "1m|" {
			t.Fatalf("session %d heard %q", i, c.text())
		}
	}
	if h.Stats().Deliveries != n || top.delivery != nil {
		t.Errorf("%d deliveries", h.Stats().Deliveries)
	}
}

// With one shard there is nobody to ask, and nothing is made for it.
func TestOneShardAsksNobody(t *testing.T) {
	_, at, _, conns := byHand(1, 2*crowdSessions, 1000)
	say(at, 1, 0)
	for len(at.active) > 0 {
		at.deliver()
		if d := at.topics["feed"].delivery; d != nil && d.crowd != nil {
			t.Fatal("it asks itself")
		}
	}
	if conns[2*crowdSessions-1].text() != "1m|" {
		t.Error("it was not heard")
	}
}

// Slow readers cost the others nothing: a session whose connection refuses is
// called once, and then nobody looks at it, nor reads for it, until it is drained.
func TestSlowReadersAreAskedOnce(t *testing.T) {
	const n, messages = 1000, 300
	h, at, ss, conns := byHand(1, n, 1<<30)
	for i := 0; i < n; i += 2 {
		conns[i].takes = 0
	}
	for seq := uint64(1); seq <= messages; seq++ {
		say(at, seq, 0)
		ends(t, at)
	}
	top := at.topics["feed"]
	for i, c := range conns {
		if want := 1 + i%2*(messages-1); c.calls != want {
			t.Fatalf("session %d was called %d times, not %d", i, c.calls, want)
		}
	}
	if len(top.lagging) != n/2 || len(top.groups.entries) != n/2 || len(h.work.jobs) != 0 {
		t.Errorf("%d behind, %d walked over, %d pages to read", len(top.lagging), len(top.groups.entries), len(h.work.jobs))
	}
	if s := h.Stats(); s.Fallbacks != n/2 || s.Deliveries != n+(messages-1)*n/2 {
		t.Errorf("%+v", s)
	}
	ss[0].Drained()
	if len(h.work.jobs) != 1 {
		t.Errorf("%d pages to read after one was drained", len(h.work.jobs))
	}
}

// Room that comes between the refusal and the waiting is not missed.
func TestRoomThatComesEarlyIsNotMissed(t *testing.T) {
	h, at, ss, conns := byHand(1, 1, 0)
	conns[0].refused = ss[0].Drained
	say(at, 1, 0)
	ends(t, at)
	if len(h.work.jobs) != 1 || conns[0].calls != 1 {
		t.Errorf("%d pages to read after %d calls", len(h.work.jobs), conns[0].calls)
	}
}

// What is told is written once for those that catch up, not for each.
func TestWhatIsToldIsWrittenOnce(t *testing.T) {
	_, at, _, conns := byHand(1, 100, 1)
	f := &counting{}
	top := at.topics["feed"]
	for _, c := range conns[:50] {
		s := &Session{Conn: c, Format: f, Topic: "feed", shard: at}
		top.addLagging(s)
		top.joined(s)
	}
	if n := top.tell(&journal.Message{Kind: "k"}, true); n != 150 || f.n != 1 {
		t.Errorf("%d were told, it was written %d times", n, f.n)
	}
}

type counting struct{ n int }

func (c *counting) Append(dst []byte, _ *journal.Message, _ uint64) []byte {
	c.n++
	return append(dst, 'x')
}
