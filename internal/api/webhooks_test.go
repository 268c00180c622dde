package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/webhook"
)

// hook is a webhook as it is answered.
type hook struct {
	ID                                                    uint64
	Instance, URL, State, Format, Secret, PublicKey, Code string
	Main                                                  bool
	Rate                                                  float64
	Events                                                []string
	Behind                                                *uint64
}

// hookOf reads an answer, which must have this status.
func (a answer) hook(t *testing.T, code int) (h hook) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &h); err != nil || a.status != code {
		t.Fatalf("%d %s, %v", a.status, a.body, err)
	}
	return h
}

// TestWebhooksOfOthers sees that an instance does not learn which others there
// are, and that a request that comes twice rotates once.
func TestWebhooksOfOthers(t *testing.T) {
	r := whole(t)
	_, token, err := r.instances.Create(t.Context(), instance.Spec{Name: "north"})
	if err != nil {
		t.Fatal(err)
	}
	north := []string{"apikey", "", "Authorization", "Bearer " + token.Text, "Idempotency-Key", "k"}
	ask(t, r.mux, "POST", "/v1/webhooks", `{"instance":"nobody","url":"https://x.example"}`, north...).isProblem(t, http.StatusForbidden, "FOREIGN_INSTANCE")
	ask(t, r.mux, "GET", "/v1/webhooks?instance=nobody", "", north...).isProblem(t, http.StatusForbidden, "FOREIGN_INSTANCE")
	ask(t, r.mux, "GET", "/v1/webhooks?instance=nobody", "").isProblem(t, http.StatusNotFound, "INSTANCE_NOT_FOUND")
	made := ask(t, r.mux, "POST", "/v1/webhooks", `{"url":"https://x.example"}`, north...).hook(t, 201)
	path := fmt.Sprintf("/v1/webhooks/%d/rotate", made.ID)
	first := ask(t, r.mux, "POST", path, `{}`, north...).hook(t, 200)
	if again := ask(t, r.mux, "POST", path, `{}`, north...).hook(t, 200); again.Secret != first.Secret || first.Secret == made.Secret {
		t.Errorf("%+v, then %+v", first, again)
	}
}

