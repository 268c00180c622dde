package direct_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway/direct"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/journal"
)

// deadline is for what should never need it.
const deadline = 30 * time.Second

// server is one with ann (1) and bob (2), who are friends.
func server(t *testing.T) *transcript.Server {
	t.Helper()
	s := transcript.Start(t, options(direct.Options{}))
	for _, name := range []string{"ann", "bob"} {
		if _, err := s.Accounts.Register(t.Context(), account.Registration{Email: name + "@example.org", Name: name, Password: password}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Chats.Request(t.Context(), 1, 2)
	if err = errors.Join(err, s.Chats.Accept(t.Context(), 2, 1)); err != nil {
		t.Fatal(err)
	}
	return s
}

// enter logs in and returns the token and a code.
func enter(t *testing.T, s *transcript.Server, name string) (token, code string) {
	t.Helper()
	token, _, l, err := s.Accounts.Login(t.Context(), account.LoginRequest{Name: name, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	if code, err = s.Accounts.Issue(l); err != nil {
		t.Fatal(err)
	}
	return token, code
}

// upgrade asks for a WebSocket over a bare connection, without reading.
func upgrade(t *testing.T, s *transcript.Server, query string) net.Conn {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(deadline))
	if _, err = fmt.Fprintf(c, "GET %s?%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", direct.Path, query, u.Host); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestACodeOpensOneConnection: of a hundred at once one gets in.
func TestACodeOpensOneConnection(t *testing.T) {
	s := server(t)
	_, code := enter(t, s, "ann")
	answers := map[int]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range 100 {
		wg.Go(func() {
			<-begin
			res, err := http.ReadResponse(bufio.NewReader(upgrade(t, s, "auth="+code)), nil)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers[res.StatusCode]++
		})
	}
	close(begin)
	wg.Wait()
	if answers[101] != 1 || answers[401] != 99 {
		t.Fatalf("answered %v", answers)
	}
}

// TestNothingFollowsARefusal: a spent code gets its answer, and the end of the
// connection behind it.
func TestNothingFollowsARefusal(t *testing.T) {
	s := server(t)
	_, code := enter(t, s, "ann")
	in := bufio.NewReader(upgrade(t, s, "auth="+code))
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	if _, err := s.Chats.Send(chat.Outgoing{From: 2, To: 1, Text: "secret"}, journal.Key{}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(upgrade(t, s, "auth="+code+"&after=0"))
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(all), "\r\n\r\n")
	want := `{"code":401,"data":null,"error":"Authorization failed","details":"this one-time code was used already; ask for a new one"}` + "\n"
	if !strings.HasPrefix(head, "HTTP/1.1 401 Unauthorized\r\n") || body != want {
		t.Fatalf("got %q", all)
	}
}

// TestWhatIsSentOnceAnsweredIsHeard: whoever has seen the 101 hears all that is
// said after it, however soon.
func TestWhatIsSentOnceAnsweredIsHeard(t *testing.T) {
	s := server(t)
	for i := range 20 {
		_, code := enter(t, s, "ann")
		c := dial(t, s, "auth="+code)
		text := fmt.Sprint("hi ", i)
		if _, err := s.Chats.Send(chat.Outgoing{From: 2, To: 1, Text: text}, journal.Key{}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := hear(t, c); got.Type != 1 || got.Data.Message != text {
			t.Fatalf("heard %+v", got)
		}
		_ = c.Close(websocket.StatusNormalClosure, "")
	}
}

// TestManyAtOnceKeepTheirOrder: a sender's messages come in the order that they
// were sent, and so do their answers; every receiver hears the same order.
func TestManyAtOnceKeepTheirOrder(t *testing.T) {
	s := server(t)
	const n = 300
	_, code1 := enter(t, s, "ann")
	_, code2 := enter(t, s, "ann")
	_, code3 := enter(t, s, "bob")
	first, second, from := dial(t, s, "auth="+code1), dial(t, s, "auth="+code2), dial(t, s, "auth="+code3)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			if err := from.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, `{"ref":"r%d","data":{"to":1,"message":"%d"}}`, i, i)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	ids := make([]string, n)
	for i := range n {
		got := hear(t, from)
		if ids[i] = got.Data.ID; got.Type != 4 || got.Data.Ref != fmt.Sprint("r", i) {
			t.Fatalf("the %dth answer is %+v", i, got)
		}
	}
	for _, c := range []*websocket.Conn{first, second} {
		for i := range n {
			if got := hear(t, c); got.Data.Message != strconv.Itoa(i) || got.Data.ID != ids[i] {
				t.Fatalf("the %dth is %+v", i, got)
			}
		}
	}
	wg.Wait()
}

// TestARefAtOnceIsStoredOnce: a ref sent by many connections of one login at
// once is one message.
func TestARefAtOnceIsStoredOnce(t *testing.T) {
	s := server(t)
	_, _, l, err := s.Accounts.Login(t.Context(), account.LoginRequest{Name: "ann", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 20 {
		code, err := s.Accounts.Issue(l)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, s, "auth="+code)
		wg.Go(func() {
			if err := c.Write(t.Context(), websocket.MessageText, []byte(`{"ref":"r","data":{"to":2,"message":"once"}}`)); err != nil {
				t.Error(err)
				return
			}
			got := hear(t, c)
			mu.Lock()
			defer mu.Unlock()
			ids[got.Data.ID]++
		})
	}
	wg.Wait()
	page, _, err := s.Chats.History(t.Context(), 1, chat.Place{User: 2}, 0, 100)
	if err != nil || len(page) != 1 || len(ids) != 1 || ids[page[0].ID] != 20 {
		t.Fatalf("%d messages, answered %v, %v", len(page), ids, err)
	}
}

// TestPagesStayWhereTheyAre: paging back through the history gives each message
// once, whatever is said meanwhile.
func TestPagesStayWhereTheyAre(t *testing.T) {
	s := server(t)
	say := func(text string) {
		if _, err := s.Chats.Send(chat.Outgoing{From: 1, To: 2, Text: text}, journal.Key{}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const n = 250
	for i := range n {
		say(strconv.Itoa(i))
	}
	token, _ := enter(t, s, "bob")
	next, expect, sizes := uint64(0), n-1, []int{}
	for {
		var page struct {
			Data struct {
				Message []struct{ Content string }
				Next    uint64 `json:"next_cursor"`
			}
		}
		get(t, s, token, fmt.Sprint("/api/message?to=1&cursor=", next), &page)
		for _, m := range page.Data.Message {
			if m.Content != strconv.Itoa(expect) {
				t.Fatalf("got %s, want %d", m.Content, expect)
			}
			expect--
		}
		sizes = append(sizes, len(page.Data.Message))
		if next = page.Data.Next; next == 0 {
			break
		}
		say("meanwhile")
	}
	if fmt.Sprint(sizes) != "[100 100 50]" || expect != -1 {
		t.Fatalf("pages of %v, down to %d", sizes, expect)
	}
}

// TestManyLoginsEndAlone: ending one login of many leaves the others be.
func TestManyLoginsEndAlone(t *testing.T) {
	s := server(t)
	var tokens []string
	var ended atomic.Int64
	var wg sync.WaitGroup
	for range 10 {
		token, code := enter(t, s, "ann")
		tokens = append(tokens, token)
		c := dial(t, s, "auth="+code)
		wg.Go(func() {
			_, p, err := c.Read(t.Context())
			if websocket.CloseStatus(err) == 4001 {
				ended.Add(1)
			} else if err != nil || !strings.Contains(string(p), "still here") {
				t.Errorf("%s, %v", p, err)
			}
		})
	}
	for _, token := range tokens[:5] {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/logout", nil)
		if err != nil {
			t.Fatal(err)
		}
		send(t, r, token, nil)
	}
	if _, err := s.Chats.Send(chat.Outgoing{From: 2, To: 1, Text: "still here"}, journal.Key{}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if n := ended.Load(); n != 5 {
		t.Fatalf("%d ended", n)
	}
}

func dial(t *testing.T, s *transcript.Server, query string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), s.URL+direct.Path+"?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// frame is all that a frame may have.
type frame struct {
	Type int
	Data struct{ Message, ID, Ref string }
}

func hear(t *testing.T, c *websocket.Conn) (f frame) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	_, p, err := c.Read(ctx)
	if err == nil {
		err = json.Unmarshal(p, &f)
	}
	if err != nil {
		t.Errorf("%s, %v", p, err)
	}
	return f
}

func get(t *testing.T, s *transcript.Server, token, path string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	send(t, r, token, into)
}

func send(t *testing.T, r *http.Request, token string, into any) {
	t.Helper()
	r.Header.Set("Authorization", token)
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := h.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s is answered with %s", r.URL, res.Status)
	}
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}
