package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/canary"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/config"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/bot"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/lifecycle"
	"github.com/kabar-io/kabar/internal/mail"
	"github.com/kabar-io/kabar/internal/outbound"
	"github.com/kabar-io/kabar/internal/personal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/retention"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/webhook"
	"github.com/kabar-io/kabar/internal/ws"
)

type serveCmd struct {
	config.Config `embed:""`
}

// Run serves until it is told to stop. Who tells it while it starts is obeyed
// when it is ready: a start that is broken off looks like one that failed.
func (c *serveCmd) Run(ctx context.Context, out io.Writer) error {
	starting := context.WithoutCancel(ctx)
	s, err := open(starting, &c.Config, false)
	if err != nil {
		return err
	}
	if err := s.firstStart(starting, out); err != nil {
		s.close()
		return err
	}
	s.log.Info("kabar is ready", "version", version, "data", c.Data, "listen", s.addresses())
	return s.run(ctx)
}

// firstStart prints, as long as nobody is an administrator, a link to become
// the first one: there is no password that everybody knows.
func (s *server) firstStart(ctx context.Context, out io.Writer) error {
	code, needed, err := s.accounts.NewSetup(ctx)
	if err != nil || !needed {
		return err
	}
	_, err = fmt.Fprintf(out, "There is no administrator yet. This link makes the first one; it works once, until the server stops:\n  %s://%s/setup?code=%s\n", scheme(s.c.TLS), s.at(""), code)
	return err
}

// server is everything, wired together. All of it is static after open.
type server struct {
	c        *config.Config
	log      *slog.Logger
	store    *store.Store
	journal  *journal.Journal
	hub      *hub.Hub
	acked    *hub.Collector
	mailbox  *mail.Box // what would have been mailed; nil outside the demo
	bots     *bot.Gateway
	routes   routes
	out      *outbound.Client
	sockets  *ws.Server
	http     *http.Server
	adminKey string
	demo     bool
	services
	entrance
}

// services are the core: what knows what is true.
type services struct {
	accounts  *account.Service
	chats     *chat.Service
	instances *instance.Service
	processes *process.Service
	webhooks  *webhook.Service
	lifecycle *lifecycle.Service
	keeper    *retention.Service
	personal  *personal.Service
}

// entrance is where people come in, and the way out.
type entrance struct {
	listeners []net.Listener
	stopping  atomic.Bool // nobody is let in any more
	tls       *tls.Config // nil without TLS
	admission *gateway.Admission
	canary    *canary.Canary                                                       // nil: it is off
	dial      func(ctx context.Context, network, address string) (net.Conn, error) // calls other hosts; nil: by TCP
}

// routes are what answers by path.
type routes struct {
	http    *http.ServeMux
	sockets map[string]ws.Acceptor
	bots    ws.Acceptor // of all endpoints
}

// open is the way from the configuration to a server that listens, from below:
// store, journal, hub, core, gateways. Nothing runs yet. In the demo, an
// address but the first that is taken is left out.
func open(ctx context.Context, c *config.Config, demo bool) (*server, error) {
	return (&server{c: c, log: logger(c), demo: demo}).open(ctx)
}

