package hub_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
)

// TestAWatcherThatReadsThePastKnowsWhoIsHere: who came while a watcher was still
// taking what was said before is named to it, too.
func TestAWatcherThatReadsThePastKnowsWhoIsHere(t *testing.T) {
	h, l := setup(t, hub.Options{Settle: 20 * time.Millisecond})
	l.say(strings.Repeat("x", 100), 0, "feed")
	early := join(t, h, &hub.Session{Topic: "feed", Name: "early", Presence: true, Format: plain{watch: true}}, hub.Now())
	late := &recorder{room: 60}
	joinConn(t, h, &hub.Session{Topic: "feed", Name: "late", Presence: true, Format: plain{watch: true}}, hub.After(0), late)
	join(t, h, &hub.Session{Topic: "feed", Name: "ann"}, hub.Now())
	eventually(t, "ann is told to who reads", func() bool { return strings.Contains(early.text(), `"ann"`) })
	eventually(t, "ann is told to who was reading", func() bool { late.drain(); return strings.Contains(late.text(), `"ann"`) })
}

// TestAWatcherThatSkipsKnowsWhoIsHere: one that loses what it missed does not
// lose who is here.
func TestAWatcherThatSkipsKnowsWhoIsHere(t *testing.T) {
	h, l := setup(t, hub.Options{Settle: 20 * time.Millisecond})
	slow := &recorder{room: 60}
	joinConn(t, h, &hub.Session{Topic: "feed", Name: "w", Presence: true, Skip: true, Format: plain{watch: true}}, hub.Now(), slow)
	early := join(t, h, &hub.Session{Topic: "feed", Name: "early", Presence: true, Format: plain{watch: true}}, hub.Now())
	eventually(t, "here", func() bool { return strings.Contains(slow.text(), "presence.here") })
	l.say(strings.Repeat("x", 60), 0, "feed") // no room: it falls back
	eventually(t, "fallback", func() bool { return h.Stats().Fallbacks > 0 })
	join(t, h, &hub.Session{Topic: "feed", Name: "ann"}, hub.Now())
	eventually(t, "ann is told to who reads", func() bool { return strings.Contains(early.text(), `"ann"`) })
	eventually(t, "ann is told to who skips", func() bool { slow.drain(); return strings.Contains(slow.text(), `"ann"`) })
}
