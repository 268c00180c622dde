package main

import (
	"fmt"
	"strings"
)

// A Target is a line of the table: what is wanted, and what there is.
type Target struct {
	What, Target, Measured, Ratio, Verdict string
}

// The verdicts.
const (
	met         = "met"
	notMet      = "NOT MET"
	notMeasured = "not measured"
	absent      = "not available"
)

func verdict(ok bool) string {
	if ok {
		return met
	}
	return notMet
}

// conclude fills the table of targets.
func (r *Report) conclude() {
	r.Targets = []Target{
		r.against("delivery, feed gateway, 1,000 subscribers, one at a time", "fan-1000", "kabar", "floor", "cpu_us", 1.10),
		r.against("delivery, feed gateway, 10,000 subscribers, one at a time", "fan-10000", "kabar", "floor", "cpu_us", 1.10),
		r.against("the same, 1,000, saturated (floor joins too)", "joined-1000", "kabar", "floor-joined", "cpu_us", 1.0),
		r.against("the same, 10,000, saturated (floor joins too)", "joined-10000", "kabar", "floor-joined", "cpu_us", 1.0),
		r.against("p99 at 100 broadcasts a second to 1,000", "steady-1000", "kabar", "floor", "p99_us", 1.2),
		r.below("idle session, plain: user memory", "idle", "bytes_each", 800, "B"),
		r.below("idle session, TLS: user memory", "idle-tls", "bytes_each", 12000, "B"),
		r.against("echo, wsecho, saturated", "echo", "wsecho", "floor", "cpu_us", 1.15),
		r.against("upgrade, plain", "accept", "kabar", "floor", "cpu_us", 1.25),
		r.against("upgrade with a one-time code", "accept-code", "kabar", "floor", "cpu_us", 3),
		r.against("echo, wsecho, 40,000 a second", "echo-steady", "wsecho", "floor", "cpu_us", 1.25),
		r.against("the same, p99", "echo-steady", "wsecho", "floor", "p99_us", 1.0),
		r.logAlone(),
		r.pairsPerSecond(),
		r.calmAck(),
		r.unheard(),
		r.goroutines(),
		r.million(),
	}
}

// missing is the line of what has no figure.
func (r *Report) missing(what, target, job string) Target {
	t := Target{What: what, Target: target, Verdict: notMeasured}
	for _, run := range r.Runs {
		switch {
		case run.Job != job || run.Candidate == "floor":
		case run.Absent:
			t.Verdict = absent
		case run.Error != "":
			t.Verdict = "FAILED"
		}
	}
	return t
}

// against wants a figure to be at most so many times the floor's.
func (r *Report) against(what, job, who, base, name string, most float64) Target {
	target := fmt.Sprintf("≤ %.2f × floor", most)
	v, is := r.median(job, who, name)
	ratio, known := r.ratio(job, who, base, name)
	if !is || !known {
		return r.missing(what, target, job)
	}
	measured := fmt.Sprintf("%.2f µs CPU", v)
	if name != "cpu_us" {
		measured = thousands(v) + " µs"
	}
	return Target{what, target, measured, fmt.Sprintf("%.2f ×", ratio), verdict(ratio <= most+0.005)}
}

// below wants a figure of the product to be at most so much.
func (r *Report) below(what, job, name string, most float64, unit string) Target {
	target := fmt.Sprintf("≤ %s %s", thousands(most), unit)
	v, is := r.median(job, "kabar", name)
	if !is {
		return r.missing(what, target, job)
	}
	if n, is := r.median(job, "kabar", "connections"); is {
		what += fmt.Sprintf(" (%s connections)", thousands(n))
	}
	ratio := ""
	if over, is := r.ratio(job, "kabar", "floor", name); is {
		ratio = fmt.Sprintf("%.1f ×", over)
	}
	return Target{what, target, thousands(v) + " " + unit, ratio, verdict(v <= most)}
}

