//go:build !race

package crossing_test

import (
	"net/http"
	"testing"

	"github.com/kabar-io/kabar/internal/gateway/feed"
	"github.com/kabar-io/kabar/internal/ws"
)

// guestAllocs is what a reader of the feed costs who comes and goes again:
// their socket, and the context.
const guestAllocs = 2

func TestAllocationsOfAGuest(t *testing.T) {
	knocking(t, func(d *door) {
		accept := d.routes.Sockets[feed.Path]
		r := &ws.Request{Method: http.MethodGet, Proto: "HTTP/1.1", Host: "localhost", Path: feed.Path}
		// Somebody stays, so that the topic is there.
		stays, _, refusal := accept(r, d.c)
		if refusal != nil {
			t.Fatal(refusal)
		}
		defer stays.OnClose(nil, d.c, ws.CodeNormal, "")
		n := testing.AllocsPerRun(5000, func() {
			h, _, refusal := accept(r, d.c)
			if refusal != nil {
				t.Fatal(refusal)
			}
			h.OnClose(nil, d.c, ws.CodeNormal, "")
		})
		if n != guestAllocs {
			t.Errorf("%v allocations, want %d: where there are less now, say so here", n, guestAllocs)
		}
	})
}
