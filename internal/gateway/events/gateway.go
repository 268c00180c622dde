package events

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/webhook"
	"github.com/kabar-io/kabar/internal/ws"
)

// Path is where subscribers connect.
const Path = "/ws/events"

// Options says what the gateway stands on and how it is set.
type Options struct {
	Edge      *gateway.Edge
	Journal   *journal.Journal
	Instances *instance.Service
	Webhooks  *webhook.Service // nil: there are none, nor their routes
	Admin     gateway.Admin
	Limits    ws.Limits
	KeepAlive time.Duration // between the signs of life of a stream that is idle; 0: 25 s
	Stall     time.Duration // how long a write of a stream may take; 0: 30 s
}

// Gateway is the dialect.
type Gateway struct {
	o       Options   // static
	proving ws.Limits // static: of consumers, whose pongs move a position
	ignored atomic.Int64
}

// New makes the gateway.
func New(o Options) *Gateway {
	if o.KeepAlive <= 0 {
		o.KeepAlive = 25 * time.Second
	}
	if o.Stall <= 0 {
		o.Stall = 30 * time.Second
	}
	g := &Gateway{o: o, proving: o.Limits}
	g.proving.Prove = true
	return g
}

// Refused is how many frames of subscribers were ignored.
func (g *Gateway) Refused() int64 { return g.ignored.Load() }

var (
	errNoToken = status.Errorf(status.Unauthenticated, "NO_TOKEN", "the query lacks token=<instance token>")
	errAdmin   = status.Errorf(status.Unauthenticated, "", "this needs the administrator's key, as apikey: <key>")
	errForeign = status.Errorf(status.Forbidden, "FOREIGN_INSTANCE", "this token is another instance's")
)

// Handle adds the dialect's routes to a mux.
func (g *Gateway) Handle(mux *http.ServeMux) {
	routes := gateway.Routes{Mux: mux, Origins: g.o.Edge.Origins, Fail: g.fail}
	routes.Preflight(Path, "/instance/{route...}")
	routes.Handle("GET "+Path, g.stream)
	routes.Handle("POST /instance/create", g.admin(g.create))
	routes.Handle("GET /instance/fetchInstances", g.admin(g.list))
	routes.Handle("GET /instance/fetchInstance/{name}", g.own(g.get))
	routes.Handle("PATCH /instance/update/{name}", g.own(g.update))
	routes.Handle("DELETE /instance/delete/{name}", g.own(g.remove))
	routes.Handle("PUT /instance/refreshToken/{name}", g.own(g.refresh))
	routes.Handle("GET /instance/connectionState/{name}", g.own(g.state))
	if g.o.Webhooks == nil {
		return
	}
	routes.Preflight("/webhook/{route...}")
	routes.Handle("PUT /webhook/set/{name}", g.own(g.setWebhook))
	routes.Handle("GET /webhook/find/{name}", g.own(g.findWebhook))
}

// worded is an error with a status of its own.
type worded struct {
	code    int
	message string
}

func (w *worded) Error() string { return w.message }

// failure is the dialect's error body.
type failure struct {
	Status  int      `json:"status"`
	Error   string   `json:"error"`
	Message []string `json:"message"`
}

func explain(err error) failure {
	var known *worded
	if errors.As(err, &known) {
		return failure{known.code, http.StatusText(known.code), []string{known.message}}
	}
	e := status.Of(err)
	code := e.HTTP()
	if errors.Is(err, instance.ErrNameTaken) {
		code = http.StatusForbidden // as this dialect's clients know it
	}
	return failure{code, http.StatusText(code), []string{e.Message}}
}

// body is an error as the body of an answer.
func (g *Gateway) body(ctx context.Context, err error, route string) any {
	f := explain(err)
	var known *worded
	if !errors.As(err, &known) && gateway.Unexpected(ctx, err) {
		g.o.Edge.Log.Error("a request failed", "gateway", "events", "route", route, "error", err)
	}
	gone := gateway.Gone(err)
	if gone == nil {
		return f
	}
	return struct {
		failure
		Reason any `json:"reason"`
		Head   any `json:"head"`
	}{f, gone["reason"], gone["head"]}
}

// Refusal is an error as the body of a refused upgrade.
func (g *Gateway) Refusal(err error) gateway.Body {
	return gateway.JSON(g.body(context.Background(), err, Path))
}

// fail answers a request with an error.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	gateway.TellWhen(w, err, "10")
	gateway.WriteJSON(w, explain(err).Status, g.body(r.Context(), err, r.Pattern))
}
