package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/status"
)

func TestDemoHook(t *testing.T) {
	h := newDemoHook(demoParts())
	secret := sign.NewSecret()
	post := func(id, secret, body string) int {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, hookPath, strings.NewReader(body))
		headers, err := sign.Headers(secret, id, time.Now(), []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range headers {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		if err := h.receive(w, r); err != nil {
			return status.Of(err).HTTP()
		}
		return w.Code
	}
	shown := func() (got []hookEvent) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, hookPath, nil)
		r.Header.Set("Accept", "application/json")
		w := httptest.NewRecorder()
		var out struct{ Received []hookEvent }
		if err := h.show(w, r); err != nil || json.Unmarshal(w.Body.Bytes(), &out) != nil || out.Received == nil {
			t.Fatalf("%v %s", err, w.Body)
		}
		return out.Received
	}
	if got := shown(); len(got) != 0 {
		t.Fatalf("before anything came: %v", got)
	}
	if code := post("early", secret, `{}`); code != http.StatusUnauthorized {
		t.Errorf("before there is a secret: %d", code)
	}
	h.open(secret)
	for i := range 60 {
		if code := post(fmt.Sprint("e", i), secret, fmt.Sprintf(`{"n":%d}`, i)); code != http.StatusNoContent {
			t.Fatalf("a signed event: %d", code)
		}
	}
	if code := post("forged", sign.NewSecret(), "no \"JSON\"\xff"); code != http.StatusUnauthorized {
		t.Errorf("another's signature: %d", code)
	}
	if code := post("e59", secret, `{"n":59}`); code != http.StatusNoContent {
		t.Errorf("an event that comes again: %d", code)
	}
	if code := post("big", secret, strings.Repeat(" ", hookBody+1)); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body that is too big: %d", code)
	}
	got := shown()
	if len(got) != hookMost || !got[0].Again || got[0].ID != "e59" || got[1].Verified || got[1].Why == "" || got[2].ID != "e59" || got[2].Again || string(got[49].Body) != `{"n":12}` {
		t.Errorf("%d are shown: %+v", len(got), got)
	}
	if string(got[1].Body) != `"no \"JSON\"`+"\ufffd"+`"` && string(got[1].Body) != `"no \"JSON\"\ufffd"` {
		t.Errorf("what is no JSON is shown as %s", got[1].Body)
	}
}

func TestOtherName(t *testing.T) {
	for at, want := range map[string]string{
		"localhost:8080": "127.0.0.1:8080", "127.0.0.1:80": "localhost:80", "10.0.0.1:80": "10.0.0.1:80", "nonsense": "nonsense",
	} {
		if got := otherName(at); got != want {
			t.Errorf("%s: %s, not %s", at, got, want)
		}
	}
}
