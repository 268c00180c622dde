package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"time"

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

// maxExports is how many exports are read at once.
const maxExports = 4

// exportStall is how long a line of an export may take to be taken.
const exportStall = 30 * time.Second

// export is GET /v1/users/{id}/export: NDJSON, a record a line, the last one
// {"type":"end"}: without it, it was cut off.
func (a *API) export(w http.ResponseWriter, r *http.Request) error {
	id, err := pathUser(r, "id")
	if err != nil {
		return err
	}
	if a.o.Personal == nil {
		return errNotHere
	}
	select {
	case a.exports <- struct{}{}:
		defer func() { <-a.exports }()
	default:
		return status.Errorf(status.TooMany, "TOO_MANY_EXPORTS", "%d exports are being read at this moment; try again when one is done", cap(a.exports))
	}
	out := &lines{to: http.NewResponseController(w), buf: bufio.NewWriterSize(w, 32<<10)}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	err = a.o.Personal.Export(ctx, id, func(rec personal.Record) error {
		if !out.begun {
			out.begun = true
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("X-Content-Type-Options", "nosniff")
		}
		return out.write(rec)
	})
	if err == nil {
		err = out.write(personal.Record{Type: "end"})
	}
	if err == nil {
		err = out.flush()
	}
	if err != nil && out.begun { // it is too late to say so: the end is missing
		a.o.Edge.Log.Warn("an export was cut off", "user", id, "error", err)
		return nil
	}
	return err
}

// lines writes records, and gives whoever reads them time for each buffer.
type lines struct {
	to    *http.ResponseController
	buf   *bufio.Writer
	begun bool
}

func (l *lines) write(rec personal.Record) error {
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if b = append(b, '\n'); l.buf.Available() < len(b) {
		if err := l.flush(); err != nil {
			return err
		}
	}
	_, err = l.buf.Write(b)
	return err
}

// flush sends what is there, and gives that time to be taken.
func (l *lines) flush() error {
	_ = l.to.SetWriteDeadline(time.Now().Add(exportStall)) // where it cannot be set, the server's own stands
	return l.buf.Flush()
}
