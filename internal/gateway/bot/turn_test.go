package bot

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/kabar-io/kabar/internal/process"
)

// still is a connection on which nothing runs by itself: its lane has all the
// executors that it may, and they do nothing.
func still() (*socket, *ear) {
	s := &socket{lane: &lane{running: executors}}
	s.listens.Store(true)
	return s, &ear{s: s}
}

func said(text string) []byte {
	return appendTrigger(nil, process.Trigger{On: process.OnMessage, Text: text})
}

// step is what an executor gets, which ends its turn at once.
func (s *socket) stepped(t *testing.T) (do process.Trigger, unsent []byte, room []*ear, ok bool) {
	t.Helper()
	do, unsent, room, ok = s.turns.next()
	if ok {
		if !s.turns.busy {
			t.Error("it has no turn")
		}
		s.give()
	}
	return do, unsent, room, ok
}

func TestWhatWaitsIsBounded(t *testing.T) {
	s, e := still()
	one := said("x")
	n := 0
	for ; e.Send(one); n++ {
		if len(s.turns.heard) > maxHeard {
			t.Fatalf("%d bytes wait", len(s.turns.heard))
		}
	}
	if n != maxHeard/len(one) {
		t.Errorf("%d triggers of %d bytes fitted", n, len(one))
	}
	big := said(string(bytes.Repeat([]byte("y"), maxHeard)))
	for i := range n {
		_, _, room, ok := s.stepped(t)
		if !ok {
			t.Fatalf("of %d there were %d", n, i)
		}
		left := len(s.turns.heard)
		crossed := left <= roomAgain && left+len(one) > roomAgain
		if refused := i == n-1; len(room) > 0 != (crossed || refused) {
			t.Fatalf("with %d bytes left there is room for %v", left, room)
		}
		if i == n-2 && e.Send(big) {
			t.Error("what is too long went behind what waits")
		}
	}
	// What is longer than all may wait alone, or nobody could ever hear it.
	if !e.Send(big) {
		t.Error("what is too long is never heard")
	}
	if do, _, room, ok := s.stepped(t); !ok || len(do.Text) != maxHeard || len(room) != 0 {
		t.Errorf("%d bytes, %v", len(do.Text), room)
	}
	if _, _, _, ok := s.stepped(t); ok {
		t.Error("there is more")
	}
	s.listens.Store(false)
	if !e.Send(one) || s.turns.heard != nil {
		t.Error("it is kept for a process that does not want it")
	}
}

// TestWhoIsRefusedOftenWaitsOnce: what is told to an ear while there is no room
// is lost, and costs nothing.
func TestWhoIsRefusedOftenWaitsOnce(t *testing.T) {
	s, e := still()
	big := said(string(bytes.Repeat([]byte("y"), maxHeard)))
	e.Send(big)
	for range 100 {
		if e.Send(big) {
			t.Fatal("there is room")
		}
	}
	if n := len(s.turns.full); n != 1 {
		t.Errorf("it waits %d times", n)
	}
}

func TestWhoseTurnItIs(t *testing.T) {
	s, e := still()
	s.turns.connect = true
	e.Send(said("1"), said("2"))
	frame := func() chan bool {
		got := make(chan bool)
		go func() { got <- s.take(t.Context()) }()
		for waits := false; !waits; {
			s.turns.mu.Lock()
			waits = s.turns.frame != nil
			s.turns.mu.Unlock()
		}
		return got
	}
	first := frame()
	if do, _, _, ok := s.stepped(t); !ok || do.On != process.OnConnect {
		t.Fatalf("first comes %+v", do)
	}
	if _, _, _, ok := s.stepped(t); ok || !<-first {
		t.Fatal("a frame does not come before what was heard")
	}
	if _, _, _, ok := s.stepped(t); ok {
		t.Fatal("something runs beside a frame")
	}
	s.give()
	second := frame() // a trigger runs between two frames
	if do, _, _, ok := s.stepped(t); !ok || do.Text != "1" {
		t.Fatalf("then comes %+v", do)
	}
	if _, _, _, ok := s.stepped(t); ok || !<-second {
		t.Fatal("the second frame does not come")
	}
	s.give()

	// A push that has no room holds up what would cause more, but no frame.
	s.turns.unsent, s.turns.blocked = []byte("push"), true
	if _, _, _, ok := s.stepped(t); ok || s.turns.waits() {
		t.Error("more is caused while there is no room")
	}
	if !s.take(t.Context()) {
		t.Error("no frame runs")
	}
	s.give()
	s.drain()
	if _, unsent, _, ok := s.stepped(t); !ok || string(unsent) != "push" {
		t.Errorf("with room comes %q", unsent)
	}
	if do, _, _, ok := s.stepped(t); !ok || do.Text != "2" {
		t.Errorf("then comes %+v", do)
	}

	// Of what waits at the end, only connect and disconnect run.
	s.turns.connect = true
	e.Send(said("3"))
	s.end(true)
	if !e.Send(said("4")) {
		t.Error("who has gone is waited for")
	}
	for i, want := range []string{process.OnConnect, process.OnDisconnect} {
		if do, _, _, ok := s.stepped(t); !ok || do.On != want {
			t.Errorf("%s: %+v", strconv.Itoa(i), do)
		}
	}
	if _, _, _, ok := s.stepped(t); ok {
		t.Error("there is more")
	}
}
