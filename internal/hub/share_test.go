package hub

import (
	"bytes"
	"fmt"
	"testing"
	"unsafe"

	"github.com/kabar-io/kabar/internal/journal"
)

// slow is a connection on which everything waits.
type slow struct {
	list
	held [][]byte
}

func (s *slow) Share(_ []byte, keep func() []byte) bool {
	s.held = append(s.held, keep())
	return true
}

// texts writes the text alone.
type texts struct{}

func (texts) Append(dst []byte, m *journal.Message, _ uint64) []byte { return append(dst, m.Data...) }

// TestThoseWhoWaitShareOneCopy: however many connections cannot take a message
// at once, it stands in the memory once more, as long as any of them holds it,
// and as it was: the array that it was written into is used again.
func TestThoseWhoWaitShareOneCopy(t *testing.T) {
	for what, crowd := range map[string]int{"one shard": 1 << 30, "a crowd": 10} {
		t.Run(what, func(t *testing.T) { waitTogether(t, crowd) })
	}
}

func waitTogether(t *testing.T, crowd int) {
	t.Helper()
	const n, messages = 100, 50
	h := New(nothing{}, Options{Shards: 2})
	h.SetCrowd(crowd)
	at := h.shardOf("feed")
	conns := make([]*slow, n)
	for i := range conns {
		conns[i] = &slow{}
		at.hold("feed")
		at.subscribe(&Session{Conn: conns[i], Format: texts{}, Topic: "feed", shard: at}, 0)
	}
	text := func(seq int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%d,", seq), 1000-seq) }
	for seq := range messages {
		m := &journal.Message{Data: text(seq), Entries: []journal.Entry{{Topic: "feed", Seq: uint64(seq + 1)}}}
		at.hear(&item{topic: "feed", seq: uint64(seq + 1), message: m})
		ends(t, h.shards...)
	}
	for i, c := range conns {
		if len(c.held) != messages {
			t.Fatalf("%d holds %d messages, not %d", i, len(c.held), messages)
		}
		for seq, p := range c.held {
			if unsafe.SliceData(p) != unsafe.SliceData(conns[0].held[seq]) {
				t.Fatalf("%d has a copy of message %d of its own", i, seq)
			}
			if i == 0 && !bytes.Equal(p, text(seq)) {
				t.Fatalf("message %d is now %.40q", seq, p)
			}
			if i == 0 && cap(p) > len(p)+len(p)/4 {
				t.Errorf("message %d has %d bytes, and takes %d", seq, len(p), cap(p))
			}
		}
	}
	for _, d := range at.lent {
		if d.copy != nil {
			t.Error("what nobody is sent any more is held for the next")
		}
	}
}
