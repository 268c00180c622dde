package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestAKeyThatIsNoneIsRefused with the one that was meant.
func TestAKeyThatIsNoneIsRefused(t *testing.T) {
	r := whole(t)
	for _, c := range [][4]string{
		{"POST", "/v1/webhooks", `{"instance":"north","url":"https://x","event":["x"]}`, "did you mean events?"},
		{"POST", "/v1/webhooks", `{"zzzzzzzz":1}`, "there are instance, url, enabled, events, format, rate"},
		{"POST", "/v1/publish", `{"topic":"feed","text":"x","usr":1}`, "did you mean user?"},
	} {
		a := ask(t, r.mux, c[0], c[1], c[2])
		if a.isProblem(t, http.StatusBadRequest, "UNKNOWN_KEY"); !strings.Contains(a.body, c[3]) {
			t.Errorf("%s %s: %+v", c[1], c[2], a)
		}
	}
	ask(t, r.mux, "POST", "/v1/webhooks", `[]`).isProblem(t, http.StatusBadRequest, "WRONG_TYPE")
	ask(t, r.mux, "POST", "/v1/webhooks", `{"Url":"https://x"}`).isProblem(t, http.StatusBadRequest, "INSTANCE_REQUIRED")
}
