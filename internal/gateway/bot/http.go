package bot

import (
	"errors"
	"net/http"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
)

var (
	errNoLogin    = status.Errorf(status.Invalid, "LOGIN_REQUIRED", `"login" is missing: a handle or an e-mail address`)
	errWrongLogin = status.Errorf(status.Unauthenticated, "WRONG_LOGIN", "there is no such account, or the password is another")
	errNoToken    = status.Errorf(status.Unauthenticated, "NO_TOKEN", "this needs a login: send the cookie "+gateway.Cookie+", or Authorization: Bearer <token>; POST /auth gives both")
	errNoEndpoint = status.Errorf(status.NotFound, "NO_ENDPOINT", "no endpoint is published at this path")
	errNotAllowed = status.Errorf(status.Forbidden, "NOT_ALLOWED", "this account is in none of the groups that may use the endpoint")
)

// person is who logged in.
type person struct {
	ID       uint64   `json:"id"`
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

// logIn is POST /auth {login or email, password} → {token, user} and the cookie.
func (g *Gateway) logIn(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Login    string `json:"login"`
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	if in.Login == "" {
		in.Login = in.Email
	}
	if in.Login == "" {
		return errNoLogin
	}
	token, u, _, err := g.o.Accounts.Login(r.Context(), account.LoginRequest{
		Name: in.Login, Password: in.Password, Gateway: "bot", Idle: g.o.Idle, Address: gateway.RemoteAddr(r),
	})
	if errors.Is(err, account.ErrUnknownName) || errors.Is(err, account.ErrWrongPassword) {
		return errWrongLogin
	}
	if err != nil {
		return err
	}
	groups, err := g.o.Accounts.Groups(r.Context(), u.ID)
	if err != nil {
		return err
	}
	gateway.SetCookie(w, r, token)
	gateway.WriteJSON(w, http.StatusOK, struct {
		Token string `json:"token"`
		User  person `json:"user"`
	}{token, person{u.ID, u.Handle, groups}})
	return nil
}

// logOut is POST /auth/logout; the login's sockets close with 4001.
func (g *Gateway) logOut(w http.ResponseWriter, r *http.Request) error {
	gateway.SetCookie(w, r, "") // a dead one too
	token := gateway.Token(r.Header)
	if token == "" {
		return errNoToken
	}
	_, login, err := g.o.Accounts.Authenticate(r.Context(), token)
	if err == nil {
		err = g.o.Accounts.Logout(r.Context(), login)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