// TestWebhooksOfAnInstance makes, changes and deletes webhooks as the
// administrator, and as instances with their own tokens.
func TestWebhooksOfAnInstance(t *testing.T) {
	r := whole(t)
	tokens := map[string][]string{}
	for _, name := range []string{"north", "south"} {
		_, token, err := r.instances.Create(t.Context(), instance.Spec{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = []string{"apikey", "", "Authorization", "Bearer " + token.Text}
	}
	north, south := tokens["north"], tokens["south"]
	call := func(method, path, body string, header ...string) answer {
		t.Helper()
		return ask(t, r.mux, method, "/v1/webhooks"+path, body, header...)
	}

	one := call("POST", "", `{"instance":"north","url":"https://a.example","events":["call.upsert"],"format":"cloudevents","rate":2.5,"enabled":false}`).hook(t, 201)
	if one.Instance != "north" || one.State != "off" || one.Format != "cloudevents" || one.Rate != 2.5 || len(one.Events) != 1 || one.Main ||
		!strings.HasPrefix(one.Secret, "whsec_") || !strings.HasPrefix(one.PublicKey, "whpk_") {
		t.Errorf("made %+v", one)
	}
	two := call("POST", "", `{"url":"https://b.example"}`, append(north, "Idempotency-Key", "k")...).hook(t, 201)
	if again := call("POST", "", `{"url":"https://b.example"}`, append(north, "Idempotency-Key", "k")...).hook(t, 201); again.ID != two.ID || again.Secret != two.Secret {
		t.Errorf("%+v, then %+v", two, again)
	}
	three := call("POST", "", `{"instance":"south","url":"https://c.example"}`, south...).hook(t, 201)
	if two.Instance != "north" || two.State != "on" || two.Events != nil || two.Format != "kabar" || three.Instance != "south" {
		t.Errorf("made %+v and %+v", two, three)
	}

	path := fmt.Sprintf("/%d", two.ID)
	if got := call("GET", path, "", north...); got.hook(t, 200).Behind == nil || strings.Contains(got.body, "whsec") {
		t.Errorf("%+v", got)
	}
	if got := call("PATCH", path, `{"events":["chats.set"],"rate":1}`, north...).hook(t, 200); len(got.Events) != 1 || got.Rate != 1 || got.URL != two.URL {
		t.Errorf("%+v", got)
	}
	if got := call("PATCH", path, `{"events":null,"enabled":false}`).hook(t, 200); got.Events != nil || got.Rate != 1 || got.State != "off" {
		t.Errorf("%+v", got)
	}
	rotated := call("POST", path+"/rotate", `{"overlap":"1h"}`, north...)
	if k := rotated.hook(t, 200); k.Secret == two.Secret || k.PublicKey == two.PublicKey || !strings.Contains(rotated.body, "oldUntil") {
		t.Errorf("%+v", rotated)
	}

	// What is another's is not there.
	for _, c := range [][2]string{{"GET", ""}, {"PATCH", ""}, {"DELETE", ""}, {"POST", "/rotate"}} {
		call(c[0], path+c[1], "{}", south...).isProblem(t, http.StatusNotFound, "WEBHOOK_NOT_FOUND")
		call(c[0], "/999"+c[1], "{}").isProblem(t, http.StatusNotFound, "WEBHOOK_NOT_FOUND")
		call(c[0], path+c[1], "{}", "apikey", "wrong").isProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED")
		call(c[0], path+c[1], "{}", "apikey", "", "Authorization", "Bearer wrong").isProblem(t, http.StatusUnauthorized, "TOKEN_INVALID")
	}
	call("POST", "", `{"instance":"north","url":"https://x.example"}`, south...).isProblem(t, http.StatusForbidden, "FOREIGN_INSTANCE")
	call("GET", "?instance=north", "", south...).isProblem(t, http.StatusForbidden, "FOREIGN_INSTANCE")
	for query, want := range map[string][]uint64{"": {one.ID, two.ID, three.ID}, "?instance=north": {one.ID, two.ID}, "?instance=north&limit=1": {one.ID}} {
		if got := list(t, call("GET", query, "")); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s lists %v, want %v", query, got, want)
		}
	}
	if got := list(t, call("GET", "", "", south...)); fmt.Sprint(got) != fmt.Sprint([]uint64{three.ID}) {
		t.Errorf("south's are %v", got)
	}

	for body, code := range map[string]string{
		`{"url":"https://x.example"}`: "INSTANCE_REQUIRED", `{"instance":"north"}`: "URL_INVALID", `{"instance":"north","url":"ftp://x"}`: "URL_INVALID",
		`{"instance":"north","url":"https://x","format":"xml"}`: "FORMAT_UNKNOWN", `{"instance":"north","url":"https://x","rate":-1}`: "RATE_INVALID",
		`{"instance":"north","url":"https://x","events":{"call.upsert":true}}`: "WRONG_TYPE", `{"instance":"north","url":"https://x","events":["x"]}`: "EVENT_UNKNOWN",
	} {
		call("POST", "", body).isProblem(t, http.StatusBadRequest, code)
	}
	for _, overlap := range []string{"x", "-1s", "169h", "400d"} {
		call("POST", path+"/rotate", `{"overlap":"`+overlap+`"}`).isProblem(t, http.StatusBadRequest, "OVERLAP_INVALID")
	}
	call("POST", "", `{"instance":"nobody","url":"https://x"}`).isProblem(t, http.StatusNotFound, "INSTANCE_NOT_FOUND")
	if a := call("DELETE", path, "", north...); a.status != http.StatusNoContent {
		t.Errorf("%+v", a)
	}
	call("GET", path, "", north...).isProblem(t, http.StatusNotFound, "WEBHOOK_NOT_FOUND")
}

// list is the ids of a page.
func list(t *testing.T, a answer) (ids []uint64) {
	t.Helper()
	var page struct{ Webhooks []hook }
	if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != http.StatusOK {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, h := range page.Webhooks {
		ids = append(ids, h.ID)
	}
	return ids
}

// TestDeliveries reads what was tried and what was not taken, has it told again,
// and tries an endpoint out.
func TestDeliveries(t *testing.T) {
	r := whole(t)
	_, token, err := r.instances.Create(t.Context(), instance.Spec{Name: "north"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.instances.Create(t.Context(), instance.Spec{Name: "south"}); err != nil {
		t.Fatal(err)
	}
	own := []string{"apikey", "", "Authorization", "Bearer " + token.Text}
	call := func(method, path, body string) answer {
		t.Helper()
		return ask(t, r.mux, method, "/v1/webhooks"+path, body, own...)
	}
	h := call("POST", "", `{"url":"https://a.example","enabled":false}`).hook(t, 201)
	path := fmt.Sprintf("/%d", h.ID)

	// What it is tried out with is an event, and is logged.
	type delivery struct {
		ID                               uint64
		Event, Name, Cause, State, Error string
		Attempt                          int
		Answer                           *struct{}
		Request                          struct {
			Headers map[string]string
			Body    string
		}
	}
	var tested delivery
	a := call("POST", path+"/test", "")
	if err := json.Unmarshal([]byte(a.body), &tested); err != nil || a.status != 200 || tested.Name != "webhook.test" || tested.Cause != "test" || tested.State != "failed" ||
		tested.Error != "the connection failed" || tested.Answer != nil || tested.Request.Headers["webhook-signature"] != "v1,… v1a,…" {
		t.Errorf("%+v, %v", a, err)
	}
	var page struct {
		Deliveries []delivery
		Next       uint64
	}
	read := func(query string, n int) {
		t.Helper()
		page.Deliveries, page.Next = nil, 0
		a := call("GET", path+"/deliveries"+query, "")
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != 200 || len(page.Deliveries) != n {
			t.Errorf("%s: %+v, %v", query, a, err)
		}
	}
	read("", 1)
	if page.Deliveries[0].ID != tested.ID || tested.ID == 0 || page.Next != 0 {
		t.Errorf("%+v", page)
	}
	read("?state=delivered", 0)
	read("?state=failed&limit=1", 1)
	read(fmt.Sprintf("?before=%d", tested.ID), 0)
	call("GET", path+"/deliveries?state=x", "").isProblem(t, http.StatusBadRequest, "STATE_UNKNOWN")
	call("GET", path+"/deliveries?before=x", "").isProblem(t, http.StatusBadRequest, "BAD_NUMBER")
	if a := call("GET", fmt.Sprintf("%s/deliveries/%d", path, tested.ID), ""); a.status != 200 || !strings.Contains(a.body, tested.Event) {
		t.Errorf("%+v", a)
	}
	call("GET", path+"/deliveries/1", "").isProblem(t, http.StatusNotFound, "DELIVERY_NOT_FOUND")
	for _, c := range [][2]string{{"GET", "/deliveries"}, {"GET", "/deliveries/1"}, {"GET", "/dead"}, {"GET", "/parked"}, {"POST", "/replay"}, {"POST", "/test"}} {
		ask(t, r.mux, c[0], "/v1/webhooks"+path+c[1], "{}", "apikey", "wrong").isProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED")
		call(c[0], "/999"+c[1], "{}").isProblem(t, http.StatusNotFound, "WEBHOOK_NOT_FOUND")
	}
}

// TestReplay has what is dead be listed, and told again.
func TestReplay(t *testing.T) {
	r := whole(t)
	if _, _, err := r.instances.Create(t.Context(), instance.Spec{Name: "north"}); err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string) answer {
		t.Helper()
		return ask(t, r.mux, method, "/v1/webhooks"+path, body)
	}
	h := call("POST", "", `{"instance":"north","url":"https://a.example"}`).hook(t, 201)
	path := fmt.Sprintf("/%d", h.ID)
	_, err := r.core.Journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		in := r.core.Store.Webhooks().In(tx)
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		return nil, errors.Join(
			in.Keep(t.Context(), webhook.Kept{Webhook: h.ID, First: 2, Last: 4, State: webhook.Dead, Since: at, Tries: 70, Reason: "r"}),
			in.Keep(t.Context(), webhook.Kept{Webhook: h.ID, First: 9, Last: 9, State: webhook.Parked, Since: at, Tries: 1, Next: at, Reason: "p"}))
	})).Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"/dead":                 `{"events":[{"first":2,"last":4,"since":"2026-01-02T03:04:05.000Z","tries":70,"reason":"r"}],"next":0}`,
		"/dead?after=2&limit=1": `{"events":[],"next":0}`,
		"/parked?limit=1":       `{"events":[{"first":9,"last":9,"since":"2026-01-02T03:04:05.000Z","tries":1,"nextTry":"2026-01-02T03:04:05.000Z","reason":"p"}],"next":9}`,
	} {
		if a := call("GET", path+what, ""); a.status != 200 || strings.TrimSpace(a.body) != want {
			t.Errorf("%s: %s", what, a.body)
		}
	}
	if a := call("POST", path+"/replay", `{"dead":true}`); a.status != http.StatusAccepted || strings.TrimSpace(a.body) != `{"events":3}` {
		t.Errorf("%+v", a)
	}
	if a := call("GET", path, ""); !strings.Contains(a.body, `"dead":0,"replaying":1`) {
		t.Errorf("%+v", a)
	}
	call("POST", path+"/replay", `{}`).isProblem(t, http.StatusBadRequest, "REPLAY_INVALID")
	call("POST", path+"/replay", `{"from":2,"to":1}`).isProblem(t, http.StatusBadRequest, "REPLAY_INVALID")
	call("POST", path+"/replay", `{"ids":["x"]}`).isProblem(t, http.StatusNotFound, "EVENT_NOT_FOUND")

	if a := ask(t, r.mux, "GET", "/metrics", ""); !strings.Contains(a.body, `kabar_webhooks_kept{state="replaying"} 1`) || !strings.Contains(a.body, "kabar_webhooks 1\n") {
		t.Errorf("%s", a.body)
	}
}

