// Command bench measures Kabar against the least that a WebSocket server can
// cost, and against libraries that do the same job. README.md says what is
// measured and how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run of the program.
type bench struct {
	// static
	root                 string // of the project
	tmp                  string // on the project's disk: what is measured there is that disk
	quick                bool
	only                 []string
	rounds               int
	serverCore, loadCore int
	readerFlag           bool // wsecho can be told how to read

	friends *people // made when first needed
	report  *Report
	begun   time.Time
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{}
	flag.BoolVar(&b.quick, "quick", false, "three minutes: fewer candidates, one round, no plots")
	flag.IntVar(&b.rounds, "rounds", 0, "how often each candidate has its turn; 0 is 3, and 1 with -quick")
	flag.IntVar(&b.serverCore, "server-core", 0, "the processor of the server under test")
	flag.IntVar(&b.loadCore, "load-core", 1, "the processor of the load")
	only := flag.String("only", "", "some of the measurements, with commas between: "+strings.Join(groups, ", ")+", or the name of one")
	out := flag.String("out", "", "the `file` for the results; results/<date>-<commit>.json, and with -quick or -only tmp/results.json")
	docs := flag.String("docs", "", "the `folder` for the plots; without it none are drawn")
	draw := flag.String("draw", "", "only draw the plots of a `file` with results, into -docs")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if *draw != "" {
		r, err := readReport(*draw)
		if err != nil {
			return err
		}
		return drawAll(r, *docs)
	}
	if *only != "" {
		b.only = strings.Split(*only, ",")
	}
	if b.rounds == 0 {
		b.rounds = 3
		if b.quick {
			b.rounds = 1
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return b.measure(ctx, *out, *docs)
}

// measure does everything: build, run, print, save, draw.
func (b *bench) measure(ctx context.Context, out, docs string) error {
	var err error
	if b.root, err = filepath.Abs(".."); err != nil {
		return err
	}
	if err := os.MkdirAll("tmp", 0o755); err != nil {
		return err
	}
	if b.tmp, err = os.MkdirTemp("tmp", "run-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.tmp)
	if b.tmp, err = filepath.Abs(b.tmp); err != nil {
		return err
	}
	b.begun = time.Now()
	if err := b.build(ctx); err != nil {
		return err
	}
	jobs, err := b.chosen()
	if err != nil {
		return err
	}
	b.report = b.describe(ctx)
	b.rest()
	if err := b.measureDisk(); err != nil {
		return err
	}
	for _, j := range jobs {
		if err := b.runJob(ctx, j); err != nil {
			return err
		}
	}
	if b.wants("go") {
		if err := b.goBenchmarks(ctx); err != nil {
			return err
		}
	}
	b.report.conclude()
	fmt.Print(b.report.text())
	if out == "" {
		out = filepath.Join("tmp", "results.json")
		if !b.quick && b.only == nil {
			out = filepath.Join("results", b.report.Date[:10]+"-"+b.report.Commit+".json")
		}
	}
	if err := b.report.save(out); err != nil {
		return err
	}
	fmt.Printf("\nSaved in %s after %s.\n", out, time.Since(b.begun).Round(time.Second))
	if docs != "" && b.wants("plot") {
		err = drawAll(b.report, docs)
	}
	return errors.Join(err, b.report.failures())
}

// chosen are the jobs that --only leaves.
func (b *bench) chosen() ([]job, error) {
	all := b.jobs()
	for _, name := range b.only {
		if !slices.Contains(groups, name) && !slices.ContainsFunc(all, func(j job) bool { return j.name == name }) {
			return nil, fmt.Errorf("-only %s: there is no such measurement; there are %s", name, strings.Join(groups, ", "))
		}
	}
	return slices.DeleteFunc(all, func(j job) bool { return !b.wants(j.group) && !slices.Contains(b.only, j.name) }), nil
}

func (b *bench) wants(group string) bool { return b.only == nil || slices.Contains(b.only, group) }

// rest says so where processors are missing, which the results cannot show.
func (b *bench) rest() {
	if n := b.report.Machine.Cores; b.serverCore >= n || b.loadCore >= n {
		fmt.Printf("This machine has %d processors: server and load share them, and the ratios say little.\n", n)
		b.serverCore, b.loadCore = -1, -1
	}
}

// say tells who watches how far it is.
func (b *bench) say(format string, args ...any) {
	fmt.Printf("%6s  "+format+"\n", append([]any{time.Since(b.begun).Round(time.Second)}, args...)...)
}

// runJob gives each candidate its turn, as often as there are rounds. One
// that fails is reported, and does not stop the others.
func (b *bench) runJob(ctx context.Context, j job) error {
	rounds := b.rounds
	if j.once {
		rounds = 1
	}
	if j.run == nil {
		j.run = plain
	}
	for round := range rounds {
		for _, who := range j.who {
			v, err := j.run(ctx, b, j, who)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r := Run{Job: j.name, Title: j.title, Candidate: who, Round: round + 1, Values: v}
			if err != nil {
				r.Error = strings.ReplaceAll(strings.TrimSpace(err.Error()), b.root, "…")
				r.Absent = errors.Is(err, errAbsent)
			}
			b.report.Runs = append(b.report.Runs, r)
			b.say("%-14s %d/%d  %-16s %s", j.name, round+1, rounds, who, r.line())
		}
	}
	return nil
}
