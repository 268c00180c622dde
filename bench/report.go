package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Report is everything that came out, as it is saved.
type Report struct {
	Date, Commit string
	Changed      bool // the tree was not exactly the commit
	Quick        bool
	Rounds       int
	Machine      Machine
	Disk         Values
	Targets      []Target
	Runs         []Run
	Go           []GoBenchmark
}

// Machine is where it was measured.
type Machine struct {
	CPU, Kernel, Go, Compiler string
	Cores                     int
}

// Run is one candidate's turn. All values are numbers: µs, kB, counts.
type Run struct {
	Job, Title, Candidate string
	Round                 int
	Values                Values `json:",omitempty"`
	Error                 string `json:",omitempty"`
	Absent                bool   `json:",omitempty"`
}

// line is a run while one watches.
func (r Run) line() string {
	if r.Error != "" {
		return "FAILED: " + r.Error
	}
	v := r.Values
	var parts []string
	say := func(name, format string) {
		if n, is := v[name]; is {
			parts = append(parts, fmt.Sprintf(format, n))
		}
	}
	say("cpu_us", "%.2f µs")
	say("per_s", "%.0f/s")
	say("p99_us", "p99 %.0f µs")
	say("ack_p99_us", "ack p99 %.0f µs")
	say("delivery_p99_us", "delivery p99 %.0f µs")
	say("bytes_each", "%.0f B each")
	say("goroutines", "%.0f goroutines")
	say("back_s", "all back in %.2f s")
	say("refusals", "%.0f refused")
	say("stalls", "%.0f stalled")
	say("server_busy", "server %.2f")
	say("load_busy", "load %.2f")
	if v["others_busy"] > disturbing {
		say("others_busy", "DISTURBED by others: %.2f")
	}
	return strings.Join(parts, ", ")
}

// disturbing is how much of the two processors others may have had.
const disturbing = 0.1

// rounds are what a candidate's rounds gave, by number.
func (r *Report) rounds(job, who, name string) map[int]float64 {
	found := map[int]float64{}
	for _, run := range r.Runs {
		if v, is := run.Values[name]; is && run.Job == job && run.Candidate == who && run.Error == "" {
			found[run.Round] = v
		}
	}
	return found
}

// median is that of a candidate's rounds.
func (r *Report) median(job, who, name string) (float64, bool) {
	var all []float64
	for _, v := range r.rounds(job, who, name) {
		all = append(all, v)
	}
	return median(all)
}

// ratio is the median of what a candidate has for what the floor has in the same
// round: what disturbs the machine disturbs neighbours in time alike.
func (r *Report) ratio(job, who, base, name string) (float64, bool) {
	below := r.rounds(job, base, name)
	var all []float64
	for round, v := range r.rounds(job, who, name) {
		if d := below[round]; d > 0 {
			all = append(all, v/d)
		}
	}
	return median(all)
}

func median(all []float64) (float64, bool) {
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2, true
}

func (r *Report) save(file string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

func readReport(file string) (*Report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	return r, json.Unmarshal(b, r)
}

// failures are the runs that gave nothing.
func (r *Report) failures() error {
	var all []error
	for _, run := range r.Runs {
		if run.Error != "" && !run.Absent {
			all = append(all, fmt.Errorf("%s, %s, round %d failed: %s", run.Job, run.Candidate, run.Round, run.Error))
		}
	}
	return errors.Join(all...)
}

// text is the table of targets, and what everybody needs.
func (r *Report) text() string {
	w := &strings.Builder{}
	m := r.Machine
	fmt.Fprintf(w, "\nKabar %s, %s. %s, %d cores, Linux %s, %s. fdatasync p50 %.0f µs.\n\n", r.Commit, r.Date[:10], m.CPU, m.Cores, m.Kernel, m.Go, r.Disk["p50_us"])
	rows := [][]string{{"", "target", "measured", "ratio", ""}}
	for _, t := range r.Targets {
		rows = append(rows, []string{t.What, t.Target, t.Measured, t.Ratio, t.Verdict})
	}
	writeRows(w, rows)
	disturbed := 0
	var jobs []string
	for _, run := range r.Runs {
		if run.Values["others_busy"] > disturbing {
			disturbed++
		}
		if _, is := run.Values[headline(run.Job)]; is && !slices.Contains(jobs, run.Job) {
			jobs = append(jobs, run.Job)
		}
	}
	if disturbed > 0 {
		fmt.Fprintf(w, "\nIn %d of %d runs other programs took more than %.0f %% of a processor from those measured: the figures are not to be trusted.\n",
			disturbed, len(r.Runs), disturbing*100)
	}
	for _, j := range jobs {
		r.compare(w, j)
	}
	r.hardship(w)
	return w.String()
}

// hardship writes what has figures of its own: lost sessions coming back,
// and readers that do not read.
func (r *Report) hardship(w *strings.Builder) {
	for _, run := range r.Runs {
		v := run.Values
		switch {
		case v == nil:
		case run.Job == "storm":
			fmt.Fprintf(w, "\n%s, %s: all back in %.2f s (p50 %.2f s), %.0f missing, %.0f refused; memory %.1f MB before, %.1f MB at the most",
				run.Title, run.Candidate, v["back_s"], v["back_p50_us"]/1e6, v["missing"], v["refusals"], v["rss_calm_kb"]/1024, v["peak_kb"]/1024)
		case run.Job == "slow":
			fmt.Fprintf(w, "\n%s: p99 %.1f ms, %.1f ms in peace; memory %.1f MB, %.1f MB in peace; %.0f closed with 4008, %.0f readers left",
				run.Title, v["p99_us"]/1e3, v["calm_p99_us"]/1e3, v["peak_kb"]/1024, v["rss_calm_kb"]/1024, v["closed_4008"], v["readers_open"])
		}
	}
	fmt.Fprintln(w)
}

// headline is the figure by which a job is compared.
func headline(job string) string {
	if strings.HasPrefix(job, "idle") {
		return "bytes_each"
	}
	return "cpu_us"
}

// compare writes a job's candidates beside each other.
func (r *Report) compare(w *strings.Builder, job string) {
	var who []string
	title := ""
	for _, run := range r.Runs {
		if run.Job == job && !slices.Contains(who, run.Candidate) {
			who, title = append(who, run.Candidate), run.Title
		}
	}
	name := headline(job)
	unit := "CPU µs each"
	if name == "bytes_each" {
		unit = "bytes each"
	}
	rows := [][]string{{"", unit, "ratio", "per second", "p99 µs", "a read", "server busy", "load busy"}}
	for _, c := range who {
		row := []string{c}
		say := func(format, name string) {
			v, is := r.median(job, c, name)
			if !is {
				row = append(row, "")
				return
			}
			row = append(row, fmt.Sprintf(format, v))
		}
		if name == "cpu_us" {
			say("%.2f", name)
		} else {
			say("%.0f", name)
		}
		ratio, is := r.ratio(job, c, who[0], name)
		row = append(row, "")
		if is {
			row[2] = fmt.Sprintf("%.2f ×", ratio)
		}
		say("%.0f", "per_s")
		say("%.0f", "p99_us")
		say("%.1f", "per_read")
		say("%.2f", "server_busy")
		say("%.2f", "load_busy")
		rows = append(rows, row)
	}
	fmt.Fprintf(w, "\n%s (%s)\n", title, job)
	writeRows(w, rows)
}

// writeRows aligns columns, the first to the left and the others to the right.
func writeRows(w *strings.Builder, rows [][]string) {
	width := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-len([]rune(cell)))
			if i == 0 {
				line.WriteString(cell + pad)
			} else {
				line.WriteString("  " + pad + cell)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}
