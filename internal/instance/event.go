package instance

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/kabar-io/kabar/internal/journal"
)

// EventData is an event, with its instance as it was when it happened. What is
// stored has no space between its parts and these names in this order, so that
// a frame of it is made by adding to its end.
type EventData struct {
	Event    string          `json:"event"`
	Instance Profile         `json:"instance"`
	Data     json.RawMessage `json:"data"`
}

const (
	beforeName     = `{"event":"`
	beforeInstance = `","instance":`
	beforeData     = `,"data":`
)

// eventMessage writes EventData by its parts, which are JSON already.
func eventMessage(entries []journal.Entry, name string, profile, data []byte) *journal.Message {
	b := make([]byte, 0, len(beforeName)+len(name)+len(beforeInstance)+len(profile)+len(beforeData)+len(data)+1)
	b = append(b, beforeName...)
	b = append(b, name...)
	b = append(b, beforeInstance...)
	b = append(b, profile...)
	b = append(b, beforeData...)
	b = append(b, data...)
	b = append(b, '}')
	return &journal.Message{Kind: KindEvent, Entries: entries, Data: b}
}

// EventName is the event's name in the Data of a message of KindEvent, read
// without the rest; "" where it is none.
func EventName(data []byte) string {
	rest, ok := bytes.CutPrefix(data, []byte(beforeName))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		return ""
	}
	return string(rest[:end])
}

// stamp is how an event's time is written: RFC 3339, UTC, milliseconds.
const stamp = "2006-01-02T15:04:05.000Z"

// AppendEvent appends a message of KindEvent as every receiver of events gets
// it: what is kept, and behind it its id, its number in the instance's topic,
// the log's epoch where it is not "", and its time.
func AppendEvent(dst []byte, m *journal.Message, seq uint64, epoch string) []byte {
	dst = append(dst, m.Data[:len(m.Data)-1]...)
	dst = append(dst, `,"id":"`...) // ids and epochs need no escape
	dst = append(dst, m.ID...)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	if epoch != "" {
		dst = append(dst, `,"epoch":"`...)
		dst = append(dst, epoch...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"timestamp":"`...)
	dst = m.Time.AppendFormat(dst, stamp)
	return append(dst, `"}`...)
}

// AppendCloudEvent appends a message of KindEvent as a CloudEvents 1.0 event in
// its JSON format, with the number as the sequence extension, and the epoch,
// where it is not "", as one of ours. The subject is the instance's ownerJid,
// where it has one.
func AppendCloudEvent(dst []byte, m *journal.Message, seq uint64, epoch string) []byte {
	var e struct {
		Instance struct {
			Name     string          `json:"name"`
			OwnerJid json.RawMessage `json:"ownerJid"`
		} `json:"instance"`
		Data json.RawMessage `json:"data"`
	}
	_ = json.Unmarshal(m.Data, &e) // written by the core
	dst = append(dst, `{"specversion":"1.0","id":"`...)
	dst = append(dst, m.ID...)
	dst = append(dst, `","source":"/instances/`...)
	dst = append(dst, url.PathEscape(e.Instance.Name)...) // nothing in it needs an escape of JSON
	dst = append(dst, `","type":"`...)
	dst = append(dst, EventName(m.Data)...)
	dst = append(dst, '"')
	if s := e.Instance.OwnerJid; len(s) > 0 && string(s) != "null" {
		dst = append(dst, `,"subject":`...)
		dst = append(dst, s...)
	}
	dst = append(dst, `,"time":"`...)
	dst = m.Time.AppendFormat(dst, stamp)
	dst = append(dst, `","sequence":"`...)
	dst = strconv.AppendUint(dst, seq, 10)
	if epoch != "" {
		dst = append(dst, `","epoch":"`...)
		dst = append(dst, epoch...)
	}
	dst = append(dst, `","datacontenttype":"application/json","data":`...)
	dst = append(dst, e.Data...)
	return append(dst, '}')
}
