package direct

import (
	"errors"
	"net/http"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
)

// ok is the answer of a route that returns nothing else.
type ok struct {
	Code    any    `json:"code"` // 200, or "200" where clients know it as a string
	Message string `json:"message,omitempty"`
	Data    any    `json:"data,omitempty"`
}

func success(w http.ResponseWriter, data any) error {
	gateway.WriteJSON(w, http.StatusOK, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    any    `json:"data"`
	}{http.StatusOK, "Success", data})
	return nil
}

// who is the login that a request carries.
func (g *Gateway) who(r *http.Request) (account.User, account.Login, error) {
	token := gateway.Token(r.Header)
	if token == "" {
		return account.User{}, account.Login{}, status.Errorf(status.Unauthenticated, "NO_TOKEN", "the Authorization header is missing; log in at /api/login")
	}
	return g.o.Accounts.Authenticate(r.Context(), token)
}

func (g *Gateway) authenticated(h func(w http.ResponseWriter, r *http.Request, me account.User) error) gateway.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		me, _, err := g.who(r)
		if err != nil {
			return err
		}
		return h(w, r, me)
	}
}

// auth is GET /ws/auth: a one-time code for GET /ws/connect.
func (g *Gateway) auth(w http.ResponseWriter, r *http.Request) error {
	_, login, err := g.who(r)
	if err != nil {
		return err
	}
	if err := g.o.Edge.Admission.Admit(); err != nil {
		return err
	}
	code, err := g.o.Accounts.Issue(login)
	if err != nil {
		return err
	}
	type data struct {
		Code string `json:"websocketAuthCode"`
	}
	gateway.WriteJSON(w, http.StatusOK, struct {
		Code    int    `json:"code"`
		Status  int    `json:"status"`
		Message string `json:"message"`
		Data    data   `json:"data"`
	}{http.StatusOK, http.StatusOK, "success", data{code}})
	return nil
}

// register is POST /api/register {email, username, password} → 201 {"code":200}.
func (g *Gateway) register(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email    string `json:"email"`
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	_, err := g.o.Accounts.Register(r.Context(), account.Registration{
		Email: in.Email, Name: in.Username, Password: in.Password, Address: gateway.RemoteAddr(r),
	})
	if errors.Is(err, account.ErrAlreadyRegistered) {
		return &worded{code: 500, status: 500, error: "4 error: Already Registered ", details: account.ErrAlreadyRegistered.Message}
	}
	if err != nil {
		return err
	}
	gateway.WriteJSON(w, http.StatusCreated, ok{Code: 200})
	return nil
}

// logIn is POST /api/login {email, password} → {code:200, data:{Token}}.
func (g *Gateway) logIn(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	token, _, _, err := g.o.Accounts.Login(r.Context(), account.LoginRequest{
		Name: in.Email, Password: in.Password, Gateway: "direct", Address: gateway.RemoteAddr(r),
	})
	switch {
	case errors.Is(err, account.ErrUnknownName) && g.o.Reveal:
		return &worded{code: 400, error: "Failed to login", details: "0 error: User Not Found"}
	case errors.Is(err, account.ErrUnknownName), errors.Is(err, account.ErrWrongPassword):
		return &worded{code: 400, error: "Failed to login", details: "1 error: Password not match"}
	case err != nil:
		return err
	}
	gateway.SetCookie(w, r, token)
	gateway.WriteJSON(w, http.StatusOK, ok{Code: 200, Data: struct{ Token string }{token}})
	return nil
}

// logOut is POST /api/logout → {code:200}; the login's sockets close with 4001.
func (g *Gateway) logOut(w http.ResponseWriter, r *http.Request) error {
	gateway.SetCookie(w, r, "") // a dead one too
	_, login, err := g.who(r)
	if err != nil {
		return err
	}
	if err := g.o.Accounts.Logout(r.Context(), login); err != nil {
		return err
	}
	gateway.WriteJSON(w, http.StatusOK, ok{Code: 200})
	return nil
}
