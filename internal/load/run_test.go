package load

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// careless is a server with an endpoint for the bot's load, which does what it
// is told with every connection and every frame.
type careless struct {
	// static
	connect func(n int64, w http.ResponseWriter) bool // false: it has refused
	answer  func(n int64, frame []byte) (answers int, end *websocket.CloseError)

	enough func(p Progress) bool // nil: the load ends by itself
	here   func(n int64) string  // how many it says are connected, the n-th time; nil: nobody

	connects, frames, looks atomic.Int64
	mu                      sync.Mutex
	calls                   []string // guarded by mu
}

func (c *careless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		c.mu.Lock()
		c.calls = append(c.calls, r.Method+" "+r.URL.Path[:min(len(r.URL.Path), 20)])
		c.mu.Unlock()
		if r.URL.Path == "/metrics" && r.Header.Get("apikey") == "k" {
			n := "0"
			if c.here != nil {
				n = c.here(c.looks.Add(1))
			}
			_, _ = io.WriteString(w, "# TYPE kabar_hub_sessions gauge\nkabar_hub_sessions "+n+"\nkabar_ws_open 7\n")
			return
		}
		_, _ = io.WriteString(w, `{"status":"ok","users":[]}`)
		return
	}
	if n := c.connects.Add(1); c.connect != nil && !c.connect(n, w) {
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		_, frame, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		answers, end := 1, (*websocket.CloseError)(nil)
		if c.answer != nil {
			answers, end = c.answer(c.frames.Add(1), frame)
		}
		for range answers {
			if conn.Write(context.Background(), websocket.MessageText, frame) != nil {
				return
			}
		}
		if end != nil {
			_ = conn.Close(end.Code, end.Reason)
			return
		}
	}
}

