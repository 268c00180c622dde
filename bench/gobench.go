package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A GoBenchmark is one line of go test -bench.
type GoBenchmark struct {
	Package, Name string
	Values        Values // by unit
}

// goJobs are the benchmarks of the product that have a line in the table.
var goJobs = []struct{ pkg, bench string }{
	{"./internal/journal", "^BenchmarkAppend$"},
	{"./internal/hub", "^BenchmarkUnheard$|^BenchmarkFanOut$/receivers=0$"},
	{"./internal/gateway/feed", "^BenchmarkIdle$/connections=1000000$"},
}

// goBenchmarks runs them; one that is not there yet has no line.
func (b *bench) goBenchmarks(ctx context.Context) error {
	for _, j := range goJobs {
		ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", j.bench, "-benchmem", j.pkg)
		// Benchmarks that write do it on the project's disk too.
		cmd.Dir, cmd.Env = b.root, append(os.Environ(), "TMPDIR="+b.tmp)
		out, err := cmd.CombinedOutput()
		cancel()
		found := parseGo(string(out))
		b.report.Go = append(b.report.Go, found...)
		if err != nil {
			b.report.Runs = append(b.report.Runs, Run{Job: "go " + j.pkg, Title: "go test -bench '" + j.bench + "' " + j.pkg, Candidate: "kabar", Error: lastLines(string(out), 5)})
		}
		for _, g := range found {
			b.say("%s %s %v", g.Package, g.Name, map[string]float64(g.Values))
		}
	}
	return nil
}

var (
	goLine = regexp.MustCompile(`(?m)^(Benchmark\S+)\s+\d+\s+(.+)$`)
	goPkg  = regexp.MustCompile(`(?m)^pkg: (\S+)$`)
	cpus   = regexp.MustCompile(`-\d+$`)
)

// parseGo reads what go test prints of one package.
func parseGo(out string) []GoBenchmark {
	var all []GoBenchmark
	pkg := ""
	if m := goPkg.FindStringSubmatch(out); m != nil {
		pkg = m[1]
	}
	for _, m := range goLine.FindAllStringSubmatch(out, -1) {
		g := GoBenchmark{Package: pkg, Name: cpus.ReplaceAllString(m[1], ""), Values: Values{}}
		f := strings.Fields(m[2])
		for i := 0; i+1 < len(f); i += 2 {
			if n, err := strconv.ParseFloat(f[i], 64); err == nil {
				g.Values[f[i+1]] = n
			}
		}
		all = append(all, g)
	}
	return all
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
