package direct

import (
	"bytes"
	"testing"

	"github.com/kabar-io/kabar/internal/ws"
)

// TestAGreetingFitsAQueue: however many friends are here, what is sent at once
// is little; and where it is refused, no more is.
func TestAGreetingFitsAQueue(t *testing.T) {
	friends := make([]uint64, 5000)
	var want []byte
	for i := range friends {
		friends[i] = maxNumber - 1 - uint64(i)
		want = appendHere(want, friends[i])
	}
	one := len(ws.AppendText(nil, make([]byte, 80)))
	var got []byte
	greeting(friends, func(frames []byte) bool {
		if len(frames) == 0 || len(frames) > maxGreeting+one {
			t.Errorf("%d bytes at once", len(frames))
		}
		got = append(got, frames...)
		return true
	})
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d", len(got), len(want))
	}
	sends := 0
	greeting(friends, func([]byte) bool { sends++; return sends < 3 })
	if sends != 3 {
		t.Errorf("%d times, of which the third was refused", sends)
	}
	greeting(nil, func([]byte) bool { t.Error("nobody is here"); return true })
}