func (r *Report) pairsPerSecond() Target {
	what, target := "direct message, durable and delivered, many pairs", "≥ 40,000/s"
	v, is := r.median("durable", "kabar", "per_s")
	if !is {
		return r.missing(what, target, "durable")
	}
	each, _ := r.median("durable", "kabar", "cpu_us")
	return Target{what, target, thousands(v) + "/s", fmt.Sprintf("%.1f µs CPU", each), verdict(v >= 40000)}
}

func (r *Report) calmAck() Target {
	what, target := "its acknowledgement when calm, p99", "≤ 3 × fdatasync"
	v, is := r.median("durable-calm", "kabar", "ack_p99_us")
	disk := r.Disk["p50_us"]
	if !is || disk == 0 {
		return r.missing(what, target, "durable-calm")
	}
	return Target{what, target, thousands(v) + " µs", fmt.Sprintf("%.2f ×", v/disk), verdict(v <= 3*disk)}
}

// goroutines may grow by a few that have nothing to do with connections.
func (r *Report) goroutines() Target {
	const most = 16
	what, target := "goroutines for idle sessions", "O(1)"
	n, is := r.median("idle", "kabar", "goroutines")
	before, _ := r.median("idle", "kabar", "goroutines_before")
	connections, _ := r.median("idle", "kabar", "connections")
	if !is {
		return r.missing(what, target, "idle")
	}
	return Target{what, target, fmt.Sprintf("%s, %s before", thousands(n), thousands(before)),
		fmt.Sprintf("%.2f each", (n-before)/connections), verdict(n-before <= most)}
}

// logAlone is the fastest of the benchmarks of the log: the one with the most
// publishers.
func (r *Report) logAlone() Target {
	best := 0.0
	for _, g := range r.Go {
		if !strings.HasPrefix(g.Name, "BenchmarkAppend") {
			continue
		}
		rate := 0.0
		if ns := g.first("ns/message", "ns/msg", "ns/op"); ns > 0 {
			rate = 1e9 / ns
		}
		if said := g.first("messages/s", "msgs/s", "msg/s"); said > 0 {
			rate = said
		}
		best = max(best, rate)
	}
	t := Target{What: "log alone, SQLite FULL, many publishers", Target: "≥ 200,000/s", Verdict: notMeasured}
	if best > 0 {
		t.Measured, t.Verdict = thousands(best)+"/s", verdict(best >= 200000)
	}
	return t
}

// unheard is the dearest of its benchmarks.
func (r *Report) unheard() Target {
	t, worst := Target{What: "a message of a topic that nobody hears", Target: "≤ 1 µs", Verdict: notMeasured}, 0.0
	for _, g := range r.Go {
		if strings.HasPrefix(g.Name, "BenchmarkUnheard") || strings.HasSuffix(g.Name, "receivers=0") {
			worst = max(worst, g.Values["ns/op"])
		}
	}
	if worst > 0 {
		t.Measured, t.Verdict = fmt.Sprintf("%.2f µs", worst/1e3), verdict(worst <= 1000)
	}
	return t
}

// connection is what ws holds for an idle connection, in bytes: its Conn, and
// its place in the table. Its own tests count it; the benchmark of the million
// is of what stands above.
const connection = 160 + 8

func (r *Report) million() Target {
	t := Target{What: "1,000,000 idle sessions: user memory", Target: "≤ 0.8 GB", Verdict: notMeasured}
	for _, g := range r.Go {
		if each := g.Values["B/connection"]; each > 0 {
			each += connection
			t.Measured, t.Verdict = fmt.Sprintf("%.2f GB", each*1e6/1e9), verdict(each <= 800)
		}
	}
	return t
}

// first is the first of some values that there is, or 0.
func (g GoBenchmark) first(units ...string) float64 {
	for _, u := range units {
		if v, is := g.Values[u]; is {
			return v
		}
	}
	return 0
}

// thousands writes a number with commas.
func thousands(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
