package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"path"
	"time"

	"github.com/kabar-io/kabar/internal/status"
)

//go:embed docs
var docsFiles embed.FS

// docsFile is a part of the page as it is served.
type docsFile struct {
	content         []byte
	mediaType, etag string
}

var docsParts = func() map[string]docsFile {
	types := map[string]string{".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
	entries, err := docsFiles.ReadDir("docs")
	if err != nil {
		panic(err) // it is part of the program
	}
	all := map[string]docsFile{}
	for _, e := range entries {
		b, err := docsFiles.ReadFile(path.Join("docs", e.Name()))
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(b)
		all[e.Name()] = docsFile{b, types[path.Ext(e.Name())], `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	}
	return all
}()

// docsPolicy lets the page load its own parts and ask its own server, and
// nothing else; nor can a text become HTML by mistake.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// docs is GET /docs: the descriptions, for people.
func (a *API) docs(w http.ResponseWriter, r *http.Request) error { return docsPart(w, r, "index.html") }

// docsPart is GET /docs/{part}.
func docsPart(w http.ResponseWriter, r *http.Request, name string) error {
	f, ok := docsParts[name]
	if !ok {
		return status.Errorf(status.NotFound, "NO_ROUTE", "the page has no part %.80q", name)
	}
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Content-Security-Policy", docsPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.etag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.content))
	return nil
}
