// Command gws does the benchmark's job on github.com/lxzan/gws: a goroutine a
// connection, broadcasts by its Broadcaster.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/lxzan/gws"
)

type handler struct {
	gws.BuiltinEventHandler
	mu    sync.RWMutex
	peers map[*gws.Conn]struct{} // guarded by mu
}

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "address")
	flag.Parse()
	h := &handler{peers: map[*gws.Conn]struct{}{}}
	upgrader := gws.NewUpgrader(h, &gws.ServerOption{ReadBufferSize: 1024, WriteBufferSize: 1024})
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := upgrader.Upgrade(w, r); err == nil {
			go conn.ReadLoop()
		}
	})))
}

func (h *handler) OnOpen(c *gws.Conn) {
	h.mu.Lock()
	h.peers[c] = struct{}{}
	h.mu.Unlock()
}

func (h *handler) OnClose(c *gws.Conn, _ error) {
	h.mu.Lock()
	delete(h.peers, c)
	h.mu.Unlock()
}

func (h *handler) OnPing(c *gws.Conn, payload []byte) { _ = c.WritePong(payload) }

func (h *handler) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	text := m.Bytes()
	if len(text) == 0 || text[0] != '!' {
		_ = c.WriteMessage(m.Opcode, text)
		return
	}
	b := gws.NewBroadcaster(m.Opcode, text)
	defer func() { _ = b.Close() }()
	h.mu.RLock()
	defer h.mu.RUnlock()
	for p := range h.peers {
		if p != c {
			_ = b.Broadcast(p)
		}
	}
}
