package events

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
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
	b := f.encode(m, name, seq)
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

func (f Format) encode(m *journal.Message, name string, seq uint64) []byte {
	if f.shape != envelope {
		var e struct {
			Instance struct{ Name string }
			Data     json.RawMessage
		}
		_ = json.Unmarshal(m.Data, &e) // written by the core
		if f.shape == raw {
			return e.Data
		}
		return f.cloudEvent(m, name, e.Instance.Name, e.Data, seq)
	}
	epoch := ""
	if f.tell {
		epoch = f.epoch
	}
	return instance.AppendEvent(make([]byte, 0, len(m.Data)+128), m, seq, epoch)
}

// cloudEvent writes a CloudEvents 1.0 event in its JSON format, with the
// number as the sequence extension, and the epoch where it was asked for as
// one of ours.
func (f Format) cloudEvent(m *journal.Message, name, source string, data []byte, seq uint64) []byte {
	b := append(make([]byte, 0, len(data)+256), `{"specversion":"1.0","id":`...)
	b = gateway.AppendString(b, m.ID)
	b = append(b, `,"source":`...)
	b = gateway.AppendString(b, "/instances/"+url.PathEscape(source))
	b = append(b, `,"type":`...)
	b = gateway.AppendString(b, name)
	b = append(b, `,"time":"`...)
	b = m.Time.AppendFormat(b, stamp)
	b = append(b, `","sequence":"`...)
	b = strconv.AppendUint(b, seq, 10)
	if f.tell {
		b = append(b, `","epoch":"`...)
		b = append(b, f.epoch...)
	}
	b = append(b, `","datacontenttype":"application/json","data":`...)
	b = append(b, data...)
	return append(b, '}')
}

func formatTime(t time.Time) string { return t.UTC().Format(stamp) }
