package main

import (
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/load"
)

// benchShow tells on the way how a load is going: on a terminal in one line
// that is written over, else in a line a second.
type benchShow struct {
	// static
	out  io.Writer
	o    load.Options
	over bool
	// owned by whoever calls, one after another
	doing string
	shown bool
}

func newBenchShow(out io.Writer, o load.Options) *benchShow {
	return &benchShow{out: out, o: o, over: terminal(out)}
}

// benchWords are what clients are and what they say, for each gateway.
var benchWords = map[string]struct{ clients, messages string }{
	"feed":   {"listeners", "lines"},
	"direct": {"people in pairs", "messages"},
	"events": {"listeners", "events"},
	"relay":  {"people in pairs", "frames"},
	"bot":    {"connections", "frames"},
}

func benchPlan(gateway, address string, clients int, rate float64, size int, duration, warmup time.Duration) string {
	host := address
	if u, err := url.Parse(address); err == nil {
		host = u.Host
	}
	w := benchWords[gateway]
	plan := fmt.Sprintf("%s at %s · %s %s · %s %s/s of %d bytes · %s", gateway, host, grouped(float64(clients)), w.clients, grouped(rate), w.messages, size, spell(duration))
	if warmup > 0 {
		plan += fmt.Sprintf(", the first %s not measured", spell(warmup))
	}
	return plan
}

// begin says what will be done, and to which host.
func (s *benchShow) begin() error {
	_, err := fmt.Fprintln(s.out, benchPlan(s.o.Gateway, s.o.URL, s.o.Clients, s.o.Rate, s.o.Size, s.o.Duration, s.o.Warmup))
	return err
}

func (s *benchShow) progress(p load.Progress) {
	if p.Doing != s.doing {
		s.end() // the last line of a step stays
	}
	s.doing = p.Doing
	line := benchLine(p, s.o.Duration)
	if s.over {
		// What does not fit is cut off: a line that wraps could not be written over.
		_, _ = fmt.Fprintf(s.out, "\r\x1b[K\x1b[?7l%s\x1b[?7h", line)
	} else {
		_, _ = fmt.Fprintln(s.out, line)
	}
	s.shown = true
}

// end leaves the line.
func (s *benchShow) end() {
	if s.shown && s.over {
		_, _ = fmt.Fprintln(s.out)
	}
	s.shown = false
}

func benchLine(p load.Progress, of time.Duration) string {
	if p.Phase != load.Loading {
		return fmt.Sprintf("  %-16s %s of %s%s", p.Doing, count(int64(p.Done)), count(int64(p.Total)), troubles(p.Errors))
	}
	at := "waiting" // for what is on its way
	if p.Elapsed < of+time.Second {
		at = fmt.Sprintf("%s of %s", spell(min(p.Elapsed, of).Round(time.Second)), spell(of))
	}
	// As wide as a terminal of 80 columns, but for the errors.
	line := fmt.Sprintf("  %-10s %6s open %6s sent/s %9s recv/s", at, count(int64(p.Connected)), count(int64(p.Sent+0.5)), count(int64(p.Received+0.5)))
	if p.P50 > 0 {
		line += fmt.Sprintf("  p50 %s  p99 %s ms", ms(float64(p.P50)/1e6), ms(float64(p.P99)/1e6))
	}
	return line + troubles(p.Errors)
}

func troubles(n int64) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "  1 error"
	}
	return "  " + count(n) + " errors"
}

// benchSummary is what came of it, for people.
func benchSummary(r *load.Report) string {
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "  %-14s %s\n", what, fmt.Sprintf(format, args...))
	}
	seconds := func(s float64) time.Duration {
		return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond)
	}
	fmt.Fprintf(&b, "\n%s\n", benchPlan(r.Gateway, r.URL, r.Clients, r.Rate, r.Size, seconds(r.Duration), seconds(r.Warmup)))
	if r.Early {
		b.WriteString("ended early, by whoever started it")
		if r.Duration <= r.Warmup {
			b.WriteString("; it was not measured yet")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	c, m := r.Connect, r.Messages
	row("connected", "%12s   of %s, in %s", count(int64(c.Connected)), count(int64(r.Clients)), spell(seconds(c.Took)))
	row("sent", "%12s   %s/s acknowledged", count(m.Sent), grouped(r.PerSecond.Acknowledged))
	row("delivered", "%12s   %s/s", count(m.Delivered), grouped(r.PerSecond.Delivered))
	row("missing", "%12s", count(m.Missing))
	for _, extra := range []struct {
		what  string
		n     int64
		means string
	}{
		{"repeated", m.Repeated, "came again after a reconnection, and were passed over"},
		{"unanswered", m.Unacknowledged, "were sent, and the server did not say what became of them"},
		{"refused", m.Refused, "were not taken by the server"},
		{"not sent", m.NotSent, "were due, and their sender was not connected or held up"},
		{"reconnected", c.Again, ""},
	} {
		if extra.n > 0 {
			b.WriteString(strings.TrimRight(fmt.Sprintf("  %-14s %12s   %s", extra.what, count(extra.n), extra.means), " ") + "\n")
		}
	}
	fmt.Fprintf(&b, "\n  %-14s%10s%10s%10s%10s%10s\n", "milliseconds", "p50", "p90", "p99", "p99.9", "max")
	for _, t := range []struct {
		what string
		of   *load.Times
	}{{"connecting", c.Times}, {"acknowledged", r.Ack}, {"delivered", r.Delivery}, {"round trip", r.RoundTrip}} {
		if t.of != nil {
			fmt.Fprintf(&b, "  %-14s%10s%10s%10s%10s%10s\n", t.what, ms(t.of.P50), ms(t.of.P90), ms(t.of.P99), ms(t.of.P999), ms(t.of.Max))
		}
	}
	reasons(&b, "refused connections", c.Refused)
	reasons(&b, "closed connections", c.Closes)
	reasons(&b, "messages not taken or not sent", r.Errors)
	benchRemarks(&b, r)
	return b.String()
}

// benchRemarks is what else there is to know.
func benchRemarks(b *strings.Builder, r *load.Report) {
	b.WriteString("\n")
	if h := r.Hint(); h != "" {
		fmt.Fprintf(b, "  what to do: %s\n", h)
	}
	if r.Load.Busy > 0 {
		fmt.Fprintf(b, "  the load itself took %.1f of the %d processors here", r.Load.Busy, r.Load.Processors)
		if r.Load.Busy > 0.4*float64(r.Load.Processors) {
			b.WriteString(":\n  what is measured is this machine's share in it, too; for the server's own, start it from another one")
		}
		b.WriteString("\n")
	}
	for _, l := range r.Left {
		fmt.Fprintf(b, "  left behind: %s\n", l)
	}
}

func reasons(b *strings.Builder, title string, of map[string]int64) {
	if len(of) == 0 {
		return
	}
	fmt.Fprintf(b, "\n  %s\n", title)
	sorted := slices.SortedFunc(maps.Keys(of), func(x, y string) int { return int(of[y] - of[x]) })
	for _, reason := range sorted {
		fmt.Fprintf(b, "  %12s  %s\n", count(of[reason]), reason)
	}
}

// ms is a number of milliseconds with as many digits as tell something.
func ms(v float64) string {
	switch {
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return grouped(v)
}

func count(n int64) string { return grouped(float64(n)) }

// grouped is a number with its thousands apart, and a digit behind the point
// where it is small and has one.
func grouped(v float64) string {
	if v < 100 && v != float64(int64(v)) {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	text := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// spell writes 30s and 1m30s as people do.
func spell(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
