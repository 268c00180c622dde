package api

import (
	"net/http"
	"strings"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// Options says what the API stands on and how it is set.
type Options struct {
	Edge      *gateway.Edge
	Journal   *journal.Journal
	Hub       *hub.Hub
	Sockets   *ws.Server
	Accounts  *account.Service
	Chats     *chat.Service
	Instances *instance.Service

	Admin         gateway.Admin
	MetricsPublic bool
	Version       string
	Refused       map[string]func() int64 // frames that were not carried out, by gateway
}

// API is the routes.
type API struct {
	o Options // static
}

// New makes the API.
func New(o Options) *API { return &API{o: o} }

// Handle adds the routes to a mux.
func (a *API) Handle(mux *http.ServeMux) {
	routes := gateway.Routes{Mux: mux, Origins: a.o.Edge.Origins, Fail: a.fail}
	routes.Preflight("/v1/{route...}")
	routes.Handle("POST /v1/publish", a.publish)
	routes.Handle("POST /v1/instances/{name}/events", a.events)
	routes.Handle("GET /healthz", a.healthz)
	routes.Handle("GET /readyz", a.readyz)
	routes.Handle("GET /metrics", a.metrics())
	routes.Handle("/", func(_ http.ResponseWriter, r *http.Request) error {
		return status.Errorf(status.NotFound, "NO_ROUTE", "there is no %s %.200s", r.Method, r.URL.Path)
	})
}

func (a *API) mustAdmin(r *http.Request) error {
	if !a.o.Admin.Is(r) {
		return status.Errorf(status.Unauthenticated, "", "this needs the administrator's key, as apikey: <key> or Authorization: Bearer <key>")
	}
	return nil
}

// idempotency is a request's Idempotency-Key, "" for none.
type idempotency string

func idempotencyKey(r *http.Request) (idempotency, error) {
	k := r.Header.Get("Idempotency-Key")
	if len(k) > 255 {
		return "", status.Errorf(status.Invalid, "BAD_KEY", "the Idempotency-Key may have 255 bytes")
	}
	return idempotency(k), nil
}

// in is what makes a request happen once. The scope says who asks and where to,
// so that a key that is used twice for two things stops neither.
func (k idempotency) in(scope string) journal.Key {
	if k == "" {
		return journal.Key{}
	}
	return journal.Key{Scope: scope, Ref: string(k)}
}

// problem is an error body as RFC 9457 has it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := status.Of(err)
	if gateway.Unexpected(r.Context(), err) {
		a.o.Edge.Log.Error("a request failed", "gateway", "api", "route", r.Pattern, "error", err)
	}
	b := gateway.JSON(problem{
		Type: "urn:kabar:problem:" + strings.ToLower(strings.ReplaceAll(e.Reason, "_", "-")), Title: http.StatusText(e.HTTP()),
		Status: e.HTTP(), Detail: e.Message, Code: e.Reason,
	})
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.HTTP())
	_, _ = w.Write(b.Bytes)
}
