package direct_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/kabar-io/kabar/internal/gateway/direct"
)

// TestWhoReadsLaterIsAnsweredAll: somebody says much before they read anything.
// What waits for them is bounded by not reading on from them, and not by leaving
// out answers: a message is answered or it is not stored.
func TestWhoReadsLaterIsAnsweredAll(t *testing.T) {
	s := server(t)
	_, code := enter(t, s, "bob")
	narrow := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(32 << 10)
		}
		return c, err
	}}}
	bob, _, err := websocket.Dial(t.Context(), s.URL+direct.Path+"?auth="+code, &websocket.DialOptions{HTTPClient: narrow})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bob.CloseNow() }()
	const n = 6000
	said := make(chan error, 1)
	go func() {
		var err error
		for i := range n {
			err = errors.Join(err, bob.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, `{"type":0,"ref":"%0100d","data":{"to":1,"message":"hi"}}`, i)))
		}
		said <- err
	}()
	stored := func() uint64 { return s.Journal.Stats().Messages }
	for was, since := stored(), time.Now(); was < n && time.Since(since) < 3*time.Second; time.Sleep(10 * time.Millisecond) { // until no more is taken
		if now := stored(); now != was {
			was, since = now, time.Now()
		}
	}
	for i := range n {
		if f := hear(t, bob); t.Failed() || f.Type != 4 || f.Data.Ref != fmt.Sprintf("%0100d", i) {
			t.Fatalf("instead of answer %d came %+v", i, f)
		}
	}
	if err := <-said; err != nil {
		t.Error(err)
	}
}
