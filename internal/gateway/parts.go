package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// Parts are the files that a page is made of, by name.
type Parts map[string]part

type part struct {
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

// NewParts reads the files of a folder, which is part of the program. In HTML,
// {{name}} is replaced by what fill has for the name.
func NewParts(folder fs.FS, fill map[string]string) Parts {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		panic(err) // it is part of the program
	}
	all := Parts{}
	for _, e := range entries {
		b, err := fs.ReadFile(folder, e.Name())
		if err != nil {
			panic(err)
		}
		kind := path.Ext(e.Name())
		if kind == ".html" {
			for name, value := range fill {
				b = bytes.ReplaceAll(b, []byte("{{"+name+"}}"), []byte(value))
			}
		}
		sum := sha256.Sum256(b)
		all[e.Name()] = part{b, mediaTypes[kind], `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	}
	return all
}

// policy lets a page load its own parts and connect to its own server, and
// nothing else; nor can a text become HTML by mistake.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// Serve answers with a part; false where there is none of this name. A browser
// keeps it, and asks each time whether it is still the same: so a new server
// never meets an old page.
func (ps Parts) Serve(w http.ResponseWriter, r *http.Request, name string) bool {
	p, ok := ps[name]
	if !ok {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", p.mediaType)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", p.etag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(p.content))
	return true
}
