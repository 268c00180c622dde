package api_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/api"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const adminKey = "the-key-of-the-administrator"

func TestTranscripts(t *testing.T) {
	r := &rig{api: api.Options{Version: "1.2.3", Admin: gateway.NewAdmin(adminKey)}}
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
	mux       *http.ServeMux
}

// options are a server with the API, no gateway, and a socket at /open.
func (r *rig) options() transcript.Options {
	return transcript.Options{
		Build: func(c *transcript.Core) (transcript.Routes, error) {
			var err error
			r.instances, err = instance.New(instance.Options{Journal: c.Journal, Store: c.Store.Instances(), Key: bytes.Repeat([]byte("key "), 8)})
			o := r.api
			o.Edge, o.Journal, o.Hub, o.Sockets = c.Edge, c.Journal, c.Hub, c.Sockets
			o.Accounts, o.Chats, o.Instances = c.Accounts, c.Chats, r.instances
			r.mux = http.NewServeMux()
			api.New(o).Handle(r.mux)
			open := func(*ws.Request, *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) { return deaf{}, nil, nil }
			return transcript.Routes{HTTP: r.mux, Sockets: map[string]ws.Acceptor{"/open": open}}, err
		},
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
