package hub_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
)

// tell says something that is not kept, and returns how many heard it.
func tell(t *testing.T, h *hub.Hub, topic, text string, except uint64) int {
	t.Helper()
	heard := make(chan int, 2)
	h.Tell(topic, &journal.Message{Kind: "told", Data: []byte(text), Except: except}, func(n int) { heard <- n })
	select {
	case n := <-heard:
		return n
	case <-time.After(30 * time.Second):
		t.Fatal("nobody said how many heard it")
		return 0
	}
}

func TestWhatIsToldIsHeardByWhoIsHere(t *testing.T) {
	h, l := setup(t, hub.Options{})
	if n := tell(t, h, "room", "nobody", 0); n != 0 {
		t.Fatalf("%d in an empty topic", n)
	}
	watch := join(t, h, &hub.Session{Topic: "room", Format: plain{watch: true}, Key: 1}, hub.Now())
	other := join(t, h, &hub.Session{Topic: "room", Format: plain{watch: true}, Key: 2}, hub.Now())
	deaf := join(t, h, &hub.Session{Topic: "room"}, hub.Now())
	l.say("m1", 0, "room")
	hears(t, deaf, "1:m1|")
	hears(t, watch, "1:m1|")
	if n := tell(t, h, "room", "a", 0); n != 2 {
		t.Fatalf("%d heard it; those who write it are two", n)
	}
	if n := tell(t, h, "room", "b", 2); n != 1 {
		t.Fatalf("%d heard it; one of the two is excepted", n)
	}
	l.say("m2", 0, "room")
	hears(t, watch, "1:m1|tolda|toldb|2:m2|")
	hears(t, other, "1:m1|tolda|2:m2|")
	hears(t, deaf, "1:m1|2:m2|")
}

func TestWhoCatchesUpIsToldToo(t *testing.T) {
	h, l := setup(t, hub.Options{})
	slow := &hub.Session{Topic: "room", Format: plain{watch: true}}
	r := joinConn(t, h, slow, hub.Now(), &recorder{room: 6})
	eventually(t, "a refusal", func() bool {
		l.say("m", 0, "room")
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.wants
	})
	if n := tell(t, h, "room", "x", 0); n != 0 {
		t.Fatalf("%d: there was no room for it", n)
	}
	r.mu.Lock()
	r.room, r.queued = 0, 0 // there is room again, and nobody has said so yet
	r.mu.Unlock()
	if n := tell(t, h, "room", "y", 0); n != 1 {
		t.Fatalf("%d while it catches up", n)
	}
}

// bye is a format with a last word.
type bye struct{ plain }

func (bye) End(m *journal.Message) ([]byte, uint16, string) {
	return []byte("bye " + m.Kind + "|"), 4009, "replaced"
}

func TestASessionEndsWithEitherOfTheTwoItRestsOn(t *testing.T) {
	h, _ := setup(t, hub.Options{})
	one := join(t, h, &hub.Session{Topic: "a", Credential: hub.CredentialOf("login/1"), Ticket: hub.CredentialOf("ticket/1"), Format: bye{}}, hub.Now())
	two := join(t, h, &hub.Session{Topic: "a", Credential: hub.CredentialOf("login/1"), Ticket: hub.CredentialOf("ticket/2")}, hub.Now())
	ends := func(what string) { h.Publish([]*journal.Message{{Kind: "over", Ends: what}}) }
	ends("ticket/1")
	eventually(t, "the last word", func() bool { return one.text() == "bye over|" && one.closed == "4009 replaced" })
	if two.closed != "" {
		t.Fatalf("another ticket's session was closed: %s", two.closed)
	}
	for _, s := range []*hub.Session{{Topic: "a", Credential: hub.CredentialOf("login/1"), Ticket: hub.CredentialOf("ticket/1")}, {Topic: "a", Ticket: hub.CredentialOf("ticket/1")}} {
		s.Conn, s.Format = &recorder{}, plain{}
		if err := h.Subscribe(t.Context(), s, hub.Now()); !errors.Is(err, hub.ErrEnded) {
			t.Fatalf("a ticket that is over: %v", err)
		}
	}
	ends("login/1")
	eventually(t, "the end", func() bool { return two.closed == "4001 the login or token has ended" })
	if left := h.Close(); len(left) != 2 {
		t.Fatalf("at the end there are %v", left)
	}
}

func TestOccupied(t *testing.T) {
	var mu sync.Mutex
	said := ""
	heard := func() string { mu.Lock(); defer mu.Unlock(); return said }
	h, _ := setup(t, hub.Options{Linger: 50 * time.Millisecond, Occupied: func(topic string, here bool) {
		mu.Lock()
		defer mu.Unlock()
		said += fmt.Sprint(topic, " ", here, "|")
	}})
	a, b := &hub.Session{Topic: "user/1"}, &hub.Session{Topic: "user/1"}
	join(t, h, a, hub.Now())
	join(t, h, b, hub.Now())
	eventually(t, "somebody", func() bool { return heard() == "user/1 true|" })
	h.Unsubscribe(a)
	h.Unsubscribe(b)
	eventually(t, "nobody", func() bool { return heard() == "user/1 true|user/1 false|" })
	c := &hub.Session{Topic: "user/1"}
	join(t, h, c, hub.Now())
	eventually(t, "somebody again", func() bool { return heard() == "user/1 true|user/1 false|user/1 true|" })
}

func TestWhoComesBackAtOnceNeverWent(t *testing.T) {
	var mu sync.Mutex
	said := 0
	h, _ := setup(t, hub.Options{Linger: time.Hour, Occupied: func(string, bool) { mu.Lock(); defer mu.Unlock(); said++ }})
	for range 5 {
		s := &hub.Session{Topic: "user/1", Format: plain{watch: true}}
		join(t, h, s, hub.Now())
		if tell(t, h, "user/1", "x", 0) != 1 {
			t.Fatal("it is not there")
		}
		h.Unsubscribe(s)
	}
	mu.Lock()
	defer mu.Unlock()
	if said != 1 {
		t.Fatalf("%d changes", said)
	}
}

func TestACursorReadsEverythingOnceInOrder(t *testing.T) {
	for _, ring := range []int{-1, 0} {
		h, l := setup(t, hub.Options{Ring: ring})
		for i := range 300 {
			l.say(strconv.Itoa(i), 0, "instance/1")
		}
		c, err := h.Cursor(t.Context(), "instance/1", 100)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for i := 300; i < 1000; i++ {
				l.say(strconv.Itoa(i), 0, "instance/1")
			}
		}()
		for seq := uint64(101); seq <= 1000; {
			ms, err := c.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range ms {
				if got := m.Seq("instance/1"); got != seq {
					t.Fatalf("%d came for %d", got, seq)
				}
				seq++
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if ms, err := c.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("%v, %v", ms, err)
		}
		c.Close()
		c.Close()
		if n := h.Stats().Sessions; n != 0 {
			t.Fatalf("%d clients are connected", n)
		}
		d, err := h.Cursor(t.Context(), "instance/1", 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range h.Close() {
			c.Close(1001, "")
		}
		if _, err := d.Next(t.Context()); !errors.Is(err, hub.ErrClosing) {
			t.Fatal(err)
		}
	}
}
