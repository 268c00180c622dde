package events

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 30 * time.Second

// pipe is a client whose reading the test holds in its hand: a write of the
// stream waits until the test takes it.
type pipe struct {
	header http.Header
	writes chan []byte
	gone   chan struct{} // closed with the client: whoever writes gets an error
	failed bool          // every write fails
}

func newPipe() *pipe {
	return &pipe{header: http.Header{}, writes: make(chan []byte), gone: make(chan struct{})}
}

func (p *pipe) Header() http.Header { return p.header }
func (p *pipe) WriteHeader(int)     {}
func (p *pipe) Flush()              {}
func (p *pipe) Write(b []byte) (int, error) {
	if p.failed {
		return 0, errors.New("broken pipe")
	}
	select {
	case p.writes <- bytes.Clone(b):
		return len(b), nil
	case <-p.gone:
		return 0, errors.New("the client has gone")
	}
}

func (p *pipe) take(t *testing.T) string {
	t.Helper()
	select {
	case b := <-p.writes:
		return string(b)
	case <-time.After(patience):
		t.Fatal("nothing is written")
		return ""
	}
}

func newStream(limit int) (*stream, chan struct{}) {
	drained := make(chan struct{}, 1)
	return &stream{limit: limit, wake: make(chan struct{}, 1), drained: func() { drained <- struct{}{} }}, drained
}

// run runs the stream's writer until it ends; the result says that it has.
func run(t *testing.T, s *stream, w *pipe, keepalive time.Duration) (ended chan struct{}, cancel context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		s.write(ctx, w, keepalive, time.Hour)
	}()
	t.Cleanup(func() { cancel(); close(w.gone); wait(t, ended, "the writer does not end") })
	return ended, cancel
}

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Error(what)
	}
}

func TestAStreamThatIsFullSaysSoAndThenThatItHasRoom(t *testing.T) {
	s, drained := newStream(10)
	p := newPipe()
	if !s.Send([]byte("larger than the limit"), []byte("!")) {
		t.Fatal("an empty stream takes whatever comes")
	}
	if s.Send([]byte("x")) || s.Send([]byte("y")) {
		t.Fatal("a full stream took more")
	}
	run(t, s, p, time.Hour)
	if got := p.take(t); got != "larger than the limit!" {
		t.Fatalf("written: %q", got)
	}
	wait(t, drained, "nobody says that there is room")
	for _, b := range []string{"12345", "67890"} {
		if !s.Send([]byte(b)) {
			t.Fatalf("%s was refused", b)
		}
	}
	got := p.take(t)
	for len(got) < 10 { // the writer may have been quicker than the second
		got += p.take(t)
	}
	if got != "1234567890" {
		t.Fatalf("written: %q", got)
	}
	if len(drained) > 0 {
		t.Error("it was drained, and had not refused")
	}
}

func TestAStreamThatWritesSlowlyRefusesAndIsDrainedOnce(t *testing.T) {
	s, drained := newStream(8)
	p := newPipe()
	run(t, s, p, time.Hour)
	s.Send([]byte("a"))
	// The writer hangs in the write of "a" sooner or later: then 8 bytes wait,
	// and more are refused.
	sent := "a"
	for s.Send([]byte("bcdefg")) {
		sent += "bcdefg"
	}
	for got := ""; got != sent; {
		got += p.take(t)
		if !strings.HasPrefix(sent, got) {
			t.Fatalf("written: %q of %q", got, sent)
		}
	}
	wait(t, drained, "nobody says that there is room")
	if !s.Send([]byte("h")) || p.take(t) != "h" {
		t.Fatal("it does not go on")
	}
	if len(drained) > 0 {
		t.Error("it was drained twice")
	}
}

func TestAStreamWithoutABoundTakesEverything(t *testing.T) {
	s, _ := newStream(0)
	for range 1000 {
		if !s.Send(make([]byte, 1000)) {
			t.Fatal("refused")
		}
	}
	if b, drained, end := s.take(); len(b) != 1e6 || drained || end {
		t.Fatalf("%d bytes, %t, %t", len(b), drained, end)
	}
}

func TestTheEndOfAStream(t *testing.T) {
	for _, c := range []struct {
		reason, want string
		code         uint16
	}{
		{"the login or token has ended", "event: close\ndata: {\"code\":4001,\"reason\":\"the login or token has ended\"}\n\n", 4001},
		{"retry-after-ms=1500", "event: close\ndata: {\"code\":1001,\"reason\":\"retry-after-ms=1500\"}\nretry: 1500\n\n", 1001},
		{"two\nlines \"and\" \xff", "event: close\ndata: {\"code\":1011,\"reason\":\"two\\nlines \\\"and\\\" \\ufffd\"}\n\n", 1011},
	} {
		s, _ := newStream(10)
		p := newPipe()
		s.Send([]byte("data: 1\n\n"))
		s.Close(c.code, c.reason)
		s.Close(4003, "too late")
		if !s.Send([]byte("nobody gets this")) {
			t.Error("a stream that has ended drops what comes, and takes it")
		}
		ended, _ := run(t, s, p, time.Hour)
		if got := p.take(t); got != "data: 1\n\n"+c.want {
			t.Errorf("written: %q", got)
		}
		wait(t, ended, "the stream does not end")
	}
}

func TestAStreamEndsWithItsClient(t *testing.T) {
	s, _ := newStream(10)
	ended, cancel := run(t, s, newPipe(), time.Hour)
	cancel()
	wait(t, ended, "the client has gone, the stream goes on")

	s, _ = newStream(10)
	broken := newPipe()
	broken.failed = true
	ended, _ = run(t, s, broken, time.Hour)
	s.Send([]byte("x"))
	wait(t, ended, "nothing can be written, the stream goes on")
}

func TestAnIdleStreamShowsThatItLives(t *testing.T) {
	s, _ := newStream(10)
	p := newPipe()
	run(t, s, p, time.Millisecond)
	for range 3 {
		if got := p.take(t); got != ": still here\n\n" {
			t.Fatalf("written: %q", got)
		}
	}
}

func TestManySendToOneStream(t *testing.T) {
	s, drained := newStream(64)
	p := newPipe()
	ended, _ := run(t, s, p, time.Hour)
	total := make(chan int, 1)
	go func() {
		n := 0
		for {
			select {
			case b := <-p.writes:
				n += bytes.Count(b, []byte("x"))
			case <-ended:
				total <- n
				return
			}
		}
	}()
	var senders sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	stop := make(chan struct{})
	go func() { // room is said at any time
		for {
			select {
			case <-drained:
			case <-stop:
				return
			}
		}
	}()
	for range 4 {
		senders.Go(func() {
			for range 500 {
				if s.Send([]byte("x\n\n")) {
					mu.Lock()
					taken++
					mu.Unlock()
				}
			}
		})
	}
	senders.Wait()
	s.Close(1000, "e")
	wait(t, ended, "the stream does not end")
	close(stop)
	if n := <-total; n != taken {
		t.Fatalf("%d taken, %d written", taken, n)
	}
}
