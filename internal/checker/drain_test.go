package checker

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDrain: a restart in peace loses nothing, everybody is told when to come
// back and let in then, and the rate at which they come is kept.
func TestDrain(t *testing.T) {
	binary := built(t)
	report, err := Drain(t.Context(), DrainOptions{
		Options:  Options{Binary: binary, Folder: t.TempDir(), Log: t.Output()},
		Sessions: 1000, Connects: 500,
	})
	if report != nil {
		t.Logf("\n%s", report)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	// At four fifths of the rate, after a second and what 1,000 goodbyes take.
	if want := 3600 * time.Millisecond; report.Window > want || report.Window < want-200*time.Millisecond {
		t.Errorf("told to be back within %v, which does not fit their number", report.Window)
	}
}

// TestASecondSignal: a stopping server waits for a peer that does not answer its
// goodbye, and a second signal ends it at once.
func TestASecondSignal(t *testing.T) {
	binary := built(t)
	o := Options{Binary: binary, Folder: t.TempDir()}
	s, err := newServer(t.Context(), &o, o.Folder)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.up(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET /websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(c)
	resp, err := http.ReadResponse(lines, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if b, err := lines.ReadByte(); err != nil || b != 0x88 { // the goodbye, which is not answered
		t.Fatal(b, err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-s.exited
	if s.state == nil || !strings.Contains(s.state.Error(), "terminated") {
		t.Errorf("after the second signal it ended with %v", s.state)
	}
}

// TestDrainIsJudged: a drain that was not as promised fails.
func TestDrainIsJudged(t *testing.T) {
	good := DrainReport{Sessions: 2, Returned: 2, Acked: 1, Connects: 10}
	if err := good.Err(); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(r *DrainReport){
		"1 of 2 sessions came": func(r *DrainReport) { r.Returned = 1 },
		"0 messages":           func(r *DrainReport) { r.Acked = 0 },
		"1 lost":               func(r *DrainReport) { r.Found[Lost] = 1 },
		"lacks 3":              func(r *DrainReport) { r.Behind = 3 },
		"5 more were let in":   func(r *DrainReport) { r.Over = 5 },
		"later than told":      func(r *DrainReport) { r.Late = time.Minute },
	} {
		r := good
		spoil(&r)
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	// 30 within 1.2 seconds, where 10 at once and 10 a second are allowed.
	d := &drain{o: &DrainOptions{Connects: 10}}
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	d.counted = []counted{{at(0), at(10), 5}, {at(500), at(510), 15}, {at(1100), at(1200), 35}, {at(9000), at(9010), 36}}
	if peak, over := d.peak(); peak != 25 || over != 7 {
		t.Errorf("peak %d, over %d", peak, over)
	}
}

// TestASessionIsFollowed: what a session did not hear, or heard twice, is found.
func TestASessionIsFollowed(t *testing.T) {
	f := &findings{name: "drain"}
	d := &drain{found: f}
	l := newLedger(f, "feed")
	h := &homecomer{stream: &drained{ledger: l, topic: "feed"}, name: "one"}
	d.streams = []*drained{h.stream}
	h.stream.sessions = []*homecomer{h}
	for n := 1; n <= 4; n++ {
		l.ack(item{0, n}, ack{id: said(uint64(n), n).id, seq: uint64(n)})
	}
	src := &told{frames: []frame{said(1, 1), said(3, 3), said(3, 3)}}
	if err := d.listen(t.Context(), h, src); err == nil {
		t.Fatal("it does not end")
	}
	if d.judge(); f.found != [kinds]int{Lost: 3, Doubled: 1} { // a hole, and two that nobody heard
		t.Errorf("found %v: %q", f.found, f.examples)
	}
	if n := d.behind(); n != 1 {
		t.Errorf("%d behind", n)
	}
}

// told is a source of a few frames.
type told struct{ frames []frame }

func (s *told) next(context.Context) (frame, error) {
	if len(s.frames) == 0 {
		return frame{}, context.Canceled
	}
	f := s.frames[0]
	s.frames = s.frames[1:]
	return f, nil
}

func (*told) close() {}
