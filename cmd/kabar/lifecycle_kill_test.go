package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

// TestSessionsOverKills kills the server under sessions of each gateway, and
// the starts after it as well: the end of each is said, once.
func TestSessionsOverKills(t *testing.T) {
	p := newMortal(t)
	flags := []string{"--lifecycle-settle", "1h", "--lifecycle-return", "24h"}
	p.start(flags...)
	user, ann := p.person("ann")
	shop, shopToken := p.instance("shop")
	p.call("PUT", "/v1/processes/echo", p.admin(), "process: echo\ninputs: { message: string }\noutputs: { response: string }\nrules:\n  - reply: { response: message }\nendpoint: { url: /echo, access: anonymous }\n", nil)
	p.call("POST", "/v1/processes/echo/publish", p.admin(), map[string]any{}, nil)
	var page struct {
		Data struct{ Socket struct{ ID string } }
	}
	p.call("GET", "/x/auth/isUser", ann, nil, &page)
	p.direct(ann)
	p.dial("/websocket", "")
	p.stream(shopToken)
	of, token := p.instance("lifecycle") // which those were open before
	said := p.subscribe(token)
	p.dial("/?id="+page.Data.Socket.ID, "")
	p.dial("/echo", ann)
	p.dial("/ws/events?event=*&token="+shopToken, "")
	p.stream(shopToken)
	// What was open before the end of another one is known when that is said.
	_ = p.dial("/websocket", "").Close(websocket.StatusNormalClosure, "bye")
	said.wants(t, func(c change) bool { return c.Event == "session.closed" }, "session.closed feed/sessions 1 bye")
	p.end(syscall.SIGKILL)

	for range 3 { // as soon as it is ready, which is about when it says so
		p.start(flags...)
		p.end(syscall.SIGKILL)
	}
	p.start(flags...)
	said = p.subscribe(token)
	hers, shops := fmt.Sprintf("user/%d", user), fmt.Sprintf("instance/%d", shop)
	want := []string{"bot 1006 " + hers, "direct 1006 " + hers, "relay 1006 " + hers, "feed 1006 feed",
		"events 1006 " + shops, "events 1006 " + shops, "events 1006 " + shops, fmt.Sprintf("events 1006 instance/%d", of)}
	killed := func(c change) bool { return c.Event == "session.closed" && c.Data.Reason == "killed" }
	said.wait(killed, len(want))
	// What comes after them shows that there are no more.
	_ = p.dial("/websocket", "").Close(websocket.StatusNormalClosure, "last")
	said.wait(func(c change) bool { return c.Data.Reason == "last" }, 1)
	var got []string
	numbers := map[string]uint64{}
	said.list(func(c change) bool {
		if numbers[c.Data.Subject]++; c.Data.Number != numbers[c.Data.Subject] {
			t.Errorf("%v is the %dth of it", c, numbers[c.Data.Subject])
		}
		if killed(c) {
			got = append(got, fmt.Sprintf("%s %d %s", c.Data.Gateway, c.Data.Code, strings.TrimSuffix(c.Data.Subject, "/sessions")))
		}
		return false
	})
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("killed are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	p.end(syscall.SIGTERM)
}

// stream opens Server-Sent Events of an instance, until the test ends.
func (p *mortal) stream(token string) *http.Response {
	p.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+p.addr+"/ws/events?event=*&token="+token, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { res.Body.Close() })
	return res
}
