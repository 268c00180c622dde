package feed

import (
	"encoding/json"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

func message(kind, data string) *journal.Message {
	return &journal.Message{
		ID: "m1", Kind: kind, Data: []byte(data), Time: time.Date(2024, 2, 29, 23, 59, 59, 7_900_000, time.FixedZone("", 7*3600)),
		Entries: []journal.Entry{{Topic: chat.FeedTopic, Seq: 5}},
	}
}

func TestFormat(t *testing.T) {
	plain, json := Format{}, Format{JSON: true}
	watch, epoch := Format{JSON: true, Presence: true}, Format{JSON: true, Epoch: "e1"}
	for _, c := range []struct {
		format Format
		kind   string
		data   string
		want   string // "" for nothing
	}{
		{plain, "line.spoken", `{"name":"Ann","text":"a\n<b>\u0000"}`, "a\n<b>\x00"},
		{json, "line.spoken", `{"name":"Ann","text":"a\n<b>\u0000"}`,
			`{"seq":5,"id":"m1","time":"2024-02-29T16:59:59.007Z","from":"Ann","text":"a\n<b>\u0000","kind":"line"}`},
		{epoch, "line.spoken", `{"text":"x"}`,
			`{"seq":5,"id":"m1","time":"2024-02-29T16:59:59.007Z","from":"","text":"x","kind":"line","epoch":"e1"}`},
		{plain, "notice", `{"text":"to all"}`, "to all"},
		{json, "notice", `{"text":"to all"}`, `{"seq":5,"id":"m1","time":"2024-02-29T16:59:59.007Z","from":"","text":"to all","kind":"notice"}`},
		{plain, "session.skipped", `{"count":7}`, ""},
		{json, "session.skipped", `{"count":7}`, `{"kind":"skipped","count":7}`},
		{plain, "presence.here", `{"names":["Ann"],"count":1}`, ""},
		{json, "presence.here", `{"names":["Ann"],"count":1}`, ""},
		{watch, "presence.here", `{"names":["A\"","B"],"count":3}`, `{"kind":"here","names":["A\"","B"],"count":3}`},
		{watch, "presence.joined", `{"names":[],"count":201}`, `{"kind":"joined","names":[],"count":201}`},
		{watch, "presence.left", `{"names":["B"],"count":0}`, `{"kind":"left","names":["B"],"count":0}`},
		{watch, "message.sent", `{"text":"private"}`, ""},
		{json, "line.spoken", `damaged`, ""},
	} {
		var want []byte
		if c.want != "" {
			want = ws.AppendText(nil, []byte(c.want))
		}
		if got := c.format.Append(nil, message(c.kind, c.data), 5); string(got) != string(want) {
			t.Errorf("%+v %s %s:\ngot  %s\nwant %s", c.format, c.kind, c.data, got, want)
		}
	}
}

func TestReplies(t *testing.T) {
	m := message("line.spoken", "{}")
	for _, c := range []struct{ got, want string }{
		{string(appendError(nil, "NOT_ALLOWED", noLine)), `{"kind":"error","code":"NOT_ALLOWED"}`},
		{string(appendError(nil, "BINARY", 0)), `{"kind":"error","code":"BINARY","line":0}`},
		{string(appendAck(nil, m, 3, "")), `{"kind":"ack","line":3,"id":"m1","seq":5,"time":"2024-02-29T16:59:59.007Z"}`},
		{string(appendAck(nil, m, 3, "e")), `{"kind":"ack","line":3,"id":"m1","seq":5,"time":"2024-02-29T16:59:59.007Z","epoch":"e"}`},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func TestParseQuery(t *testing.T) {
	for _, c := range []struct {
		text string
		want query
		bad  string
	}{
		{"", query{}, ""},
		{"format=plain&presence=1&acks=1&epoch=1", query{}, ""}, // the plain format never carries them
		{"format=json", query{json: true}, ""},
		{"format=json&presence=1&acks=1&epoch=1", query{json: true, presence: true, acks: true, epoch: true}, ""},
		{"format=json&after=3", query{json: true, epoch: true, after: "3"}, ""},
		{"last=5&name=+Ann++B+&client=x&slow=skip&unknown=1", query{last: 5, name: "Ann B", client: "x", skip: true}, ""},
		{"after=&last=0", query{}, ""},
		{"format=xml", query{}, "BAD_FORMAT"},
		{"format=JSON", query{}, "BAD_FORMAT"},
		{"slow=drop", query{}, "BAD_SLOW"},
		{"last=-1", query{}, "BAD_LAST"},
		{"last=99999999999999999999", query{}, "BAD_LAST"},
		{"last=5&after=3", query{}, "BAD_LAST"},
		{"client=" + strings.Repeat("x", 65), query{}, "BAD_CLIENT"},
		{"name=%00", query{}, "NAME_INVALID"},
	} {
		v, err := url.ParseQuery(c.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseQuery(v)
		if c.bad != "" {
			if err == nil || status.Of(err).Reason != c.bad || status.Of(err).Code != status.Invalid {
				t.Errorf("%q: %v, want %s", c.text, err, c.bad)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%q: %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
}

// TestANameKeepsNothingElse: of a long query a session keeps the name alone.
func TestANameKeepsNothingElse(t *testing.T) {
	const sessions, rest = 200, 10 << 10
	names := make([]string, sessions)
	before := live()
	for i := range names {
		r := &ws.Request{RawQuery: "name=ann&x=" + strings.Repeat("y", rest)}
		q, err := parseQuery(r.Query())
		if err != nil || q.name != "ann" {
			t.Fatalf("%q, %v", q.name, err)
		}
		names[i] = q.name
	}
	if each := (live() - before) / sessions; each > rest/2 {
		t.Errorf("a name keeps %d bytes", each)
	}
	runtime.KeepAlive(names)
}

// live is the bytes in use.
func live() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestKey(t *testing.T) {
	if key(7, "") != 7 {
		t.Error("a login's key is its id")
	}
	if key(0, "") == key(0, "") { //nolint:staticcheck // each call is somebody else
		t.Error("two people are one")
	}
	//nolint:staticcheck // each call is asked anew
	if key(0, "a") != key(0, "a") || key(0, "a") == key(0, "b") || key(0, "a") == key(7, "a") || key(7, "a") == key(8, "a") {
		t.Error("a client is known again, by the same login only")
	}
	for _, k := range []uint64{key(0, ""), key(0, "a"), key(7, "a")} {
		if k < derived {
			t.Errorf("%d could be a login's", k)
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add("Ann", "a line", "line.spoken")
	f.Add("", "\x00\xff\u2028\"\\", "notice")
	f.Fuzz(func(t *testing.T, name, text, kind string) {
		data, err := json.Marshal(chat.Line{Name: name, Text: text})
		if err != nil {
			t.Fatal(err)
		}
		frame := Format{JSON: true, Presence: true, Epoch: "e"}.Append(nil, message(kind, string(data)), 5)
		if len(frame) == 0 {
			return
		}
		payload := frame[2:]
		switch frame[1] {
		case 126:
			payload = frame[4:]
		case 127:
			payload = frame[10:]
		}
		var back struct {
			From, Text, Kind string
		}
		if err := json.Unmarshal(payload, &back); err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		if kind == "line.spoken" && (back.Text != strings.ToValidUTF8(text, "\ufffd") && utf8.ValidString(text) || back.Kind != "line") {
			t.Fatalf("%q became %s", text, payload)
		}
	})
}
