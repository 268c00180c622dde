package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/instance"
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
	for _, overlap := range []string{"x", "-1s", "169h"} {
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
