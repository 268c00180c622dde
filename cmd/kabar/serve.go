package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/api"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/config"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/direct"
	"github.com/kabar-io/kabar/internal/gateway/events"
	"github.com/kabar-io/kabar/internal/gateway/feed"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/ws"
)

type serveCmd struct {
	config.Config `embed:""`
}

// Run serves until it is told to stop.
func (c *serveCmd) Run(ctx context.Context) error {
	s, err := open(ctx, &c.Config, false)
	if err != nil {
		return err
	}
	s.log.Info("kabar is ready", "version", version, "data", c.Data, "listen", s.addresses())
	return s.run(ctx)
}

// server is everything, wired together. All of it is static after open.
type server struct {
	c         *config.Config
	log       *slog.Logger
	store     *store.Store
	journal   *journal.Journal
	hub       *hub.Hub
	acked     *hub.Collector
	accounts  *account.Service
	chats     *chat.Service
	instances *instance.Service
	sockets   *ws.Server
	http      *http.Server
	listeners []net.Listener
	adminKey  string
}

// open is the way from the configuration to a server that listens, from below:
// store, journal, hub, core, gateways. Nothing runs yet. With lenient, an
// address but the first that is taken is left out.
func open(ctx context.Context, c *config.Config, lenient bool) (s *server, err error) {
	s = &server{c: c, log: logger(c)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.listeners, err = listen(ctx, c.Listen, lenient, s.log); err != nil {
		return s, err
	}
	if s.store, err = store.Open(ctx, store.Options{Folder: c.Data}); err != nil {
		return s, err
	}
	key, err := secret(c.Data, "signing.key")
	if err != nil {
		return s, err
	}
	if s.adminKey = c.Admin.Key; s.adminKey == "" {
		if s.adminKey, err = secret(c.Data, "admin.key"); err != nil {
			return s, err
		}
	}
	s.journal, err = journal.Open(ctx, journal.Options{Store: s.store, RefAge: c.Ref.Keep, RefKeep: c.Ref.Count, Log: s.log})
	if err != nil {
		return s, err
	}
	s.hub = hub.New(s.journal, hub.Options{Ring: ringSize(c), Retention: retention(c), Log: s.log})
	s.acked = hub.NewCollector(s.store, s.journal, s.log)
	if err = s.core([]byte(key)); err != nil {
		return s, err
	}
	return s, s.edges()
}

// core makes the services that know what is true.
func (s *server) core(key []byte) (err error) {
	c, l := s.c, s.c.Limit
	s.accounts, err = account.New(account.Options{
		Journal: s.journal, Store: s.store.Accounts(), Key: key,
		LoginIdle: c.Login.Idle, CodeTTL: c.Direct.CodeTTL, HashConcurrency: c.Login.AtOnce,
		Limits: account.Limits{
			WrongPasswords: limit(l.WrongPasswords), Registrations: limit(l.Registrations),
			Logins: limit(l.Logins), RefusedCodes: limit(l.RefusedCodes),
		},
	})
	if err != nil {
		return err
	}
	if s.chats, err = chat.New(chat.Options{Journal: s.journal, Store: s.store.Chats()}); err != nil {
		return err
	}
	s.instances, err = instance.New(instance.Options{Journal: s.journal, Store: s.store.Instances(), Key: key, Names: c.Events.Names})
	return err
}

// edges makes the gateways and the API, and puts them on one mux.
func (s *server) edges() error {
	c := s.c
	origins, err := gateway.ParseOrigins(c.Origins)
	if err != nil {
		return err
	}
	s.sockets = ws.New(ws.Options{
		PingEvery: orNever(c.Keepalive.Ping), DeadAfter: orNever(c.Keepalive.Dead),
		WriteStall: orForever(c.Session.Stall), AbuseAfter: orNever(c.Limit.AbuseAfter), Log: s.log,
	})
	edge := &gateway.Edge{
		Hub: s.hub, Acked: s.acked, Epoch: s.journal.Epoch(), Origins: origins,
		Places: &gateway.Places{Most: c.Limit.Connections}, Log: s.log,
	}
	admin := gateway.NewAdmin(s.adminKey)
	mux := http.NewServeMux()
	dm := direct.New(direct.Options{
		Edge: edge, Journal: s.journal, Accounts: s.accounts, Chats: s.chats,
		Limits: s.limits(c.Direct.Frame), Text: c.Direct.Text.Int(), Reveal: c.Direct.TellUnknown,
	})
	dm.Handle(mux)
	ev := events.New(events.Options{
		Edge: edge, Journal: s.journal, Instances: s.instances, Admin: admin,
		Limits: s.limits(c.Events.Frame), KeepAlive: c.Keepalive.Ping, Stall: orForever(c.Session.Stall),
	})
	ev.Handle(mux)
	fd := feed.New(feed.Options{
		Edge: edge, Journal: s.journal, Accounts: s.accounts, Chats: s.chats,
		Limits: s.limits(c.Feed.Frame), Publish: feed.Publish(c.Feed.Publish),
	})
	fd.Handle(mux)
	api.New(api.Options{
		Edge: edge, Journal: s.journal, Hub: s.hub, Sockets: s.sockets, Accounts: s.accounts, Chats: s.chats,
		Instances: s.instances, Admin: admin, MetricsPublic: c.Metrics.Public, Version: version,
		Refused: map[string]func() int64{"direct": dm.Refused, "events": ev.Refused, "feed": fd.Refused},
	}).Handle(mux)
	acceptors := map[string]ws.Acceptor{
		direct.Path: dm.Accept,
		events.Path: ev.Accept,
		feed.Path:   fd.Accept,
	}
	find := func(path string) ws.Acceptor { return acceptors[path] }
	s.http = &http.Server{
		Handler:           gateway.Upgrades(s.sockets, find, mux),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ConnState:         (&gateway.Places{Most: c.Limit.Connections}).ConnState(),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	return nil
}

func (s *server) limits(frame config.Size) ws.Limits {
	return ws.Limits{
		MaxMessage: frame.Int(), Queue: s.c.Session.Queue.Int(), Pending: s.c.Session.Pending,
		Burst: s.c.Limit.FrameBurst, Rate: s.c.Limit.Frames.PerSecond(),
	}
}

// run serves until ctx ends or a listener fails, and then stops in the reverse
// order: whoever is still connected is told when to come back, and what was
// accepted is finished.
func (s *server) run(ctx context.Context) error {
	defer s.close()
	live := context.WithoutCancel(ctx)
	stopHub, hubDone := start(live, s.hub.Run)
	stopJournal, journalDone := start(live, func(ctx context.Context) error { return s.journal.Run(ctx, s.hub.Publish) })
	stopAcked, ackedDone := start(live, s.acked.Run)

	failed := make(chan error, len(s.listeners))
	var accepting sync.WaitGroup
	for _, l := range s.listeners {
		accepting.Go(func() {
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("stopping: telling everybody when to come back; a second signal stops at once")
	case err = <-failed:
	}
	err = errors.Join(err, s.drain(live))
	accepting.Wait()
	for _, end := range []struct {
		stop context.CancelFunc
		done <-chan error
	}{{stopAcked, ackedDone}, {stopJournal, journalDone}, {stopHub, hubDone}} {
		end.stop()
		err = errors.Join(err, <-end.done)
	}
	s.log.Info("stopped")
	return err
}

// drain ends what is connected, under a deadline of its own.
func (s *server) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.Shutdown.Window)
	defer cancel()
	why := func(i, n int) (uint16, string) {
		return ws.CodeGoingAway, fmt.Sprintf("retry-after-ms=%d", 500+comeBack(n)*i/max(n, 1))
	}
	closing := make(chan error, 1)
	go func() { closing <- s.http.Shutdown(ctx) }()
	s.hub.Close(why)
	err := s.sockets.Shutdown(ctx, why)
	if herr := <-closing; herr != nil {
		err = errors.Join(err, herr, s.http.Close())
	}
	if err != nil {
		s.log.Warn("some connections did not end in time", "error", err)
	}
	return nil
}

// comeBack is over how many milliseconds n connections are asked to return: a
// thousand a second, so that the one who takes over is not run over.
func comeBack(n int) int { return min(max(n, 1000), 120_000) }

func (s *server) close() {
	for _, l := range s.listeners {
		_ = l.Close() // most are closed already
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("closing the data folder", "error", err)
		}
	}
}

func (s *server) addresses() []string {
	var out []string
	for _, l := range s.listeners {
		out = append(out, l.Addr().String())
	}
	return out
}

// start runs f until stop is called.
func start(ctx context.Context, f func(context.Context) error) (stop context.CancelFunc, done <-chan error) {
	ctx, stop = context.WithCancel(ctx)
	end := make(chan error, 1)
	go func() { end <- f(ctx) }()
	return stop, end
}

func listen(ctx context.Context, addresses []string, lenient bool, log *slog.Logger) (ls []net.Listener, err error) {
	for i, a := range addresses {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", a)
		switch {
		case err == nil:
			ls = append(ls, l)
		case lenient && i > 0:
			log.Warn("this address is left out", "address", a, "reason", err)
		case errors.Is(err, syscall.EADDRINUSE):
			return ls, fmt.Errorf("%s is taken by another program: stop that one, or choose another address with --listen", a)
		default:
			return ls, fmt.Errorf("cannot listen on %s: %w", a, err)
		}
	}
	return ls, nil
}

func logger(c *config.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log.Level)) // checked when it was read
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}

// What the configuration calls 0, for off, the packages call negative, or have
// no word for.

func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

func orForever(d time.Duration) time.Duration {
	if d == 0 {
		return 100 * 365 * 24 * time.Hour
	}
	return d
}

func ringSize(c *config.Config) int {
	if c.Hub.Ring == 0 {
		return -1
	}
	return c.Hub.Ring.Int()
}

func limit(r config.Rate) account.Limit { return account.Limit{N: r.N, Per: r.Per} }

// retention is how many of a topic's messages can be asked for.
func retention(c *config.Config) func(topic string) uint64 {
	return func(topic string) uint64 {
		if topic == chat.FeedTopic {
			return uint64(c.Feed.History)
		}
		return hub.All
	}
}
