package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
)

// provider is where an address comes from: a mailed code, the only way here.
const provider = "kirimin"

var errAuth = &worded{code: http.StatusBadRequest, msg: msgError}

// signIn is POST /x/auth/sign-in {email} → data:{email}; a code is mailed. 400
// ERROR without an address and where the mail cannot be sent, 400 AUTH_ERR_02
// for what is no address, 429 AUTH_RATE_LIMIT.
func (g *Gateway) signIn(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email string `json:"email"`
	}
	if gateway.ReadJSON(w, r, &in) != nil || in.Email == "" {
		return errAuth
	}
	email, err := g.o.Accounts.MailCode(r.Context(), account.CodeRequest{Email: in.Email, Address: gateway.RemoteAddr(r)})
	err = insteadOf(err, status.Invalid, msgAddress)
	if err = insteadOf(err, status.TooMany, msgAuthLimit); err != nil {
		return err
	}
	return done(w, data{"email": email})
}

// verify is POST /x/auth/verify {email, code} → the session cookie and
// data:{user:{id,data:{id,email,provider}},first?:true}; an unseen address
// becomes an account. 400 AUTH_ERR_04 for a wrong code, 400 AUTH_ERR_05 with
// data:{restart:1} for an expired one, 404 AUTH_ERR_02 where nobody asked for
// one, 429 AUTH_RATE_LIMIT.
func (g *Gateway) verify(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email string          `json:"email"`
		Code  json.RawMessage `json:"code"`
	}
	if gateway.ReadJSON(w, r, &in) != nil || in.Email == "" || len(in.Code) == 0 {
		return errAuth
	}
	token, u, _, first, err := g.o.Accounts.LoginByCode(r.Context(), account.CodeLogin{
		Email: in.Email, Code: code(in.Code), Gateway: "relay", Idle: g.o.Idle, Address: gateway.RemoteAddr(r),
	})
	switch {
	case errors.Is(err, account.ErrMailCodeExpired):
		return &worded{http.StatusBadRequest, msgExpired, data{"restart": 1}}
	case errors.Is(err, account.ErrMailCodeUnknown):
		return &worded{code: http.StatusNotFound, msg: msgAddress}
	}
	err = instead(err, account.ErrMailCodeWrong, http.StatusBadRequest, msgWrong)
	err = insteadOf(err, status.Invalid, msgAddress)
	if err = insteadOf(err, status.TooMany, msgAuthLimit); err != nil {
		return err
	}
	gateway.SetCookie(w, r, token)
	id := strconv.FormatUint(u.ID, 10)
	out := data{"user": data{"id": id, "data": data{"id": id, "email": u.Email, "provider": provider}}}
	if first {
		out["first"] = true
	}
	return done(w, out)
}

// code is a code as a string or a number, which may have lost its first zeros.
func code(raw json.RawMessage) string {
	if n, err := strconv.ParseUint(string(raw), 10, 32); err == nil {
		return fmt.Sprintf("%06d", n)
	}
	return strings.TrimSpace(text(raw))
}

// logOut is POST /x/auth/logout; the login's sockets close with 4001.
func (g *Gateway) logOut(w http.ResponseWriter, r *http.Request, me caller) error {
	gateway.SetCookie(w, r, "")
	if err := g.o.Accounts.Logout(r.Context(), me.login); err != nil {
		return err
	}
	return done(w, nil)
}

// leave is GET /x/auth/logout, for a link on a page: it leads to the first page,
// whoever comes. Where it does not, the login may live on.
func (g *Gateway) leave(w http.ResponseWriter, r *http.Request) error {
	gateway.SetCookie(w, r, "")
	me, err := g.caller(r) // however often they called
	if err == nil {
		err = g.o.Accounts.Logout(r.Context(), me.login)
	}
	if err != nil && status.Of(err).Code != status.Unauthenticated {
		return err
	}
	http.Redirect(w, r, "/", http.StatusFound)
	return nil
}
