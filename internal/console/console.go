package console

import (
	"embed"
	"html"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
)

//go:embed page
var page embed.FS

// Options says what the pages stand on and how the server is set.
type Options struct {
	Accounts *account.Service
	Edge     *gateway.Edge
	Version  string
	Demo     bool   // there are people and an instance to play with
	Publish  string // who may speak on the feed: nobody, accounts, anyone
}

// Console is the pages.
type Console struct {
	o     Options       // static
	parts gateway.Parts // static
}

// New makes the pages.
func New(o Options) *Console {
	folder, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // it is part of the program
	}
	return &Console{o: o, parts: gateway.NewParts(folder, map[string]string{
		"version": html.EscapeString(o.Version), "demo": strconv.FormatBool(o.Demo), "publish": html.EscapeString(o.Publish),
	})}
}

// Handle adds the pages' routes to a mux.
func (c *Console) Handle(mux *http.ServeMux) {
	routes := gateway.Routes{Mux: mux, Origins: c.o.Edge.Origins, Fail: c.fail}
	routes.Handle("GET /try", c.page("try.html"))
	routes.Handle("GET /setup", c.page("setup.html"))
	routes.Handle("GET /_console/me", c.me)
	routes.Handle("GET /_console/{name}", func(w http.ResponseWriter, r *http.Request) error {
		// The pages themselves are at their own paths, which their parts are relative to.
		if name := r.PathValue("name"); path.Ext(name) == ".html" || !c.parts.Serve(w, r, name) {
			return status.Errorf(status.NotFound, "NO_PART", "the pages have no such part")
		}
		return nil
	})
	routes.Handle("GET /v1/setup", c.canSetup)
	routes.Handle("POST /v1/setup", c.setup)
}

func (c *Console) page(name string) gateway.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c.parts.Serve(w, r, name)
		return nil
	}
}

// me is GET /_console/me → {user:{id, handle, name, email, groups}}, or {} where
// no session is: nobody is no error.
func (c *Console) me(w http.ResponseWriter, r *http.Request) error {
	type user struct {
		ID     uint64   `json:"id"`
		Handle string   `json:"handle"`
		Name   string   `json:"name"`
		Email  string   `json:"email"`
		Groups []string `json:"groups"`
	}
	var out struct {
		User *user `json:"user,omitempty"`
	}
	if token := gateway.Token(r.Header); token != "" {
		u, _, err := c.o.Accounts.Authenticate(r.Context(), token)
		switch {
		case err == nil:
			groups, err := c.o.Accounts.Groups(r.Context(), u.ID)
			if err != nil {
				return err
			}
			out.User = &user{u.ID, u.Handle, u.Display, u.Email, groups}
		case status.Of(err).Code == status.Internal, status.Of(err).Code == status.Unavailable:
			return err
		}
	}
	gateway.WriteJSON(w, http.StatusOK, out)
	return nil
}

// canSetup is GET /v1/setup?code= → 204, or why a code makes nobody an
// administrator any more.
func (c *Console) canSetup(w http.ResponseWriter, r *http.Request) error {
	if err := c.o.Accounts.CheckSetup(r.URL.Query().Get("code")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// setup is POST /v1/setup {code, email, name, password} → 201 {user:{id, name}}
// and the session cookie. It makes the first administrator, once.
func (c *Console) setup(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Code     string `json:"code"`
		Email    string `json:"email"`
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	u, err := c.o.Accounts.FinishSetup(r.Context(), account.Setup{
		Code: in.Code, Email: in.Email, Name: in.Name, Password: in.Password, Address: gateway.RemoteAddr(r),
	})
	if err != nil {
		return err
	}
	// The account is there now, whatever comes of this: the page says to log in
	// where it has no session.
	token, _, _, err := c.o.Accounts.Login(r.Context(), account.LoginRequest{
		Name: u.Email, Password: in.Password, Gateway: "console", Address: gateway.RemoteAddr(r),
	})
	if err == nil {
		gateway.SetCookie(w, r, token)
	} else {
		c.o.Edge.Log.Warn("the administrator is not logged in yet", "error", err)
	}
	gateway.WriteJSON(w, http.StatusCreated, map[string]any{"user": map[string]any{"id": u.ID, "name": u.Display}, "session": err == nil})
	return nil
}

// fail answers with an error body as RFC 9457 has it.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := status.Of(err)
	if gateway.Unexpected(r.Context(), err) {
		c.o.Edge.Log.Error("a request failed", "gateway", "console", "route", r.Pattern, "error", err)
	}
	b := gateway.JSON(map[string]any{
		"type": "urn:kabar:problem:" + strings.ToLower(strings.ReplaceAll(e.Reason, "_", "-")), "title": http.StatusText(e.HTTP()),
		"status": e.HTTP(), "detail": e.Message, "code": e.Reason,
	})
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if e.Code == status.TooMany {
		h.Set("Retry-After", "60")
	}
	w.WriteHeader(e.HTTP())
	_, _ = w.Write(b.Bytes)
}
