package events

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/ws"
)

// stamp is how times stand on the wire: RFC 3339, UTC, milliseconds.
const stamp = "2006-01-02T15:04:05.000Z"

// shape is what of an event is written.
type shape byte

const (
	envelope shape = iota
	raw
	cloudEvents
)

var shapes = map[string]shape{"": envelope, "envelope": envelope, "raw": raw, "cloudevents": cloudEvents}

// Format writes an instance's events as one subscriber asked for them.
type Format struct {
	names string // ",a,b," in order; those that may be heard
	shape shape
	sse   bool
	apart bool   // out of its place: as a position of SSE it would pass over others
	epoch string // of the positions
	tell  bool   // frames carry the epoch
}

// namesOf is the set of names as a Format holds it.
func namesOf(names []string) string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	return "," + strings.Join(names, ",") + ","
}

// FormatOf writes the events of these names, as who asks for nothing else hears them.
func FormatOf(names ...string) Format { return Format{names: namesOf(names)} }

func (f Format) wants(name string) bool {
	return strings.Contains(f.names, ","+name+",")
}

// Append writes the message if it is an event of a name that was asked for.
func (f Format) Append(dst []byte, m *journal.Message, seq uint64) []byte {
	if m.Kind != instance.KindEvent {
		return dst
	}
	name := instance.EventName(m.Data)
	if !f.wants(name) {
		return dst
	}
	b := f.encode(m, seq)
	if !f.sse {
		return ws.AppendText(dst, b)
	}
	if !f.apart {
		dst = append(dst, "id: "...)
		dst = gateway.AppendPosition(dst, f.epoch, seq)
		dst = append(dst, '\n')
	}
	dst = append(dst, "data: "...)
	dst = append(dst, b...) // JSON as the core keeps it has no line end
	return append(dst, "\n\n"...)
}

func (f Format) encode(m *journal.Message, seq uint64) []byte {
	epoch := ""
	if f.tell {
		epoch = f.epoch
	}
	b := make([]byte, 0, len(m.Data)+256)
	switch f.shape {
	case raw:
		var e struct{ Data json.RawMessage }
		_ = json.Unmarshal(m.Data, &e) // written by the core
		return e.Data
	case cloudEvents:
		return instance.AppendCloudEvent(b, m, seq, epoch)
	case envelope:
	}
	return instance.AppendEvent(b, m, seq, epoch)
}

func formatTime(t time.Time) string { return t.UTC().Format(stamp) }
