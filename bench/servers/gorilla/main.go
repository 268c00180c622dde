// Command gorilla does the benchmark's job on github.com/gorilla/websocket: a
// goroutine a connection, write buffers shared, broadcasts as prepared messages.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

type peer struct {
	*websocket.Conn
	mu sync.Mutex // one writer at a time
}

var (
	upgrader = websocket.Upgrader{
		ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(*http.Request) bool { return true },
	}
	mu    sync.RWMutex
	peers = map[*peer]struct{}{} // guarded by mu
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
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	p := &peer{Conn: conn}
	mu.Lock()
	peers[p] = struct{}{}
	mu.Unlock()
	// What the handler's stack and its request hold is let go meanwhile.
	go p.read()
}

func (p *peer) read() {
	defer func() {
		mu.Lock()
		delete(peers, p)
		mu.Unlock()
		_ = p.Close()
	}()
	for {
		kind, text, err := p.ReadMessage()
		if err != nil {
			return
		}
		if len(text) > 0 && text[0] == '!' {
			broadcast(p, kind, text)
			continue
		}
		p.mu.Lock()
		err = p.WriteMessage(kind, text)
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func broadcast(from *peer, kind int, text []byte) {
	m, err := websocket.NewPreparedMessage(kind, text)
	if err != nil {
		return
	}
	mu.RLock()
	defer mu.RUnlock()
	for p := range peers {
		if p != from {
			p.mu.Lock()
			_ = p.WritePreparedMessage(m) // who is gone shows when read
			p.mu.Unlock()
		}
	}
}
