package feed

import (
	"embed"
	"io/fs"
	"net/http"
	"strconv"

	"github.com/kabar-io/kabar/internal/gateway"
)

//go:embed page
var page embed.FS

const indexName = "index.html"

// parts are those of the page, told how this server is set.
func parts(o Options) gateway.Parts {
	folder, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // it is part of the program
	}
	return gateway.NewParts(folder, map[string]string{"publish": string(o.Publish), "limit": strconv.Itoa(o.Limits.MaxMessage)})
}

// serve answers with a part of the page.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, name string) {
	if name == indexName && r.URL.Path != "/" || !g.parts.Serve(w, r, name) {
		gateway.WriteJSON(w, http.StatusNotFound, failure{
			Code: http.StatusNotFound, Error: http.StatusText(http.StatusNotFound), Message: "the page has no such part", Reason: "NOT_FOUND",
		})
	}
}
