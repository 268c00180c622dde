package transcript

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/storetest"
	"github.com/kabar-io/kabar/internal/ws"
)

// patience is how long anything here may take. It is no measure of speed: what
// takes so long does not come any more.
const patience = 30 * time.Second

// Options says which gateway is under test and how its server is set. Only
// Build is needed.
type Options struct {
	// Build makes the gateway on the core, which runs already.
	Build func(c *Core) (Routes, error)
	// Words are a dialect's own lines of a transcript: the first word of the
	// line, and what to do with the rest.
	Words map[string]Word
	// Values names, by their JSON key, strings that differ with each run, beside
	// id, ID, time, CreatedAt, createdAt, updatedAt, timestamp, epoch, token,
	// Token and websocketAuthCode: {"tokenId": "token"}. Only -update needs it.
	Values map[string]string

	Accounts account.Options // but Journal, Store, Key and Now; hashes are cheap
	Hub      hub.Options
	Sockets  ws.Options
	Origins  []string // http://localhost:* where there are none
	Members  int      // the most of a group; 0 is the product's
	Places   int      // connections of one address; 0 is no bound
}

// Routes are what the gateway under test answers.
type Routes struct {
	HTTP    http.Handler
	Sockets map[string]ws.Acceptor        // by path
	Find    func(path string) ws.Acceptor // for paths that are not in Sockets; nil for none

	// Of a gateway that goes on when a frame is answered. Settle waits until
	// what it was doing is done, and says whether it did anything; Close ends it
	// when the connections have gone. Both may be nil.
	Settle func(ctx context.Context) (did bool, err error)
	Close  func(ctx context.Context) error
}

func (r Routes) find(path string) ws.Acceptor {
	if a := r.Sockets[path]; a != nil || r.Find == nil {
		return a
	}
	return r.Find(path)
}

// Core is what a gateway stands on.
type Core struct {
	Store    *store.Store
	Journal  *journal.Journal
	Hub      *hub.Hub
	Acked    *hub.Collector
	Accounts *account.Service
	Chats    *chat.Service
	Sockets  *ws.Server
	Edge     *gateway.Edge

	mu    sync.Mutex
	ahead time.Duration // guarded by mu: of that clock
}

// Later moves the clock of accounts and chats on: codes and logins expire, and
// messages become too old to be edited.
func (c *Core) Later(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func (c *Core) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Scene is what a word of a transcript acts on: the core, and the values.
type Scene struct {
	*Core
	values *values
}

// Value is what $name stands for, "" for nothing yet.
func (s *Scene) Value(name string) string { return s.values.of[name] }

// Set makes $name stand for a value from here on.
func (s *Scene) Set(name, value string) { s.values.set(name, value) }

// Server is a core with a gateway, listening.
type Server struct {
	*Core
	URL    string // http://127.0.0.1:<port>
	routes Routes // static once it listens

	mu   sync.Mutex
	open map[*watched]bool // guarded by mu
}

// Start starts a server that ends with the test. Whatever does not end fails it.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	c, err := newCore(t, o)
	if err != nil {
		t.Fatal(err)
	}
	live, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	run := func(f func(context.Context) error) {
		running.Go(func() {
			if err := f(live); err != nil {
				t.Error(err)
			}
		})
	}
	run(c.Hub.Run)
	run(c.Acked.Run)
	run(c.Chats.Run)
	// The journal ends last: what the others leave behind is written.
	journalLive, stopJournal := context.WithCancel(context.Background())
	written := make(chan error, 1)
	go func() { written <- c.Journal.Run(journalLive, c.Hub.Publish) }()

	s := &Server{Core: c, open: map[*watched]bool{}}
	l, err := ws.ListenTCP(t.Context(), "127.0.0.1:0") // as in the product
	if err != nil {
		t.Fatal(err)
	}
	s.URL = "http://" + l.Addr().String()
	routes, err := o.Build(c)
	if err != nil {
		t.Fatal(err)
	}
	s.routes = routes
	find := func(path string) ws.Acceptor { return s.watch(routes.find(path)) }
	h := &http.Server{Handler: gateway.Upgrades(c.Sockets, find, routes.HTTP), ReadHeaderTimeout: patience}
	running.Go(func() {
		if err := gateway.Serve(l, c.Sockets, find, h); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		ctx, end := context.WithTimeout(context.Background(), patience)
		defer end()
		err := errors.Join(
			c.Sockets.Shutdown(ctx, func(int, int) (uint16, string) { return ws.CodeGoingAway, "the test is over" }), h.Shutdown(ctx),
		)
		if routes.Close != nil {
			err = errors.Join(err, routes.Close(ctx))
		}
		cancel()
		running.Wait()
		stopJournal()
		if err = errors.Join(err, <-written, c.Store.Close()); err != nil {
			t.Errorf("the server did not end well: %v", err)
		}
	})
	return s
}

