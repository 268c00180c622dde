package checker

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"net"
	"net/http"
	"testing"

	"github.com/coder/websocket"
)

// TestAnEndBetweenHeaderAndPayload: a server that is killed there has sent no
// empty message; one that did is told from it.
func TestAnEndBetweenHeaderAndPayload(t *testing.T) {
	for name, c := range map[string]struct {
		sent  string
		empty bool
	}{
		"ends behind a header": {"\x81\x05", false},
		"says nothing":         {"\x81\x00\x81\x02hi", true},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			done := make(chan error, 1)
			go func() { done <- half(l, c.sent) }()
			ws, resp, err := websocket.Dial(t.Context(), "ws://"+l.Addr().String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.CloseNow()
			if resp.Body != nil {
				defer resp.Body.Close()
			}
			_, b, err := read(t.Context(), ws)
			if (err == nil) != c.empty || len(b) > 0 {
				t.Errorf("%q, %v", b, err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// half answers one handshake, sends something and ends.
func half(l net.Listener, sent string) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " +
		accept(r.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n" + sent))
	return err
}

// accept is the answer to a handshake's key (RFC 6455, section 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
