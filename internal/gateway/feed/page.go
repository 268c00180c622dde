package feed

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/kabar-io/kabar/internal/gateway"
)

//go:embed page
var page embed.FS

const indexName = "index.html"

// file is a part of the page as it is served.
type file struct {
	content   []byte
	mediaType string
	etag      string
}

var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// files are the parts of the page, told how this server is set.
func files(o Options) map[string]file {
	entries, err := page.ReadDir("page")
	if err != nil {
		panic(err) // it is part of the program
	}
	all := map[string]file{}
	for _, e := range entries {
		b, err := page.ReadFile(path.Join("page", e.Name()))
		if err != nil {
			panic(err)
		}
		if e.Name() == indexName {
			b = bytes.ReplaceAll(b, []byte("{{publish}}"), []byte(o.Publish))
			b = bytes.ReplaceAll(b, []byte("{{limit}}"), strconv.AppendInt(nil, int64(o.Limits.MaxMessage), 10))
		}
		sum := sha256.Sum256(b)
		all[e.Name()] = file{b, mediaTypes[path.Ext(e.Name())], `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	}
	return all
}

// policy lets the page load its own parts and connect to its own server, and
// nothing else; nor can a text become HTML by mistake.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// serve answers with a part of the page. A browser keeps it, and asks each
// time whether it is still the same: so a new server never meets an old page.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, name string) {
	f, ok := g.files[name]
	if !ok || name == indexName && r.URL.Path != "/" {
		gateway.WriteJSON(w, http.StatusNotFound, failure{
			Code: http.StatusNotFound, Error: http.StatusText(http.StatusNotFound), Message: "the page has no such part", Reason: "NOT_FOUND",
		})
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.etag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.content))
}
