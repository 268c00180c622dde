package api

import (
	"net/http"

	"github.com/kabar-io/kabar/internal/gateway"
)

// healthz is GET /healthz: the process answers.
func (a *API) healthz(w http.ResponseWriter, _ *http.Request) error {
	gateway.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok", "version": a.o.Version})
	return nil
}

// readyz is GET /readyz: 200 where everything that is needed to serve works,
// else 503, with the parts and their reasons.
func (a *API) readyz(w http.ResponseWriter, _ *http.Request) error {
	type part struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}
	code, all := http.StatusOK, "ok"
	journal := part{Status: "ok"}
	if err := a.o.Journal.Health(); err != nil {
		code, all = http.StatusServiceUnavailable, "failing"
		journal = part{"failing", "the last commit failed: " + err.Error()}
	}
	gateway.WriteJSON(w, code, map[string]any{"status": all, "parts": map[string]part{"journal": journal}})
	return nil
}
