package direct_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway/direct"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/*.txt", options(direct.Options{}))
}

// TestTranscriptsOfSettings are those of a server that is set differently.
func TestTranscriptsOfSettings(t *testing.T) {
	t.Run("reveal", func(t *testing.T) {
		transcript.Run(t, "testdata/settings/reveal.txt", options(direct.Options{Reveal: true}))
	})
	t.Run("limits", func(t *testing.T) {
		o := options(direct.Options{})
		o.Places = 2
		o.Accounts.Limits = account.Limits{
			Registrations: account.Limit{N: 3, Per: time.Hour}, Logins: account.Limit{N: 4, Per: time.Hour}, RefusedCodes: account.Limit{N: 3, Per: time.Hour},
		}
		transcript.Run(t, "testdata/settings/limits.txt", o)
	})
	t.Run("receipts", func(t *testing.T) {
		o := options(direct.Options{})
		o.Hub.Linger = 50 * time.Millisecond // who went has gone
		transcript.Run(t, "testdata/settings/receipts.txt", o)
	})
	t.Run("resume", func(t *testing.T) {
		o := options(direct.Options{})
		o.Sockets.PingEvery = 50 * time.Millisecond // pongs move positions
		transcript.Run(t, "testdata/settings/resume.txt", o)
	})
}

// options are a server with the dialect, but for the rest as the product sets it.
func options(o direct.Options) transcript.Options {
	return transcript.Options{
		Words: words,
		Build: func(c *transcript.Core) (transcript.Routes, error) {
			o.Edge, o.Journal, o.Accounts, o.Chats = c.Edge, c.Journal, c.Accounts, c.Chats
			o.Limits, o.Text = ws.Limits{MaxMessage: 4096, Queue: 256 << 10, Pending: 64}, 800
			g := direct.New(o)
			mux := http.NewServeMux()
			g.Handle(mux)
			return transcript.Routes{HTTP: mux, Sockets: map[string]ws.Acceptor{direct.Path: g.Accept}}, nil
		},
	}
}

const password = transcript.Password

// words are what direct's transcripts say beside what all can say.
var words = map[string]transcript.Word{
	// code phone: $code is a one-time code for the login whose token is $phone.
	"code": func(ctx context.Context, s *transcript.Scene, rest string) error {
		_, l, err := s.Accounts.Authenticate(ctx, s.Value(rest))
		if err != nil {
			return err
		}
		code, err := s.Accounts.Issue(l)
		s.Set("code", code)
		return err
	},
	// called 1 2: 1 did so; $call is the id of the record.
	"called": func(ctx context.Context, s *transcript.Scene, rest string) error {
		n, _, err := transcript.Numbers(rest, 2)
		if err != nil {
			return err
		}
		if err := s.Chats.RecordCall(ctx, n[0], n[1], chat.Call{Key: "k", Seconds: 1}); err != nil {
			return err
		}
		ms, _, err := s.Chats.History(ctx, n[0], chat.Place{User: n[1]}, 0, 1)
		if err == nil {
			s.Set("call", ms[0].ID)
		}
		return err
	},
	// says 1 2 30: user 1 says "1" to "30" to user 2, through no gateway.
	"says": func(ctx context.Context, s *transcript.Scene, rest string) error {
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
	},
	// group Warung 1 2: it has the next id, and these members; the first owns it.
	"group": func(ctx context.Context, s *transcript.Scene, rest string) error {
		name, members, _ := strings.Cut(rest, " ")
		n, _, err := transcript.Numbers(members, 2)
		if err != nil {
			return err
		}
		g, err := s.Chats.CreateGroup(ctx, n[0], name)
		if err == nil {
			_, err = s.Chats.Join(ctx, n[1], g.ID, g.Link)
		}
		return err
	},
	// in 5 1 Hai: user 1 says it in group 5, through no gateway.
	"in": func(ctx context.Context, s *transcript.Scene, rest string) error {
		fields := strings.SplitN(rest, " ", 3)
		n, _, err := transcript.Numbers(strings.Join(fields[:2], " "), 2)
		if err == nil {
			_, err = s.Chats.Send(chat.Outgoing{From: n[1], Group: n[0], Text: fields[2]}, journal.Key{}).Wait(ctx)
		}
		return err
	},
	// edit 1 2 $id Hai: user 1 changes what they said to user 2; without a text it is taken back.
	"edit": func(ctx context.Context, s *transcript.Scene, rest string) (err error) {
		fields := strings.SplitN(rest, " ", 4)
		n, _, err := transcript.Numbers(strings.Join(fields[:2], " "), 2)
		if err != nil {
			return err
		}
		id := fields[2]
		if len(fields) == 4 {
			_, err = s.Chats.Edit(ctx, n[0], chat.Place{User: n[1]}, id, fields[3], 0)
		} else {
			_, err = s.Chats.Delete(ctx, n[0], chat.Place{User: n[1]}, id, 0)
		}
		return err
	},
	// acknowledged 1 7: a pong of login 1 says that it has everything up to 7.
	"acknowledged": func(ctx context.Context, s *transcript.Scene, rest string) error {
		n, _, err := transcript.Numbers(rest, 2)
		if err != nil {
			return err
		}
		for {
			have, _, err := s.Acked.Position(ctx, account.LoginCredential(n[0]))
			if err != nil || have == n[1] {
				return err
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("it has everything up to %d", have)
			case <-time.After(5 * time.Millisecond):
			}
		}
	},
}
