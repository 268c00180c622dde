package events

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/ws"
)

const profile = `{"id":3,"name":"größe","connectionStatus":"ONLINE","ownerJid":null,"externalAttributes":{"a":[1]}}`

// said is an event as the core keeps it.
func said(name, data string) *journal.Message {
	return &journal.Message{
		ID: "a1-b2", Kind: instance.KindEvent, Entries: []journal.Entry{{Topic: "instance/3", Seq: 12}},
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678_912_345, time.UTC),
		Data: []byte(`{"event":"` + name + `","instance":` + profile + `,"data":` + data + `}`),
	}
}

func TestFormats(t *testing.T) {
	const (
		head  = `{"event":"messages.upsert","instance":` + profile + `,"data":{"n":1.00},"id":"a1-b2","seq":12,`
		when  = `"timestamp":"2026-01-02T03:04:05.678Z"}`
		cloud = `{"specversion":"1.0","id":"a1-b2","source":"/instances/gr%C3%B6%C3%9Fe","type":"messages.upsert",` +
			`"time":"2026-01-02T03:04:05.678Z","sequence":"12",`
		rest = `"datacontenttype":"application/json","data":{"n":1.00}}`
	)
	for name, c := range map[string]struct {
		format Format
		want   string
	}{
		"envelope":    {Format{}, head + when},
		"epoch":       {Format{tell: true}, head + `"epoch":"e9",` + when},
		"raw":         {Format{shape: raw}, `{"n":1.00}`},
		"raw, epoch":  {Format{shape: raw, tell: true}, `{"n":1.00}`},
		"cloud":       {Format{shape: cloudEvents}, cloud + rest},
		"cloud epoch": {Format{shape: cloudEvents, tell: true}, cloud + `"epoch":"e9",` + rest},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.format
			f.names, f.epoch = namesOf([]string{"messages.upsert", "chats.set"}), "e9"
			m := said("messages.upsert", `{"n":1.00}`)
			if got, want := f.Append([]byte("before"), m, 12), ws.AppendText([]byte("before"), []byte(c.want)); string(got) != string(want) {
				t.Errorf("frame\n%s\n%s", got, want)
			}
			if !json.Valid([]byte(c.want)) {
				t.Errorf("this is not JSON: %s", c.want)
			}
			f.sse = true
			if got, want := f.Append([]byte("before"), m, 12), "beforeid: e9:12\ndata: "+c.want+"\n\n"; string(got) != want {
				t.Errorf("stream\n%s\n%s", got, want)
			}
			f.apart = true
			if got, want := f.Append(nil, m, 12), "data: "+c.want+"\n\n"; string(got) != want {
				t.Errorf("apart\n%s\n%s", got, want)
			}
		})
	}
}

func TestOnlyWhatWasAskedForIsWritten(t *testing.T) {
	for _, asked := range [][]string{{"chats.set"}, {"chats.update", "chats.set"}, {"chats.set", "chats.set"}} {
		f := Format{names: namesOf(asked)}
		for name, want := range map[string]bool{
			"chats.set": true, "chats": false, "chats.se": false, "hats.set": false, "chats.set2": false, "set": false, "": false, ",": false,
			"messaging-history.set": false,
		} {
			if got := len(f.Append(nil, said(name, "1"), 1)) > 0; got != want {
				t.Errorf("asked for %v, %q: %t", asked, name, got)
			}
		}
	}
	m := said("chats.set", "1")
	m.Kind = instance.KindDeleted
	if b := (Format{names: namesOf([]string{"chats.set"})}).Append([]byte("x"), m, 1); string(b) != "x" {
		t.Errorf("what is no event was written: %q", b)
	}
}

func TestEqualSubscriptionsAreOneGroup(t *testing.T) {
	a := Format{names: namesOf([]string{"b", "a", "b"}), epoch: "e"}
	if b := (Format{names: namesOf([]string{"a", "b"}), epoch: "e"}); a != b {
		t.Errorf("%v and %v differ", a, b)
	}
}

func TestAcceptsEvents(t *testing.T) {
	for accept, want := range map[string]bool{
		"text/event-stream": true, "TEXT/Event-Stream": true, "text/html, text/event-stream;q=0.9": true, " text/event-stream ": true,
		"": false, "*/*": false, "text/*": false, "text/event-streams": false, "application/json": false, "x;text/event-stream": false,
	} {
		if got := acceptsEvents(&http.Request{Header: http.Header{"Accept": {accept}}}); got != want {
			t.Errorf("%q: %t", accept, got)
		}
	}
	if !acceptsEvents(&http.Request{Header: http.Header{"Accept": {"text/html", "text/event-stream"}}}) {
		t.Error("the second header is not looked at")
	}
}

func BenchmarkFormatAppend(b *testing.B) {
	for _, size := range []int{100, 4000} {
		m := said("messages.upsert", `"`+string(make([]byte, 0, size))+fmt.Sprintf("%0*d", size, 0)+`"`)
		for name, f := range map[string]Format{
			"envelope": {}, "raw": {shape: raw}, "cloudevents": {shape: cloudEvents}, "stream": {sse: true}, "unwanted": {names: ",chats.set,"},
		} {
			if f.names == "" {
				f.names = namesOf([]string{"messages.upsert", "connection.update"})
			}
			f.epoch = "epoch234"
			b.Run(fmt.Sprint(name, "/", size), func(b *testing.B) {
				b.ReportAllocs()
				dst := make([]byte, 0, 16<<10)
				for b.Loop() {
					dst = f.Append(dst[:0], m, 12)
				}
			})
		}
	}
}
