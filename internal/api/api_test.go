package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/api"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/mail"
	"github.com/kabar-io/kabar/internal/personal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/webhook"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const adminKey = "the-key-of-the-administrator"

func TestTranscripts(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789e3, time.UTC)
	letters := func() []mail.Message {
		return []mail.Message{{To: "ann@example.org", Subject: "Your code", Text: "123456", Time: at}}
	}
	r := &rig{api: api.Options{Version: "1.2.3", Admin: gateway.NewAdmin(adminKey), Mail: letters}}
	transcript.Run(t, "testdata/*.txt", r.options())
}

// TestTranscriptsOfSettings are those of a server that is set differently.
func TestTranscriptsOfSettings(t *testing.T) {
	transcript.Run(t, "testdata/settings/nokey.txt", (&rig{}).options())
}

// rig is what the tests hold of the server that was built last.
type rig struct {
	api       api.Options // static
	instances *instance.Service
	processes *process.Service
	webhooks  *webhook.Service
	core      *transcript.Core
	mux       *http.ServeMux
	erases    bool              // static
	personal  *personal.Service // where it erases
}

// build makes the API, and a socket at /open.
func (r *rig) build(c *transcript.Core) (transcript.Routes, error) {
	var err error
	key := bytes.Repeat([]byte("key "), 8)
	r.instances, err = instance.New(instance.Options{Journal: c.Journal, Store: c.Store.Instances(), Key: key})
	if err != nil {
		return transcript.Routes{}, err
	}
	r.processes, err = process.New(process.Options{
		Journal: c.Journal, Store: c.Store.Processes(), Hub: c.Hub, Acked: c.Acked, Accounts: c.Accounts, Chats: c.Chats,
		Instances: r.instances, Key: key, Reserved: func(path string) bool { return path == "/taken" }, Log: c.Edge.Log,
	})
	if err != nil {
		return transcript.Routes{}, err
	}
	r.core = c
	r.webhooks, err = webhook.New(webhook.Options{
		Journal: c.Journal, Store: c.Store.Webhooks(), Hub: c.Hub, Acked: c.Acked, Instances: r.instances, Sender: nobody{}, Key: key, Log: c.Edge.Log,
	})
	o := r.api
	if r.erases {
		r.personal, err = personal.New(personal.Options{Journal: c.Journal, Store: c.Store.Erasures(), Accounts: c.Accounts, Chats: c.Chats, Soon: func() {}})
		o.Personal = r.personal
	}
	o.Edge, o.Journal, o.Hub, o.Sockets = c.Edge, c.Journal, c.Hub, c.Sockets
	o.Accounts, o.Chats, o.Instances, o.Processes, o.Webhooks = c.Accounts, c.Chats, r.instances, r.processes, r.webhooks
	r.mux = http.NewServeMux()
	api.New(o).Handle(r.mux)
	open := func(*ws.Request, *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) { return deaf{}, nil, nil }
	return transcript.Routes{HTTP: r.mux, Sockets: map[string]ws.Acceptor{"/open": open}}, err
}

// nobody is a Sender of a service that does not run.
type nobody struct{}

func (nobody) Post(context.Context, webhook.Request) (webhook.Answer, error) {
	return webhook.Answer{}, errors.New("nothing is sent here")
}

// options are a server with the API, no gateway, and a socket at /open.
func (r *rig) options() transcript.Options {
	return transcript.Options{
		Build:  r.build,
		Values: map[string]string{"created": "time", "secret": "secret"},
		Words: map[string]func(ctx context.Context, s *transcript.Scene, rest string) error{
			// admin: $admin is the administrator's key.
			"admin": func(_ context.Context, s *transcript.Scene, _ string) error {
				s.Set("admin", adminKey)
				return nil
			},
			// people ann bob: they have accounts, 1 and 2.
			"people": func(ctx context.Context, s *transcript.Scene, rest string) error {
				for _, name := range strings.Fields(rest) {
					p := account.Registration{Email: name + "@example.org", Name: name, Password: "12345678"}
					if _, err := s.Accounts.Register(ctx, p); err != nil {
						return err
					}
				}
				return nil
			},
			// instances north south: they are; $north and $south are their tokens.
			"instances": func(ctx context.Context, s *transcript.Scene, rest string) error {
				for _, name := range strings.Fields(rest) {
					_, token, err := r.instances.Create(ctx, instance.Spec{Name: name})
					if err != nil {
						return err
					}
					s.Set(name, token.Text)
				}
				return nil
			},
			// room 1 friends: user 1 makes a group of this name, $room.
			"room": func(ctx context.Context, s *transcript.Scene, rest string) error {
				owner, name, _ := strings.Cut(rest, " ")
				id, err := strconv.ParseUint(owner, 10, 64)
				if err != nil {
					return err
				}
				g, err := s.Chats.CreateGroup(ctx, id, name)
				s.Set("room", strconv.FormatUint(g.ID, 10))
				return err
			},
			// friends: users 1 and 2 are; $private is their room.
			"friends": func(ctx context.Context, s *transcript.Scene, _ string) error {
				if _, err := s.Chats.Request(ctx, 1, 2); err != nil {
					return err
				}
				if err := s.Chats.Accept(ctx, 2, 1); err != nil {
					return err
				}
				st, err := s.Chats.Standing(ctx, 1, 2)
				s.Set("private", strconv.FormatUint(st.Room, 10))
				return err
			},
			// deleted south: it is no more.
			"deleted": func(ctx context.Context, _ *transcript.Scene, rest string) error {
				_, err := r.instances.Delete(ctx, instance.ByName(rest))
				return err
			},
			"holds": holds,
		},
	}
}

// holds feed 2 notice {"text":"x"}: the newest message of topic feed has the
// number 2, this kind and this data. holds feed 0: it
// holds nothing.
func holds(ctx context.Context, s *transcript.Scene, rest string) error {
	f := strings.SplitN(rest, " ", 4)
	seq, err := strconv.ParseUint(f[1], 10, 64)
	if err != nil {
		return err
	}
	head, err := s.Journal.Head(ctx, f[0])
	if err == nil && head != seq {
		err = fmt.Errorf("it holds %d", head)
	}
	if err != nil || seq == 0 {
		return err
	}
	ms, err := s.Journal.Read(ctx, f[0], seq-1, 1)
	if err != nil {
		return err
	}
	if len(f) != 4 || ms[0].Kind != f[2] || string(ms[0].Data) != f[3] {
		return fmt.Errorf("it holds %s %s", ms[0].Kind, ms[0].Data)
	}
	return nil
}
