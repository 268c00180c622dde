package likeness_test

import (
	"testing"

	"github.com/kabar-io/kabar/internal/likeness"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"feed", "Feed", 0},
		{"message", "massage", 1},
		{"evnet", "event", 1}, // two that changed places
		{"listen", "lisen", 1},
		{"kitten", "sitting", 3},
	} {
		if got := likeness.Distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d", c.a, c.b, got)
		}
		if got := likeness.Distance(c.b, c.a); got != c.want {
			t.Errorf("%q to %q: %d", c.b, c.a, got)
		}
	}
}
