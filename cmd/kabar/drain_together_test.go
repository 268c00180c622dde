package main

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/kabar-io/kabar/internal/gateway"
)

// TestStreamsAndSocketsComeBackTogether sees who is sent away at the server's
// end come back at four fifths of the rate, whatever they are.
func TestStreamsAndSocketsComeBackTogether(t *testing.T) {
	const each = 6
	p := newMortal(t)
	p.start("--limit-connects", "10/s", "--canary-every", "0s")
	_, token := p.instance("shop")
	times := make(chan int, 2*each) // milliseconds; -1 where nobody was told
	for range each {
		c, res, err := websocket.Dial(t.Context(), "ws://"+p.addr+"/websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body != nil {
			res.Body.Close()
		}
		go func() { times <- closedUntil(c) }()
		res = p.stream(token)
		go func() { times <- retryOf(res) }()
	}
	p.end(syscall.SIGTERM)
	var all []int
	for range 2 * each {
		select {
		case ms := <-times:
			all = append(all, ms)
		case <-time.After(time.Minute):
			t.Fatalf("only %d were told", len(all))
		}
	}
	slices.Sort(all)
	for i := range all[1:] {
		if step := all[i+1] - all[i]; all[0] < 1000 || step < 124 || step > 126 { // 8 a second, in whole milliseconds
			t.Fatalf("they come back after %v ms", all)
		}
	}
}

// closedUntil is when a socket's peer is to come back.
func closedUntil(c *websocket.Conn) int {
	for {
		_, _, err := c.Read(context.Background())
		var end websocket.CloseError
		if errors.As(err, &end) {
			if ms, ok := gateway.RetryAfter(end.Reason); ok {
				return ms
			}
		}
		if err != nil {
			return -1
		}
	}
}

// retryOf is when a stream's reader is to come back.
func retryOf(res *http.Response) int {
	ms := -1
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "retry: "); ok {
			ms, _ = strconv.Atoi(text)
		}
	}
	return ms
}
