package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a log in memory, and publishes to the hub what it commits.
type memory struct {
	mu     sync.Mutex
	topics map[string][]*journal.Message
	floors map[string]uint64
	watch  func(journal.Amended)
	hub    *hub.Hub
	lose   func() bool // says when the hub is not told, as a bus loses
}

func (l *memory) Epoch() string { return "e" }

func (l *memory) Head(_ context.Context, topic string) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.topics[topic])), nil
}

func (l *memory) Floor(_ context.Context, topic string) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(1, l.floors[topic]), nil
}

func (l *memory) Watch(f func(journal.Amended)) { l.watch = f }

// raise has a topic begin at floor.
func (l *memory) raise(topic string, floor uint64) {
	l.mu.Lock()
	if l.floors == nil {
		l.floors = map[string]uint64{}
	}
	l.floors[topic] = floor
	l.mu.Unlock()
	l.watch(journal.Amended{Floors: []journal.Entry{{Topic: topic, Seq: floor}}})
}

func (l *memory) Read(_ context.Context, topic string, after uint64, limit int) ([]*journal.Message, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ms := l.topics[topic]
	if after+1 < l.floors[topic] {
		return nil, journal.ErrExpired
	}
	if after >= uint64(len(ms)) {
		return nil, nil
	}
	ms = ms[after:]
	return append([]*journal.Message(nil), ms[:min(limit, len(ms))]...), nil
}

func (l *memory) say(text string, except uint64, topics ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &journal.Message{Kind: "said", Data: []byte(text), Except: except, Entries: journal.To(topics...)}
	for i, e := range m.Entries {
		l.topics[e.Topic] = append(l.topics[e.Topic], m)
		m.Entries[i].Seq = uint64(len(l.topics[e.Topic]))
	}
	if l.lose == nil || !l.lose() {
		l.hub.Publish([]*journal.Message{m})
	}
}

// plain writes "seq:text|"; told messages have no seq, and are written by
// watchers only.
type plain struct{ watch bool }

func (p plain) Append(dst []byte, m *journal.Message, seq uint64) []byte {
	if seq == 0 {
		if !p.watch && m.Kind != "session.skipped" {
			return dst
		}
		return fmt.Appendf(dst, "%s%s|", m.Kind, m.Data)
	}
	return fmt.Appendf(dst, "%d:%s|", seq, m.Data)
}

// recorder is a connection that takes up to room bytes until it is drained.
type recorder struct {
	mu     sync.Mutex
	got    [][]byte
	queued int
	room   int // 0: without end
	closed string
	notify func()
	wants  bool
}

func (r *recorder) Send(frames ...[]byte) bool {
	copies := make([][]byte, len(frames))
	for i, f := range frames {
		copies[i] = bytes.Clone(f)
	}
	return r.take(copies...)
}

// Share holds what is kept, and nobody may write to that.
func (r *recorder) Share(_ []byte, keep func() []byte) bool { return r.take(keep()) }

func (r *recorder) take(frames ...[]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, f := range frames {
		n += len(f)
	}
	if r.room > 0 && r.queued > 0 && r.queued+n > r.room {
		r.wants = true
		return false
	}
	r.got = append(r.got, frames...)
	r.queued += n
	return true
}

func (r *recorder) Close(code uint16, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = fmt.Sprint(code, " ", reason)
}

func (r *recorder) drain() {
	r.mu.Lock()
	r.queued = 0
	wants := r.wants
	r.wants = false
	r.mu.Unlock()
	if wants {
		r.notify()
	}
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(bytes.Join(r.got, nil))
}

func setup(t *testing.T, o hub.Options) (*hub.Hub, *memory) {
	t.Helper()
	return setupCrowd(t, o, 0)
}

// setupCrowd is setup with another size of what is a crowd, 0 for the usual.
func setupCrowd(t *testing.T, o hub.Options, crowd int) (*hub.Hub, *memory) {
	t.Helper()
	l := &memory{topics: map[string][]*journal.Message{}}
	h := hub.New(l, o)
	if crowd > 0 {
		h.SetCrowd(crowd)
	}
	l.hub = h
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h, l
}

