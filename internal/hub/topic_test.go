package hub

import (
	"context"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
)

// stuck is a log that has nothing to read.
type stuck struct{}

func (stuck) Epoch() string                                 { return "e" }
func (stuck) Head(context.Context, string) (uint64, error)  { return 0, nil }
func (stuck) Floor(context.Context, string) (uint64, error) { return 1, nil }
func (stuck) Watch(func(journal.Amended))                   {}
func (stuck) Read(context.Context, string, uint64, int) ([]*journal.Message, error) {
	return nil, nil
}

type text struct{}

func (text) Append(dst []byte, m *journal.Message, _ uint64) []byte { return append(dst, m.Data...) }

type open struct{}

func (open) Send(...[]byte) bool                    { return true }
func (o open) Share(p []byte, _ func() []byte) bool { return o.Send(p) }
func (open) Close(uint16, string)                   {}

// What a shard holds of a topic is bounded, and a topic that is quiet holds no
// buffers. The shard is driven by hand: nothing runs.
func TestATopicHoldsLittle(t *testing.T) {
	h := New(stuck{}, Options{Shards: 1, Ring: -1})
	sh := h.shards[0]
	s := &Session{Conn: open{}, Format: text{}, Topic: "feed", shard: sh}
	sh.hold("feed")
	sh.subscribe(s, 0)
	top := sh.topics["feed"]
	for seq := uint64(1); seq <= 3*maxPending; seq++ {
		top.hear(&journal.Message{Data: make([]byte, 100), Entries: []journal.Entry{{Topic: "feed", Seq: seq}}}, seq)
	}
	if top.waits() != maxPending || top.missed != 3*maxPending {
		t.Errorf("%d wait, %d is known to exist", top.waits(), top.missed)
	}
	for range 1000 {
		sh.deliver()
	}
	if top.waits() != 0 || top.head != maxPending || !top.behind {
		t.Errorf("%d wait, the head is %d, behind %v", top.waits(), top.head, top.behind)
	}
	if top.delivery != nil {
		t.Error("a quiet topic keeps its buffers")
	}
	if n := len(sh.lent); n == 0 || n > maxLent {
		t.Errorf("the shard keeps %d buffers", n)
	}
	if got := s.Position(); got != maxPending {
		t.Errorf("the session has %d", got)
	}
}
