package bot

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// Options says what the gateway stands on and how it is set.
type Options struct {
	Edge      *gateway.Edge
	Journal   *journal.Journal
	Accounts  *account.Service
	Processes *process.Service
	Limits    ws.Limits
	Idle      time.Duration // that a login lives without traffic; 0 is 60 min
}

// Gateway is the dialect.
type Gateway struct {
	// static
	o          Options
	logins     gateway.Logins
	accessHold time.Duration   // how long the answer holds that somebody may use an endpoint
	live       context.Context //nolint:containedctx // a run outlives nothing but its gateway
	stop       context.CancelFunc

	refused atomic.Int64

	mu     sync.Mutex
	lanes  map[string]*lane // guarded by mu; by endpoint
	work   int              // guarded by mu: what runs for the lanes
	idle   chan struct{}    // guarded by mu: nil, or what Close waits for: closed when nothing runs
	closed bool             // guarded by mu
}

// New makes the gateway. It runs nothing until there is a connection, and then
// until Close.
func New(o Options) *Gateway {
	if o.Idle <= 0 {
		o.Idle = time.Hour
	}
	g := &Gateway{
		o: o, logins: gateway.Logins{Accounts: o.Accounts, Mark: "/bot"}, // the login's own position is its messenger's
		accessHold: 5 * time.Second, lanes: map[string]*lane{},
	}
	g.live, g.stop = context.WithCancel(context.Background())
	o.Processes.Watch(g.changed)
	return g
}

// Refused is how many frames were answered with an error.
func (g *Gateway) Refused() int64 { return g.refused.Load() }

// Close waits until what was triggered has been carried out, and breaks it off
// when ctx ends. It comes after the connections have gone.
func (g *Gateway) Close(ctx context.Context) error {
	done := make(chan struct{})
	g.mu.Lock()
	if g.work == 0 {
		g.closed = true
		close(done)
	} else {
		g.idle = done
	}
	g.mu.Unlock()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		g.mu.Lock()
		g.closed = true
		g.mu.Unlock()
	}
	g.stop()
	<-done
	return err
}

// start runs f, which Close waits for; false where that is over.
func (g *Gateway) start(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.work++
	go func() {
		defer g.end()
		f()
	}()
	return true
}

// end is the end of what start began. The last one closes what Close waits for.
func (g *Gateway) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.work--; g.work == 0 && g.idle != nil {
		g.closed = true
		close(g.idle)
		g.idle = nil
	}
}

// Handle adds the dialect's routes to a mux.
func (g *Gateway) Handle(mux *http.ServeMux) {
	routes := gateway.Routes{Mux: mux, Origins: g.o.Edge.Origins, Fail: g.fail}
	routes.Preflight("/auth", "/auth/logout")
	routes.Handle("POST /auth", g.logIn)
	routes.Handle("POST /auth/logout", g.logOut)
}

// Has says whether an endpoint is published at a path.
func (g *Gateway) Has(path string) bool { return g.o.Processes.Endpoint(path) != nil }

// Find is the acceptor of an endpoint's path, nil where none is published.
func (g *Gateway) Find(path string) ws.Acceptor {
	if !g.Has(path) {
		return nil
	}
	return g.Accept
}

// Serve answers requests for an endpoint that are no upgrade; all others are next's.
func (g *Gateway) Serve(next http.Handler) http.Handler {
	answer := g.o.Edge.Origins.Guard(http.HandlerFunc(g.explain), func(w http.ResponseWriter, r *http.Request) { g.fail(w, r, gateway.ErrOrigin) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.o.Processes.Endpoint(r.URL.Path) == nil {
			next.ServeHTTP(w, r)
			return
		}
		answer.ServeHTTP(w, r)
	})
}

// failure is the dialect's error body.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

func body(e *status.Error) map[string]any {
	field := ""
	if e.Reason == errNoLogin.Reason {
		field = "login"
	}
	return map[string]any{"error": failure{e.Reason, e.Message, field}}
}

// fail answers a request with an error.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := status.Of(err)
	if e.Code == status.TooMany {
		w.Header().Set("Retry-After", "60")
	}
	if gateway.Unexpected(r.Context(), err) {
		g.o.Edge.Log.Error("a request failed", "gateway", "bot", "route", r.Pattern, "error", err)
	}
	gateway.WriteJSON(w, e.HTTP(), body(e))
}

// Refusal is an error as the body of a refused upgrade.
func (g *Gateway) Refusal(err error) gateway.Body {
	e := status.Of(err)
	if e.Code == status.Internal {
		g.o.Edge.Log.Error("an upgrade failed", "gateway", "bot", "error", err)
	}
	return gateway.JSON(body(e))
}

// explain is the answer to a request for an endpoint that is no upgrade: how to
// connect, and what it wants to hear.
func (g *Gateway) explain(w http.ResponseWriter, r *http.Request) {
	e := g.o.Processes.Endpoint(r.URL.Path)
	if e == nil { // it went just now
		g.fail(w, r, errNoEndpoint)
		return
	}
	d := describe(e, address(r, e.URL))
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Connection", "Upgrade")
	gateway.WriteJSON(w, http.StatusUpgradeRequired, struct {
		Error   failure     `json:"error"`
		Connect description `json:"connect"`
	}{failure{Code: "UPGRADE_REQUIRED", Message: d.sentence(e.Def.Inputs)}, d})
}

// address is where a WebSocket connects, as whoever made the request reaches us.
func address(r *http.Request, path string) string {
	scheme := "ws://"
	if gateway.Secure(r) {
		scheme = "wss://"
	}
	return scheme + r.Host + path
}
