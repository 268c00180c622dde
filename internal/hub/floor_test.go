package hub_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
)

// TestWhereATopicBegins: what is below a topic's floor cannot be asked for, is
// not among the last, and is not in memory any more.
func TestWhereATopicBegins(t *testing.T) {
	h, l := setup(t, hub.Options{Retention: func(string) uint64 { return 4 }})
	for i := 1; i <= 6; i++ {
		l.say(fmt.Sprint("m", i), 0, "feed")
	}
	l.raise("feed", 5)
	last := join(t, h, &hub.Session{Topic: "feed"}, hub.Last(99))
	after := join(t, h, &hub.Session{Topic: "feed"}, hub.After(4))
	hears(t, last, "5:m5|6:m6|")
	hears(t, after, "5:m5|6:m6|")
	var gone *hub.GoneError
	if err := h.Subscribe(t.Context(), &hub.Session{Topic: "feed", Format: plain{}, Conn: last}, hub.After(3)); !errors.As(err, &gone) || gone.Reason != "expired" || gone.Head != 6 {
		t.Errorf("below the floor: %v", err)
	}
	l.raise("feed", 7)
	none := join(t, h, &hub.Session{Topic: "feed"}, hub.Last(99))
	l.say("m7", 0, "feed")
	hears(t, none, "7:m7|")
	hears(t, after, "5:m5|6:m6|7:m7|")
}

// TestASessionBehindTheFloorIsTold: what a session was still to hear is swept.
// It is told so instead of being served the rest; one that chose to lose what
// it misses goes on, and so does a reader inside, which learns it when it reads.
func TestASessionBehindTheFloorIsTold(t *testing.T) {
	h, l := setup(t, hub.Options{Ring: -1})
	slow, skips := &recorder{room: 1}, &recorder{room: 1}
	joinConn(t, h, &hub.Session{Topic: "feed"}, hub.Now(), slow)
	joinConn(t, h, &hub.Session{Topic: "feed", Skip: true}, hub.Now(), skips)
	cursor, err := h.Cursor(t.Context(), "feed", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer cursor.Close()
	l.say("m1", 0, "feed")
	hears(t, slow, "1:m1|")
	hears(t, skips, "1:m1|")
	for i := range 8 {
		l.say(fmt.Sprint("m", i+2), 0, "feed")
	}
	eventually(t, "both fell back", func() bool { return h.Stats().Fallbacks == 2 })
	l.raise("feed", 8)
	eventually(t, "4010", func() bool { slow.drain(); return slow.closedWith() == "4010 expired" })
	hears(t, slow, "1:m1|")
	eventually(t, "the count", func() bool { skips.drain(); return strings.Contains(skips.text(), `session.skipped{"count":`) })
	if strings.Contains(skips.text(), "m2") {
		t.Errorf("it skipped nothing: %q", skips.text())
	}
	if _, err := cursor.Next(t.Context()); !errors.Is(err, journal.ErrExpired) {
		t.Errorf("a cursor below the floor: %v", err)
	}
}

// TestAShardBehindTheFloor: the hub was not told of what is swept before it
// reads it from the log.
func TestAShardBehindTheFloor(t *testing.T) {
	h, l := setup(t, hub.Options{Ring: -1})
	live := join(t, h, &hub.Session{Topic: "feed"}, hub.Now())
	cursor, err := h.Cursor(t.Context(), "feed", 5)
	if err != nil {
		t.Fatal(err)
	}
	defer cursor.Close()
	l.lose = func() bool { return true }
	for i := range 5 {
		l.say(fmt.Sprint("m", i+1), 0, "feed")
	}
	l.raise("feed", 5)
	l.lose = nil
	l.say("m6", 0, "feed")
	ms, err := cursor.Next(t.Context())
	if err != nil || len(ms) != 1 || string(ms[0].Data) != "m6" {
		t.Errorf("a cursor that is not behind: %v, %v", ms, err)
	}
	eventually(t, "4010", func() bool { return live.closedWith() == "4010 expired" })
	then := join(t, h, &hub.Session{Topic: "feed"}, hub.Last(1))
	hears(t, then, "6:m6|")
}

func (r *recorder) closedWith() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}
