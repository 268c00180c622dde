package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/api"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store/storetest"
	"github.com/kabar-io/kabar/internal/ws"
)

// answer is what came to a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask makes a request with the administrator's key.
func ask(t *testing.T, h http.Handler, method, path, body string, header ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("apikey", adminKey)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// isProblem wants an error with this status, code, and words in its detail.
func (a answer) isProblem(t *testing.T, status int, code string, words ...string) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Code string
		Status                    int
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("this is no problem: %d %v %.200s", a.status, a.header, a.body)
	}
	if a.status != status || p.Status != status || p.Title != http.StatusText(status) || p.Code != code ||
		p.Type != "urn:kabar:problem:"+strings.ToLower(strings.ReplaceAll(code, "_", "-")) {
		t.Fatalf("want %d %s, got %d %.300s", status, code, a.status, a.body)
	}
	for _, word := range words {
		if !strings.Contains(p.Detail, word) {
			t.Errorf("%q does not say %q", p.Detail, word)
		}
	}
}

// onDisk is the API on a disk that can break: of the core, only what needs no
// rows of its own works there.
func onDisk(t *testing.T, broken *atomic.Bool) http.Handler {
	t.Helper()
	st, err := storetest.Open(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	j, err := journal.Open(t.Context(), journal.Options{Store: storetest.Failing(st, broken), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(j, hub.Options{Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- j.Run(ctx, h.Publish) }()
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, <-done, st.Close()); err != nil {
			t.Error(err)
		}
	})
	chats, err := chat.New(chat.Options{Journal: j, Store: st.Chats()})
	if err != nil {
		t.Fatal(err)
	}
	people, err := account.New(account.Options{Journal: j, Store: st.Accounts(), Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	origins, err := gateway.ParseOrigins(nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	api.New(api.Options{
		Edge:    &gateway.Edge{Hub: h, Epoch: j.Epoch(), Origins: origins, Places: &gateway.Places{}, Log: log},
		Journal: j, Hub: h, Sockets: ws.New(ws.Options{Log: log}), Accounts: people, Chats: chats, Admin: gateway.NewAdmin(adminKey),
	}).Handle(mux)
	return mux
}

func TestReadyWhileSomethingCanBeStored(t *testing.T) {
	var broken atomic.Bool
	h := onDisk(t, &broken)
	publish := func() answer {
		return ask(t, h, "POST", "/v1/publish", `{"topic":"feed","text":"x"}`, "Idempotency-Key", "k")
	}
	ready := func() answer { return ask(t, h, "GET", "/readyz", "", "apikey", "") }

	if a := ready(); a.status != http.StatusOK || a.body != `{"ready":true,"parts":[{"name":"journal","ok":true}]}`+"\n" {
		t.Errorf("before: %+v", a)
	}
	broken.Store(true)
	publish().isProblem(t, http.StatusServiceUnavailable, "NOT_STORED")
	want := `{"ready":false,"parts":[{"name":"journal","ok":false,"reason":"no space left on device","since":"20`
	if a := ready(); a.status != http.StatusServiceUnavailable || !strings.HasPrefix(a.body, want) || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("broken: %+v", a)
	}
	if a := ask(t, h, "GET", "/healthz", ""); a.status != http.StatusOK {
		t.Errorf("it lives, and says %+v", a)
	}
	if a := ask(t, h, "GET", "/metrics", ""); !strings.Contains(a.body, "\nkabar_journal_healthy 0\n") || !strings.Contains(a.body, "\nkabar_journal_failures_total 1\n") {
		t.Errorf("the metrics do not show it: %s", a.body)
	}
	broken.Store(false)
	if a := publish(); a.status != http.StatusAccepted || !strings.HasSuffix(a.body, `"seq":1}`+"\n") {
		t.Errorf("mended: %+v", a)
	}
	if a := ready(); a.status != http.StatusOK {
		t.Errorf("mended: %+v", a)
	}
}

// started is the API on a whole core, with an instance north.
func started(t *testing.T, o api.Options) (http.Handler, *transcript.Server) {
	t.Helper()
	r := &rig{api: o}
	r.api.Admin = gateway.NewAdmin(adminKey)
	s := transcript.Start(t, r.options())
	if _, _, err := r.instances.Create(t.Context(), instance.Spec{Name: "north"}); err != nil {
		t.Fatal(err)
	}
	return r.mux, s
}

// deaf is a socket's handler that does nothing.
type deaf struct{}

func (deaf) OnMessage(*ws.Turn, *ws.Conn, ws.Kind, []byte) {}
func (deaf) Ping(_ *ws.Conn, dst []byte) []byte            { return dst }
func (deaf) OnPong(*ws.Conn, []byte)                       {}
func (deaf) OnDrain(*ws.Conn)                              {}
func (deaf) OnClose(*ws.Turn, *ws.Conn, uint16, string)    {}

func TestLimits(t *testing.T) {
	h, _ := started(t, api.Options{})
	batch := func(n int, data string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`{"event":"messages.upsert","data":"`+data+`"},`, n), ",") + "]"
	}
	const events = "/v1/instances/north/events"
	for _, c := range []struct {
		name, path, body, key string
		status                int
		code                  string
		words                 []string
	}{
		{"a body", "/v1/publish", `{"topic":"feed","text":"` + strings.Repeat("x", 64<<10) + `"}`, "", 413, "TOO_LARGE", []string{"65536"}},
		{"a line", "/v1/publish", `{"topic":"feed","text":"` + strings.Repeat("x", 4001) + `"}`, "", 413, "TEXT_TOO_LONG", []string{"4000"}},
		{"a notice", "/v1/publish", `{"users":"all","message":"` + strings.Repeat("x", 4001) + `"}`, "", 413, "TEXT_TOO_LONG", []string{"4000"}},
		{"a topic", "/v1/publish", `{"topic":"` + strings.Repeat("x", 9000) + `"}`, "", 404, "NO_TOPIC", nil},
		{"a key", "/v1/publish", `{"topic":"feed","text":"x"}`, strings.Repeat("k", 256), 400, "BAD_KEY", []string{"255"}},
		{"a key of events", events, batch(1, ""), strings.Repeat("k", 256), 400, "BAD_KEY", []string{"255"}},
		{"events", events, batch(101, ""), "", 413, "TOO_MANY_EVENTS", []string{"more than 100"}},
		{"an event", events, batch(1, strings.Repeat("x", 64<<10)), "", 413, "DATA_TOO_LARGE", []string{"data", "65536"}},
		{"the second event", events, `[{"event":"call.upsert"},` + batch(1, strings.Repeat("x", 64<<10))[1:], "", 413, "DATA_TOO_LARGE", []string{"event 2 of 2"}},
		{"a body of events", events, batch(65, strings.Repeat("x", 64<<10-2)), "", 413, "TOO_LARGE", []string{"4194304"}},
		{"text", "/v1/publish", "{\"instance\":\"north\",\"event\":\"call.upsert\",\"data\":\"\xff\"}", "", 400, "DATA_INVALID", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := ask(t, h, "POST", c.path, c.body, "Idempotency-Key", c.key)
			a.isProblem(t, c.status, c.code, c.words...)
			if len(a.body) > 1000 {
				t.Errorf("the answer has %d bytes", len(a.body))
			}
		})
	}
	// What is as large as may be goes.
	a := ask(t, h, "POST", events, batch(100, strings.Repeat("x", 40<<10)), "Idempotency-Key", strings.Repeat("k", 255))
	var out struct {
		Accepted []struct {
			ID  string
			Seq uint64
		}
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusAccepted || len(out.Accepted) != 100 {
		t.Fatalf("a hundred events: %d %.200s", a.status, a.body)
	}
	for i, p := range out.Accepted {
		if p.Seq != uint64(i+1) || p.ID == "" {
			t.Fatalf("event %d is at %+v", i+1, p)
		}
	}
	if again := ask(t, h, "POST", events, batch(1, ""), "Idempotency-Key", strings.Repeat("k", 255)); again.status != http.StatusAccepted || again.body != a.body {
		t.Errorf("again: %d %.200s", again.status, again.body)
	}
	if a := ask(t, h, "POST", "/v1/publish", `{"topic":"feed","text":"`+strings.Repeat("x", 4000)+`"}`); a.status != http.StatusAccepted {
		t.Errorf("4,000 bytes: %+v", a)
	}
}

// names are all that is counted, but for what Go and the process say of themselves.
var names = strings.Fields(`
	kabar_build_info
	kabar_journal_healthy kabar_journal_commits_total kabar_journal_changes_total kabar_journal_messages_total
	kabar_journal_refused_total kabar_journal_repeated_total kabar_journal_rewritten_total kabar_journal_swept_total kabar_journal_failures_total
	kabar_hub_sessions kabar_hub_deliveries_total kabar_hub_fallbacks_total kabar_hub_resumed_total kabar_hub_skipped_total
	kabar_hub_behind_total kabar_hub_ended_total
	kabar_ws_open kabar_ws_accepted_total kabar_ws_refused_total kabar_ws_messages_received_total kabar_ws_messages_sent_total
	kabar_ws_received_bytes_total kabar_ws_sent_bytes_total kabar_ws_pings_total kabar_ws_queue_full_total kabar_ws_stalled_total
	kabar_ws_closed_total
	kabar_webhook_delivered_total kabar_webhook_failed_total kabar_webhook_parked_total kabar_webhook_dead_total kabar_webhook_holds_total
	kabar_webhook_replayed_total kabar_webhook_unlogged_total kabar_webhooks kabar_webhooks_held kabar_webhooks_behind kabar_webhooks_kept
	kabar_limit_refused_total kabar_frames_refused_total`)

func TestMetrics(t *testing.T) {
	h, s := started(t, api.Options{Version: "1.2.3", Refused: map[string]func() int64{
		"direct": func() int64 { return 7 }, "events": func() int64 { return 0 },
	}})
	for _, c := range []struct{ header, value string }{{"apikey", ""}, {"apikey", "wrong"}} {
		ask(t, h, "GET", "/metrics", "", c.header, c.value).isProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED", "apikey")
	}
	if a := ask(t, h, "GET", "/metrics", "", "apikey", "", "Authorization", "Bearer "+adminKey); a.status != http.StatusOK {
		t.Errorf("with Bearer: %d", a.status)
	}
	for range 3 {
		if a := ask(t, h, "POST", "/v1/publish", `{"topic":"feed","text":"x"}`, "Idempotency-Key", "k"); a.status != http.StatusAccepted {
			t.Fatalf("%+v", a)
		}
	}
	ask(t, h, "POST", "/v1/publish", `{"topic":"feed","text":""}`).isProblem(t, http.StatusBadRequest, "TEXT_REQUIRED")
	hang(t, s.URL+"/open", websocket.StatusNormalClosure)
	hang(t, s.URL+"/open", 4123)
	for end := time.Now().Add(time.Minute); s.Sockets.Stats().Open > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the sockets do not end")
		}
	}
	a := ask(t, h, "GET", "/metrics", "")
	if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v", a.status, a.header)
	}
	var have []string
	for line := range strings.Lines(a.body) {
		if name, is := strings.CutPrefix(line, "# HELP kabar_"); is {
			name, _, _ = strings.Cut(name, " ")
			have = append(have, "kabar_"+name)
		}
	}
	slices.Sort(have)
	if want := slices.Sorted(slices.Values(names)); !slices.Equal(have, want) {
		t.Errorf("there are\n%s\nwant\n%s", have, want)
	}
	for _, line := range []string{
		`kabar_build_info{version="1.2.3"} 1`, "kabar_journal_healthy 1", "kabar_journal_messages_total 1",
		"kabar_journal_refused_total 1", "kabar_journal_repeated_total 2", "kabar_journal_failures_total 0",
		"kabar_ws_open 0", "kabar_ws_accepted_total 2", `kabar_ws_closed_total{code="1000"} 1`,
		`kabar_limit_refused_total{limit="connections"} 0`, `kabar_limit_refused_total{limit="registrations"} 0`,
		`kabar_frames_refused_total{gateway="direct"} 7`, `kabar_frames_refused_total{gateway="events"} 0`,
		"# TYPE kabar_ws_open gauge", "# TYPE kabar_ws_accepted_total counter",
	} {
		if !strings.Contains(a.body, "\n"+line+"\n") && !strings.HasPrefix(a.body, line+"\n") {
			t.Errorf("%s is not said in\n%s", line, a.body)
		}
	}
	for _, name := range []string{"go_goroutines ", "process_open_fds "} {
		if !strings.Contains(a.body, "\n"+name) {
			t.Errorf("%s is missing", name)
		}
	}
}

// hang opens a WebSocket and ends it.
func hang(t *testing.T, url string, code websocket.StatusCode) {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), url, nil)
	if err == nil {
		err = conn.Close(code, "")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestMetricsForEverybody(t *testing.T) {
	h, _ := started(t, api.Options{MetricsPublic: true})
	if a := ask(t, h, "GET", "/metrics", "", "apikey", ""); a.status != http.StatusOK || !strings.Contains(a.body, "kabar_build_info") {
		t.Errorf("%d %.200s", a.status, a.body)
	}
	ask(t, h, "POST", "/v1/publish", `{"topic":"feed","text":"x"}`, "apikey", "").isProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED")
}

// cut is a body of which the rest never comes.
type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestABodyThatIsCutOff(t *testing.T) {
	h, _ := started(t, api.Options{})
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/publish", io.MultiReader(strings.NewReader(`{"topic":"feed","text":"x"`), cut{}))
	r.Header.Set("apikey", adminKey)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer{w.Code, w.Header(), w.Body.String()}.isProblem(t, http.StatusBadRequest, "BAD_BODY")
}
