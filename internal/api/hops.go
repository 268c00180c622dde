package api

import (
	"net/http"
	"strconv"

	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/status"
)

// errCaused is the answer to a process that wants to speak to everybody by a
// call: what it causes could not be told apart from what nobody caused.
var errCaused = status.Errorf(status.Forbidden, "CAUSED_BY_A_PROCESS",
	`a process's call cannot speak to all users; publish to the topic feed instead`)

// hops is how many processes in a row led to a request: a process's call says so.
// As many as there may be end here, so that processes that call this server in a
// circle do.
func hops(r *http.Request) (uint8, error) {
	text := r.Header.Get(process.HopsHeader)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	switch {
	case err != nil || n > process.MaxHops:
		return 0, status.Errorf(status.Invalid, "BAD_HOPS", "%s must be a whole number from 0 to %d, not %.40q", process.HopsHeader, process.MaxHops, text)
	case n == process.MaxHops:
		return 0, status.Errorf(status.Conflict, "PROCESSES_LOOP", "%d processes in a row caused this, and it goes no further: let one of them not answer what the others cause", n)
	}
	return uint8(n), nil
}
