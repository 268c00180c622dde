package main

import (
	"testing"
)

// TestLittleSpace is told, and none is not well.
func TestLittleSpace(t *testing.T) {
	for free, want := range map[uint64]struct{ ok, said bool }{
		0: {false, true}, noSpace - 1: {false, true}, noSpace: {true, true}, lowSpace - 1: {true, true}, lowSpace: {true, false},
	} {
		if p := spaceOf(free, nil); p.OK != want.ok || (p.Reason != "") != want.said {
			t.Errorf("%d bytes: %+v", free, p)
		}
	}
}