func newCore(t testing.TB, o Options) (c *Core, err error) {
	t.Helper()
	c = &Core{}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	if c.Store, err = storetest.Open(t, t.TempDir()); err != nil {
		return nil, err
	}
	if c.Journal, err = journal.Open(t.Context(), journal.Options{Store: c.Store, Log: log}); err != nil {
		return nil, err
	}
	o.Hub.Log, o.Sockets.Log = log, log
	if o.Sockets.ProveAfter == 0 {
		o.Sockets.ProveAfter = -1 // it would come when it likes
	}
	o.Hub.Occupied = func(topic string, here bool) { c.Chats.Occupied(topic, here) }
	c.Hub = hub.New(c.Journal, o.Hub)
	c.Acked = hub.NewCollector(c.Store, c.Journal, log)
	a := o.Accounts
	a.Journal, a.Store, a.Key, a.Now = c.Journal, c.Store.Accounts(), bytes.Repeat([]byte("key "), 8), c.now
	a.HashCost = account.HashCost{Memory: 64, Passes: 1, Threads: 1}
	if c.Accounts, err = account.New(a); err != nil {
		return nil, err
	}
	if c.Chats, err = chat.New(chat.Options{Journal: c.Journal, Store: c.Store.Chats(), Hub: c.Hub, MaxMembers: o.Members, Now: c.now, Log: log}); err != nil {
		return nil, err
	}
	if o.Origins == nil {
		o.Origins = []string{"http://localhost:*"}
	}
	origins, err := gateway.ParseOrigins(o.Origins)
	if err != nil {
		return nil, err
	}
	c.Sockets = ws.New(o.Sockets)
	c.Edge = &gateway.Edge{
		Hub: c.Hub, Acked: c.Acked, Epoch: c.Journal.Epoch(), Origins: origins, Places: &gateway.Places{Most: o.Places}, Resumes: &gateway.Resumes{}, Log: log,
	}
	return c, nil
}

// watched is a connection's handler of which it is known whether it is open,
// and up to where its session has heard.
type watched struct {
	ws.Handler
	s       *Server
	session *hub.Session // nil where the handler has none
}

func (s *Server) watch(accept ws.Acceptor) ws.Acceptor {
	if accept == nil {
		return nil
	}
	return func(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
		h, limits, refusal := accept(r, c)
		if h == nil || refusal != nil {
			return h, limits, refusal
		}
		w := &watched{h, s, session(h)}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open[w] = true
		return w, limits, nil
	}
}

// session is the hub's session in a handler that embeds gateway.Socket.
func session(h ws.Handler) *hub.Session {
	v := reflect.ValueOf(h)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	if f := v.Elem().FieldByName("Session"); f.IsValid() && f.CanAddr() {
		s, _ := f.Addr().Interface().(*hub.Session)
		return s
	}
	return nil
}

// Unwrap is the handler itself, for who looks for what it is.
func (w *watched) Unwrap() ws.Handler { return w.Handler }

func (w *watched) OnClose(t *ws.Turn, c *ws.Conn, code uint16, reason string) {
	w.Handler.OnClose(t, c, code, reason)
	w.s.mu.Lock()
	delete(w.s.open, w)
	w.s.mu.Unlock()
}

func (s *Server) isOpen(w *watched) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[w]
}

// Settle waits until what was handed to the journal is durable, and everything
// that is durable was handed to every connection whose topic it is; and until
// friends were told who is online.
func (s *Server) Settle(ctx context.Context) error {
	for {
		if err := s.settle(ctx); err != nil || s.routes.Settle == nil {
			return err
		}
		if did, err := s.routes.Settle(ctx); err != nil || !did {
			return err
		}
	}
}

func (s *Server) settle(ctx context.Context) error {
	nothing := journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) { return nil, nil })
	if _, err := s.Journal.Do(nothing).Wait(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	var open []*watched
	for w := range s.open {
		if w.session != nil {
			open = append(open, w)
		}
	}
	s.mu.Unlock()
	for _, w := range open {
		head, err := s.Journal.Head(ctx, w.session.Topic)
		if err != nil {
			return err
		}
		if err := until(ctx, func() bool { return w.session.Position() >= head || !s.isOpen(w) }); err != nil {
			return err
		}
	}
	return until(ctx, func() bool {
		for _, w := range open {
			if at := w.session; at.Topic == account.Inbox(at.User) && !s.Chats.Online(at.User) && s.isOpen(w) {
				return false
			}
		}
		return s.Chats.Told()
	})
}

// noMoreThan waits until at most n connections are open.
func (s *Server) noMoreThan(ctx context.Context, n int) error {
	return until(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.open) <= n
	})
}

func until(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}