func join(t *testing.T, h *hub.Hub, s *hub.Session, from hub.Start) *recorder {
	t.Helper()
	r := &recorder{}
	return joinConn(t, h, s, from, r)
}

func joinConn(t *testing.T, h *hub.Hub, s *hub.Session, from hub.Start, r *recorder) *recorder {
	t.Helper()
	r.notify = s.Drained
	s.Conn = r
	if s.Format == nil {
		s.Format = plain{}
	}
	if err := h.Subscribe(t.Context(), s, from); err != nil {
		t.Fatal(err)
	}
	return r
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never came: %s", what)
}

func hears(t *testing.T, r *recorder, want string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("it heard %q", r.text())
		}
	}()
	eventually(t, want, func() bool { return r.text() == want })
}

func TestWhereASessionBegins(t *testing.T) {
	h, l := setup(t, hub.Options{Retention: func(string) uint64 { return 4 }})
	for i := 1; i <= 6; i++ {
		l.say(fmt.Sprint("m", i), 0, "feed")
	}
	now := join(t, h, &hub.Session{Topic: "feed"}, hub.Now())
	after := join(t, h, &hub.Session{Topic: "feed"}, hub.After(3))
	last := join(t, h, &hub.Session{Topic: "feed"}, hub.Last(2))
	all := join(t, h, &hub.Session{Topic: "feed"}, hub.Last(99))
	l.say("m7", 0, "feed")
	hears(t, now, "7:m7|")
	hears(t, after, "4:m4|5:m5|6:m6|7:m7|")
	hears(t, last, "5:m5|6:m6|7:m7|")
	hears(t, all, "3:m3|4:m4|5:m5|6:m6|7:m7|")
	for n, want := range map[uint64]string{1: "expired", 8: "ahead"} {
		var gone *hub.GoneError
		if err := h.Subscribe(t.Context(), &hub.Session{Topic: "feed", Format: plain{}, Conn: now}, hub.After(n)); !errors.As(err, &gone) || gone.Reason != want || gone.Head != 7 {
			t.Errorf("after %d: %v", n, err)
		}
	}
}

func TestExceptAndFormats(t *testing.T) {
	h, l := setup(t, hub.Options{})
	a := join(t, h, &hub.Session{Topic: "feed", Key: 1}, hub.Now())
	b := join(t, h, &hub.Session{Topic: "feed", Key: 2}, hub.Now())
	c := join(t, h, &hub.Session{Topic: "feed", Format: silent{}}, hub.Now())
	l.say("x", 1, "feed")
	l.say("y", 2, "feed")
	l.say("z", 0, "feed")
	hears(t, a, "2:y|3:z|")
	hears(t, b, "1:x|3:z|")
	hears(t, c, "")
}

type silent struct{}

func (silent) Append(dst []byte, _ *journal.Message, _ uint64) []byte { return dst }

func TestASlowSessionReadsOnFromTheLog(t *testing.T) {
	h, l := setup(t, hub.Options{Ring: 1000})
	slow := &recorder{room: 40}
	s := &hub.Session{Topic: "feed"}
	joinConn(t, h, s, hub.Now(), slow)
	quick := join(t, h, &hub.Session{Topic: "feed"}, hub.Now())
	var want strings.Builder
	for i := 1; i <= 500; i++ {
		l.say("m", 0, "feed")
		fmt.Fprintf(&want, "%d:m|", i)
	}
	hears(t, quick, want.String())
	if p := s.Position(); p >= 500 {
		t.Errorf("the slow session claims to have %d", p)
	}
	eventually(t, "all of it", func() bool { slow.drain(); return slow.text() == want.String() })
	eventually(t, "its position", func() bool { return s.Position() == 500 })
	if h.Stats().Fallbacks == 0 {
		t.Error("it never fell back")
	}
	l.say("live", 0, "feed")
	want.WriteString("501:live|")
	eventually(t, "live again", func() bool { slow.drain(); return slow.text() == want.String() })
}