func (c *careless) load(t *testing.T, change func(o *Options)) *Report {
	t.Helper()
	report, err := c.try(t, change)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func (c *careless) try(t *testing.T, change func(o *Options)) (*Report, error) {
	t.Helper()
	s := httptest.NewServer(c)
	defer s.Close()
	o := Options{
		URL: s.URL, Key: "k", Gateway: "bot", Clients: 4, Rate: 100, Duration: 300 * time.Millisecond,
		Size: 64, ConnectRate: 1000,
	}
	if change != nil {
		change(&o)
	}
	r := newRun(o)
	r.lose = 3 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if c.enough != nil {
		r.o.Progress = func(p Progress) {
			if c.enough(p) {
				cancel()
			}
		}
	}
	return r.do(ctx)
}

func TestWhatIsLostOrRepeatedIsFound(t *testing.T) {
	t.Parallel()
	whole := (&careless{}).load(t, nil)
	if m := whole.Messages; m.Sent != 30 || m.Delivered != 30 || m.Missing != 0 || whole.Err() != nil || whole.RoundTrip == nil {
		t.Errorf("of a server that answers all: %+v %v", m, whole.Err())
	}
	forgetful := (&careless{answer: func(n int64, _ []byte) (int, *websocket.CloseError) {
		return map[int64]int{0: 0, 5: 2}[n%10] + map[bool]int{true: 1}[n%10 != 0 && n%10 != 5], nil
	}}).load(t, nil)
	if m := forgetful.Messages; m.Missing != 3 || m.Repeated != 3 || m.Delivered != 27 || forgetful.Err() == nil {
		t.Errorf("of one that loses 3 and says 3 twice: %+v %v", m, forgetful.Err())
	}
}

func TestWhoIsTurnedAwayComesBackWhenTold(t *testing.T) {
	t.Parallel()
	report := (&careless{connect: func(n int64, w http.ResponseWriter) bool {
		if n > 1 {
			return true
		}
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"error":{"code":"MANY","message":"too many"}}`)
		return false
	}}).load(t, func(o *Options) { o.Clients = 1 })
	if c := report.Connect; c.Connected != 1 || c.Refused["429 too many"] != 1 || c.Took < 2 {
		t.Errorf("%+v", c)
	}
	if !strings.Contains(report.Hint(), "limit.connections") {
		t.Errorf("the hint is %q", report.Hint())
	}
}

func TestWhoIsRefusedForGoodDoesNotComeBack(t *testing.T) {
	t.Parallel()
	c := &careless{connect: func(_ int64, w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusForbidden)
		return false
	}}
	report := c.load(t, nil)
	if report.Connect.Refused["403 Forbidden"] != 4 || c.connects.Load() != 4 || report.Err() == nil || !strings.Contains(report.Err().Error(), "nobody could connect: 403") {
		t.Errorf("%+v %v", report.Connect, report.Err())
	}
	for _, call := range []string{"DELETE /v1/endpoints/bench", "DELETE /v1/processes/bench"} {
		if !strings.Contains(strings.Join(c.calls, "\n"), call) {
			t.Errorf("there was no %s in %q", call, c.calls)
		}
	}
}

func TestClosesAreCountedAndTheirTimeKept(t *testing.T) {
	t.Parallel()
	c := &careless{answer: func(n int64, _ []byte) (int, *websocket.CloseError) {
		switch n {
		case 1:
			return 1, &websocket.CloseError{Code: 1001, Reason: "retry-after-ms=20"}
		case 2:
			return 1, &websocket.CloseError{Code: 4003, Reason: "not any more"}
		}
		return 1, nil
	}}
	// Two closes, and a good many that were not sent; one client of the two is back.
	c.enough = func(p Progress) bool { return p.Errors >= 10 && p.Connected == 3 && c.connects.Load() == 5 }
	report := c.load(t, func(o *Options) { o.Rate, o.Duration = 20, time.Hour })
	got := report.Connect
	if got.Closes["1001 with a time to come back"] != 1 || got.Closes["4003 not any more"] != 1 || got.Again != 1 {
		t.Errorf("%+v", got)
	}
	if !report.Early || report.Messages.NotSent == 0 {
		t.Errorf("%+v %v", report.Messages, report.Errors)
	}
}

func TestAServerInUseIsLeftAlone(t *testing.T) {
	t.Parallel()
	used := &careless{here: func(int64) string { return "1.5e+06" }}
	if _, err := used.try(t, nil); err == nil || !strings.Contains(err.Error(), "in use: 1500000 connected") || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("where many are connected: %v", err)
	}
	for _, call := range used.calls {
		if !strings.HasPrefix(call, "GET ") {
			t.Errorf("it has made something all the same: %s", call)
		}
	}
	if r := used.load(t, func(o *Options) { o.Shared = true }); r.Connect.Connected != 4 {
		t.Errorf("where that is meant: %+v", r.Connect)
	}
	left := &careless{here: func(n int64) string { return strconv.FormatInt(3-n, 10) }}
	if r := left.load(t, nil); r.Connect.Connected != 4 || left.looks.Load() != 3 {
		t.Errorf("where they are about to go: %+v after %d looks", r.Connect, left.looks.Load())
	}
	if _, err := (&careless{here: func(int64) string { return "many" }}).try(t, nil); err == nil || !strings.Contains(err.Error(), "/metrics") {
		t.Errorf("where nobody can tell: %v", err)
	}
}

// TestNoReasonShowsAToken: what a connection's failure is called stands in the
// report, and the address that was dialed does not.
func TestNoReasonShowsAToken(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "what is this?\r\n\r\n")
	}))
	defer s.Close()
	r := newRun(Options{Gateway: "events", URL: s.URL, Key: "k"})
	defer r.dialer.CloseIdleConnections()
	_, err := r.upgrade(t.Context(), "/ws/events?token=secret", nil)
	if err == nil || !strings.Contains(err.Error(), "secret") {
		t.Fatalf("there is nothing to hide in %v", err)
	}
	if got := unreachable(err); strings.Contains(got, "secret") || !strings.Contains(got, "malformed HTTP") {
		t.Errorf("it is called %q", got)
	}
}

func TestWordsOfEveryDialect(t *testing.T) {
	for body, want := range map[string]string{
		`{"code":401,"data":null,"error":"Authorization failed","details":"why"}`: "why",
		`{"status":401,"error":"Unauthorized","message":["why"]}`:                 "why",
		`{"ok":false,"code":429,"msg":"TO_MANY_REQUEST"}`:                         "TO_MANY_REQUEST",
		`{"error":{"code":"C","message":"why"}}`:                                  "why",
		`{"type":"urn:x","title":"T","status":400,"detail":"why","code":"CODE"}`:  "why",
		`{"kind":"error","code":"NOT_ALLOWED","line":1}`:                          "NOT_ALLOWED",
		`{"type":-1,"data":{"message":"why","code":"C","ref":"r"}}`:               "why",
		"bad gateway\n": "bad gateway",
		``:              "",
	} {
		if got := words([]byte(body)); got != want {
			t.Errorf("%s says %q, not %q", body, got, want)
		}
	}
}

func TestAMessageIsFoundInAnyFrame(t *testing.T) {
	r := newRun(Options{Gateway: "bot", URL: "http://h", Rate: 10, Duration: time.Second, Size: 100})
	m := message{7, 123456789}
	text := r.text(m)
	if len(text) != 100 {
		t.Errorf("%q has %d bytes", text, len(text))
	}
	quoted, err := json.Marshal(string(text))
	if err != nil || len(quoted) != 102 {
		t.Errorf("JSON would change it: %s", quoted)
	}
	frame := []byte(`{"seq":42,"text":` + string(quoted) + `}`)
	if got, ok := r.find(frame); !ok || got != m || position(frame) != 42 {
		t.Errorf("%v %v %d", got, ok, position(frame))
	}
	other := newRun(r.o).text(m)
	for _, frame := range []string{"", "bench-", string(other), string(r.mark), string(r.mark) + "7", string(r.mark) + "7-12", string(r.mark) + "10-5-x", string(r.mark) + "x-5-"} {
		if got, ok := r.find([]byte(frame)); ok {
			t.Errorf("in %q it finds %v", frame, got)
		}
	}
}

// TestNobodyCanTakeAnAccountsAddress: from the names of some accounts, which
// others see, nobody can tell the address of the next.
func TestNobodyCanTakeAnAccountsAddress(t *testing.T) {
	var mu sync.Mutex
	made := map[string]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Email, Username string }
		if r.URL.Path == "/api/register" && json.NewDecoder(r.Body).Decode(&in) == nil {
			mu.Lock()
			made[in.Username] = in.Email
			mu.Unlock()
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer s.Close()
	ends := map[string]bool{}
	for _, key := range []string{"a", "a", "b"} {
		r := newRun(Options{Gateway: "bot", URL: s.URL, Key: key})
		if _, err := r.people(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		r.server.close()
	}
	for name, address := range made {
		end, ok := strings.CutPrefix(strings.TrimSuffix(address, domain), name+"-")
		if !ok || len(end) < 16 {
			t.Errorf("%s is at %s", name, address)
		}
		ends[end] = true
	}
	if len(made) != 4 || len(ends) != 4 {
		t.Errorf("they are at %v", made)
	}
}

func TestTheAccountsPasswordsFollowFromTheKey(t *testing.T) {
	a, b := newRun(Options{Gateway: "bot", Key: "a"}), newRun(Options{Gateway: "bot", Key: "b"})
	if a.secret("x") != newRun(a.o).secret("x") || a.secret("x") == b.secret("x") || a.secret("x") == a.secret("y") {
		t.Error("they do not")
	}
}
