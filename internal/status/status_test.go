package status_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kabar-io/kabar/internal/status"
)

func TestWhatAClientMayKnow(t *testing.T) {
	taken := status.Errorf(status.Conflict, "NAME_TAKEN", "%q is taken", "ann")
	wrapped := fmt.Errorf("registering: %w", taken)
	if e := status.Of(wrapped); e != taken || e.HTTP() != 409 || e.Error() != `"ann" is taken` {
		t.Errorf("of a wrapped error: %+v", e)
	}
	if !errors.Is(wrapped, status.Errorf(status.Conflict, "NAME_TAKEN", "in other words")) {
		t.Error("the same code and reason in other words is another error")
	}
	if errors.Is(wrapped, status.Errorf(status.Conflict, "", "")) || errors.Is(wrapped, status.Errorf(status.Forbidden, "NAME_TAKEN", "")) {
		t.Error("another code or reason is the same error")
	}
	hidden := status.Of(errors.New("open /secret/path: permission denied"))
	if hidden.Code != status.Internal || hidden.Message == "" || errors.Is(hidden, errors.ErrUnsupported) || len(hidden.Reason) == 0 {
		t.Errorf("of an internal error: %+v", hidden)
	}
	if status.Of(nil) != nil {
		t.Error("no error is one")
	}
}

func TestCodes(t *testing.T) {
	for code, want := range map[status.Code]string{
		status.Internal: "INTERNAL 500 1011", status.Invalid: "INVALID 400 4004", status.Unauthenticated: "UNAUTHENTICATED 401 4001",
		status.Forbidden: "FORBIDDEN 403 4003", status.NotFound: "NOT_FOUND 404 4004", status.Conflict: "CONFLICT 409 4003",
		status.Gone: "GONE 410 4010", status.TooLarge: "TOO_LARGE 413 1009", status.TooMany: "TOO_MANY 429 4029",
		status.Unavailable: "UNAVAILABLE 503 1011",
	} {
		if got := fmt.Sprint(code, " ", code.HTTP(), " ", code.Close()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if e := status.Errorf(code, "", "x"); e.Reason != code.String() {
			t.Errorf("without a reason it is %s", e.Reason)
		}
	}
}