func TestASessionThatSkipsIsToldHowMuch(t *testing.T) {
	h, l := setup(t, hub.Options{})
	slow := &recorder{room: 10}
	joinConn(t, h, &hub.Session{Topic: "feed", Skip: true}, hub.Now(), slow)
	quick := join(t, h, &hub.Session{Topic: "feed"}, hub.Now())
	l.say("m", 0, "feed")
	eventually(t, "the first", func() bool { return slow.text() == "1:m|" })
	for range 99 {
		l.say("long enough to fill it", 0, "feed")
	}
	eventually(t, "all", func() bool { return strings.Contains(quick.text(), "100:long") })
	eventually(t, "the count", func() bool { slow.drain(); return strings.Contains(slow.text(), `session.skipped{"count":`) })
	eventually(t, "the present", func() bool { // what finds it behind still is skipped, too
		slow.drain()
		l.say("now", 0, "feed")
		return strings.HasSuffix(slow.text(), ":now|")
	})
	if strings.Contains(slow.text(), "2:long") {
		t.Error("it skipped nothing")
	}
}

func TestWhatTheHubWasNotToldIsReadFromTheLog(t *testing.T) {
	h, l := setup(t, hub.Options{Queue: 4})
	n := 0
	l.lose = func() bool { n++; return n%3 == 0 }
	r := join(t, h, &hub.Session{Topic: "feed"}, hub.Now())
	var want strings.Builder
	for i := 1; i <= 1000; i++ {
		l.say("m", 0, "feed")
		fmt.Fprintf(&want, "%d:m|", i)
	}
	hears(t, r, want.String())
	if h.Stats().Behind == 0 {
		t.Error("nothing was missed")
	}
}

func TestSessionsEndWithWhatTheyRestOn(t *testing.T) {
	h, l := setup(t, hub.Options{})
	a := join(t, h, &hub.Session{Topic: "user/1", Credential: hub.CredentialOf("login/1")}, hub.Now())
	b := join(t, h, &hub.Session{Topic: "user/1", Credential: hub.CredentialOf("login/2")}, hub.Now())
	c := join(t, h, &hub.Session{Topic: "feed", Until: time.Now().Add(time.Second).UnixMilli()}, hub.Now())
	h.Publish([]*journal.Message{{Kind: "login.ended", Ends: "login/1"}})
	closed := func(r *recorder) string { r.mu.Lock(); defer r.mu.Unlock(); return r.closed }
	eventually(t, "the close", func() bool { return strings.HasPrefix(closed(a), "4001 ") })
	if closed(b) != "" {
		t.Errorf("another login was closed: %s", closed(b))
	}
	if err := h.Subscribe(t.Context(), &hub.Session{Topic: "user/1", Format: plain{}, Conn: a, Credential: hub.CredentialOf("login/1")}, hub.Now()); !errors.Is(err, hub.ErrEnded) {
		t.Errorf("a session of a login that has ended: %v", err)
	}
	eventually(t, "the expiry", func() bool { return strings.HasPrefix(closed(c), "4001 ") })
	if left := h.Close(); !slices.Contains(left, hub.Conn(b)) {
		t.Errorf("at the end there are %v", left)
	}
	if err := h.Subscribe(t.Context(), &hub.Session{Topic: "feed", Format: plain{}, Conn: a}, hub.Now()); !errors.Is(err, hub.ErrClosing) {
		t.Errorf("a session after the end: %v", err)
	}
	_ = l
}

