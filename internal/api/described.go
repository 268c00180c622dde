package api

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"sync"

	"github.com/kabar-io/kabar/internal/gateway"
)

// described keeps the descriptions as they were written last: anybody may ask,
// and what a thousand endpoints come to is much to write for each.
type described struct {
	host string // static: stands where the host is written that whoever asks reaches us by

	mu      sync.Mutex               // held while one is written: nobody else writes it then
	edition any                      // guarded by mu: of what is published, which they were written for
	texts   map[description]([]byte) // guarded by mu
}

// description says which one it is.
type description struct {
	path   string
	secure bool
}

func newDescribed() *described { return &described{host: "host-" + rand.Text()} }

// describe answers with a description.
func (a *API) describe(w http.ResponseWriter, r *http.Request, write func(host string, secure bool) object) error {
	text := a.described.text(a.edition(), description{r.URL.Path, gateway.Secure(r)}, write)
	host := gateway.AppendString(nil, r.Host)
	text = bytes.ReplaceAll(text, []byte(a.described.host), host[1:len(host)-1])
	h := w.Header()
	h.Set("Vary", "Host, X-Forwarded-Proto")
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(text) //nolint:gosec // it is JSON, and said to be; who has gone does not hear it
	return nil
}

// edition is another value whenever the descriptions are.
func (a *API) edition() any {
	if a.o.Processes == nil {
		return nil
	}
	return a.o.Processes.Edition()
}

func (d *described) text(edition any, which description, write func(host string, secure bool) object) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.texts == nil || d.edition != edition {
		d.edition, d.texts = edition, map[description][]byte{}
	}
	text, known := d.texts[which]
	if !known {
		text = gateway.JSON(write(d.host, which.secure)).Bytes
		d.texts[which] = text
	}
	return text
}
