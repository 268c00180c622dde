package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/kabar-io/kabar/internal/config"
	"github.com/kabar-io/kabar/internal/simulator"
)

var (
	simSeed  = flag.Uint64("seed", 0, "TestSimulator: run this seed alone")
	simTries = flag.Int("tries", 1, "TestSimulator: how often to run each seed")
	simSeeds = flag.Int("seeds", 10, "TestSimulator: how many seeds to run")
	simFirst = flag.Uint64("first", 1, "TestSimulator: the first of them; 0 is any")
	simUntil = flag.String("until", "", "TestSimulator: end with the first seed that breaks the promise that begins so")
	simTrace = flag.Int("trace", 60, "TestSimulator: how many lines to tell of what happened before a failure")
	simTime  = flag.Duration("time", 0, "TestSimulator: run seeds for so long, instead of a number")
)

// settings are those of a server whose limits in time and size are small, so
// that they are met.
const settings = "serve --limits off --keepalive-ping 2s --keepalive-dead 6s --session-stall 3s --session-queue 4KiB" +
	" --hub-ring 16KiB --feed-history 20 --shutdown-window 2s --outbound-allow 10.0.0.0/8 --canary-every 0s" +
	" --lifecycle-settle 500ms --lifecycle-return 2s --retention-inbox 100h --retention-feed 100h --retention-instance 100h"

// simulated starts servers that are as for use, on machines that do not exist.
func simulated(t *testing.T) simulator.Start {
	t.Helper()
	var c cli
	_, err := config.Load(&c, config.Input{Args: strings.Fields(settings), Stdout: io.Discard, Stderr: io.Discard},
		kong.Name("kabar"), kong.BindTo(t.Context(), (*context.Context)(nil)), kong.BindTo(io.Discard, (*io.Writer)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, m simulator.Machine) (func(context.Context) error, error) {
		own := c.Serve.Config
		own.Listen, own.Data = nil, m.Folder
		if m.Seed%2 == 0 {
			own.Hub.Ring = 0 // whoever is behind reads the disk
		}
		s := &server{c: &own, log: slog.New(slog.DiscardHandler)}
		s.dial = m.Dial
		if _, err := s.open(ctx); err != nil {
			return nil, err
		}
		s.listeners = []net.Listener{m.Listener}
		return s.run, nil
	}
}

// TestSimulator holds the server to its promises, a seed at a time. One that
// fails is run again with -seed; what its seed does not decide is how
// goroutines take turns, and so -tries may be needed.
func TestSimulator(t *testing.T) {
	start := simulated(t)
	template := simulator.NewTemplate(t, start)
	first, n := *simFirst, *simSeeds
	switch {
	case *simSeed != 0:
		first, n = *simSeed, 1
	case first == 0:
		first = uint64(time.Now().UnixMilli()) * 1000
	}
	began := time.Now()
	var found atomic.Bool
	for done := 0; !found.Load() && (*simTime > 0 && time.Since(began) < *simTime || done < n && *simTime == 0); {
		some := min(100, n-done)
		if *simTime > 0 {
			some = 100
		}
		t.Run(fmt.Sprint("from ", first), func(t *testing.T) {
			for i := range some {
				seed := first + uint64(i)
				t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
					t.Parallel()
					for range *simTries {
						if found.Load() {
							return
						}
						broken, report := simulator.Run(t, template, start, seed, simulator.Options{Trace: *simTrace})
						if broken != "" && *simUntil != "" && !strings.HasPrefix(broken, *simUntil) {
							return
						}
						if broken != "" {
							found.Store(*simUntil != "")
							t.Errorf("%s\nAgain: go test ./cmd/kabar -run 'TestSimulator$' -seed %d -tries 20", report, seed)
							return
						}
						t.Log(report)
					}
				})
			}
		})
		done, first = done+some, first+uint64(some)
		t.Logf("%d seeds in %v", done, time.Since(began).Round(time.Millisecond))
	}
}
