package gateway

import (
	"net/http"

	"github.com/kabar-io/kabar/internal/status"
)

// ErrOrigin is the answer to a page of a foreign origin.
var ErrOrigin = status.Errorf(status.Forbidden, "ORIGIN", "this page's origin is not allowed; add it to origins in the configuration")

// Handler answers a request, or returns the error for its dialect to word.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Routes puts a dialect's handlers on a mux, behind the check of the Origin.
type Routes struct {
	Mux     *http.ServeMux
	Origins *Origins
	Fail    func(w http.ResponseWriter, r *http.Request, err error) // answers with an error in the dialect's words
}

// Handle adds one route.
func (rs Routes) Handle(pattern string, h Handler) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			rs.Fail(w, r, err)
		}
	})
	rs.Mux.Handle(pattern, rs.Origins.Guard(answer, func(w http.ResponseWriter, r *http.Request) { rs.Fail(w, r, ErrOrigin) }))
}

// Preflight lets browsers ask whether they may use these paths (CORS).
func (rs Routes) Preflight(paths ...string) {
	for _, path := range paths {
		rs.Handle("OPTIONS "+path, func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusNoContent)
			return nil
		})
	}
}
