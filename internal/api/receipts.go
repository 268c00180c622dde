package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
)

// receipt is what is known of a message and one person. A time that is not
// there is not known.
type receipt struct {
	User      uint64 `json:"user"`
	Delivered bool   `json:"delivered"`
	Read      bool   `json:"read"`
	ReadAt    string `json:"read_at,omitempty"`
}

// receipts is GET /v1/messages/{id}/receipts → {id, sent_at, receipts}, for the
// administrator and for who said it, by the token of any of their logins.
func (a *API) receipts(w http.ResponseWriter, r *http.Request) error {
	me := uint64(0)
	if err := a.mustAdmin(r); err != nil {
		token := gateway.Token(r.Header)
		if token == "" {
			return err
		}
		u, _, failed := a.o.Accounts.Authenticate(r.Context(), token)
		switch {
		case errors.Is(failed, account.ErrTokenInvalid): // no login's
			return err
		case failed != nil:
			return failed
		}
		me = u.ID
	}
	m, rs, err := a.o.Chats.Receipts(r.Context(), me, r.PathValue("id"))
	if err != nil {
		return err
	}
	out := make([]receipt, len(rs))
	for i, one := range rs {
		out[i] = showReceipt(one)
	}
	gateway.WriteJSON(w, http.StatusOK, map[string]any{"id": m.ID, "sent_at": m.Time.UTC().Format(timeFormat), "receipts": out})
	return nil
}

func showReceipt(r chat.Receipt) receipt {
	return receipt{r.User, r.Delivered, r.Read, stampOf(r.ReadAt)}
}

// stampOf is a time as it stands on the wire, "" for none.
func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeFormat)
}
