package relay_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway/relay"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/*.txt", options(relay.Options{}))
}

// TestTranscriptsOfSettings are those of a server that is set differently.
func TestTranscriptsOfSettings(t *testing.T) {
	t.Run("alone", func(t *testing.T) {
		transcript.Run(t, "testdata/settings/alone.txt", options(relay.Options{Alone: true}))
	})
	t.Run("limits", func(t *testing.T) {
		o := options(relay.Options{HTTPRate: account.Limit{N: 3, Per: time.Hour}})
		o.Places = 2
		o.Accounts.Limits.Logins = account.Limit{N: 9, Per: time.Hour}
		o.Members = 2
		transcript.Run(t, "testdata/settings/limits.txt", o)
	})
	t.Run("resume", func(t *testing.T) {
		o := options(relay.Options{})
		o.Sockets.PingEvery = 50 * time.Millisecond // pongs move positions
		transcript.Run(t, "testdata/settings/resume.txt", o)
	})
	t.Run("full", func(t *testing.T) {
		o := options(relay.Options{})
		o.Members = 2
		transcript.Run(t, "testdata/settings/full.txt", o)
	})
	t.Run("nomail", func(t *testing.T) {
		o := options(relay.Options{})
		o.Accounts.Mailer = nil
		transcript.Run(t, "testdata/settings/nomail.txt", o)
	})
	t.Run("peer", func(t *testing.T) {
		transcript.Run(t, "testdata/settings/peer.txt", options(relay.Options{ICE: []string{"stun:stun.example.org"}}))
	})
}

// options are a server with the dialect, but for the rest as the product sets it.
func options(o relay.Options) transcript.Options { return optionsOf(o, new(*relay.Gateway)) }

// optionsOf are options that let the test have the gateway.
func optionsOf(o relay.Options, made **relay.Gateway) transcript.Options {
	var box box
	var clock clock
	if o.Now == nil {
		o.Now = clock.now
	}
	return transcript.Options{
		Words:    words(&box, &clock),
		Values:   map[string]string{"key": "key", "callKey": "call", "host": "host", "link": "link", "roomid": "room", "postid": "post", "commentid": "comment"},
		Accounts: account.Options{Mailer: &box},
		Build: func(c *transcript.Core) (transcript.Routes, error) {
			o.Edge, o.Journal, o.Accounts, o.Chats = c.Edge, c.Journal, c.Accounts, c.Chats
			o.Limits, o.Version = ws.Limits{MaxMessage: 64 << 10, Queue: 256 << 10, Pending: 64}, "1.2.3"
			g := relay.New(o)
			*made = g
			mux := http.NewServeMux()
			g.Handle(mux)
			return transcript.Routes{HTTP: mux, Sockets: map[string]ws.Acceptor{relay.Path: g.Accept, relay.SocketPath: g.Accept}}, nil
		},
	}
}

// clock is that of calls and rates: it stands until it is moved on.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(1e9, c.ns.Load()) }

// box keeps what would have been mailed.
type box struct {
	mu sync.Mutex
	to map[string]string // guarded by mu: the last text
}

func (b *box) Send(_ context.Context, to, _, text string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.to == nil {
		b.to = map[string]string{}
	}
	b.to[to] = text
	return nil
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

const password = transcript.Password

type word = transcript.Word

// words are what relay's transcripts say beside what all can say.
func words(b *box, c *clock) map[string]word {
	all := entering(b)
	maps.Copy(all, doings(c))
	maps.Copy(all, helping())
	return all
}

// entering are words for who is here.
func entering(b *box) map[string]word {
	return map[string]word{
		// socket ann: $socket is a new socket id of the login whose token is $ann.
		"socket": func(ctx context.Context, s *transcript.Scene, rest string) error {
			_, l, err := s.Accounts.Authenticate(ctx, s.Value(rest))
			if err != nil {
				return err
			}
			secret, _, err := s.Accounts.OpenTicket(ctx, l, false)
			s.Set("socket", secret)
			return err
		},
		// mail ann@example.org: $code is the code that was mailed to her last.
		"mail": func(_ context.Context, s *transcript.Scene, rest string) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			code := sixDigits.FindString(b.to[rest])
			if code == "" {
				return fmt.Errorf("no code was mailed to %s", rest)
			}
			s.Set("code", code)
			return nil
		},
	}
}

