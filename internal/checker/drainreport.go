package checker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DrainReport is what came of a Drain.
type DrainReport struct {
	Sessions   int
	Connects   int           // what limit.connects allowed, a second
	Ended      time.Duration // from SIGTERM to the server's end
	Ready      time.Duration // from SIGTERM to another one that is ready
	Window     time.Duration // the longest that somebody was told to stay away
	Back       time.Duration // when the last one was back
	Returned   int           // how many came back
	Late       time.Duration // how much later than told the last one was back
	Peak       int           // the most that the server let in within a second
	Over       int           // how many more than limit.connects allows it let in, in any span
	Unanswered int           // tries while nobody listened
	Refused    int           // tries that were told to come later
	Acked      int           // messages
	Behind     int           // what the slowest session had not heard at the end
	Found      [kinds]int
	Examples   []string
	Memory     string // of the server, with all of them back
}

// report needs mu.
func (d *drain) report() *DrainReport {
	r := d.rep
	r.Sessions, r.Connects, r.Returned = d.o.Sessions, d.o.Connects, len(d.returned)
	r.Window = slices.Max(append(d.told, 0))
	r.Back = slices.Max(append(d.returned, 0))
	r.Late = slices.Max(append(d.late, 0))
	r.Peak, r.Over = d.peak()
	r.Acked = d.acked()
	r.Found, r.Examples = d.found.found, d.found.examples
	return &r
}

// peak is the most that the server let in within a second; over by how many it
// let in more than it may: so many at once, and so many a second.
func (d *drain) peak() (peak, over int) {
	for i, a := range d.counted {
		for _, b := range d.counted[i+1:] {
			n, most := b.n-a.n, b.to.Sub(a.from).Seconds()
			over = max(over, n-int(float64(d.o.Connects)*(1+most))-1)
			if most >= 1 {
				peak = max(peak, int(float64(n)/most))
				break
			}
		}
	}
	return peak, over
}

// lateTime is how late somebody may be: they had to try again, or the machine
// is busy.
const lateTime = 20 * time.Second

// Err is why the run does not pass, nil where it does.
func (r *DrainReport) Err() error {
	var errs []error
	for k := range kinds {
		if n := r.Found[k]; n > 0 {
			errs = append(errs, fmt.Errorf("%d %s", n, k))
		}
	}
	if r.Acked == 0 || r.Returned < r.Sessions {
		errs = append(errs, fmt.Errorf("%d messages were acknowledged, and %d of %d sessions came back", r.Acked, r.Returned, r.Sessions))
	}
	if r.Behind > 0 {
		errs = append(errs, fmt.Errorf("the slowest session lacks %d messages", r.Behind))
	}
	if r.Over > 0 {
		errs = append(errs, fmt.Errorf("%d more were let in than limit.connects allows", r.Over))
	}
	if r.Late > lateTime {
		errs = append(errs, fmt.Errorf("somebody was back %v later than told", r.Late))
	}
	return errors.Join(errs...)
}

// String is the report in lines.
func (r *DrainReport) String() string {
	var b strings.Builder
	ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	fmt.Fprintf(&b, "%d sessions, limit.connects %d/s\n", r.Sessions, r.Connects)
	fmt.Fprintf(&b, "  SIGTERM to the end      %v, exit status 0\n", ms(r.Ended))
	fmt.Fprintf(&b, "  SIGTERM to ready again  %v\n", ms(r.Ready))
	fmt.Fprintf(&b, "  told to be back within  %v\n", ms(r.Window))
	fmt.Fprintf(&b, "  the last was back after %v\n", ms(r.Back))
	fmt.Fprintf(&b, "  the most behind time    %v\n", ms(r.Late))
	fmt.Fprintf(&b, "  let in within a second  %d at the most\n", r.Peak)
	fmt.Fprintf(&b, "  tries unanswered        %d, told to come later %d\n", r.Unanswered, r.Refused)
	fmt.Fprintf(&b, "  messages acknowledged   %d; lost %d, doubled %d, swapped %d, other %d\n", r.Acked, r.Found[Lost], r.Found[Doubled], r.Found[Swapped], r.Found[Other])
	fmt.Fprintf(&b, "  the server's memory     %s\n", r.Memory)
	for _, e := range r.Examples {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	return b.String()
}
