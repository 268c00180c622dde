package feed

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// Path is where a WebSocket connects.
const Path = "/websocket"

// Publish says who may speak.
type Publish string

// Who may speak. The zero value is Nobody.
const (
	Nobody   Publish = "nobody"
	Accounts Publish = "accounts"
	Anyone   Publish = "anyone"
)

// Options says what the gateway stands on and how it is set.
type Options struct {
	Edge     *gateway.Edge
	Journal  *journal.Journal
	Accounts *account.Service
	Chats    *chat.Service
	Limits   ws.Limits
	Publish  Publish
}

// Gateway is the dialect.
type Gateway struct {
	// static
	o         Options
	logins    gateway.Logins
	formats   formats
	parts     gateway.Parts // of the page
	proving   ws.Limits     // of who comes back to what their pongs acknowledged
	nameHolds time.Duration // how long the answer holds that a name is nobody else's

	refused atomic.Int64
}

// New makes the gateway.
func New(o Options) *Gateway {
	g := &Gateway{
		o: o, logins: gateway.Logins{Accounts: o.Accounts, Mark: "/feed"}, // the login's own position is its inbox's
		formats: newFormats(o.Edge.Epoch), parts: parts(o), nameHolds: 30 * time.Second, proving: o.Limits,
	}
	g.proving.Prove = true
	return g
}

// Refused is how many frames were dropped.
func (g *Gateway) Refused() int64 { return g.refused.Load() }

// Handle adds the dialect's routes to a mux.
func (g *Gateway) Handle(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, indexName) })
	mux.HandleFunc("GET /_feed/{name}", func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, r.PathValue("name")) })
	mux.HandleFunc("GET "+Path, notAnUpgrade)
}

func notAnUpgrade(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Connection", "Upgrade")
	gateway.WriteJSON(w, http.StatusUpgradeRequired, failure{
		Code: http.StatusUpgradeRequired, Error: http.StatusText(http.StatusUpgradeRequired),
		Message: "this is a WebSocket: connect to it with ws://, or open the page at /", Reason: "UPGRADE_REQUIRED",
	})
}

// failure is the dialect's error body.
type failure struct {
	Code    int    `json:"code"`
	Error   string `json:"error"`
	Message string `json:"message"`
	Reason  string `json:"reason"`
	Head    any    `json:"head,omitempty"` // of a position that cannot be served
}

// Refusal is an error as the body of a refused upgrade.
func (g *Gateway) Refusal(err error) gateway.Body {
	e := status.Of(err)
	if e.Code == status.Internal {
		g.o.Edge.Log.Error("an upgrade failed", "gateway", "feed", "error", err)
	}
	f := failure{Code: e.HTTP(), Error: http.StatusText(e.HTTP()), Message: e.Message, Reason: e.Reason}
	if gone := gateway.Gone(err); gone != nil {
		f.Head = gone["head"]
	}
	return gateway.JSON(f)
}
