package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/kabar-io/kabar/internal/load"
)

// benched is a server for the load.
type benched struct {
	t          *testing.T
	addr, data string
	flags      []string
	stop       func()
}

func benchServer(t *testing.T, flags ...string) *benched {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &benched{t: t, addr: l.Addr().String(), data: filepath.Join(t.TempDir(), "data"), flags: flags}
	l.Close()
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *benched) start() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan string, 1)
	go func() {
		var out, errs bytes.Buffer
		exit := run(ctx, append([]string{"serve", "--listen", s.addr, "--data", s.data, "--log-level", "error"}, s.flags...), nil, &out, &errs)
		done <- fmt.Sprint(exit, " ", errs.String())
	}()
	s.stop = func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if end := <-done; end != "0 " {
			s.t.Errorf("serve ended with %q", end)
		}
	}
	waitReady(s.t, s.url()+"/readyz", done)
}

func (s *benched) url() string { return "http://" + s.addr }

// bench runs a load on the server.
func (s *benched) bench(ctx context.Context, out, errs io.Writer, args ...string) (exit int) {
	return run(ctx, append([]string{"bench", "--url", s.url(), "--data", s.data}, args...), nil, out, errs)
}

// paths are all names of an object, with those of the objects in it.
func paths(in map[string]any, above string) (all []string) {
	for name, v := range in {
		all = append(all, above+name)
		if inner, ok := v.(map[string]any); ok && !slices.Contains([]string{"errors", "refused", "closed"}, name) {
			all = append(all, paths(inner, above+name+".")...)
		}
	}
	return all
}

const benchNames = `bench bench.busy_processors bench.processors clients connections connections.closed connections.connected
connections.ms connections.ms.max connections.ms.p50 connections.ms.p90 connections.ms.p99 connections.ms.p99_9
connections.reconnected connections.refused connections.took_s duration_s ended_early errors gateway left_behind messages
messages.acknowledged messages.delivered messages.expected messages.missing messages.not_sent messages.refused messages.repeated
messages.sent messages.unacknowledged per_second per_second.acknowledged per_second.delivered rate size_bytes url warmup_s
ack_ms delivery_ms round_trip_ms`

func TestBenchLoadsEachGateway(t *testing.T) {
	server := benchServer(t, "--limits", "off")
	for _, c := range []struct {
		gateway string
		hearers int64
		times   []string
		left    []string
	}{
		{"bot", 1, []string{"round_trip_ms"}, nil},
		{"events", 4, []string{"ack_ms", "delivery_ms"}, nil},
		{"feed", 4, []string{"ack_ms", "delivery_ms"}, []string{"feed.history", "suspended"}},
		{"direct", 1, []string{"ack_ms", "delivery_ms"}, []string{"histories", "-1 to 4, suspended"}},
		{"relay", 1, []string{"ack_ms", "delivery_ms"}, []string{"histories", "-1 to 4, suspended"}}, // with the accounts of direct
	} {
		var out, errs bytes.Buffer
		exit := server.bench(t.Context(), &out, &errs, "--gateway", c.gateway, "--clients", "4", "--rate", "80/s", "--duration", "500ms", "--warmup", "0", "--json", "--yes")
		if exit != 0 {
			t.Errorf("%s: %d %s %s", c.gateway, exit, errs.String(), out.String())
			continue
		}
		var report load.Report
		var raw map[string]any
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out.Bytes(), &raw); err != nil {
			t.Fatal(err)
		}
		if m := report.Messages; m.Sent != 40 || m.Acknowledged != 40 || m.Expected != 40*c.hearers || m.Delivered != m.Expected || m.Missing != 0 || m.Repeated != 0 {
			t.Errorf("%s: %+v %v", c.gateway, m, report.Errors)
		}
		if report.Connect.Connected != 4 || len(report.Connect.Closes) > 0 || len(report.Left) != len(c.left) {
			t.Errorf("%s: %+v, left %q", c.gateway, report.Connect, report.Left)
		}
		for i, l := range report.Left {
			if i < len(c.left) && !strings.Contains(l, c.left[i]) {
				t.Errorf("%s: left behind %q, without %q", c.gateway, l, c.left[i])
			}
		}
		want := strings.Fields(benchNames)
		for _, name := range []string{"ack_ms", "delivery_ms", "round_trip_ms"} {
			if (raw[name] != nil) != slices.Contains(c.times, name) {
				t.Errorf("%s: %s is %v", c.gateway, name, raw[name])
			}
			if raw[name] != nil {
				want = append(want, name+".p50", name+".p90", name+".p99", name+".p99_9", name+".max")
			}
		}
		got := paths(raw, "")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the names are\n%v, not\n%v", c.gateway, got, want)
		}
	}
	server.nothingStays()
}

