package crossing_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/ws"
)

// TestResume plays each way back of each gateway with each thing that can come
// of it, on a server that keeps the newest five of every topic, and compares
// what was counted of it with what was played.
func TestResume(t *testing.T) {
	w := &world{}
	transcript.Run(t, "testdata/resume.txt", transcript.Options{
		Build: w.build,
		Hub:   hub.Options{Retention: func(string) uint64 { return 5 }},
		Words: map[string]transcript.Word{
			"people": people, "code": code, "says": says, "acked": acked, "instances": w.shops, "emit": w.emits, "lines": lines,
			"ticket": ticket,
		},
		Values: map[string]string{"key": "key", "roomid": "room"},
	})
	counted := map[string]int64{}
	w.edge.Resumes.Each(func(r gateway.Resumed, times int64) {
		counted[fmt.Sprintf("%s %v %v", r.Gateway, r.By, r.Outcome)] = times
	})
	var got strings.Builder
	for _, what := range slices.Sorted(maps.Keys(counted)) {
		fmt.Fprintf(&got, "%s %d\n", what, counted[what])
	}
	want, err := os.ReadFile("testdata/resumes")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("counted:\n%swant:\n%s", got.String(), want)
	}
}

// code is "code ann": $code is a one-time code for the login whose token is $ann.
func code(ctx context.Context, s *transcript.Scene, name string) error {
	_, l, err := s.Accounts.Authenticate(ctx, s.Value(name))
	if err != nil {
		return err
	}
	code, err := s.Accounts.Issue(l)
	s.Set("code", code)
	return err
}

// ticket is "ticket ann": $ticket is a new socket id of her login, as a
// bootstrap gives it.
func ticket(ctx context.Context, s *transcript.Scene, name string) error {
	_, l, err := s.Accounts.Authenticate(ctx, s.Value(name))
	if err != nil {
		return err
	}
	id, _, err := s.Accounts.OpenTicket(ctx, l, false)
	s.Set("ticket", id)
	return err
}

// says is "says 1 2 30": user 1 says "1" to "30" to user 2, through no gateway.
func says(ctx context.Context, s *transcript.Scene, rest string) error {
	n, _, err := transcript.Numbers(rest, 3)
	if err != nil {
		return err
	}
	for i := range n[2] {
		m := chat.Outgoing{From: n[0], To: n[1], Text: strconv.FormatUint(i+1, 10)}
		if _, err := s.Chats.Send(m, journal.Key{}).Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lines is "lines 8": somebody says "1" to "8" on the feed.
func lines(ctx context.Context, s *transcript.Scene, rest string) error {
	n, _, err := transcript.Numbers(rest, 1)
	if err != nil {
		return err
	}
	for i := range n[0] {
		if _, err := s.Chats.Speak(chat.Speaker{Name: "x"}, strconv.FormatUint(i+1, 10), journal.Key{}).Wait(ctx); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond) // so that each has a time of its own
	}
	return nil
}

// acked is "acked login/1 user/1 3": that owner has everything of it up to there.
func acked(ctx context.Context, s *transcript.Scene, rest string) error {
	f := strings.Fields(rest)
	if len(f) != 3 {
		return errors.New("write it as: acked login/1 user/1 3")
	}
	seq, err := strconv.ParseUint(f[2], 10, 64)
	if err != nil {
		return err
	}
	return s.Acked.Begin(ctx, hub.Acked{Owner: f[0], Topic: f[1], Seq: seq})
}

// shops is "instances north": it is there, and $north its token.
func (w *world) shops(ctx context.Context, s *transcript.Scene, rest string) error {
	for _, name := range strings.Fields(rest) {
		_, token, err := w.instances.Create(ctx, instance.Spec{Name: name})
		if err != nil {
			return err
		}
		s.Set(name, token.Text)
	}
	return nil
}

// emits is "emit north 8": it says so many events.
func (w *world) emits(ctx context.Context, _ *transcript.Scene, rest string) error {
	name, count, _ := strings.Cut(rest, " ")
	n, _, err := transcript.Numbers(count, 1)
	if err != nil {
		return err
	}
	for i := range n[0] {
		list := []instance.Event{{Name: "send.message", Data: strconv.AppendUint(nil, i+1, 10)}}
		if _, err := w.instances.Emit(instance.ByName(name), list, journal.Key{}).Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// TestProved plays what is confirmed by the ping that follows what was sent,
// on a server whose other pings do not come.
func TestProved(t *testing.T) {
	w := &world{}
	transcript.Run(t, "testdata/proved.txt", transcript.Options{
		Build: w.build, Sockets: ws.Options{PingEvery: time.Hour, ProveAfter: 10 * time.Millisecond},
		Words: map[string]transcript.Word{
			"people": people, "code": code, "ticket": ticket, "says": says, "instances": w.shops, "emit": w.emits, "proved": proved,
		},
		Values: map[string]string{"key": "key", "roomid": "room"},
	})
}

// proved is "proved login/1 3": it waits until that is acknowledged.
func proved(ctx context.Context, s *transcript.Scene, rest string) error {
	owner, number, _ := strings.Cut(rest, " ")
	for {
		seq, _, err := s.Acked.Position(ctx, owner)
		if err != nil || strconv.FormatUint(seq, 10) == number {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has acknowledged %d", owner, seq)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestSessions plays what the administrator sees of somebody's logins, and does
// to their sockets.
func TestSessions(t *testing.T) {
	w := &world{}
	transcript.Run(t, "testdata/sessions.txt", transcript.Options{
		Build: w.build,
		Words: map[string]transcript.Word{
			"people": people, "code": code, "ticket": ticket, "says": says, "acked": acked, "live": w.live,
			"pause": pause,
		},
		Values: map[string]string{
			"key": "key", "roomid": "room", "address": "address", "since": "time", "seen": "time", "expires": "time", "created": "time",
		},
	})
}

// live is "live 1": it waits until all sockets of the login hear what comes as
// it comes.
func (w *world) live(ctx context.Context, _ *transcript.Scene, rest string) error {
	n, _, err := transcript.Numbers(rest, 1)
	for err == nil && slices.ContainsFunc(w.edge.Sessions(n[0]), func(r gateway.Report) bool { return !r.Live }) {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return err
}

// TestReceipts plays what is known of who got a message and who read it, and of
// who is here and was, through all gateways.
func TestReceipts(t *testing.T) {
	w := &world{}
	transcript.Run(t, "testdata/receipts.txt", transcript.Options{
		Build: w.build, Hub: hub.Options{Linger: 50 * time.Millisecond}, // who went has gone
		Words: map[string]transcript.Word{
			"people": people, "code": code, "acked": acked, "gone": gone, "pause": pause,
			"block": func(ctx context.Context, s *transcript.Scene, rest string) error {
				n, _, err := transcript.Numbers(rest, 2)
				if err != nil {
					return err
				}
				return s.Chats.Block(ctx, n[0], n[1])
			},
		},
		Values: map[string]string{"key": "key", "roomid": "room", "link": "link", "read_at": "time", "sent_at": "time", "created": "time", "last_seen": "time"},
	})
}

// gone is "gone 1": it waits until that person is not online, and that is kept.
func gone(ctx context.Context, s *transcript.Scene, rest string) error {
	n, _, err := transcript.Numbers(rest, 1)
	for err == nil && s.Chats.Online(n[0]) {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return err
}

// pause lets time go on, so that what is told apart by it can be.
func pause(context.Context, *transcript.Scene, string) error {
	time.Sleep(200 * time.Millisecond)
	return nil
}
