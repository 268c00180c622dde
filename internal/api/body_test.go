package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/instance"
)

// TestAKeyThatIsNoneIsRefused with the one that was meant.
func TestAKeyThatIsNoneIsRefused(t *testing.T) {
	r := whole(t)
	if _, _, err := r.instances.Create(t.Context(), instance.Spec{Name: "north"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][4]string{
		{"POST", "/v1/webhooks", `{"instance":"north","url":"https://x","event":["x"]}`, "did you mean events?"},
		{"POST", "/v1/webhooks", `{"zzzzzzzz":1}`, "there are instance, url, enabled, events, format and rate"},
		{"POST", "/v1/publish", `{"topic":"feed","text":"x","usr":1}`, "did you mean user?"},
		{"POST", "/v1/instances/north/events", `{"event":"messages.upsert","dta":{"order":7}}`, "did you mean data?"},
		{"POST", "/v1/instances/north/events", `[{"event":"messages.upsert"},{"event":"messages.upsert","dta":1}]`, "event 2: there is no key"},
		{"POST", "/v1/processes/none/publish", `{"zzzzzzzz":1}`, "there is only version"},
		{"POST", "/v1/processes/none/try", `{"vrsion":1}`, "did you mean version?"},
	} {
		a := ask(t, r.mux, c[0], c[1], c[2])
		if a.isProblem(t, http.StatusBadRequest, "UNKNOWN_KEY"); !strings.Contains(a.body, c[3]) {
			t.Errorf("%s %s: %+v", c[1], c[2], a)
		}
	}
	for query, says := range map[string]string{"/v1/users?limt=1": "did you mean limit?", "/v1/users?Limit=1": "did you mean limit?", "/v1/mail?page=1": "there is none here", "/v1/users?zzzzzzzzzz=1": "there are q, "} {
		a := ask(t, r.mux, "GET", query, "")
		if a.isProblem(t, http.StatusBadRequest, "UNKNOWN_PARAMETER"); !strings.Contains(a.body, says) {
			t.Errorf("%s: %+v", query, a)
		}
	}
	ask(t, r.mux, "POST", "/v1/webhooks", `[]`).isProblem(t, http.StatusBadRequest, "WRONG_TYPE")
	ask(t, r.mux, "POST", "/v1/webhooks", `{"Url":"https://x"}`).isProblem(t, http.StatusBadRequest, "INSTANCE_REQUIRED")
}
