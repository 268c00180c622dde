package main

import (
	"context"
	"embed"
	"io/fs"
	"net/http"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/webhook"
)

//go:embed demo
var demoFiles embed.FS

// demoParts are the files of the demo's own pages.
func demoParts() gateway.Parts {
	folder, err := fs.Sub(demoFiles, "demo")
	if err != nil {
		panic(err) // it is part of the program
	}
	return gateway.NewParts(folder, nil)
}

// demoRoutes adds what the demo's pages are made of. The receiver itself comes
// with its secret, when there is an instance that posts to it.
func (s *server) demoRoutes(mux *http.ServeMux) {
	parts := demoParts()
	mux.HandleFunc("GET "+hookPath+"/{name}", func(w http.ResponseWriter, r *http.Request) {
		if !parts.Serve(w, r, r.PathValue("name")) {
			http.NotFound(w, r)
		}
	})
}

// hook makes the receiver, and has the demo's instance post to it.
func (s *server) hook(ctx context.Context) error {
	origins, err := gateway.ParseOrigins(s.c.Origins)
	if err != nil {
		return err
	}
	h := newDemoHook(demoParts())
	routes := gateway.Routes{Mux: s.routes.http, Origins: origins, Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
		e := status.Of(err)
		gateway.WriteJSON(w, e.HTTP(), map[string]string{"error": e.Message})
	}}
	routes.Handle("GET "+hookPath, h.show)
	routes.Handle("POST "+hookPath, h.receive)
	_, secret, err := s.webhooks.Set(ctx, instance.ByName(demoInstance), webhook.Spec{
		URL: "http://" + s.at("8084") + hookPath, Enabled: true,
	})
	h.open(secret)
	return err
}
