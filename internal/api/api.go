package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/canary"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/lifecycle"
	"github.com/kabar-io/kabar/internal/mail"
	"github.com/kabar-io/kabar/internal/personal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/retention"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/webhook"
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
	Processes *process.Service      // nil: there are none
	Webhooks  *webhook.Service      // nil: there are none
	Retention *retention.Service    // nil: nothing is swept
	Personal  *personal.Service     // nil: nobody is erased or exported
	Lifecycle *lifecycle.Service    // nil: nothing is said of who comes and goes
	Canary    *canary.Canary        // nil: there is none
	Mail      func() []mail.Message // what would have been mailed; nil: mail leaves the server, or there is none

	Admin         gateway.Admin
	MetricsPublic bool
	Version       string
	Refused       map[string]func() int64 // frames that were not carried out, by gateway

	Parts []func() Part          // what has to work beside the log, for /readyz
	Free  func() (uint64, error) // bytes that the disk has left; nil: unknown
}

// API is the routes.
type API struct {
	// static
	o         Options
	table     []route
	described *described
	exports   chan struct{} // a place for each that is being read
}

// New makes the API.
func New(o Options) *API {
	a := &API{o: o, described: newDescribed(), exports: make(chan struct{}, maxExports)}
	a.table = a.routes()
	return a
}

// Handle adds the routes to a mux.
func (a *API) Handle(mux *http.ServeMux) {
	routes := gateway.Routes{Mux: mux, Origins: a.o.Edge.Origins, Fail: a.fail}
	routes.Preflight("/v1/{route...}")
	for _, rt := range a.table {
		routes.Handle(rt.method+" "+rt.path, a.guarded(rt))
	}
	routes.Handle("GET /docs/{part}", func(w http.ResponseWriter, r *http.Request) error { return docsPart(w, r, r.PathValue("part")) })
	routes.Handle("/", func(_ http.ResponseWriter, r *http.Request) error {
		return status.Errorf(status.NotFound, "NO_ROUTE", "there is no %s %.200s", r.Method, r.URL.Path)
	})
}

// guarded lets into a route whom it is for, with a query that it knows. A route
// that is an instance's too looks by itself.
func (a *API) guarded(rt route) gateway.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if rt.who == administrator {
			if err := a.mustAdmin(r); err != nil {
				return err
			}
		}
		if err := rt.checkQuery(r); err != nil {
			return err
		}
		return rt.handle(w, r)
	}
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
	k, err := gateway.IdempotencyKey(r)
	return idempotency(k), err
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
	Type   string          `json:"type"`
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail"`
	Code   string          `json:"code"`
	Errors []process.Fault `json:"errors,omitempty"` // of a process that does not compile
	Reason any             `json:"reason,omitempty"` // of a position that cannot be served
	Head   any             `json:"head,omitempty"`
}

func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := status.Of(err)
	if gateway.Unexpected(r.Context(), err) {
		a.o.Edge.Log.Error("a request failed", "gateway", "api", "route", r.Pattern, "error", err)
	}
	p := problem{
		Type:   "urn:kabar:problem:" + strings.ToLower(strings.ReplaceAll(e.Reason, "_", "-")),
		Status: e.HTTP(), Detail: e.Message, Code: e.Reason,
	}
	var faults *process.FaultsError
	if errors.As(err, &faults) {
		p.Status, p.Errors = http.StatusUnprocessableEntity, faults.Faults
	}
	if gone := gateway.Gone(err); gone != nil {
		p.Reason, p.Head = gone["reason"], gone["head"]
	}
	p.Title = http.StatusText(p.Status)
	b := gateway.JSON(p)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(b.Bytes)
}
