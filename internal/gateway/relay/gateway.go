package relay

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// Where a WebSocket connects: as the document has it, and as its later builds do.
const (
	Path       = "/"
	SocketPath = "/socket"
)

// Options says what the gateway stands on and how it is set.
type Options struct {
	Edge     *gateway.Edge
	Journal  *journal.Journal
	Accounts *account.Service
	Chats    *chat.Service
	Limits   ws.Limits
	Alone    bool          // one socket a person, not one a login
	Idle     time.Duration // how long a session lives without being used; 0: 30 days
	HTTPRate account.Limit // requests of a login
	ICE      []string      // STUN and TURN servers that calls may use
	Version  string
	Now      func() time.Time // the clock of calls and rates; nil: time.Now
}

// Gateway is the dialect.
type Gateway struct {
	// static
	o      Options
	logins gateway.Logins
	rate   *account.Limiter // guards itself
	calls  *calls           // guards itself
	boots  *turns           // guards itself: of logins, to bootstrap

	refused atomic.Int64
}

// New makes the gateway.
func New(o Options) *Gateway {
	if o.Idle <= 0 {
		o.Idle = 30 * 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Limits.Prove = true
	return &Gateway{
		o: o, logins: gateway.Logins{Accounts: o.Accounts, Mark: ownerMark},
		rate: account.NewLimiter(o.HTTPRate), calls: newCalls(), boots: newTurns(),
	}
}

// Refused is how many frames were not carried out.
func (g *Gateway) Refused() int64 { return g.refused.Load() }

// Limited is how many requests came too fast.
func (g *Gateway) Limited() int64 { return g.rate.Refused() }

// Handle adds the dialect's routes to a mux.
func (g *Gateway) Handle(mux *http.ServeMux) {
	routes := gateway.Routes{Mux: mux, Origins: g.o.Edge.Origins, Fail: g.fail}
	mine := func(pattern string, h handler) { routes.Handle(pattern, g.authenticated(h)) }
	routes.Preflight("/x/{route...}", "/invite/{link}")
	routes.Handle("/x/{route...}", noRoute)
	routes.Handle("GET "+SocketPath, notAnUpgrade)

	routes.Handle("POST /x/auth/sign-in", g.signIn)
	routes.Handle("POST /x/auth/verify", g.verify)
	routes.Handle("GET /x/auth/logout", g.leave)
	mine("POST /x/auth/logout", g.logOut)
	mine("GET /x/auth/isUser", g.bootstrap)

	mine("GET /x/profile/search/{q}", g.search)
	mine("POST /x/profile/{what}", g.friendship)

	mine("POST /x/room/sendMessage/{type}/{id}", g.send)
	mine("POST /x/room/delMessage/{type}/{id}/{message}", g.remove)
	mine("POST /x/room/clear/{type}/{id}", g.clear)
	mine("GET /x/room/history/{type}/{id}", g.history)

	mine("POST /x/group/create", g.create)
	mine("POST /x/group/join/{id}", g.join)
	mine("POST /x/group/leave/{id}", g.depart)
	mine("POST /x/group/kick/{id}/{user}", g.kick)
	mine("POST /x/group/reset-link", g.resetLink)
	mine("POST /x/group/set-groupname", g.rename)
	mine("GET /invite/{link}", g.invite)

	mine("GET /x/posts", g.posts)
	mine("POST /x/posts/new-post", g.newPost)
	mine("POST /x/posts/delete-post/{id}", g.deletePost)
	mine("GET /x/posts/comments/{id}", g.comments)
	mine("POST /x/posts/comment/add/{id}", g.addComment)
	mine("POST /x/posts/comment/delete/{id}/{comment}", g.deleteComment)

	mine("POST /x/account/set-username", g.setHandle)
	mine("POST /x/account/set-displayname", g.setName)
	mine("POST /x/account/set-bio", g.setBio)
	mine("POST /x/account/set-password", g.setPassword)
}

func noRoute(http.ResponseWriter, *http.Request) error {
	return &worded{code: http.StatusNotFound, msg: msgNoRoute}
}

func notAnUpgrade(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Connection", "Upgrade")
	return &worded{code: http.StatusUpgradeRequired, msg: "UPGRADE_REQUIRED"}
}

// answer is what every request gets.
type answer struct {
	OK   bool   `json:"ok"`
	Code int    `json:"code"`
	Msg  string `json:"msg"`
	Data any    `json:"data,omitempty"`

	Next uint64 `json:"next,omitempty"` // of a list: where its next page starts

	// Of a position that cannot be served.
	Reason any `json:"reason,omitempty"`
	Head   any `json:"head,omitempty"`
}

// done answers that it worked; data may be nil.
func done(w http.ResponseWriter, data any) error {
	gateway.WriteJSON(w, http.StatusOK, answer{OK: true, Code: http.StatusOK, Msg: msgOK, Data: data})
	return nil
}

// data is an object of one member or a few.
type data map[string]any

// fail answers a request with an error.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	if gateway.Unexpected(r.Context(), err) && !isWorded(err) {
		g.o.Edge.Log.Error("a request failed", "gateway", "relay", "route", r.Pattern, "error", err)
	}
	a := refused(err)
	if a.Code == http.StatusTooManyRequests { // in this dialect's words or the core's
		w.Header().Set("Retry-After", "10")
	} else {
		gateway.TellWhen(w, err, "10")
	}
	gateway.WriteJSON(w, a.Code, a)
}

// refused is an error as an answer.
func refused(err error) answer {
	known := inWords(err)
	a := answer{Code: known.code, Msg: known.msg, Data: known.data}
	if gone := gateway.Gone(err); gone != nil {
		a.Reason, a.Head = gone["reason"], gone["head"]
	}
	return a
}

// caller is who asks, and by which login.
type caller struct {
	account.User
	login account.Login
}

// handler answers a request of somebody.
type handler func(w http.ResponseWriter, r *http.Request, me caller) error

func (g *Gateway) authenticated(h handler) gateway.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		me, err := g.who(r)
		if err != nil {
			return err
		}
		return h(w, r, me)
	}
}

var (
	errNoToken = status.Errorf(status.Unauthenticated, "", "the session cookie is missing; log in at /x/auth/sign-in")
	errTooMany = &worded{code: http.StatusTooManyRequests, msg: msgTooMany}
)

// who is the caller, who has not called too often.
func (g *Gateway) who(r *http.Request) (caller, error) {
	me, err := g.caller(r)
	if err == nil && !g.rate.Take(strconv.FormatUint(me.login.ID, 10), g.o.Now()) {
		err = errTooMany
	}
	return me, err
}

// caller is who calls.
func (g *Gateway) caller(r *http.Request) (caller, error) {
	token := gateway.Token(r.Header)
	if token == "" {
		return caller{}, errNoToken
	}
	u, l, err := g.o.Accounts.Authenticate(r.Context(), token)
	return caller{u, l}, err
}
