package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/api"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/events"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/webhook"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const adminKey = "the-key-of-the-administrator"

// rig is what the tests hold of the server that runs: a transcript's, or one
// that they talk to themselves.
type rig struct {
	// static
	events    events.Options
	instances instance.Options
	sender    webhook.Sender // nil: nobody is there

	// of the server that was built last
	service *instance.Service
	hooks   *webhook.Service
	gateway *events.Gateway
	ahead   atomic.Int64 // of the instances' clock
}

func TestTranscripts(t *testing.T) {
	r := &rig{}
	transcript.Run(t, "testdata/*.txt", r.options())
}

// TestTranscriptsOfSettings are those of a server that is set differently.
func TestTranscriptsOfSettings(t *testing.T) {
	t.Run("expiry", func(t *testing.T) {
		r := &rig{instances: instance.Options{TokenTTL: time.Hour, APIName: "me", Names: []string{"order.paid"}}}
		transcript.Run(t, "testdata/settings/expiry.txt", r.options())
	})
	t.Run("places", func(t *testing.T) {
		o := (&rig{}).options()
		o.Places = 2
		transcript.Run(t, "testdata/settings/places.txt", o)
	})
	t.Run("acknowledge", func(t *testing.T) {
		o := (&rig{}).options()
		o.Sockets.PingEvery = 50 * time.Millisecond // pongs move positions
		transcript.Run(t, "testdata/settings/acknowledge.txt", o)
	})
}

// options are a server with the dialect and the API by which events are posted.
func (r *rig) options() transcript.Options {
	return transcript.Options{
		Words:  r.words(),
		Values: map[string]string{"tokenId": "secret", "secret": "whsec"},
		Build: func(c *transcript.Core) (transcript.Routes, error) {
			i := r.instances
			i.Journal, i.Store, i.Key = c.Journal, c.Store.Instances(), bytes.Repeat([]byte("key "), 8)
			i.Now = func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }
			r.ahead.Store(0)
			var err error
			if r.service, err = instance.New(i); err != nil {
				return transcript.Routes{}, err
			}
			sender := r.sender
			if sender == nil {
				sender = nowhere{}
			}
			r.hooks, err = webhook.New(webhook.Options{
				Journal: c.Journal, Store: c.Store.Webhooks(), Hub: c.Hub, Acked: c.Acked, Instances: r.service, Sender: sender, Key: i.Key,
			})
			if err != nil {
				return transcript.Routes{}, err
			}
			o := r.events
			o.Webhooks = r.hooks
			o.Edge, o.Journal, o.Instances, o.Admin = c.Edge, c.Journal, r.service, gateway.NewAdmin(adminKey)
			if o.Limits == (ws.Limits{}) {
				o.Limits = ws.Limits{MaxMessage: 4096, Queue: 256 << 10, Pending: 64}
			}
			r.gateway = events.New(o)
			mux := http.NewServeMux()
			r.gateway.Handle(mux)
			api.New(api.Options{
				Edge: c.Edge, Journal: c.Journal, Hub: c.Hub, Sockets: c.Sockets, Accounts: c.Accounts, Chats: c.Chats,
				Instances: r.service, Admin: o.Admin,
			}).Handle(mux)
			return transcript.Routes{HTTP: mux, Sockets: map[string]ws.Acceptor{events.Path: r.gateway.Accept}}, nil
		},
	}
}

// nowhere is where webhooks lead here: what they send is another package's business.
type nowhere struct{}

func (nowhere) Post(context.Context, webhook.Request) (webhook.Answer, error) {
	return webhook.Answer{}, errors.New("nobody is there")
}

// words are what the transcripts of events say beside what all can say.
func (r *rig) words() map[string]func(ctx context.Context, s *transcript.Scene, rest string) error {
	return map[string]func(ctx context.Context, s *transcript.Scene, rest string) error{
		// instances north south: they are; $north and $south are their tokens.
		"instances": func(ctx context.Context, s *transcript.Scene, rest string) error {
			for _, name := range strings.Fields(rest) {
				_, token, err := r.service.Create(ctx, instance.Spec{Name: name})
				if err != nil {
					return err
				}
				s.Set(name, token.Text)
			}
			return nil
		},
		// emit north messages.upsert {"n":1}: north says it, through no gateway.
		"emit": func(ctx context.Context, _ *transcript.Scene, rest string) error {
			name, event, _ := strings.Cut(rest, " ")
			event, data, _ := strings.Cut(event, " ")
			list := []instance.Event{{Name: event, Data: json.RawMessage(data)}}
			_, err := r.service.Emit(instance.ByName(name), list, journal.Key{}).Wait(ctx)
			return err
		},
		// ahead 1h: the instances' clock moves on.
		"ahead": func(_ context.Context, _ *transcript.Scene, rest string) error {
			d, err := time.ParseDuration(rest)
			r.ahead.Add(int64(d))
			return err
		},
		// epoch: $epoch is the log's.
		"epoch": func(_ context.Context, s *transcript.Scene, _ string) error {
			s.Set("epoch", s.Journal.Epoch())
			return nil
		},
		// admin: $admin is the administrator's key.
		"admin": func(_ context.Context, s *transcript.Scene, _ string) error {
			s.Set("admin", adminKey)
			return nil
		},
		// acknowledged 1 billing 7: consumer billing of instance 1 has everything up to 7.
		"acknowledged": func(ctx context.Context, s *transcript.Scene, rest string) error {
			f := strings.Fields(rest)
			if len(f) != 3 {
				return errors.New("write it as: acknowledged 1 billing 7")
			}
			id, err := strconv.ParseUint(f[0], 10, 64)
			if err != nil {
				return err
			}
			for {
				have, known, err := s.Acked.Position(ctx, instance.ConsumerOwner(id, f[1]))
				if err != nil || known && strconv.FormatUint(have, 10) == f[2] {
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
}