// nothingStays sees to it that all accounts are the load's, and suspended, and
// that there is no instance, process or endpoint.
func (s *benched) nothingStays() {
	t := s.t
	t.Helper()
	key, err := os.ReadFile(filepath.Join(s.data, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("apikey", strings.TrimSpace(string(key)))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(b.String())
	}
	var page struct {
		Users []struct {
			Name      string
			Suspended bool
		}
	}
	if err := json.Unmarshal([]byte(get("/v1/users")), &page); err != nil || len(page.Users) != 4 {
		t.Errorf("%v, the accounts are %+v", err, page.Users)
	}
	for _, u := range page.Users {
		if !strings.HasPrefix(u.Name, "bench-") || !u.Suspended {
			t.Errorf("%+v is left", u)
		}
	}
	for path, want := range map[string]string{
		"/v1/processes": `{"processes":[]}`, "/v1/endpoints": `{"endpoints":[]}`, "/instance/fetchInstances": `[]`,
	} {
		if got := get(path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestBenchSaysWhatIsWrong(t *testing.T) {
	server := benchServer(t, "--feed-publish", "nobody", "--limit-connections", "10", "--limit-registrations", "1/h")
	for _, c := range []struct {
		args string
		exit int
		says []string
	}{
		{"--gateway fede", 1, []string{"nearest is feed"}},
		{"--gateway carrier-pigeon", 1, []string{"feed, direct, events, relay, bot"}},
		{"--rate 0", 1, []string{"rate of 0", "100/s"}},
		{"--connect-rate 0", 1, []string{"connect rate of 0", "500/s"}},
		{"--rate 5", 2, []string{"200/s"}},
		{"--clients 0", 1, []string{"one client"}},
		{"--clients 1 --gateway direct", 1, []string{"even number"}},
		{"--size 10", 1, []string{"64"}},
		{"--size 801 --gateway direct", 1, []string{"800"}},
		{"--warmup 30s", 1, []string{"warm-up"}},
		{"--duration 1s --rate 1/m", 1, []string{"longer time"}},
		{"--duration 100h --rate 10000/s", 1, []string{"shorter time"}},
		{"--clients 9000000", 1, []string{"open files", "ulimit -Hn"}},
		{"--url nonsense", 1, []string{"http://127.0.0.1:8080"}},
		{"--url http://192.0.2.1:8080", 1, []string{"192.0.2.1:8080", "--yes"}},
		{"--url http://127.0.0.1:1", 1, []string{"no server answers", "port"}},
		{"--url " + server.url() + "/docs", 1, []string{"no kabar"}},
		{"--admin-key of-another-server-altogether-1234", 1, []string{"administrator's key", "--admin-key", "--data"}},
		{"--data " + t.TempDir() + "/none", 1, []string{"administrator's key", "--admin-key"}},
		{"--gateway feed --clients 2 --duration 1h", 1, []string{"NOT_ALLOWED", "feed.publish"}},
		{"--gateway direct --clients 4 --duration 1s --yes", 1, []string{"limit.registrations", "--limits off", "left behind: the accounts bench-"}},
	} {
		var out, errs bytes.Buffer
		if exit := server.bench(t.Context(), &out, &errs, strings.Fields(c.args)...); exit != c.exit {
			t.Errorf("bench %s ended with %d, want %d: %s", c.args, exit, c.exit, errs.String())
		}
		for _, word := range c.says {
			if !strings.Contains(errs.String(), word) {
				t.Errorf("bench %s says %q, without %q", c.args, errs.String(), word)
			}
		}
	}
}

// TestBenchAsksBeforeSomebodyFeelsIt: without --yes nobody who is connected
// feels a load, and by itself it is one that nobody else hears.
func TestBenchAsksBeforeSomebodyFeelsIt(t *testing.T) {
	server := benchServer(t)
	listener, _, err := websocket.Dial(t.Context(), "ws://"+server.addr+"/websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.CloseNow()
	var out, errs bytes.Buffer
	if exit := server.bench(t.Context(), &out, &errs); exit != 1 || !strings.Contains(errs.String(), "1 connected") || !strings.Contains(errs.String(), "--yes") {
		t.Errorf("%d %s", exit, errs.String())
	}
	errs.Reset()
	if exit := server.bench(t.Context(), &out, &errs, "--clients", "2", "--duration", "200ms", "--yes", "--json"); exit != 0 || !strings.Contains(out.String(), `"gateway":"events"`) {
		t.Errorf("%d %s %s", exit, errs.String(), out.String())
	}
}

// watched is a writer that calls seen once, when a word was written.
type watched struct {
	word string
	seen func()

	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := bytes.Contains(w.text.Bytes(), []byte(w.word))
	w.text.Write(p)
	if !before && bytes.Contains(w.text.Bytes(), []byte(w.word)) {
		w.seen()
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func TestBenchEndsEarlyWithWhatWas(t *testing.T) {
	server := benchServer(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, errs := bytes.Buffer{}, watched{word: "sent/s", seen: interrupt}
	if exit := server.bench(ctx, &out, &errs, "--gateway", "bot", "--clients", "3", "--duration", "1h", "--warmup", "100ms"); exit != 0 {
		t.Errorf("%d %s", exit, errs.String())
	}
	for _, word := range []string{"ended early", "connected", "missing", "round trip", "3 of 3"} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), word) {
			t.Errorf("it says %q, without %q", out.String(), word)
		}
	}
}

// TestBenchFollowsTheServerOverARestart is about listeners who go on where they
// were: what was acknowledged before they are back is not missing.
func TestBenchFollowsTheServerOverARestart(t *testing.T) {
	server := benchServer(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	running := make(chan struct{})
	out, errs, ended := bytes.Buffer{}, watched{word: "sent/s", seen: func() { close(running) }}, make(chan int, 1)
	go func() {
		ended <- server.bench(ctx, &out, &errs, "--gateway", "events", "--clients", "4", "--duration", "1h", "--json")
	}()
	await := func(what string, is func() bool) {
		t.Helper()
		for range 6000 {
			if is() {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("there is no %s: %s", what, errs.String())
	}
	<-running
	server.stop()
	server.start()
	before := len(errs.String())
	await("progress with all listeners back", func() bool {
		_, line, _ := strings.Cut(errs.String()[before:], " 4 open")
		return line != "" && !strings.Contains(line, " 0 recv/s")
	})
	interrupt()
	exit := <-ended
	var report load.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if m, c := report.Messages, report.Connect; exit != 0 || m.Missing != 0 || m.Delivered < m.Expected || c.Again != 4 || c.Closes["1001 with a time to come back"] != 4 {
		t.Errorf("%d %+v %+v %v", exit, m, c, report.Errors)
	}
}

func TestBenchSummary(t *testing.T) {
	r := &load.Report{
		Gateway: "feed", URL: "http://127.0.0.1:8080", Clients: 5000, Rate: 100, Size: 100, Duration: 30, Warmup: 3,
		Connect: load.Connect{
			Connected: 2000, Took: 15.02, Times: &load.Times{P50: 0.731, P90: 1.2, P99: 12.34, P999: 101.5, Max: 1234.5},
			Refused: map[string]int64{"429 too many connections": 3000, "connection refused": 7}, Closes: map[string]int64{"1001": 1}, Again: 1,
		},
		Messages:  load.Counts{Sent: 3000, Acknowledged: 3000, Expected: 6_000_000, Delivered: 5_999_999, Missing: 1},
		PerSecond: load.Rates{Acknowledged: 100, Delivered: 199_999.9},
		Ack:       &load.Times{P50: 1, P90: 2, P99: 3, P999: 4, Max: 5}, Delivery: &load.Times{P50: 10, P90: 20, P99: 30, P999: 40, Max: 50},
		Load: load.Own{Busy: 1.1, Processors: 2}, Left: []string{"the account bench-1, suspended"},
	}
	want := `
feed at 127.0.0.1:8080 · 5,000 listeners · 100 lines/s of 100 bytes · 30s, the first 3s not measured

  connected             2,000   of 5,000, in 15s
  sent                  3,000   100/s acknowledged
  delivered         5,999,999   200,000/s
  missing                   1
  reconnected               1

  milliseconds         p50       p90       p99     p99.9       max
  connecting          0.73      1.20      12.3       102     1,234
  acknowledged        1.00      2.00      3.00      4.00      5.00
  delivered           10.0      20.0      30.0      40.0      50.0

  refused connections
         3,000  429 too many connections
             7  connection refused

  closed connections
             1  1001

  what to do: the server bounds the connections of one address: raise limit.connections, or start it with --limits off
  the load itself took 1.1 of the 2 processors here:
  what is measured is this machine's share in it, too; for the server's own, start it from another one
  left behind: the account bench-1, suspended
`
	if got := benchSummary(r); got != want {
		t.Errorf("it says\n%s\nnot\n%s", got, want)
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "1 of 6000000 deliveries are missing") {
		t.Errorf("%v", err)
	}
}

func TestBenchProgressIsOneLineOnATerminal(t *testing.T) {
	const connecting, loading = "  connecting       1 of 2", "  3s of 1m        2 open    100 sent/s     1,200 recv/s  p50 1.50  p99 20.0 ms  1 error"
	for over, want := range map[bool]string{
		true: "\r\x1b[K\x1b[?7l" + connecting + "\x1b[?7h\r\x1b[K\x1b[?7l  connecting       2 of 2\x1b[?7h\n" +
			"\r\x1b[K\x1b[?7l" + loading + "\x1b[?7h\n",
		false: connecting + "\n  connecting       2 of 2\n" + loading + "\n",
	} {
		var out bytes.Buffer
		s := newBenchShow(&out, load.Options{Duration: time.Minute})
		s.over = over
		s.progress(load.Progress{Phase: load.Connecting, Doing: "connecting", Done: 1, Total: 2})
		s.progress(load.Progress{Phase: load.Connecting, Doing: "connecting", Done: 2, Total: 2})
		s.progress(load.Progress{
			Phase: load.Loading, Elapsed: 3 * time.Second, Connected: 2, Sent: 99.9, Received: 1200.2,
			P50: 1500 * time.Microsecond, P99: 20 * time.Millisecond, Errors: 1,
		})
		s.end()
		if out.String() != want {
			t.Errorf("it shows %q, not %q", out.String(), want)
		}
	}
}

func TestBenchKnowsEveryGatewaysWords(t *testing.T) {
	if got := slices.Sorted(maps.Keys(benchWords)); !slices.Equal(got, slices.Sorted(slices.Values(load.Gateways))) {
		t.Errorf("%v", got)
	}
}
