// Package crossing has no code but this test: what happens in one dialect, as
// the others hear it, cell by cell of one table.
package crossing_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/api"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/bot"
	"github.com/kabar-io/kabar/internal/gateway/direct"
	"github.com/kabar-io/kabar/internal/gateway/events"
	"github.com/kabar-io/kabar/internal/gateway/feed"
	"github.com/kabar-io/kabar/internal/gateway/relay"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// key is the administrator's, and the one that signs.
const key = "0123456789abcdef0123456789abcdef"

// world is all five gateways on one core.
type world struct {
	processes *process.Service
	instances *instance.Service
	bots      *bot.Gateway
	edge      *gateway.Edge
}

func TestCrossing(t *testing.T) {
	w := &world{}
	transcript.Run(t, "testdata/crossing.txt", transcript.Options{
		Build: w.build, Hub: hub.Options{Linger: 50 * time.Millisecond}, // who went has gone
		Words: map[string]transcript.Word{
			"people": people, "code": code, "socket": socket, "listener": w.listener,
		},
		Values: map[string]string{
			"key": "key", "callKey": "call", "host": "host", "link": "link", "roomid": "room", "postid": "post", "commentid": "comment",
		},
	})
}

func (w *world) build(c *transcript.Core) (transcript.Routes, error) {
	limits := ws.Limits{MaxMessage: 64 << 10, Queue: 256 << 10, Pending: 64}
	admin := gateway.NewAdmin(key)
	instances, err := instance.New(instance.Options{Journal: c.Journal, Store: c.Store.Instances(), Key: []byte(key)})
	if err != nil {
		return transcript.Routes{}, err
	}
	w.instances, w.edge = instances, c.Edge
	w.processes, err = process.New(process.Options{
		Journal: c.Journal, Store: c.Store.Processes(), Hub: c.Hub, Acked: c.Acked, Accounts: c.Accounts, Chats: c.Chats,
		Instances: instances, Key: []byte(key), Log: c.Edge.Log,
	})
	if err != nil {
		return transcript.Routes{}, err
	}
	mux := http.NewServeMux()
	dm := direct.New(direct.Options{Edge: c.Edge.For("direct"), Journal: c.Journal, Accounts: c.Accounts, Chats: c.Chats, Limits: limits, Text: 800})
	ev := events.New(events.Options{Edge: c.Edge.For("events"), Journal: c.Journal, Instances: instances, Admin: admin, Limits: limits})
	fd := feed.New(feed.Options{Edge: c.Edge.For("feed"), Journal: c.Journal, Accounts: c.Accounts, Chats: c.Chats, Limits: limits, Publish: feed.Anyone})
	rl := relay.New(relay.Options{Edge: c.Edge.For("relay"), Journal: c.Journal, Accounts: c.Accounts, Chats: c.Chats, Limits: limits})
	w.bots = bot.New(bot.Options{Edge: c.Edge.For("bot"), Journal: c.Journal, Accounts: c.Accounts, Processes: w.processes, Limits: limits})
	own := api.New(api.Options{
		Edge: c.Edge, Journal: c.Journal, Hub: c.Hub, Sockets: c.Sockets, Accounts: c.Accounts, Chats: c.Chats,
		Instances: instances, Processes: w.processes, Admin: admin,
	})
	for _, g := range []interface{ Handle(mux *http.ServeMux) }{dm, ev, fd, rl, w.bots, own} {
		g.Handle(mux)
	}
	ctx, cancel := context.WithCancel(context.Background())
	running := make(chan error, 1)
	go func() { running <- w.processes.Run(ctx) }()
	return transcript.Routes{
		HTTP: w.bots.Serve(mux), Find: w.bots.Find,
		Sockets: map[string]ws.Acceptor{
			direct.Path: dm.Accept, events.Path: ev.Accept, feed.Path: fd.Accept, relay.Path: rl.Accept, relay.SocketPath: rl.Accept,
		},
		Close: func(ctx context.Context) error {
			err := w.bots.Close(ctx)
			cancel()
			if end := <-running; err == nil {
				err = end
			}
			return err
		},
	}, nil
}

// people is "people ann budi": they are registered and logged in; $ann is her
// token, $annsocket the id of her socket on relay, $anncode her code for direct.
func people(ctx context.Context, s *transcript.Scene, rest string) error {
	for _, name := range strings.Fields(rest) {
		_, err := s.Accounts.Register(ctx, account.Registration{Email: name + "@example.org", Name: name, Password: "12345678"})
		if err != nil {
			return err
		}
		token, _, login, err := s.Accounts.Login(ctx, account.LoginRequest{Name: name, Password: "12345678", Gateway: "direct"})
		if err != nil {
			return err
		}
		code, err := s.Accounts.Issue(login)
		if err != nil {
			return err
		}
		s.Set(name, token)
		s.Set(name+"code", code)
		if err := socket(ctx, s, name); err != nil {
			return err
		}
	}
	return nil
}

// socket is "socket ann": $annsocket is a new id, that begins now.
func socket(ctx context.Context, s *transcript.Scene, name string) error {
	u, login, err := s.Accounts.Authenticate(ctx, s.Value(name))
	if err != nil {
		return err
	}
	head, err := s.Journal.Head(ctx, account.Inbox(u.ID))
	if err != nil {
		return err
	}
	s.Acked.Acked(hub.Acked{Owner: account.LoginCredential(login.ID) + "/relay", Topic: account.Inbox(u.ID), Seq: head})
	id, _, err := s.Accounts.OpenTicket(ctx, login, false)
	s.Set(name+"socket", id)
	return err
}

// listener publishes the process that says what it hears.
func (w *world) listener(ctx context.Context, _ *transcript.Scene, _ string) error {
	source, err := os.ReadFile("testdata/listener.yaml")
	if err != nil {
		return err
	}
	if _, err := w.processes.Save(ctx, "listener", source); err != nil {
		return err
	}
	if _, err := w.processes.Publish(ctx, "listener", 0); err != nil {
		return err
	}
	return nil
}
