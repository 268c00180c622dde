package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway/relay"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/journal"
)

// deadline is for what should never need it.
const deadline = 30 * time.Second

// server is one with ann (1), bob (2), who are friends, and cat (3).
func server(t *testing.T) *transcript.Server {
	t.Helper()
	return serverOf(t, options(relay.Options{}))
}

func serverOf(t *testing.T, o transcript.Options) *transcript.Server {
	t.Helper()
	s := transcript.Start(t, o)
	for _, name := range []string{"ann", "bob", "cat"} {
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

// session logs in.
func session(t *testing.T, s *transcript.Server, name string) (token string, l account.Login) {
	t.Helper()
	token, _, l, err := s.Accounts.Login(t.Context(), account.LoginRequest{Name: name, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return token, l
}

// open connects with a new socket id of a login.
func open(t *testing.T, s *transcript.Server, l account.Login, query string) *websocket.Conn {
	t.Helper()
	id, _, err := s.Accounts.OpenTicket(t.Context(), l, false)
	if err != nil {
		t.Fatal(err)
	}
	return dial(t, s, "id="+id+query)
}

func dial(t *testing.T, s *transcript.Server, query string) *websocket.Conn {
	t.Helper()
	c, res, err := websocket.Dial(t.Context(), s.URL+"/?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.Body != nil {
		_ = res.Body.Close()
	}
	c.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// frame is what these tests read of one.
type frame struct {
	Type, Ref, Key, Postid, Msg string
	OK                          bool
	Likes                       int
	Chat                        struct{ ID, Text string }
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
		t.Error(err)
	}
	return f
}

func write(t *testing.T, c *websocket.Conn, format string, args ...any) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, s *transcript.Server, token, path string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s is %d, %v", path, res.StatusCode, err)
	}
}

// TestAHundredLikesAreOne: of one person, over one socket or ten at once.
func TestAHundredLikesAreOne(t *testing.T) {
	s := server(t)
	if _, err := s.Chats.SeedPost(t.Context(), "pm2yig6go", 1, "hello"); err != nil {
		t.Fatal(err)
	}
	token, l := session(t, s, "bob")
	id, _, err := s.Accounts.OpenTicket(t.Context(), l, false)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 10 {
		c := dial(t, s, "id="+id)
		wg.Go(func() {
			for j := range 10 {
				write(t, c, `{"identifier":"kirimin","type":"postlike","postid":"pm2yig6go","ref":"%d.%d"}`, i, j)
				if got := hear(t, c); !got.OK || got.Ref != fmt.Sprintf("%d.%d", i, j) {
					t.Errorf("answered %+v", got)
				}
			}
		})
	}
	wg.Wait()
	var posts struct {
		Data []struct {
			Likes int
			Liked bool
		}
	}
	get(t, s, token, "/x/posts", &posts)
	if len(posts.Data) != 1 || posts.Data[0].Likes != 1 || !posts.Data[0].Liked {
		t.Fatalf("%+v", posts)
	}
}

// TestNothingIsLostBetweenBootstrapAndSocket: while somebody talks without a
// pause, what a socket hears follows on what its bootstrap had.
func TestNothingIsLostBetweenBootstrapAndSocket(t *testing.T) {
	s := server(t)
	token, _ := session(t, s, "bob")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; ctx.Err() == nil; i++ {
			_, err := s.Chats.Send(chat.Outgoing{From: 1, To: 2, Text: strconv.Itoa(i)}, journal.Key{}).Wait(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer wg.Wait()
	defer stop()
	for range 30 {
		var start struct {
			Data struct {
				Socket struct{ ID string }
				C      []struct{ M []struct{ Text string } }
			}
		}
		get(t, s, token, "/x/auth/isUser", &start)
		last := 0
		if m := start.Data.C[0].M; len(m) > 0 {
			last, _ = strconv.Atoi(m[len(m)-1].Text)
		}
		c := dial(t, s, "id="+start.Data.Socket.ID)
		var at int
		for i := range 20 {
			n, err := strconv.Atoi(hear(t, c).Chat.Text)
			if err != nil || i == 0 && n > last+1 || i > 0 && n != at+1 {
				t.Fatalf("the bootstrap had %d; heard %d after %d, %v", last, n, at, err)
			}
			at = n
		}
		_ = c.CloseNow()
	}
}

// TestARefAtOnceIsCarriedOnce: a ref that comes over many sockets of one login
// at once is one frame, and each is answered alike.
func TestARefAtOnceIsCarriedOnce(t *testing.T) {
	s := server(t)
	_, l := session(t, s, "ann")
	_, other := session(t, s, "bob")
	to := open(t, s, other, "")
	id, _, err := s.Accounts.OpenTicket(t.Context(), l, false)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 20 {
		c := dial(t, s, "id="+id)
		wg.Go(func() {
			write(t, c, `{"type":"poke","identifier":"kirimin","to":"2","ref":"r"}`)
			got := hear(t, c)
			mu.Lock()
			defer mu.Unlock()
			keys[got.Key]++
		})
	}
	wg.Wait()
	write(t, dial(t, s, "id="+id), `{"type":"last","identifier":"kirimin","to":"2"}`)
	first, last := hear(t, to), hear(t, to)
	if len(keys) != 1 || keys[first.Key] != 20 || first.Type != "poke" || last.Type != "last" {
		t.Fatalf("answered %v, heard %+v and %+v", keys, first, last)
	}
}

// TestManyFramesKeepTheirOrder: what one client says comes in its order, and so
// do the answers.
func TestManyFramesKeepTheirOrder(t *testing.T) {
	s := server(t)
	_, l := session(t, s, "ann")
	_, other := session(t, s, "bob")
	from, to := open(t, s, l, ""), open(t, s, other, "")
	const n = 300
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			write(t, from, `{"type":"t%d","identifier":"kirimin","to":"2","ref":"r%d"}`, i, i)
		}
	})
	for i := range n {
		said, got := hear(t, from), hear(t, to)
		if said.Ref != fmt.Sprint("r", i) || got.Type != fmt.Sprint("t", i) || said.Key != got.Key {
			t.Fatalf("the %dth is %+v, answered %+v", i, got, said)
		}
	}
	wg.Wait()
}

// TestWhatIsSaidOnceAnsweredIsHeard: whoever has seen the 101 hears all that is
// said after it, however soon.
func TestWhatIsSaidOnceAnsweredIsHeard(t *testing.T) {
	s := server(t)
	_, l := session(t, s, "bob")
	for i := range 20 {
		c := open(t, s, l, "")
		text := fmt.Sprint("hi ", i)
		if _, err := s.Chats.Send(chat.Outgoing{From: 1, To: 2, Text: text}, journal.Key{}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := hear(t, c); got.Type != "sendmessage" || got.Chat.Text != text {
			t.Fatalf("heard %+v", got)
		}
	}
}

// TestOneIdIsGoodAtATime: of many bootstraps at once one id is good.
func TestOneIdIsGoodAtATime(t *testing.T) {
	s := server(t)
	_, l := session(t, s, "ann")
	ids := make(chan string, 20)
	var wg sync.WaitGroup
	for range cap(ids) {
		wg.Go(func() {
			id, _, err := s.Accounts.OpenTicket(t.Context(), l, false)
			if err != nil {
				t.Error(err)
			}
			ids <- id
		})
	}
	wg.Wait()
	close(ids)
	good := 0
	for id := range ids {
		c, res, err := websocket.Dial(t.Context(), s.URL+"/socket?id="+id, nil)
		if err == nil {
			good++
			_ = c.CloseNow()
			continue
		}
		if res == nil || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("refused with %v", err)
		}
		if res != nil && res.Body != nil {
			_ = res.Body.Close()
		}
	}
	if good != 1 {
		t.Fatalf("%d ids are good", good)
	}
}

// TestRefusalsAreCounted: frames that are dropped, with an answer or without, and
// requests that come too fast.
func TestRefusalsAreCounted(t *testing.T) {
	var g *relay.Gateway
	s := serverOf(t, optionsOf(relay.Options{HTTPRate: account.Limit{N: 1, Per: time.Hour}}, &g))
	token, l := session(t, s, "ann")
	c := open(t, s, l, "")
	for _, text := range []string{
		`no`, `{}`, `{"type":"x","to":"2"}`, `{"type":"notice","identifier":"kirimin","to":"2"}`, `{"type":"x","identifier":"kirimin","to":"3"}`,
		`{"type":"x","identifier":"kirimin","to":"3","volatile":true}`, `{"type":"hangup","identifier":"kirimin","to":"2"}`,
	} {
		write(t, c, "%s", text)
	}
	if err := c.Write(t.Context(), websocket.MessageBinary, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	write(t, c, `{"type":"x","identifier":"kirimin","to":"2","ref":"r"}`)
	if got := hear(t, c); !got.OK || g.Refused() != 8 {
		t.Errorf("%d frames were refused, %+v", g.Refused(), got)
	}
	for _, want := range []int64{0, 1, 2} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/x/posts", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := g.Limited(); got != want {
			t.Errorf("%d requests were too many, not %d", got, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestWhatComesAfterTheLoginIsNotCarriedOut: a login that nobody used for its
// time is over, and so is its socket.
func TestWhatComesAfterTheLoginIsNotCarriedOut(t *testing.T) {
	s := server(t)
	_, other := session(t, s, "bob")
	to := open(t, s, other, "")
	for idle := time.Second; ; idle *= 2 { // a slow machine may not be in time for a short one
		_, _, l, err := s.Accounts.Login(t.Context(), account.LoginRequest{Name: "ann", Password: password, Idle: idle})
		if err != nil {
			t.Fatal(err)
		}
		id, _, err := s.Accounts.OpenTicket(t.Context(), l, false)
		if errors.Is(err, account.ErrLoginEnded) {
			continue
		}
		c, res, err := websocket.Dial(t.Context(), s.URL+"/?id="+id, nil)
		if res != nil && res.StatusCode == http.StatusUnauthorized {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(l.Expires) + 2*idle) // opening it may have been a use
		write(t, c, `{"type":"poke","identifier":"kirimin","to":"2"}`)
		if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != 4001 {
			t.Fatalf("got %v", err)
		}
		break
	}
	_, l := session(t, s, "ann")
	write(t, open(t, s, l, ""), `{"type":"last","identifier":"kirimin","to":"2"}`)
	if got := hear(t, to); got.Type != "last" {
		t.Errorf("heard %+v", got)
	}
}
