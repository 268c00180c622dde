package direct

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/ws"
)

const limit = 800

func TestDecode(t *testing.T) {
	for in, want := range map[string]message{
		`{"type":0,"data":{"to":7,"message":"hi"}}`:                                 {to: 7, text: "hi"},
		`{"data":{"message":"hi","to":7}}`:                                          {to: 7, text: "hi"},
		"\ufeff \n{\"type\": 0, \"data\": {\"to\":7,\"message\":\"\"}}":             {to: 7},
		`{"type":-0,"data":{"to":0,"message":"hi"}}`:                                {text: "hi"},
		`{"type":0,"ref":"r","data":{"to":7,"message":"hi"}}`:                       {to: 7, text: "hi", ref: "r"},
		`{"type":0,"ref":null,"data":{"to":7,"message":"hi"}}`:                      {to: 7, text: "hi"},
		`{"data":{"to":9007199254740991,"message":"\ud83d\ude00\u0000"}}`:           {to: 1<<53 - 1, text: "😀\x00"},
		`{"data":{"to":7,"message":"\ud800"}}`:                                      {to: 7, text: "\ufffd"},
		`{"data":{"to":7,"message":"hi","x":[1]},"x":{}}`:                           {to: 7, text: "hi"},
		`{"data":{"to":7,"message":"` + strings.Repeat("ä", 400) + `"}}`:            {to: 7, text: strings.Repeat("ä", 400)},
		`{"ref":"` + strings.Repeat("r", 128) + `","data":{"to":7,"message":"hi"}}`: {to: 7, text: "hi", ref: strings.Repeat("r", 128)},
	} {
		if m, bad := decode([]byte(in), limit, false); bad != nil || m != want {
			t.Errorf("%s: %+v, %+v", in, m, bad)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	const badRef = "Data not recognized | ref must be a string of 1 to 128 bytes"
	for in, want := range map[string]refusal{
		``:                       {"Data not recognized | unexpected end of JSON input at byte 0", "NOT_JSON", ""},
		"\ufeff":                 {"Data not recognized | unexpected end of JSON input at byte 0", "NOT_JSON", ""},
		"\ufeff\ufeff{}":         {"Data not recognized | invalid character 'ï' looking for beginning of value at byte 1", "NOT_JSON", ""},
		`hi`:                     {"Data not recognized | invalid character 'h' looking for beginning of value at byte 1", "NOT_JSON", ""},
		`{"type":0}{"type":0}`:   {"Data not recognized | invalid character '{' after top-level value at byte 11", "NOT_JSON", ""},
		`null`:                   {"Data not recognized | the frame must be an object", "NOT_JSON", ""},
		`[]`:                     {"Data not recognized | the frame must be an object", "NOT_JSON", ""},
		`"hi"`:                   {"Data not recognized | the frame must be an object", "NOT_JSON", ""},
		`{"type":"0"}`:           {"Data not recognized | type must be a whole number", "BAD_TYPE", ""},
		`{"type":0.5,"ref":"r"}`: {"Data not recognized | type must be a whole number", "BAD_TYPE", "r"},
		`{"type":1e1}`:           {"Data not recognized | type must be a whole number", "BAD_TYPE", ""},
		`{"type":4}`:             {"Data not recognized | type 4 cannot be sent", "UNKNOWN_TYPE", ""},
		`{"type":-1,"ref":"r"}`:  {"Data not recognized | type -1 cannot be sent", "UNKNOWN_TYPE", "r"},
		`{"ref":7}`:              {badRef, "BAD_REF", ""},
		`{"ref":""}`:             {badRef, "BAD_REF", ""},
		`{"ref":["r"]}`:          {badRef, "BAD_REF", ""},
		`{"ref":"` + strings.Repeat("r", 129) + `"}`: {badRef, "BAD_REF", ""},
		`{}`:                                              {"Data is not Type MessageData | Data is not a map", "BAD_DATA", ""},
		`{"data":"hi","ref":"r"}`:                         {"Data is not Type MessageData | Data is not a map", "BAD_DATA", "r"},
		`{"data":null}`:                                   {"Data is not Type MessageData | Data is not a map", "BAD_DATA", ""},
		`{"data":[]}`:                                     {"Data is not Type MessageData | Data is not a map", "BAD_DATA", ""},
		`{"data":{"to":7},"ref":"r"}`:                     {"Data is not Type MessageData | Message not found", "BAD_MESSAGE", "r"},
		`{"data":{}}`:                                     {"Data is not Type MessageData | Message not found", "BAD_MESSAGE", ""},
		`{"data":{"to":7,"message":7}}`:                   {"Data is not Type MessageData | Message is not a string", "BAD_MESSAGE", ""},
		`{"data":{"to":7,"message":null}}`:                {"Data is not Type MessageData | Message is not a string", "BAD_MESSAGE", ""},
		`{"data":{"message":"hi"}}`:                       {"Data is not Type MessageData | Message destination not found", "BAD_TO", ""},
		`{"data":{"message":"hi","to":"7"}}`:              {"Data is not Type MessageData | Detination is not uint", "BAD_TO", ""},
		`{"data":{"message":"hi","to":-7}}`:               {"Data is not Type MessageData | Detination is not uint", "BAD_TO", ""},
		`{"data":{"message":"hi","to":7.5}}`:              {"Data is not Type MessageData | Detination is not uint", "BAD_TO", ""},
		`{"data":{"message":"hi","to":null}}`:             {"Data is not Type MessageData | Detination is not uint", "BAD_TO", ""},
		`{"data":{"message":"hi","to":9007199254740992}}`: {"Data is not Type MessageData | Detination is not uint", "BAD_TO", ""},
		`{"ref":"r","data":{"to":7,"message":"` + strings.Repeat("ä", 400) + `x"}}`: {"Message limit reached. Get : 801 limit is 800", "TEXT_TOO_LONG", "r"},
	} {
		if _, bad := decode([]byte(in), limit, false); bad == nil || *bad != want {
			t.Errorf("%s: %+v", in, bad)
		}
	}
}

// FuzzDecode: whatever comes, it is refused in words, or it obeys the rules and
// written again is read the same.
func FuzzDecode(f *testing.F) {
	for _, in := range []string{
		`{"type":0,"ref":"r","data":{"to":7,"message":"hi"}}`, `{"data":{"to":1e3,"message":"\ud800"}}`, `{"TYPE":0,"Data":{"TO":7,"message":""}}`,
		"\ufeff{}", `{"type":0,"type":1}`, `null`, `{"data":{"to":7,"message":"` + "\xff" + `"}}`,
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, bad := decode(in, limit, false)
		if same, alsoBad := decodeAny(in, limit, false); same != m && bad == nil || (bad == nil) != (alsoBad == nil) {
			t.Fatalf("%q is %+v, %+v; read by the book %+v, %+v", in, m, bad, same, alsoBad)
		}
		if bad != nil {
			var e struct {
				Type int
				Data struct{ Message, Code, Ref string }
			}
			if err := json.Unmarshal(appendError(nil, bad), &e); err != nil || e.Type != -1 || e.Data.Message == "" || e.Data.Code == "" || e.Data.Ref != bad.ref {
				t.Fatalf("%q is refused with %+v, %v", in, e, err)
			}
			return
		}
		if m.to >= maxNumber || len(m.text) > limit || len(m.ref) > gateway.MaxRef || !utf8.ValidString(m.text) || !utf8.ValidString(m.ref) {
			t.Fatalf("%q is taken: %+v", in, m)
		}
		frame := map[string]any{"type": 0, "data": map[string]any{"to": m.to, "message": m.text}}
		if m.ref != "" {
			frame["ref"] = m.ref
		}
		again, err := json.Marshal(frame)
		if err != nil {
			t.Fatal(err)
		}
		if same, bad := decode(again, limit, false); bad != nil || same != m {
			t.Fatalf("%q is %+v, and written again %+v, %+v", in, m, same, bad)
		}
	})
}

var (
	ann = account.Profile{ID: 1, Handle: "ann", Name: `Ann "A"`}
	at  = time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)
)

