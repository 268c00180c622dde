package relay

import (
	"errors"
	"net/http"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
)

// setHandle is POST /x/account/set-username {uname} → data:{text}. 400
// ACC_FAIL_UNAME_FORMAT (3 to 20 of A-Z a-z 0-9 . and _) and ACC_FAIL_CLAIMED.
func (g *Gateway) setHandle(w http.ResponseWriter, r *http.Request, me caller) error {
	var in struct {
		Name string `json:"uname"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	u, err := g.o.Accounts.SetHandle(r.Context(), me.ID, in.Name)
	err = instead(err, account.ErrHandleTaken, http.StatusBadRequest, msgHandleTaken)
	if err = insteadOf(err, status.Invalid, msgHandleFormat); err != nil {
		return err
	}
	return done(w, data{"text": u.Handle})
}

// setName is POST /x/account/set-displayname {dname} → data:{text}. 400
// ACC_FAIL_DNAME_LENGTH for a name that is empty, longer than 35 characters or
// has what does not show.
func (g *Gateway) setName(w http.ResponseWriter, r *http.Request, me caller) error {
	var in struct {
		Name string `json:"dname"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	u, err := g.o.Accounts.SetDisplay(r.Context(), me.ID, in.Name)
	if err != nil {
		return insteadOf(err, status.Invalid, msgNameLength)
	}
	return done(w, data{"text": u.Display})
}

// setBio is POST /x/account/set-bio {bio} → data:{text}; an empty one is none.
// 400 ACC_FAIL_BIO_LENGTH over 200 characters.
func (g *Gateway) setBio(w http.ResponseWriter, r *http.Request, me caller) error {
	var in struct {
		Bio string `json:"bio"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	u, err := g.o.Accounts.SetAbout(r.Context(), me.ID, in.Bio)
	if err != nil {
		return insteadOf(err, status.Invalid, msgBioLength)
	}
	return done(w, data{"text": u.About})
}

// setPassword is POST /x/account/set-password {password, old?}: other gateways
// ask for one. old is needed where there is one already, else 403
// WRONG_PASSWORD.
func (g *Gateway) setPassword(w http.ResponseWriter, r *http.Request, me caller) error {
	var in struct {
		Password string `json:"password"`
		Old      string `json:"old"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	err := g.o.Accounts.SetPassword(r.Context(), me.login, in.Old, in.Password)
	if errors.Is(err, account.ErrWrongPassword) {
		return &worded{code: http.StatusForbidden, msg: account.ErrWrongPassword.Reason}
	}
	if err != nil {
		return err
	}
	return done(w, nil)
}
