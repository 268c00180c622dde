package direct

import (
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// Path is where a WebSocket connects.
const Path = "/ws/connect"

// Options says what the gateway stands on and how it is set.
type Options struct {
	Edge     *gateway.Edge
	Journal  *journal.Journal
	Accounts *account.Service
	Chats    *chat.Service
	Limits   ws.Limits
	Text     int  // bytes that a message's text may have
	Reveal   bool // a failed login says whether the name is known
}

// Gateway is the dialect.
type Gateway struct {
	// static
	o      Options
	logins gateway.Logins

	refused atomic.Int64
}

// New makes the gateway.
func New(o Options) *Gateway {
	o.Limits.Prove = true
	return &Gateway{o: o, logins: gateway.Logins{Accounts: o.Accounts}}
}

// Refused is how many frames were answered with an ERROR.
func (g *Gateway) Refused() int64 { return g.refused.Load() }

// Handle adds the dialect's routes to a mux.
func (g *Gateway) Handle(mux *http.ServeMux) {
	routes := gateway.Routes{Mux: mux, Origins: g.o.Edge.Origins, Fail: g.fail}
	mine := func(method, path string, h func(w http.ResponseWriter, r *http.Request, me account.User) error) {
		routes.Handle(method+" "+path, g.authenticated(h))
	}
	routes.Preflight("/ws/auth", "/api/{route...}")
	routes.Handle("GET "+Path, notAnUpgrade)
	routes.Handle("GET /ws/auth", g.auth)
	routes.Handle("POST /api/register", g.register)
	routes.Handle("POST /api/login", g.logIn)
	routes.Handle("POST /api/logout", g.logOut)

	mine("GET", "/api/user", g.user)
	mine("PATCH", "/api/user/username", g.setName)
	mine("PATCH", "/api/user/about", g.setAbout)
	mine("GET", "/api/user/block", g.blocked)
	mine("POST", "/api/user/block", g.block)
	mine("DELETE", "/api/user/block", g.unblock)
	mine("GET", "/api/friends", g.friends)
	mine("DELETE", "/api/friends", g.unfriend)
	mine("GET", "/api/friends/pending", g.pending)
	mine("POST", "/api/friends/{what}", g.friendship)
	mine("GET", "/api/message", g.history)
}

func notAnUpgrade(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Connection", "Upgrade")
	failure{Error: "Upgrade Required", Details: "this is a WebSocket: connect to it with ws:// and a code from /ws/auth"}.send(w, http.StatusUpgradeRequired)
	return nil
}

// failure is the dialect's error body.
type failure struct {
	Code    int    `json:"code"`
	Status  int    `json:"status,omitempty"`
	Data    any    `json:"data"` // always null
	Error   string `json:"error"`
	Details string `json:"details"`
}

func (f failure) send(w http.ResponseWriter, code int) {
	f.Code = code
	gateway.WriteJSON(w, code, f)
}

// explain is an error of the core in this dialect's words.
func explain(e *status.Error) failure {
	f := failure{Code: e.HTTP(), Error: http.StatusText(e.HTTP()), Details: e.Message}
	if e.Code == status.Unauthenticated {
		f.Error = "Authorization failed"
	}
	return f
}

// Refusal is an error as the body of a refused upgrade.
func (g *Gateway) Refusal(err error) gateway.Body { return gateway.JSON(g.body(err)) }

func (g *Gateway) body(err error) any {
	e := status.Of(err)
	if e.Code == status.Internal {
		g.o.Edge.Log.Error("an upgrade failed", "gateway", "direct", "error", err)
	}
	f := explain(e)
	gone := gateway.Gone(err)
	if gone == nil {
		return f
	}
	return map[string]any{
		"code": f.Code, "data": nil, "error": f.Error, "details": f.Details, "reason": gone["reason"], "head": gone["head"],
	}
}

// worded is an error with the words and the status that clients of this
// dialect know.
type worded struct {
	code           int
	error, details string
	status         int // repeats the code in the body, where clients read it there
}

func (w *worded) Error() string { return w.error + ": " + w.details }

// fail answers a request with an error.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	var known *worded
	if errors.As(err, &known) {
		failure{Error: known.error, Details: known.details, Status: known.status}.send(w, known.code)
		return
	}
	e := status.Of(err)
	gateway.TellWhen(w, err, "60")
	if gateway.Unexpected(r.Context(), err) {
		g.o.Edge.Log.Error("a request failed", "gateway", "direct", "route", r.Pattern, "error", err)
	}
	explain(e).send(w, e.HTTP())
}
