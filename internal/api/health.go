package api

import (
	"net/http"
	"time"

	"github.com/kabar-io/kabar/internal/gateway"
)

// healthz is GET /healthz: the process answers.
func (a *API) healthz(w http.ResponseWriter, _ *http.Request) error {
	gateway.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok", "version": a.o.Version})
	return nil
}

// Part is one of the things that a server needs to serve.
type Part struct {
	Name   string     `json:"name"`
	OK     bool       `json:"ok"`
	Reason string     `json:"reason,omitempty"` // why it is not; or what should be known of it while it is
	Since  *time.Time `json:"since,omitempty"`  // since when it is not
}

// Failing is a part that does not work, or works where why is nil.
func Failing(name string, since time.Time, why error) Part {
	if why == nil {
		return Part{Name: name, OK: true}
	}
	since = since.UTC().Truncate(time.Millisecond)
	return Part{Name: name, Reason: why.Error(), Since: &since}
}

// readyz is GET /readyz: 200 where everything that is needed to serve works,
// else 503, with the parts and their reasons.
func (a *API) readyz(w http.ResponseWriter, _ *http.Request) error {
	out := struct {
		Ready bool   `json:"ready"`
		Parts []Part `json:"parts"`
	}{Ready: true}
	since, why := a.o.Journal.Failing()
	out.Parts = append(out.Parts, Failing("journal", since, why))
	for _, part := range a.o.Parts {
		out.Parts = append(out.Parts, part())
	}
	code := http.StatusOK
	for _, p := range out.Parts {
		if !p.OK {
			out.Ready, code = false, http.StatusServiceUnavailable
		}
	}
	gateway.WriteJSON(w, code, out)
	return nil
}
