package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLoadAgainstFloor puts the real floor under the real load.
func TestLoadAgainstFloor(t *testing.T) {
	b := &bench{root: t.TempDir(), tmp: t.TempDir(), serverCore: -1, loadCore: -1}
	sources, err := filepath.Glob("load/*.c")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(b.root, "bench", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ASAN_OPTIONS", "detect_leaks=0") // what is left at the end of a run is given back by the kernel
	for name, from := range map[string][]string{"floor": {"floor/floor.c"}, "load": sources} {
		args := append([]string{"-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-o", filepath.Join(bin, name)}, from...)
		if out, err := exec.CommandContext(t.Context(), "gcc", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	short := []string{"--secs", "0.3", "--warm", "0.1", "--settle", "0.1"}
	for name, c := range map[string]struct {
		who  string
		args []string
		want []string // numbers that must be above zero
	}{
		"fan":       {"floor", []string{"--mode", "fan", "--n", "20"}, []string{"messages", "p50_us"}},
		"joined":    {"floor-joined", []string{"--mode", "fan", "--n", "20", "--window", "32"}, []string{"messages", "p50_us"}},
		"large":     {"floor", []string{"--mode", "fan", "--n", "5", "--size", "200000", "--window", "4"}, []string{"messages", "p50_us"}},
		"steady":    {"floor", []string{"--mode", "fan", "--n", "20", "--rate", "100"}, []string{"messages", "p50_us"}},
		"echo":      {"floor", []string{"--mode", "echo", "--n", "20", "--depth", "4"}, []string{"messages", "p50_us"}},
		"echoes":    {"floor", []string{"--mode", "echo", "--n", "20", "--rate", "500"}, []string{"messages", "p50_us"}},
		"smallest":  {"floor", []string{"--mode", "echo", "--n", "1", "--size", "1"}, []string{"messages", "p50_us"}},
		"long echo": {"floor", []string{"--mode", "echo", "--n", "3", "--size", "150000"}, []string{"messages", "p50_us"}},
		"accept":    {"floor", []string{"--mode", "accept", "--inflight", "8"}, []string{"messages", "p50_us"}},
		"storm":     {"floor", []string{"--mode", "storm", "--n", "200"}, []string{"back_s", "back_p50_us"}},
		"slow":      {"floor", []string{"--mode", "slow", "--n", "10", "--more", "3", "--rate", "100"}, []string{"messages", "calm_p50_us", "readers_open"}},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := b.on(t.Context(), c.who, setup{}, func(s *server) (Values, error) {
				return b.load(t.Context(), s, slices.Concat(c.args, short)...)
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if v[want] <= 0 {
					t.Errorf("%s is %v: %v", want, v[want], v)
				}
			}
			if v["broken"] > 0 || v["missing"] > 0 {
				t.Errorf("connections broke: %v", v)
			}
		})
	}
	t.Run("idle", func(t *testing.T) {
		v, err := holding(t.Context(), b, job{args: []string{"--mode", "idle", "--n", "50", "--settle", "0.1"}}, "floor")
		if err != nil {
			t.Fatal(err)
		}
		if v["connections"] != 50 {
			t.Errorf("50 connections are %v", v)
		}
	})
}

func TestRatioIsOfTheSameRound(t *testing.T) {
	r := &Report{}
	for round, v := range [][2]float64{{1, 2}, {10, 30}, {100, 110}} {
		for i, who := range []string{"floor", "kabar"} {
			r.Runs = append(r.Runs, Run{Job: "fan-1000", Candidate: who, Round: round, Values: Values{"cpu_us": v[i]}})
		}
	}
	r.Runs = append(r.Runs, Run{Job: "fan-1000", Candidate: "kabar", Round: 3, Error: "it broke"})
	if got, is := r.ratio("fan-1000", "kabar", "floor", "cpu_us"); !is || got != 2 {
		t.Errorf("the ratio is %v, not the median of 2, 3 and 1.1", got)
	}
	for most, want := range map[float64]string{1.9: notMet, 2: met} {
		if got := r.against("x", "fan-1000", "kabar", "floor", "cpu_us", most).Verdict; got != want {
			t.Errorf("at most %v: %q, not %q", most, got, want)
		}
	}
	if err := r.failures(); err == nil || !strings.Contains(err.Error(), "it broke") {
		t.Errorf("a failure is not told: %v", err)
	}
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	r := &Report{Runs: []Run{
		{Job: "idle-tls", Candidate: "kabar", Error: "no", Absent: true},
		{Job: "accept", Candidate: "kabar", Error: "no"},
	}}
	r.conclude()
	got := map[string]int{}
	for _, target := range r.Targets {
		got[target.Verdict]++
	}
	if got[absent] != 1 || got["FAILED"] != 1 || got[notMeasured] != len(r.Targets)-2 {
		t.Errorf("verdicts: %v", got)
	}
}

func TestGoBenchmarksAreRead(t *testing.T) {
	all := parseGo("goos: linux\npkg: example.com/log\nBenchmarkAppend/publishers=1-2   100   250000 ns/op\t4000 msgs/s   12 B/op\n" +
		"BenchmarkAppend/publishers=1000-2   \t 100\t 3000 ns/op   330000 msgs/s\nPASS\n")
	if len(all) != 2 || all[0].Name != "BenchmarkAppend/publishers=1" || all[0].Package != "example.com/log" {
		t.Fatalf("read %v", all)
	}
	if got := (&Report{Go: all}).logAlone(); got.Measured != "330,000/s" || got.Verdict != met {
		t.Errorf("the log alone: %v", got)
	}
}

func TestPlotsAreXML(t *testing.T) {
	c := chart{title: "a < b & c", x: "n", points: plotConnections, series: []series{{"floor", []int{1, 19000}, []float64{0.95, 4}}, {"kabar", []int{10}, []float64{31}}}}
	if low, high := c.bounds(); low != 0.5 || high != 50 {
		t.Errorf("0.95 to 31 lies between %v and %v, not 0.5 and 50", low, high)
	}
	d := xml.NewDecoder(bytes.NewReader([]byte(c.svg())))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.4: "1,234,567", -2009: "-2,009", -100: "-100"} {
		if got := thousands(v); got != want {
			t.Errorf("%v is %s, not %s", v, got, want)
		}
	}
}
