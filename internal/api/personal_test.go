package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
)

// TestErasingAndExporting asks for both: with another key for neither.
func TestErasingAndExporting(t *testing.T) {
	r := &rig{erases: true}
	r.api.Admin = gateway.NewAdmin(adminKey)
	transcript.Start(t, r.options())
	u, err := r.core.Accounts.Register(t.Context(), account.Registration{Email: "ann@example.org", Name: "ann", Password: "12345678"})
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprint("/v1/users/", u.ID)
	ask(t, r.mux, "DELETE", path, "", "apikey", "other").isProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED")
	ask(t, r.mux, "GET", path+"/export", "", "apikey", "other").isProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED")
	ask(t, r.mux, "DELETE", "/v1/users/99", "").isProblem(t, http.StatusNotFound, "USER_NOT_FOUND")
	ask(t, r.mux, "GET", "/v1/users/99/export", "").isProblem(t, http.StatusNotFound, "USER_NOT_FOUND")

	a := ask(t, r.mux, "GET", path+"/export", "")
	lines := strings.Split(strings.TrimSpace(a.body), "\n")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/x-ndjson" || len(lines) < 2 ||
		!strings.Contains(lines[0], "ann@example.org") || lines[len(lines)-1] != `{"type":"end"}` {
		t.Errorf("an export: %+v", a)
	}
	if a := ask(t, r.mux, "DELETE", path, ""); a.status != http.StatusAccepted || !strings.Contains(a.body, `"state":"erasing"`) {
		t.Errorf("begun: %+v", a)
	}
	ask(t, r.mux, "POST", path+"/restore", "").isProblem(t, http.StatusConflict, "ERASED")
	ask(t, r.mux, "GET", path+"/export", "").isProblem(t, http.StatusNotFound, "USER_NOT_FOUND")

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.personal.Run(ctx) }()
	until := time.Now().Add(30 * time.Second)
	for {
		a := ask(t, r.mux, "DELETE", path, "")
		if a.status == http.StatusOK && strings.Contains(a.body, `"state":"erased"`) && strings.Contains(a.body, `"ended":"20`) {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("it does not end: %+v", a)
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if a := ask(t, r.mux, "GET", path, ""); a.status != http.StatusOK || strings.Contains(a.body, "ann") || !strings.Contains(a.body, `"erased":true`) {
		t.Errorf("what is left: %+v", a)
	}
}
