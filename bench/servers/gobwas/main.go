// Command gobwas does the benchmark's job on github.com/gobwas/ws: its upgrade
// without copies on the bare connection, a goroutine a connection, broadcasts
// as compiled frames.
package main

import (
	"flag"
	"log"
	"net"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

type peer struct {
	net.Conn
	mu sync.Mutex // one writer at a time
}

var (
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
	for {
		conn, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(&peer{Conn: conn})
	}
}

func serve(p *peer) {
	defer p.Close()
	if _, err := ws.Upgrade(p.Conn); err != nil {
		return
	}
	mu.Lock()
	peers[p] = struct{}{}
	mu.Unlock()
	defer func() {
		mu.Lock()
		delete(peers, p)
		mu.Unlock()
	}()
	for {
		text, op, err := wsutil.ReadClientData(p.Conn)
		if err != nil {
			return
		}
		frame, err := ws.CompileFrame(ws.NewFrame(op, true, text))
		if err != nil {
			return
		}
		if len(text) > 0 && text[0] == '!' {
			broadcast(p, frame)
		} else if !p.write(frame) {
			return
		}
	}
}

func (p *peer) write(frame []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.Write(frame)
	return err == nil
}

func broadcast(from *peer, frame []byte) {
	mu.RLock()
	defer mu.RUnlock()
	for p := range peers {
		if p != from {
			p.write(frame) // who is gone shows when read
		}
	}
}
