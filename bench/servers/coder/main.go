// Command coder does the benchmark's job on github.com/coder/websocket: a
// goroutine a connection. It has no prepared messages.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/coder/websocket"
)

var (
	mu    sync.RWMutex
	peers = map[*websocket.Conn]struct{}{} // guarded by mu
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "address")
	flag.Parse()
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(ln, http.HandlerFunc(serve)))
}

func serve(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return
	}
	c.SetReadLimit(1 << 20)
	mu.Lock()
	peers[c] = struct{}{}
	mu.Unlock()
	go read(c)
}

func read(c *websocket.Conn) {
	defer func() {
		mu.Lock()
		delete(peers, c)
		mu.Unlock()
		_ = c.CloseNow()
	}()
	ctx := context.Background()
	for {
		kind, text, err := c.Read(ctx)
		if err != nil {
			return
		}
		if len(text) == 0 || text[0] != '!' {
			if c.Write(ctx, kind, text) != nil {
				return
			}
			continue
		}
		mu.RLock()
		for p := range peers {
			if p != c {
				_ = p.Write(ctx, kind, text) // who is gone shows when read
			}
		}
		mu.RUnlock()
	}
}
