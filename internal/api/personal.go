package api

import (
	"net/http"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/personal"
	"github.com/kabar-io/kabar/internal/status"
)

var errNotHere = status.Errorf(status.NotFound, "NO_ROUTE", "this server neither erases people nor exports them")

// erasure is how far erasing somebody came.
type erasure struct {
	ID    uint64 `json:"id"`
	State string `json:"state"` // "erasing", "erased"
	Begun string `json:"begun"`
	Ended string `json:"ended,omitempty"`
}

// erase is DELETE /v1/users/{id}: 202 while it is under way, 200 when it is done.
func (a *API) erase(w http.ResponseWriter, r *http.Request) error {
	id, err := pathUser(r, "id")
	if err != nil {
		return err
	}
	if a.o.Personal == nil {
		return errNotHere
	}
	e, err := a.o.Personal.Erase(r.Context(), id)
	if err != nil {
		return err
	}
	showErasure(w, e)
	return nil
}

func showErasure(w http.ResponseWriter, e personal.Erasure) {
	v, code := erasure{ID: e.User, State: "erasing", Begun: stampOf(e.Begun), Ended: stampOf(e.Ended)}, http.StatusAccepted
	if !e.Ended.IsZero() {
		v.State, code = "erased", http.StatusOK
	}
	gateway.WriteJSON(w, code, v)
}