// ending is a body that has something happen when it is read.
type ending struct {
	io.Reader
	first func()
}

func (e *ending) Read(p []byte) (int, error) {
	e.first()
	return e.Reader.Read(p)
}

// TestWebhookTokenEnds has a token be replaced while a request that came with it
// is read: nothing is done by it.
func TestWebhookTokenEnds(t *testing.T) {
	r := whole(t)
	_, token, err := r.instances.Create(t.Context(), instance.Spec{Name: "north"})
	if err != nil {
		t.Fatal(err)
	}
	h := ask(t, r.mux, "POST", "/v1/webhooks", `{"instance":"north","url":"https://a.example","enabled":false}`).hook(t, 201)
	path := fmt.Sprintf("/v1/webhooks/%d", h.ID)
	for _, c := range [][3]string{
		{"POST", "/v1/webhooks", `{"url":"https://b.example"}`}, {"PATCH", path, `{"rate":1}`}, {"POST", path + "/rotate", `{}`}, {"POST", path + "/replay", `{"dead":true}`},
	} {
		body := &ending{strings.NewReader(c[2]), sync.OnceFunc(func() {
			if token, err = r.instances.RefreshToken(t.Context(), instance.ByName("north"), token.Text); err != nil {
				t.Error(err)
			}
		})}
		q := httptest.NewRequestWithContext(t.Context(), c[0], c[1], body)
		q.Header.Set("Authorization", "Bearer "+token.Text)
		w := httptest.NewRecorder()
		r.mux.ServeHTTP(w, q)
		answer{w.Code, w.Header(), w.Body.String()}.isProblem(t, http.StatusUnauthorized, "TOKEN_ENDED")
	}
	if got := list(t, ask(t, r.mux, "GET", "/v1/webhooks", "")); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}
