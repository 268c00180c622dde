package events_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/kabar-io/kabar/internal/gateway/events"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/ws"
)

const patience = time.Minute

// world is a server and those who talk to it.
type world struct {
	*transcript.Server
	*rig
	t    testing.TB
	http *http.Client
}

func start(t testing.TB, r *rig) *world {
	t.Helper()
	w := &world{Server: transcript.Start(t, r.options()), rig: r, t: t, http: &http.Client{Transport: &http.Transport{}, Timeout: 0}}
	t.Cleanup(w.http.CloseIdleConnections)
	return w
}

// create makes an instance; the result is its token.
func (w *world) create(name string) string {
	w.t.Helper()
	_, token, err := w.service.Create(w.t.Context(), instance.Spec{Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Text
}

// place is where an event stands.
type place struct {
	ID  string `json:"id"`
	Seq uint64 `json:"seq"`
}

// post posts a body of events, as the administrator.
func (w *world) post(name string, body []byte) ([]place, error) {
	var out struct{ Accepted []place }
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.URL+"/v1/instances/"+name+"/events", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("apikey", adminKey)
	res, err := w.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("%d %s", res.StatusCode, b)
	}
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	return out.Accepted, err
}

// listener reads what one subscriber hears.
type listener interface {
	next() ([]byte, error)
	close()
}

type socketListener struct {
	ctx  context.Context //nolint:containedctx // the test's, which next may not take: a stream has it in its request
	conn *websocket.Conn
}

func (s socketListener) next() ([]byte, error) {
	_, b, err := s.conn.Read(s.ctx)
	return b, err
}
func (s socketListener) close() { _ = s.conn.CloseNow() }

func (w *world) socket(query string) listener {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w.t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, w.URL+events.Path+"?"+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	return socketListener{ctx, conn}
}

// streamListener reads the data of a stream's events, and keeps the last id.
type streamListener struct {
	body io.Closer
	in   *bufio.Reader
	id   string
}

func (s *streamListener) block() (string, error) {
	var block string
	for {
		line, err := s.in.ReadString('\n')
		if err != nil || line == "\n" {
			return block, err
		}
		block += line
	}
}

func (s *streamListener) next() ([]byte, error) {
	for {
		block, err := s.block()
		if err != nil {
			return nil, err
		}
		id, data, is := strings.Cut(block, "data: ")
		if is {
			s.id = strings.TrimSpace(strings.TrimPrefix(id, "id: "))
			return []byte(data), nil
		}
	}
}
func (s *streamListener) close() { _ = s.body.Close() }

func (w *world) stream(h *http.Client, query string) *streamListener {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+events.Path+"?"+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	res, err := h.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") ||
		res.Header.Get("Cache-Control") != "no-store" {
		w.t.Fatalf("the stream is answered with %d %v", res.StatusCode, res.Header)
	}
	return &streamListener{body: res.Body, in: bufio.NewReaderSize(res.Body, 256<<10)}
}

// hears reads until last, and wants every number from first on, in order, with
// the id that ids has for it.
func hears(l listener, first, last uint64, ids *sync.Map) error {
	for seq := first; seq <= last; seq++ {
		b, err := l.next()
		if err != nil {
			return fmt.Errorf("waiting for %d: %w", seq, err)
		}
		var p place
		if err := json.Unmarshal(b, &p); err != nil {
			return err
		}
		if p.Seq != seq {
			return fmt.Errorf("heard %d, want %d", p.Seq, seq)
		}
		if ids == nil {
			continue
		}
		if id, _ := ids.LoadOrStore(seq, p.ID); id != p.ID {
			return fmt.Errorf("%d is %s, want %s", seq, p.ID, id)
		}
	}
	return nil
}

func TestAllHearEverythingInOrderFromManyPublishers(t *testing.T) {
	w := start(t, &rig{})
	query := "event=*&token=" + w.create("north")
	const publishers, posts = 6, 40
	const total = publishers * posts * 2 // in batches of 1, 2 and 3
	var ids sync.Map                     // by seq
	var all sync.WaitGroup
	for n, l := range []listener{
		w.socket(query), w.socket(query), w.socket(query + "&epoch=1"), w.stream(w.http, query), w.socket(query + "&after=0"), w.stream(w.http, query+"&after=0"),
	} {
		all.Go(func() {
			defer l.close()
			if err := hears(l, 1, total, &ids); err != nil {
				t.Errorf("subscriber %d: %v", n, err)
			}
		})
	}
	for n := range publishers {
		all.Go(func() {
			for i := range posts {
				batch := make([]string, 1+(i+n)%3)
				if posts%3 == 1 && i == posts-1 {
					batch = make([]string, 2)
				}
				for k := range batch {
					batch[k] = fmt.Sprintf(`{"event":"messages.upsert","data":"%d %d %d"}`, n, i, k)
				}
				accepted, err := w.post("north", []byte("["+strings.Join(batch, ",")+"]"))
				if err != nil || len(accepted) != len(batch) {
					t.Errorf("%d of %d were accepted, %v", len(accepted), len(batch), err)
					return
				}
				for k, p := range accepted {
					if id, _ := ids.LoadOrStore(p.Seq, p.ID); id != p.ID || p.Seq != accepted[0].Seq+uint64(k) {
						t.Errorf("the answer says %v, a frame %v", accepted, id)
					}
				}
			}
		})
	}
	all.Wait()
	late := w.socket(query + "&after=0")
	defer late.close()
	if err := hears(late, 1, total, &ids); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// thin is an HTTP client whose connections take little that is not read.
func thin(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if tcp, is := c.(*net.TCPConn); is {
			_ = tcp.SetReadBuffer(64 << 10)
		}
		return c, err
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestAStreamThatIsReadSlowlyMissesNothingAndHoldsUpNobody(t *testing.T) {
	w := start(t, &rig{events: events.Options{Limits: ws.Limits{Queue: 32 << 10}, Stall: time.Hour}})
	query := "event=*&token=" + w.create("north")
	slow, quick := w.stream(thin(t), query), w.socket(query)
	defer slow.close()
	defer quick.close()
	body := []byte("[" + strings.Repeat(`{"event":"messages.upsert","data":"`+strings.Repeat("x", 32<<10)+`"},`, 19) + `{"event":"messages.upsert"}]`)
	total := uint64(0)
	for w.Hub.Stats().Fallbacks == 0 {
		if total > 20_000 {
			t.Fatal("the stream never refuses")
		}
		accepted, err := w.post("north", body)
		if err != nil {
			t.Fatal(err)
		}
		if err := hears(quick, total+1, total+uint64(len(accepted)), nil); err != nil {
			t.Fatal(err)
		}
		total += uint64(len(accepted))
	}
	if err := hears(slow, 1, total, nil); err != nil {
		t.Fatal(err)
	}
	// And it is live again, or will be.
	if _, err := w.post("north", []byte(`{"event":"messages.upsert"}`)); err != nil {
		t.Fatal(err)
	}
	if err := hears(slow, total+1, total+1, nil); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%s:%d", w.Journal.Epoch(), total+1); slow.id != want {
		t.Errorf("the last id is %s, want %s", slow.id, want)
	}
}

func TestAStreamIsToldWhenToComeBack(t *testing.T) {
	w := start(t, &rig{})
	s := w.stream(w.http, "event=*&token="+w.create("north"))
	defer s.close()
	if first, err := s.block(); first != ": connected\n" || err != nil {
		t.Fatalf("it begins with %q, %v", first, err)
	}
	for _, c := range w.Hub.Close() {
		c.Close(ws.CodeGoingAway, "retry-after-ms=1500")
	}
	want := "event: close\ndata: {\"code\":1001,\"reason\":\"retry-after-ms=1500\"}\nretry: 1500\n"
	if last, err := s.block(); last != want || err != nil {
		t.Fatalf("it ends with %q, %v", last, err)
	}
	if more, err := s.block(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the end: %q, %v", more, err)
	}
}

func TestAnIdleStreamStaysAlive(t *testing.T) {
	w := start(t, &rig{events: events.Options{KeepAlive: time.Millisecond}})
	s := w.stream(w.http, "event=*&token="+w.create("north"))
	defer s.close()
	for _, want := range []string{": connected\n", ": still here\n", ": still here\n"} {
		if got, err := s.block(); got != want || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

func TestTheEndOfATokenEndsWhatIsLive(t *testing.T) {
	r := &rig{instances: instance.Options{TokenTTL: time.Hour}}
	w := start(t, r)
	// The instances' clock is an hour behind: for it the token is good, while
	// its end has come on the hub's.
	r.ahead.Store(int64(-time.Hour))
	query := "event=*&token=" + w.create("north")
	s := w.stream(w.http, query)
	defer s.close()
	c := w.socket(query)
	defer c.close()
	if b, err := s.next(); string(b) != "{\"code\":4001,\"reason\":\"the login or token has expired\"}\n" || err != nil {
		t.Errorf("the stream ends with %s, %v", b, err)
	}
	if _, err := c.next(); websocket.CloseStatus(err) != 4001 {
		t.Errorf("the socket ends with %v", err)
	}
}

func TestWhatSubscribersSayIsCounted(t *testing.T) {
	w := start(t, &rig{})
	c := w.socket("event=*&token=" + w.create("north")).(socketListener)
	defer c.close()
	for _, text := range []string{`{"message":"test data"}`, "", "]"} {
		if err := c.conn.Write(c.ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for w.gateway.Refused() < 3 {
		select {
		case <-c.ctx.Done():
			t.Fatalf("%d of 3 are counted", w.gateway.Refused())
		case <-time.After(time.Millisecond):
		}
	}
	if err := c.conn.Write(c.ctx, websocket.MessageText, make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.next(); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("a frame over the limit ends with %v", err)
	}
}

func TestAllInstancesAreListed(t *testing.T) {
	w := start(t, &rig{})
	const n = 501 // more than are read at once
	var all sync.WaitGroup
	for part := range 3 {
		all.Go(func() {
			for i := part; i < n; i += 3 {
				if _, _, err := w.service.Create(t.Context(), instance.Spec{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	status, body := w.call(http.MethodGet, "/instance/fetchInstances", nil)
	var list []struct {
		ID   uint64
		Name string
		Auth json.RawMessage
	}
	if err := json.Unmarshal(body, &list); err != nil || status != http.StatusOK || len(list) != n {
		t.Fatalf("%d, %d instances, %v", status, len(list), err)
	}
	for i, one := range list {
		if one.ID != uint64(i+1) || !strings.HasPrefix(one.Name, "instance-") || one.Auth != nil {
			t.Fatalf("at %d stands %+v", i, one)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	w := start(t, &rig{})
	w.create("north")
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/instance/create", `{"description":"` + strings.Repeat("x", 64<<10) + `"}`, 413},
		{"POST", "/instance/create", `{"description":"` + strings.Repeat("x", 2000) + `"}`, 413},
		{"PATCH", "/instance/update/north", `{"externalAttributes":"` + strings.Repeat("x", 5000) + `"}`, 413},
		{"POST", "/instance/create", `{"description":"` + "\xff" + `"}`, 201}, // JSON's own way to read it
		{"PATCH", "/instance/update/north", `{"externalAttributes":"` + "\xff" + `"}`, 400},
	} {
		status, body := w.call(c.method, c.path, []byte(c.body))
		var out struct {
			Status  int
			Error   string
			Message []string
		}
		if err := json.Unmarshal(body, &out); err != nil || status != c.want {
			t.Errorf("%s %.60s: %d %s", c.path, c.body, status, body)
		}
		if c.want >= 400 && (out.Status != c.want || out.Error != http.StatusText(c.want) || len(out.Message) != 1) {
			t.Errorf("%s %.60s: %s", c.path, c.body, body)
		}
	}
}

// call makes a request, as the administrator.
func (w *world) call(method, path string, body []byte) (int, []byte) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.URL+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("apikey", adminKey)
	res, err := w.http.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, b
}