func event(t testing.TB, kind string, from uint64, data any) *journal.Message {
	t.Helper()
	b, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return &journal.Message{ID: "1a-b", Kind: kind, From: from, Time: at, Data: b}
}

func TestFormat(t *testing.T) {
	said := event(t, chat.KindMessage, 1, chat.MessageSent{Room: 5, To: 2, Text: "<hi>\n\u2028\x7f", Sender: ann})
	toSelf := event(t, chat.KindMessage, 2, chat.MessageSent{Room: 5, To: 2, Text: "hi", Sender: ann})
	about := chat.FriendEvent{By: ann, User: account.Profile{ID: 2, Name: "Bob"}, Room: 5}
	bob, both := Format{User: 2}, Format{User: 2, Devices: true}
	for _, c := range []struct {
		format Format
		m      *journal.Message
		seq    uint64
		want   string
	}{
		{bob, said, 3, `{"type":1,"data":{"from":1,"message":"<hi>\n` + "\u2028\x7f" + `","time":"2026-01-02T03:04:05.6789Z","id":"1a-b"}}`},
		{Format{User: 2, Epoch: "e1"}, said, 3, `{"type":1,"data":{"from":1,"message":"<hi>\n` + "\u2028\x7f" + `","time":"2026-01-02T03:04:05.6789Z","id":"1a-b"},"seq":3,"epoch":"e1"}`},
		{Format{User: 1}, said, 3, ``},
		{Format{User: 1, Epoch: "e1"}, said, 3, ``},
		{Format{User: 1, Devices: true}, said, 3, `{"type":5,"data":{"to":2,"message":"<hi>\n` + "\u2028\x7f" + `","time":"2026-01-02T03:04:05.6789Z","id":"1a-b"}}`},
		{both, said, 3, `{"type":1,"data":{"from":1,"message":"<hi>\n` + "\u2028\x7f" + `","time":"2026-01-02T03:04:05.6789Z","id":"1a-b"}}`},
		{bob, toSelf, 3, ``},
		{bob, event(t, chat.KindRequested, 1, about), 3, `{"type":3,"data":{"from":1}}`},
		{bob, event(t, chat.KindAccepted, 1, about), 3, `{"type":2,"data":{"message":"Ann \"A\" accepted your friend request","kind":"accepted","user":1}}`},
		{bob, event(t, chat.KindDeclined, 1, about), 3, `{"type":2,"data":{"message":"Ann \"A\" declined your friend request","kind":"declined","user":1}}`},
		{bob, event(t, chat.KindWithdrawn, 1, about), 3, `{"type":2,"data":{"message":"Ann \"A\" withdrew the friend request","kind":"withdrawn","user":1}}`},
		{bob, event(t, chat.KindEnded, 1, about), 3, `{"type":2,"data":{"message":"Ann \"A\" is not your friend any more","kind":"unfriended","user":1}}`},
		{Format{User: 1, Devices: true}, event(t, chat.KindAccepted, 1, about), 3, ``},
		{Format{User: 2, Epoch: "e1"}, event(t, account.KindNotice, 0, account.Notice{Text: "at noon"}), 9, `{"type":2,"data":{"message":"at noon","kind":"notice"},"seq":9,"epoch":"e1"}`},
		{Format{User: 2, Epoch: "e1"}, event(t, account.KindNotice, 0, account.Notice{Text: "not kept"}), 0, `{"type":2,"data":{"message":"not kept","kind":"notice"}}`},
		{both, event(t, account.KindLoginEnded, 2, account.LoginEnded{Login: 1}), 3, ``},
		{both, event(t, "unheard.of", 1, about), 3, ``},
		{both, &journal.Message{Kind: chat.KindMessage, From: 1, Data: []byte("no")}, 3, ``},
		{both, &journal.Message{Kind: chat.KindAccepted, From: 1, Data: []byte("no")}, 3, ``},
		{both, &journal.Message{Kind: account.KindNotice, Data: []byte("no")}, 3, ``},
	} {
		want := "before"
		if c.want != "" {
			want = string(ws.AppendText([]byte(want), []byte(c.want)))
		}
		if got := string(c.format.Append([]byte("before"), c.m, c.seq)); got != want {
			t.Errorf("%+v of %s:\n got %q\nwant %q", c.format, c.m.Kind, got, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	want := string(ws.AppendText(nil, []byte(`{"type":4,"data":{"ref":"r\"","id":"1a-b","time":"2026-01-02T03:04:05.6789Z"}}`)))
	if got := string(appendAck(nil, `r"`, "1a-b", at)); got != want {
		t.Errorf("got %q", got)
	}
	for r, want := range map[refusal]string{
		{"no \"map\"", "BAD", ""}: `{"type":-1,"data":{"message":"no \"map\"","code":"BAD"}}`,
		{"no", "BAD", "r"}:        `{"type":-1,"data":{"message":"no","code":"BAD","ref":"r"}}`,
	} {
		if got := string(appendError(nil, &r)); got != want {
			t.Errorf("got %s", got)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{16, 800} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			in := []byte(`{"type":0,"ref":"0123456789","data":{"to":7,"message":"` + strings.Repeat("x", n) + `"}}`)
			b.ReportAllocs()
			for b.Loop() {
				if _, bad := decode(in, limit, false); bad != nil {
					b.Fatal(bad)
				}
			}
		})
	}
}

func BenchmarkFormat(b *testing.B) {
	m := event(b, chat.KindMessage, 1, chat.MessageSent{Room: 5, To: 2, Text: strings.Repeat("x", 100), Sender: ann})
	for _, f := range []Format{{User: 2}, {User: 2, Epoch: "epoch"}} {
		b.Run(f.Epoch, func(b *testing.B) {
			dst := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				dst = f.Append(dst[:0], m, 7)
			}
		})
	}
}