func (s *server) open(ctx context.Context) (_ *server, err error) {
	c := s.c
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.tls, err = tlsConfig(c.TLS, s.log); err != nil {
		return s, err
	}
	if s.listeners, err = listen(ctx, c.Listen, s.demo, s.log); err != nil {
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
	s.hub = hub.New(s.journal, hub.Options{
		Ring: ringSize(c), Retention: served(c), Log: s.log,
		Linger: c.Lifecycle.Settle,
		Occupied: func(topic string, here bool) {
			s.chats.Occupied(topic, here)
			s.lifecycle.Occupied(topic, here)
		},
	})
	s.acked = hub.NewCollector(s.store, s.journal, s.log)
	if err = s.core([]byte(key)); err != nil {
		return s, err
	}
	if _, err = readProcesses(c); err != nil { // what is wrong there is said before anybody comes
		return s, err
	}
	if err = s.edges(); err != nil {
		return s, err
	}
	return s, s.processes.Load(ctx)
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
	stopWork, workDone := start(live, s.work)

	err := s.publishProcesses(live)
	if err == nil {
		err = s.accept(ctx)
	}
	for _, end := range []struct {
		stop context.CancelFunc
		done <-chan error
	}{{stopWork, workDone}, {stopAcked, ackedDone}, {stopJournal, journalDone}, {stopHub, hubDone}} {
		end.stop()
		err = errors.Join(err, <-end.done)
	}
	s.log.Info("stopped")
	return err
}

// accept lets people in until ctx ends or a listener fails, and then out.
func (s *server) accept(ctx context.Context) (err error) {
	failed := make(chan error, len(s.listeners))
	var accepting sync.WaitGroup
	for _, l := range s.listeners {
		accepting.Go(func() {
			if err := s.serve(l); err != nil {
				failed <- err
			}
		})
	}
	ground, grounded := start(context.WithoutCancel(ctx), s.canary.Run)
	select {
	case <-ctx.Done():
		s.log.Info("stopping: telling everybody when to come back; a second signal stops at once")
	case err = <-failed:
	}
	ground()
	err = errors.Join(err, <-grounded, s.drain(context.WithoutCancel(ctx)))
	accepting.Wait()
	return err
}

// serve answers on one listener. Under TLS everything begins as HTTP.
func (s *server) serve(l net.Listener) error {
	if s.tls == nil {
		return gateway.Serve(l, s.sockets, s.acceptor, s.http)
	}
	if err := s.http.Serve(tls.NewListener(l, s.tls)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// work is what goes on beside the connections: telling friends who is here,
// processes that events trigger, webhooks, lifecycle events.
func (s *server) work(ctx context.Context) error {
	parts := []func(context.Context) error{s.chats.Run, s.processes.Run, s.webhooks.Run, s.lifecycle.Run, s.watch, s.keeper.Run, s.personal.Run}
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	for i, run := range parts {
		wg.Go(func() { errs[i] = run(ctx) })
	}
	wg.Wait()
	s.out.Close()
	return errors.Join(errs...)
}

// drain ends what is connected, under a deadline of its own: it lets nobody in
// any more, tells everybody when to come back, and sees what was begun through.
func (s *server) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.Shutdown.Window)
	defer cancel()
	why := func(i, n int) (uint16, string) {
		return ws.CodeGoingAway, fmt.Sprintf("retry-after-ms=%d", s.admission.Return(i, n).Milliseconds())
	}
	s.stopping.Store(true)
	s.lifecycle.Stopping()
	closing := make(chan error, 1)
	go func() { closing <- s.http.Shutdown(ctx) }()
	all := s.hub.Close()
	n := len(all)
	streams := slices.DeleteFunc(all, func(c hub.Conn) bool {
		_, socket := c.(*ws.Conn)
		return socket // which hears its answers first
	})
	for i, c := range streams {
		c.Close(why(i, n))
	}
	// Sockets come back behind the streams: the rate is for all of them.
	err := s.sockets.Shutdown(ctx, func(i, n int) (uint16, string) { return why(len(streams)+i, len(streams)+n) })
	err = errors.Join(err, s.bots.Close(ctx)) // what their people's going triggered
	if herr := <-closing; herr != nil {
		err = errors.Join(err, herr, s.http.Close())
	}
	if err != nil {
		s.log.Warn("some connections did not end in time", "error", err)
	}
	return nil
}

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
		l, err := ws.ListenTCP(ctx, a)
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

// scheme is how to reach a server of this configuration.
func scheme(c config.TLS) string {
	if c.Cert != "" {
		return "https"
	}
	return "http"
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

// served is how many of a topic's messages can be asked for.
func served(c *config.Config) func(topic string) uint64 {
	return func(topic string) uint64 {
		if topic == chat.FeedTopic {
			return uint64(c.Feed.History)
		}
		return hub.All
	}
}
