package load

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is what came of a run. As JSON its names stay as they are; times are
// in the unit that their names end with.
type Report struct {
	Gateway   string  `json:"gateway"`
	URL       string  `json:"url"`
	Clients   int     `json:"clients"`
	Rate      float64 `json:"rate"` // asked for, messages a second
	Size      int     `json:"size_bytes"`
	Duration  float64 `json:"duration_s"` // of the load, as long as it was
	Warmup    float64 `json:"warmup_s"`
	Early     bool    `json:"ended_early"`
	Connect   Connect `json:"connections"`
	Messages  Counts  `json:"messages"`
	PerSecond Rates   `json:"per_second"`
	// Times from when a message was due. Ack is until its sender had the server's
	// answer, Delivery until a receiver had it, RoundTrip until its sender had a
	// bot's answer, which is both; those that a gateway does not have are null.
	Ack       *Times           `json:"ack_ms"`
	Delivery  *Times           `json:"delivery_ms"`
	RoundTrip *Times           `json:"round_trip_ms"`
	Errors    map[string]int64 `json:"errors"` // messages that were not sent or not taken, by reason
	Load      Own              `json:"bench"`
	Left      []string         `json:"left_behind"`
}

// Connect is about the connections.
type Connect struct {
	Connected int              `json:"connected"` // clients that were connected once
	Took      float64          `json:"took_s"`    // from the first to the last
	Times     *Times           `json:"ms"`        // of one, with the one-time code where there is one
	Refused   map[string]int64 `json:"refused"`   // tries, by reason
	Closes    map[string]int64 `json:"closed"`    // during the run, by code
	Again     int64            `json:"reconnected"`
}

// Counts are of messages.
type Counts struct {
	Sent           int64 `json:"sent"`
	Acknowledged   int64 `json:"acknowledged"`
	Refused        int64 `json:"refused"`        // the server said no
	Unacknowledged int64 `json:"unacknowledged"` // it did not say anything
	NotSent        int64 `json:"not_sent"`       // due, but their sender was not connected or held up
	Expected       int64 `json:"expected"`       // deliveries: of what was acknowledged, to everybody who is to hear it
	Delivered      int64 `json:"delivered"`
	Missing        int64 `json:"missing"`
	Repeated       int64 `json:"repeated"`
}

// Rates are messages a second, without the warm-up.
type Rates struct {
	Acknowledged float64 `json:"acknowledged"`
	Delivered    float64 `json:"delivered"`
}

// Times are percentiles, in milliseconds.
type Times struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Own is what the load itself took of this machine.
type Own struct {
	Busy       float64 `json:"busy_processors"` // while it sent messages
	Processors int     `json:"processors"`
}

func times(h *histogram) *Times {
	c := h.read()
	if c.total == 0 {
		return nil
	}
	ms := func(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / float64(time.Millisecond) }
	return &Times{ms(c.at(0.5)), ms(c.at(0.9)), ms(c.at(0.99)), ms(c.at(0.999)), ms(c.most)}
}

func (r *run) report(left []string, early bool) *Report {
	t := r.tally
	took := (r.ended - r.began).Seconds()
	short := func(v float64) float64 { return math.Round(v*1000) / 1000 }
	out := &Report{
		Gateway: r.o.Gateway, URL: r.server.base, Clients: r.o.Clients, Rate: r.o.Rate, Size: r.o.Size,
		Duration: short(took), Warmup: r.o.Warmup.Seconds(), Early: early,
		Connect: Connect{
			Took: short(r.joinTime.Seconds()), Times: times(&t.connect), Again: t.rejoined.Load(),
			Refused: t.refusals.noted(), Closes: t.closes.noted(),
		},
		Messages: Counts{
			Sent: t.sent.Load(), Acknowledged: t.acked.Load(), Refused: t.refused.Load(), NotSent: t.unsent.Load(),
			Delivered: t.delivered.Load(), Missing: t.missing(), Repeated: t.repeated.Load(),
		},
		Errors: t.errors.noted(), Load: Own{Processors: runtime.NumCPU()}, Left: append([]string{}, left...),
	}
	for _, c := range r.counted {
		if c.joined.Load() {
			out.Connect.Connected++
		}
	}
	m := &out.Messages
	m.Unacknowledged = max(m.Sent-m.Acknowledged-m.Refused, 0)
	m.Expected = m.Acknowledged * t.hearers.Load()
	if measured := took - r.o.Warmup.Seconds(); measured > 0 {
		until := max(r.ended, time.Duration(t.measured.last.Load())) - r.began - r.o.Warmup
		out.PerSecond = Rates{short(float64(t.measured.acked.Load()) / measured), short(float64(t.measured.heard.Load()) / until.Seconds())}
		out.Load.Busy = short(r.worked.Seconds() / took)
	}
	if r.o.Gateway == "bot" {
		out.RoundTrip = times(&t.measured.arrival)
	} else {
		out.Ack, out.Delivery = times(&t.measured.ack), times(&t.measured.arrival)
	}
	return out
}

// Err says what is wrong with what came of a run: nobody was connected, nothing
// was taken, or messages are missing, or more than a tenth could not be sent.
func (r *Report) Err() error {
	m := r.Messages
	switch {
	case r.Connect.Connected == 0 && !r.Early:
		return fmt.Errorf("nobody could connect: %s%s", most(r.Connect.Refused), hint(r.Gateway, r.Connect.Refused))
	case m.Acknowledged == 0 && !r.Early:
		return fmt.Errorf("no message was taken: %s%s", most(r.Errors), hint(r.Gateway, r.Errors))
	case m.Missing > 0:
		return fmt.Errorf("%d of %d deliveries are missing", m.Missing, m.Expected)
	case m.NotSent > m.Sent/10 && !r.Early:
		return fmt.Errorf("%d of %d messages could not be sent when they were due: %s", m.NotSent, m.NotSent+m.Sent, most(r.Errors))
	}
	return nil
}

// most is the most frequent reason.
func most(of map[string]int64) string {
	best := "for no reason that anybody said"
	for _, reason := range slices.Sorted(maps.Keys(of)) {
		if of[reason] > of[best] {
			best = reason
		}
	}
	return best
}

// hints say what to do about what is refused, by a part of the reason.
var hints = []struct{ gateway, part, do string }{
	{"feed", "NOT_ALLOWED", "who may speak on the feed is set by feed.publish: for this, accounts or anyone"},
	{"", "429", "the server bounds the connections of one address: raise limit.connections, or start it with --limits off"},
	{"", "503", "the server lets in so many a second (limit.connects), and the others when it said: a lower --connect-rate is not refused"},
	{"", "4029", "so many frames of one connection are over limit.frames: take more clients, or start it with --limits off"},
	{"", "4010", "they were further behind than the server keeps, which feed.history is for the feed"},
	{"", "4008", "they took too long over what was sent to them: this machine or the network is too slow for that rate"},
}

func hint(gateway string, reasons ...map[string]int64) string {
	for _, h := range hints {
		for _, of := range reasons {
			for reason := range of {
				if (h.gateway == "" || h.gateway == gateway) && strings.Contains(reason, h.part) {
					return "; " + h.do
				}
			}
		}
	}
	return ""
}

// Hint is what to do about what did not go well, "" for nothing to say.
func (r *Report) Hint() string {
	return strings.TrimPrefix(hint(r.Gateway, r.Connect.Refused, r.Connect.Closes, r.Errors), "; ")
}

var errLimits = errors.New("the server makes only so many accounts and logins for one address in a time (limit.registrations, limit.logins): start it with --limits off for this, or take fewer --clients")
