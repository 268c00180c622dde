package simulator

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// trace is what happened, for people to read when something went wrong.
type trace struct {
	began time.Time // static

	mu    sync.Mutex
	lines []line // guarded by mu: the last ones
}

type line struct {
	at     time.Time
	format string
	args   []any
}

const maxTrace = 4096

func (t *trace) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == maxTrace {
		t.lines = append(t.lines[:0], t.lines[maxTrace/2:]...)
	}
	t.lines = append(t.lines, line{time.Now(), format, args})
}

// tail is the last n lines.
func (t *trace) tail(n int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, l := range t.lines[max(0, len(t.lines)-n):] {
		fmt.Fprintf(&b, "  %9.3fs  %s\n", l.at.Sub(t.began).Seconds(), fmt.Sprintf(l.format, l.args...))
	}
	return b.String()
}
