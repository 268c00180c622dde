package api

import (
	"embed"
	"io/fs"
	"net/http"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
)

//go:embed docs
var docsFiles embed.FS

var docsParts = func() gateway.Parts {
	folder, err := fs.Sub(docsFiles, "docs")
	if err != nil {
		panic(err) // it is part of the program
	}
	return gateway.NewParts(folder, nil)
}()

// docs is GET /docs: the descriptions, for people.
func (a *API) docs(w http.ResponseWriter, r *http.Request) error { return docsPart(w, r, "index.html") }

// docsPart is GET /docs/{part}.
func docsPart(w http.ResponseWriter, r *http.Request, name string) error {
	if !docsParts.Serve(w, r, name) {
		return status.Errorf(status.NotFound, "NO_ROUTE", "the page has no part %.80q", name)
	}
	return nil
}