func TestPresence(t *testing.T) {
	h, l := setup(t, hub.Options{Settle: 50 * time.Millisecond})
	ann := &hub.Session{Topic: "feed", User: 1, Name: "ann"}
	join(t, h, ann, hub.Now())
	w := join(t, h, &hub.Session{Topic: "feed", Name: "wat", Presence: true, Format: plain{watch: true}}, hub.Now())
	hears(t, w, `presence.here{"names":["ann","wat"],"count":2}|`)
	second := &hub.Session{Topic: "feed", User: 1, Name: "ann"}
	join(t, h, second, hub.Now())
	join(t, h, &hub.Session{Topic: "feed", Name: "budi"}, hub.Now())
	hears(t, w, `presence.here{"names":["ann","wat"],"count":2}|presence.joined{"names":["budi"],"count":3}|`)
	h.Unsubscribe(ann)
	h.Unsubscribe(ann)
	l.say("x", 0, "feed")
	h.Unsubscribe(second)
	hears(t, w, `presence.here{"names":["ann","wat"],"count":2}|presence.joined{"names":["budi"],"count":3}|1:x|presence.left{"names":["ann"],"count":2}|`)
	here, err := h.Presence(t.Context(), "feed")
	if err != nil || fmt.Sprint(here) != "{[budi wat] 2}" {
		t.Errorf("presence is %v, %v", here, err)
	}
}

// TestEverySessionHearsAllOnceInOrder is the hub's promise, under everything
// at once: slow readers, losses, sessions that come, go and resume.
func TestEverySessionHearsAllOnceInOrder(t *testing.T) {
	for what, crowd := range map[string]int{"few": 0, "crowds": 2} {
		t.Run(what, func(t *testing.T) { everySessionHearsAllOnceInOrder(t, crowd) })
	}
}

func everySessionHearsAllOnceInOrder(t *testing.T, crowd int) {
	t.Helper()
	h, l := setupCrowd(t, hub.Options{Shards: 3, Queue: 64, Ring: 4000}, crowd)
	rng := rand.New(rand.NewPCG(1, 2))
	l.lose = func() bool { return rng.IntN(50) == 0 } // called under the log's lock
	const topics, total = 5, 3000
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for p := range 3 {
		wg.Go(func() {
			for i := range total {
				l.say("m", 0, fmt.Sprint("t", (p+i)%topics), "all")
			}
		})
	}
	var readers sync.WaitGroup
	for i := range 40 {
		readers.Go(func() { resumeForever(t, h, l, fmt.Sprint("t", i%topics), i, stop) })
	}
	wg.Wait()
	close(stop)
	l.lose = nil
	for i := range topics { // a last one, so that what was lost last is noticed
		l.say("end", 0, fmt.Sprint("t", i))
	}
	readers.Wait()
}

// resumeForever hears a topic over many sessions, each beginning where the one
// before it stopped, until it has the end.
func resumeForever(t *testing.T, h *hub.Hub, l *memory, topic string, seed int, stop chan struct{}) {
	t.Helper()
	rng := rand.New(rand.NewPCG(9, uint64(seed)))
	pos := uint64(0)
	for deadline := time.Now().Add(2 * time.Minute); ; {
		s := &hub.Session{Topic: topic, Format: plain{}}
		r := &recorder{room: 20 + rng.IntN(200), notify: s.Drained}
		s.Conn = r
		if err := h.Subscribe(context.Background(), s, hub.After(pos)); err != nil {
			t.Error(err)
			return
		}
		for range 1 + rng.IntN(40) {
			time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
			r.drain()
		}
		claimed := s.Position()
		h.Unsubscribe(s)
		text := r.text()
		for part := range strings.SplitSeq(strings.TrimSuffix(text, "|"), "|") {
			if part == "" {
				continue
			}
			var seq uint64
			var word string
			if _, err := fmt.Sscanf(part, "%d:%s", &seq, &word); err != nil || seq != pos+1 {
				t.Errorf("%s: %q after %d", topic, part, pos)
				return
			}
			pos = seq
			if word == "end" {
				return
			}
		}
		if claimed > pos {
			t.Errorf("%s: position %d was claimed with %d heard", topic, claimed, pos)
			return
		}
		if time.Now().After(deadline) {
			head, _ := l.Head(context.Background(), topic)
			t.Errorf("%s: stuck at %d of %d", topic, pos, head)
			return
		}
	}
}