// doings are words that do something through no gateway.
func doings(c *clock) map[string]word {
	return map[string]word{
		"block":   pairs(func(ctx context.Context, s *transcript.Scene, a, b uint64) error { return s.Chats.Block(ctx, a, b) }),
		"unblock": pairs(func(ctx context.Context, s *transcript.Scene, a, b uint64) error { return s.Chats.Unblock(ctx, a, b) }),
		// says 1 2 hi: user 1 says it to user 2, through no gateway.
		"says": func(ctx context.Context, s *transcript.Scene, rest string) error {
			n, text, err := transcript.Numbers(rest, 2)
			if err != nil {
				return err
			}
			_, err = s.Chats.Send(chat.Outgoing{From: n[0], To: n[1], Text: text}, journal.Key{}).Wait(ctx)
			return err
		},
		// wait 61s: the clock of calls and rates moves on.
		"wait": func(_ context.Context, _ *transcript.Scene, rest string) error {
			d, err := time.ParseDuration(rest)
			c.ns.Add(int64(d))
			return err
		},
		// publish 5 text: the server says it in group 5.
		"publish": func(ctx context.Context, s *transcript.Scene, rest string) error {
			n, text, err := transcript.Numbers(rest, 1)
			if err != nil {
				return err
			}
			_, err = s.Journal.Do(s.Chats.PublishIn(n[0], text)).Wait(ctx)
			return err
		},
		// badges 1 7: user 1 has badge 7.
		"badges": pairs(func(ctx context.Context, s *transcript.Scene, user, badge uint64) error {
			_, err := s.Accounts.SetBadges(ctx, user, []int{int(badge)})
			return err
		}),
		// post pm2yig6go 1 text: user 1's post has this id.
		"post": func(ctx context.Context, s *transcript.Scene, rest string) error {
			id, rest, _ := strings.Cut(rest, " ")
			n, text, err := transcript.Numbers(rest, 1)
			if err != nil {
				return err
			}
			_, err = s.Chats.SeedPost(ctx, id, n[0], text)
			return err
		},
	}
}

// helping are words that a transcript needs itself.
func helping() map[string]word {
	return map[string]word{
		// acknowledged 1 7: a pong of login 1 says that it has everything up to 7.
		"acknowledged": pairs(func(ctx context.Context, s *transcript.Scene, login, seq uint64) error {
			for {
				have, _, err := s.Acked.Position(ctx, account.LoginCredential(login)+"/relay")
				if err != nil || have == seq {
					return err
				}
				select {
				case <-ctx.Done():
					return fmt.Errorf("it has everything up to %d", have)
				case <-time.After(5 * time.Millisecond):
				}
			}
		}),
		// pong 2 4 7: login 4, user 2's, has everything up to 7.
		"pong": func(_ context.Context, s *transcript.Scene, rest string) error {
			n, _, err := transcript.Numbers(rest, 3)
			if err == nil {
				s.Acked.Acked(hub.Acked{Owner: account.LoginCredential(n[1]) + "/relay", Topic: account.Inbox(n[0]), Seq: n[2]})
			}
			return err
		},
	}
}

// pairs is a word of two numbers.
func pairs(f func(ctx context.Context, s *transcript.Scene, a, b uint64) error) word {
	return func(ctx context.Context, s *transcript.Scene, rest string) error {
		n, _, err := transcript.Numbers(rest, 2)
		if err != nil {
			return err
		}
		return f(ctx, s, n[0], n[1])
	}
}
