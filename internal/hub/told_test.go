package hub

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/kabar-io/kabar/internal/journal"
)

// nothing is a log in which nothing was said.
type nothing struct{}

func (nothing) Epoch() string                                 { return "e" }
func (nothing) Head(context.Context, string) (uint64, error)  { return 0, nil }
func (nothing) Floor(context.Context, string) (uint64, error) { return 1, nil }
func (nothing) Watch(func(journal.Amended))                   {}
func (nothing) Read(context.Context, string, uint64, int) ([]*journal.Message, error) {
	return nil, nil
}

// list is a connection with room for everything.
type list struct{ got []string }

func (l *list) Send(frames ...[]byte) bool {
	for _, f := range frames {
		l.got = append(l.got, string(f))
	}
	return true
}

// Share holds what is kept: where anybody wrote to that, got would change.
func (l *list) Share(p []byte, keep func() []byte) bool {
	b := keep()
	if !bytes.Equal(b, p) {
		panic(fmt.Sprintf("%q is kept for %q", b, p))
	}
	l.got = append(l.got, unsafe.String(unsafe.SliceData(b), len(b)))
	return true
}

func (*list) Close(uint16, string) {}

type kinds struct{}

func (kinds) Append(dst []byte, m *journal.Message, _ uint64) []byte {
	return append(append(dst, m.Kind...), '|')
}

// TestWhoBecomesLiveIsToldOnce: what a session was told while it caught up is
// on its way to the live ones still when it becomes one of them.
func TestWhoBecomesLiveIsToldOnce(t *testing.T) {
	sh := New(nothing{}, Options{Shards: 1}).shards[0]
	there, late := &list{}, &list{}
	tell := func(kind string) {
		sh.hear(&item{topic: "user/1", message: &journal.Message{Kind: kind}})
	}
	sh.hold("user/1")
	sh.subscribe(&Session{Conn: there, Format: kinds{}, Topic: "user/1", shard: sh}, 0)
	s := &Session{Conn: late, Format: kinds{}, Topic: "user/1", shard: sh}
	tell("before")
	sh.topics["user/1"].addLagging(s)
	sh.topics["user/1"].joined(s)
	tell("offer")
	sh.arrive(s)
	tell("candidate")
	for len(sh.active) > 0 {
		sh.deliver()
	}
	if got := strings.Join(there.got, ""); got != "before|offer|candidate|" {
		t.Errorf("who was there got %q", got)
	}
	if got := strings.Join(late.got, ""); got != "offer|candidate|" {
		t.Errorf("who came got %q", got)
	}
}

// TestWhoBecomesLiveIsToldOnceWhereThereIsMuch: it takes more than one delivery
// until what it was told already is over.
func TestWhoBecomesLiveIsToldOnceWhereThereIsMuch(t *testing.T) {
	_, at, _, _ := byHand(1, 1, 1000)
	late := &room{takes: 1000}
	s := &Session{Conn: late, Format: kinds{}, Topic: "feed", shard: at}
	top := at.topics["feed"]
	top.addLagging(s)
	top.joined(s)
	for range jobMessages + 3 {
		at.hear(&item{topic: "feed", message: &journal.Message{Kind: "k"}})
	}
	at.arrive(s)
	at.hear(&item{topic: "feed", message: &journal.Message{Kind: "new"}})
	for len(at.active) > 0 {
		at.deliver()
	}
	if want := strings.Repeat("k|", jobMessages+3) + "new|"; late.text() != want {
		t.Errorf("it was told %q", late.text())
	}
	if top.delivery != nil || top.size() != 2 {
		t.Error("the topic is not at rest")
	}
}

// TestWhatIsToldDoesNotCrowdOutWhatIsKept: told ones may take half the queue.
func TestWhatIsToldDoesNotCrowdOutWhatIsKept(t *testing.T) {
	b := newMailbox(8)
	for range 20 {
		b.put(item{topic: "a", message: &journal.Message{}})
	}
	for i := range uint64(4) {
		if !b.put(item{topic: "a", seq: i + 1, message: &journal.Message{}}) {
			t.Fatalf("message %d found no room", i+1)
		}
	}
	if items, behind := b.take(nil); len(items) != 8 || behind != nil {
		t.Fatalf("%d items, behind %v", len(items), behind)
	}
}

// TestTheRingHoldsAMessageOnce: what is in many topics is in memory once, and
// counts so.
func TestTheRingHoldsAMessageOnce(t *testing.T) {
	r := newRing(1 << 20)
	for seq := uint64(1); seq <= 40; seq++ {
		m := &journal.Message{Data: make([]byte, 2000)}
		for i := range 256 {
			m.Entries = append(m.Entries, journal.Entry{Topic: "user/" + strconv.Itoa(i), Seq: seq})
		}
		r.add([]*journal.Message{m})
	}
	if got := r.read("user/7", 0, 100); len(got) != 40 || got[39].Seq("user/7") != 40 {
		t.Fatalf("%d of 40 messages are held", len(got))
	}
	for _, c := range []struct{ after, first, n uint64 }{{38, 39, 2}, {39, 40, 1}, {40, 0, 0}, {41, 0, 0}} {
		got := r.read("user/7", c.after, 100)
		if uint64(len(got)) != c.n || c.n > 0 && got[0].Seq("user/7") != c.first {
			t.Fatalf("%d messages after %d", len(got), c.after)
		}
	}
	r.add([]*journal.Message{{Entries: []journal.Entry{{Topic: "user/7", Seq: 44}}}}) // a hole
	if got := r.read("user/7", 40, 100); got != nil {
		t.Fatalf("it reads %d messages over a hole", len(got))
	}
	if got := r.read("user/7", 43, 100); len(got) != 1 {
		t.Fatalf("%d messages after the hole", len(got))
	}
}
