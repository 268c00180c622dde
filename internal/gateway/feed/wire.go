package feed

import (
	"encoding/json"
	"strconv"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/ws"
)

const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// Format writes the feed as one kind of client hears it.
type Format struct {
	JSON     bool
	Presence bool   // with who is here, joined and left
	Epoch    string // frames with a seq carry this epoch too; "" for not
}

// formats are all that there are, each once in memory for all its clients.
type formats map[Format]hub.Format

func newFormats(epoch string) formats {
	all := formats{}
	for _, f := range []Format{{}, {JSON: true}, {JSON: true, Presence: true}} {
		all[f] = f
		f.Epoch = epoch
		all[f] = f
	}
	return all
}

// Append writes a message of the feed as a frame, or nothing.
func (f Format) Append(dst []byte, m *journal.Message, seq uint64) []byte {
	switch m.Kind {
	case chat.KindLine:
		var d chat.Line
		if json.Unmarshal(m.Data, &d) == nil {
			return f.said(dst, m, seq, "line", d.Name, d.Text)
		}
	case account.KindNotice:
		var d account.Notice
		if json.Unmarshal(m.Data, &d) == nil {
			return f.said(dst, m, seq, "notice", "", d.Text)
		}
	case "session.skipped", hub.KindExpired:
		var d hub.Skipped
		if f.JSON && json.Unmarshal(m.Data, &d) == nil {
			b := append([]byte(nil), `{"kind":"skipped","count":`...)
			return ws.AppendText(dst, append(strconv.AppendUint(b, d.Count, 10), '}'))
		}
	default:
		kind, known := presenceKinds[m.Kind]
		var d hub.Here
		if known && f.JSON && f.Presence && json.Unmarshal(m.Data, &d) == nil {
			return ws.AppendText(dst, people(kind, d))
		}
	}
	return dst
}

var presenceKinds = map[string]string{"presence.here": "here", "presence.joined": "joined", "presence.left": "left"}

func (f Format) said(dst []byte, m *journal.Message, seq uint64, kind, from, text string) []byte {
	if !f.JSON {
		return ws.AppendText(dst, []byte(text))
	}
	b := append(make([]byte, 0, len(text)+len(from)+192), `{"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"id":`...)
	b = gateway.AppendString(b, m.ID)
	b = append(b, `,"time":"`...)
	b = m.Time.UTC().AppendFormat(b, timeFormat)
	b = append(b, `","from":`...)
	b = gateway.AppendString(b, from)
	b = append(b, `,"text":`...)
	b = gateway.AppendString(b, text)
	b = append(b, `,"kind":`...)
	b = gateway.AppendString(b, kind)
	if f.Epoch != "" {
		b = append(b, `,"epoch":`...)
		b = gateway.AppendString(b, f.Epoch)
	}
	return ws.AppendText(dst, append(b, '}'))
}

func people(kind string, d hub.Here) []byte {
	b := append(make([]byte, 0, 64+16*len(d.Names)), `{"kind":`...)
	b = gateway.AppendString(b, kind)
	b = append(b, `,"names":[`...)
	for i, name := range d.Names {
		if i > 0 {
			b = append(b, ',')
		}
		b = gateway.AppendString(b, name)
	}
	b = append(b, `],"count":`...)
	return append(strconv.AppendInt(b, int64(d.Count), 10), '}')
}

// noLine stands for a line that nobody counts: without acks=1.
const noLine = -1

// appendError writes what is wrong with a frame.
//
//nolint:unparam // dst is there because it is in all that appends
func appendError(dst []byte, code string, line int) []byte {
	dst = append(dst, `{"kind":"error","code":`...)
	dst = gateway.AppendString(dst, code)
	if line != noLine {
		dst = append(dst, `,"line":`...)
		dst = strconv.AppendInt(dst, int64(line), 10)
	}
	return append(dst, '}')
}

// appendAck writes where a line stands.
func appendAck(dst []byte, m *journal.Message, line int, epoch string) []byte {
	dst = append(dst, `{"kind":"ack","line":`...)
	dst = strconv.AppendInt(dst, int64(line), 10)
	dst = append(dst, `,"id":`...)
	dst = gateway.AppendString(dst, m.ID)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, m.Seq(chat.FeedTopic), 10)
	dst = append(dst, `,"time":"`...)
	dst = m.Time.UTC().AppendFormat(dst, timeFormat)
	dst = append(dst, '"')
	if epoch != "" {
		dst = append(dst, `,"epoch":`...)
		dst = gateway.AppendString(dst, epoch)
	}
	return append(dst, '}')
}
