package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/api"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/webhook"
)

// whole is the API on a whole core, with what the test holds of it.
func whole(t *testing.T) *rig {
	t.Helper()
	r := &rig{api: api.Options{Version: "1", Admin: gateway.NewAdmin(adminKey)}}
	transcript.Start(t, r.options())
	if _, err := r.core.Accounts.Register(t.Context(), account.Registration{Email: "ann@example.org", Name: "ann", Password: "12345678"}); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestHopsAreKept has whatever a process's call says carry how many processes in
// a row led to it, and what nobody caused carry none.
func TestHopsAreKept(t *testing.T) {
	r := whole(t)
	i, _, err := r.instances.Create(t.Context(), instance.Spec{Name: "north"})
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.core.Chats.CreateGroup(t.Context(), 1, "friends")
	if err != nil {
		t.Fatal(err)
	}
	const event = `{"event":"call.upsert"}`
	for _, c := range []struct{ topic, path, body string }{
		{"feed", "/v1/publish", `{"topic":"feed","text":"x"}`},
		{chat.RoomTopic(g.ID), "/v1/publish", fmt.Sprintf(`{"topic":"room/%d","text":"x"}`, g.ID)},
		{account.Inbox(1), "/v1/publish", `{"user":1,"message":"x"}`},
		{instance.Topic(i.ID), "/v1/publish", `{"instance":"north","event":"call.upsert"}`},
		{instance.Topic(i.ID), "/v1/instances/north/events", event},
		{instance.Topic(i.ID), "/v1/instances/north/events", "[" + event + "," + event + "]"},
	} {
		for _, hops := range []string{"", "0", "5", "7"} {
			if a := ask(t, r.mux, "POST", c.path, c.body, "Kabar-Hops", hops); a.status != http.StatusAccepted {
				t.Fatalf("%s %s: %+v", c.body, hops, a)
			}
			ms, err := r.core.Journal.ReadBefore(t.Context(), c.topic, 0, 1)
			if err != nil || strconv.Itoa(int(ms[0].Hops)) != max("0", hops) {
				t.Errorf("%s %s: %+v, %v", c.body, hops, ms[0], err)
			}
		}
		ask(t, r.mux, "POST", c.path, c.body, "Kabar-Hops", "8").isProblem(t, http.StatusConflict, "PROCESSES_LOOP")
		ask(t, r.mux, "POST", c.path, c.body, "Kabar-Hops", "one").isProblem(t, http.StatusBadRequest, "BAD_HOPS", "0 to 8")
	}
}

// TestNothingPanics has numbers that JSON cannot hold never reach an answer.
func TestNothingPanics(t *testing.T) {
	h, _ := started(t, api.Options{})
	const source = "process: x\ninputs:\n  m: { type: any, default: %s }\noutputs: { r: any }\nrules:\n  - reply: { r: '1/0' }\nendpoint: { url: /xx }\n"
	ask(t, h, "PUT", "/v1/processes/x", fmt.Sprintf(source, "!!float inf")).isProblem(t, http.StatusUnprocessableEntity, "PROCESS_FAULTS")
	for _, path := range []string{"PUT /v1/processes/x", "POST /v1/processes/x/publish", "POST /v1/processes/x/try", "GET /v1/processes/x", "GET /openapi.json", "GET /asyncapi.json"} {
		method, path, _ := strings.Cut(path, " ")
		body := ""
		if method == "PUT" {
			body = fmt.Sprintf(source, "1")
		}
		if a := ask(t, h, method, path, body); a.status != http.StatusOK || !json.Valid([]byte(a.body)) {
			t.Errorf("%s %s: %+v", method, path, a)
		}
	}
}

// TestDescriptionsAreKept has the descriptions be written once for all who ask,
// with each one's own host, and anew when what they describe changes.
func TestDescriptionsAreKept(t *testing.T) {
	h, _ := started(t, api.Options{})
	put := func(name string) {
		t.Helper()
		source := "process: " + name + "\ninputs: { m: string }\noutputs: { r: string }\nrules:\n  - reply: { r: m }\nendpoint: { url: /bots/" + name + ", access: anonymous }\n"
		ask(t, h, "PUT", "/v1/processes/"+name, source)
		if a := ask(t, h, "POST", "/v1/processes/"+name+"/publish", ""); a.status != http.StatusOK {
			t.Fatalf("%+v", a)
		}
	}
	for n := range 40 {
		put(fmt.Sprintf("p%d", n))
	}
	for _, path := range []string{"/openapi.json", "/asyncapi.json"} {
		get := func(header ...string) string { return ask(t, h, "GET", path, "", header...).body }
		plain := get()
		// What it takes to write one is counted in what is allocated.
		if n := testing.AllocsPerRun(5, func() { get() }); n > 500 {
			t.Errorf("%s: %v allocations for each who asks", path, n)
		}
		if !strings.Contains(plain, "example.com") || !strings.Contains(plain, "/bots/p39") {
			t.Errorf("%s: %.300s", path, plain)
		}
		if s := get("X-Forwarded-Proto", "https"); !strings.Contains(s, "wss") || get() != plain {
			t.Errorf("%s by TLS: %.300s", path, s)
		}
		put("more" + path[1:5])
		if !strings.Contains(get(), "/bots/more"+path[1:5]) {
			t.Errorf("%s does not describe what is new", path)
		}
	}
	// Whatever a host is, it stays a string.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = `a"b\`
	w := &recorder{header: http.Header{}}
	h.ServeHTTP(w, r)
	var d struct{ Servers []struct{ URL string } }
	if err := json.Unmarshal(w.body.Bytes(), &d); err != nil || len(d.Servers) != 1 || d.Servers[0].URL != "http://"+r.Host {
		t.Errorf("%v, %v", d, err)
	}
}

type recorder struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(int)             {}
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// TestWebhooks has the administrator see how webhooks stand, and change a secret.
func TestWebhooks(t *testing.T) {
	r := whole(t)
	var ids []uint64
	for n, spec := range []webhook.Spec{
		{URL: "https://a.example/x", Enabled: true, Events: map[string]bool{"call.upsert": true}},
		{URL: "https://b.example/x", Enabled: true}, {URL: "https://c.example/x"},
	} {
		i, _, err := r.instances.Create(t.Context(), instance.Spec{Name: fmt.Sprintf("i%d", n)})
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := r.webhooks.Set(t.Context(), instance.ByID(i.ID), spec)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, h.ID)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	_, err := r.core.Journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		in := r.core.Store.Webhooks().In(tx)
		row, ok, err := in.Webhook(t.Context(), ids[1])
		if err != nil || !ok {
			return nil, errors.Join(err, errors.New("there is none"))
		}
		row.Hold, row.Error = webhook.Hold{Since: at, Tries: 3, Next: at.Add(time.Minute)}, "the receiver answered 500"
		return nil, in.SetWebhook(t.Context(), row)
	})).Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	type line struct {
		ID                                       uint64
		Instance, URL, State, LastError, NextTry string
		OnHoldSince                              string
		Tries                                    int
		Events                                   []string
	}
	list := func(query string) (all []line, next uint64) {
		t.Helper()
		a := ask(t, r.mux, "GET", "/v1/webhooks"+query, "")
		var got struct {
			Webhooks []line
			Next     uint64
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK || strings.Contains(a.body, "whsec") {
			t.Fatalf("%+v, %v", a, err)
		}
		return got.Webhooks, got.Next
	}
	all, next := list("")
	if len(all) != 3 || next != 0 || all[0].State != "on" || all[0].Instance != "i0" || len(all[0].Events) != 1 || all[1].Events != nil ||
		all[2].State != "off" || all[2].URL != "https://c.example/x" {
		t.Errorf("%+v, then %d", all, next)
	}
	if h := all[1]; h.State != "held" || h.Tries != 3 || h.OnHoldSince != "2026-01-02T03:04:05.000Z" || h.NextTry != "2026-01-02T03:05:05.000Z" || h.LastError == "" {
		t.Errorf("%+v", h)
	}
	if page, next := list(fmt.Sprintf("?after=%d&limit=1", ids[0])); len(page) != 1 || page[0].ID != ids[1] || next != ids[1] {
		t.Errorf("%+v, then %d", page, next)
	}
	rotate := func(id string) answer { return ask(t, r.mux, "POST", "/v1/webhooks/"+id+"/rotate", "") }
	first := strconv.FormatUint(ids[0], 10)
	one, two := rotate(first), rotate(first)
	if one.status != http.StatusOK || !strings.HasPrefix(one.body, `{"secret":"whsec_`) || one.body == two.body {
		t.Errorf("%+v, then %+v", one, two)
	}
	rotate("999").isProblem(t, http.StatusNotFound, "WEBHOOK_NOT_FOUND")
	rotate("x").isProblem(t, http.StatusBadRequest, "BAD_NUMBER")
	ask(t, r.mux, "GET", "/v1/webhooks", "", "apikey", "wrong").isProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED")
}
