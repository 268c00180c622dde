package lifecycle_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/lifecycle"
)

// opens begins sessions, and says which they are.
func (w *world) opens(list ...lifecycle.Session) (keys []*hub.Session) {
	for _, s := range list {
		key := &hub.Session{}
		keys = append(keys, key)
		w.mu.Lock()
		w.open[key] = s
		w.mu.Unlock()
		w.Opened(key, s)
	}
	return keys
}

// closes ends a session.
func (w *world) closes(key *hub.Session, code uint16, reason string) {
	w.mu.Lock()
	s := w.open[key]
	delete(w.open, key)
	w.mu.Unlock()
	w.Closed(key, lifecycle.Closed{Session: s, Code: code, Reason: reason})
}

// kept waits until rows of so many open sessions are kept.
func (w *world) kept(of uint64, n int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d rows", n), func() bool {
		list, err := w.store.Lifecycle().Sessions(bg, of, 1<<60, 1<<20)
		if err != nil {
			w.t.Fatal(err)
		}
		return len(list) == n
	})
}

// feedSession is somebody's on the feed.
var feedSession = lifecycle.Session{Gateway: "feed", Topic: "feed", Opened: time.Now().Add(-time.Hour)}

// What a server was killed with is closed by the next start, once, behind what
// was said before it, and what has closed is not; numbers go on.
func TestSessionsThatAServerWasKilledWith(t *testing.T) {
	w := start(t, t.TempDir(), 0)
	ann := lifecycle.Session{Gateway: "direct", Topic: "user/7", User: 7, Login: 4, Opened: feedSession.Opened}
	w.opens(ann) // before there is the instance
	w.eventually("that there is none is seen", func() bool { return !w.Wants() })
	id := w.make()
	w.kept(id, 1)
	keys := w.opens(feedSession, ann, ann)
	w.kept(id, 4)
	w.opens(feedSession)
	w.kept(id, 5)
	w.closes(keys[0], 1000, "bye")
	w.closes(keys[1], 0, "")                                       // it was refused after all
	w.closes(w.opens(feedSession)[0], 1000, "in a moment")         // mostly before it got a row
	w.closes(w.opens(lifecycle.Session{Gateway: "bot"})[0], 0, "") // it never was
	first := []string{"session.closed feed/sessions 1 bye", "session.closed feed/sessions 2 in a moment"}
	w.says(id, first...)
	w.kept(id, 3)
	w = w.again(0) // nobody said that they closed: so it is when a server is killed
	w.eventually("the instance is seen", w.Wants)
	fresh := w.opens(ann)
	w.eventually("all ends", func() bool { return w.Stats().Said == 3 })
	w.kept(id, 1)
	w.closes(fresh[0], 1006, "")
	all := w.says(id, append(first, "session.closed user/7/sessions 1 killed", "session.closed user/7/sessions 2 killed",
		"session.closed feed/sessions 3 killed", "session.closed user/7/sessions 3 ")...)
	if e := all[2]; e.User != 7 || e.Login != 4 || e.Gateway != "direct" || e.Code != 1006 || e.Seconds != nil ||
		e.Since != ann.Opened.UTC().Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("%+v", e)
	}
	w = w.again(0)
	w.eventually("the instance is seen", w.Wants)
	w.closes(w.opens(feedSession)[0], 1000, "")
	all = w.says(id, append(w.texts(all), "session.closed feed/sessions 4 ")...)
	if len(all) != 7 {
		t.Errorf("%d were said", len(all))
	}
}

func (w *world) texts(all []said) (list []string) {
	for _, s := range all {
		list = append(list, s.String())
	}
	return list
}

// Each is said once, also where a write fails, and where the start that says it
// is killed as well, with sessions of its own.
func TestAStartThatIsKilled(t *testing.T) {
	const many, own = 1500, 20
	w := start(t, t.TempDir(), 0)
	id := w.make()
	w.opens(slices.Repeat([]lifecycle.Session{feedSession}, many)...)
	w.kept(id, many)
	starts := 0
	for said := 0; said < many; starts++ {
		w = w.again(0)
		w.fails.Store(starts == 0)
		w.opens(slices.Repeat([]lifecycle.Session{{Gateway: "bot", Topic: "user/1", User: 1, Login: uint64(starts + 1), Opened: time.Now()}}, own)...)
		was := said
		w.eventually("some of it, and its own sessions are kept", func() bool {
			said = len(w.topic(instance.Topic(id)))
			rows, err := w.store.Lifecycle().Sessions(bg, id, 1<<60, 1<<20)
			rows = slices.DeleteFunc(rows, func(k lifecycle.Kept) bool { return k.Login != uint64(starts+1) })
			return err == nil && said > was && len(rows) == own
		})
	}
	w = w.again(0)
	w.eventually("that all is said is seen", w.Wants)
	w.come("feed")
	w.eventually("what came after it", func() bool {
		return slices.ContainsFunc(w.topic(instance.Topic(id)), func(s said) bool { return s.name == instance.TopicOccupied })
	})
	numbers := map[string]uint64{}
	for _, s := range w.topic(instance.Topic(id)) {
		if numbers[s.Subject]++; s.Number != numbers[s.Subject] {
			t.Fatalf("%v is the %dth", s, numbers[s.Subject])
		}
	}
	if n := numbers["feed/sessions"]; n != many {
		t.Errorf("%d of %d were said", n, many)
	}
	if n := numbers["user/1/sessions"]; n != uint64(starts*own) {
		t.Errorf("%d of %d of the starts' own were said", n, starts*own)
	}
}

// Where the instance is made again while ends are still to be said, they take no
// row of its own away: those rows are of the one before.
func TestTheInstanceIsMadeAgainMeanwhile(t *testing.T) {
	const stay, leave = 600, 3000
	w := start(t, t.TempDir(), 0)
	id := w.make()
	keys := w.opens(slices.Repeat([]lifecycle.Session{feedSession}, stay+leave)...)
	w.kept(id, stay+leave)
	for _, key := range keys[:leave] {
		w.closes(key, 1000, "")
	}
	if _, err := w.instances.Delete(bg, instance.ByID(id)); err != nil {
		t.Fatal(err)
	}
	id = w.make()
	w.come("feed") // is said behind the ends
	w.eventually("what came after them", func() bool {
		return slices.ContainsFunc(w.topic(instance.Topic(id)), func(s said) bool { return s.name == instance.TopicOccupied })
	})
	w.kept(id, stay)
}
