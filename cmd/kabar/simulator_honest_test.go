//go:build !race

package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/simulator"
)

// enough is how many seeds must suffice to find what is broken on purpose; one
// in three does.
const enough = 60

// TestTheSimulatorFindsALyingDisk: what SQLite was told is synced, and is not,
// is missed after a power cut. synchronous=OFF would come to the same.
func TestTheSimulatorFindsALyingDisk(t *testing.T) {
	start := simulated(t)
	template := simulator.NewTemplate(t, start)
	for seed := range uint64(enough) {
		broken, report := simulator.Run(t, template, start, seed, simulator.Options{Lying: true})
		if strings.HasPrefix(broken, "An acknowledgement means durable.") {
			return
		}
		if broken != "" {
			t.Log(report)
		}
	}
	t.Error("nobody missed anything")
}

// TestTheSimulatorFindsABrokenServer runs it on servers that lack what a
// promise rests on.
func TestTheSimulatorFindsABrokenServer(t *testing.T) {
	for tag, promise := range map[string]string{
		"norecovery": "An acknowledgement means durable.", // the journal forgets what its index lacks
		"nohandover": "Once and in order.",                // the hub loses what is said while somebody catches up
	} {
		t.Run(tag, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-tags", tag, "-run", "TestSimulator$", ".", "-until", promise, "-seeds", "1000").CombinedOutput()
			if err == nil || !strings.Contains(string(out), "breaks a promise:\n") || !strings.Contains(string(out), promise) {
				t.Errorf("a server with the tag %s keeps every promise, or could not be built: %v\n%.3000s", tag, err, out)
			}
		})
	}
}
