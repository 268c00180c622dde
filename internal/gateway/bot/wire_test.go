package bot

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/ws"
)

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		in     string
		code   string
		field  string
		words  string
		id     string
		typing bool
		inputs map[string]string
	}{
		{in: `{"message":"Hai!"}`, inputs: map[string]string{"message": `"Hai!"`}},
		{in: " \t\r\n{ \"a\" : [1, 2] , \"b\" : null } ", inputs: map[string]string{"a": `[1, 2]`, "b": `null`}},
		{in: `{}`, inputs: map[string]string{}},
		{in: `{"$id":{"a":[1.0,"<&>"]},"x":1}`, id: `{"a":[1.0,"<&>"]}`, inputs: map[string]string{"x": "1"}},
		{in: `{"$id":null}`, id: `null`, inputs: map[string]string{}},
		{in: `{"$typing":true}`, typing: true, inputs: map[string]string{}},
		{in: `{"$typing":true,"$id":7}`, typing: true, id: "7", inputs: map[string]string{}},
		{in: `{"$other":1}`, inputs: map[string]string{"$other": "1"}}, // the process knows no such input

		{in: ``, code: notJSON, words: "unexpected end"},
		{in: `Hai!`, code: notJSON, words: "at byte 1"},
		{in: `{"message":`, code: notJSON, words: "at byte 11"},
		{in: `{} {}`, code: notJSON, words: "at byte 4"},
		{in: `{"a":1,}`, code: notJSON, words: "at byte 8"},
		{in: "\ufeff{}", code: notJSON},
		{in: strings.Repeat("[", 20000), code: notJSON},
		{in: `7`, code: notAnObject},
		{in: `"{}"`, code: notAnObject},
		{in: `null`, code: notAnObject},
		{in: `[{"message":"x"}]`, code: notAnObject},
		{in: `{"a":1,"a":1}`, code: notJSON, field: "a", words: `"a" is there twice`},
		{in: `{"a":1,"\u0061":2,"$id":7}`, code: notJSON, field: "a", id: "7"},
		{in: `{"$id":1,"$id":2}`, code: notJSON, field: "$id", id: "2"},
		{in: `{"$typing":false}`, code: process.WrongType, field: "$typing"},
		{in: `{"$typing":1,"$id":"x"}`, code: process.WrongType, field: "$typing", id: `"x"`},
		{in: `{"$typing":true,"message":"x"}`, code: process.UnknownInput, field: "message"},
	} {
		f, bad := decode([]byte(c.in))
		if bad != nil || c.code != "" {
			if bad == nil || bad.Code != c.code || bad.Field != c.field || !strings.Contains(bad.Message, c.words) || string(f.id) != c.id {
				t.Errorf("%.80s: %+v, $id %s", c.in, bad, f.id)
			}
			continue
		}
		got := map[string]string{}
		for k, v := range f.inputs {
			got[k] = string(v)
		}
		if !reflect.DeepEqual(got, c.inputs) || string(f.id) != c.id || f.typing != c.typing {
			t.Errorf("%s: %+v", c.in, f)
		}
	}
}

func TestEncode(t *testing.T) {
	for _, c := range []struct {
		outputs map[string]any
		id      string
		answer  string
		push    string
	}{
		{nil, ``, `{}`, `{"$push":true}`},
		{map[string]any{"response": "<Halo> & \"\u2028\""}, ``, `{"response":"<Halo> & \"\u2028\""}`, `{"$push":true,"response":"<Halo> & \"\u2028\""}`},
		{map[string]any{"b": 1.5, "a": []any{nil, true}}, `[ 1.0 ]`, `{"$id":[1.0],"a":[null,true],"b":1.5}`, `{"$push":true,"a":[null,true],"b":1.5}`},
		// What marks a frame is not a process's to say.
		{map[string]any{"$push": true, "$id": 1}, `2`, `{"$id":2}`, `{"$push":true}`},
		{map[string]any{"$push": true, "$id": 1}, ``, `{}`, `{"$push":true}`},
	} {
		var id json.RawMessage
		if c.id != "" {
			id = json.RawMessage(c.id)
		}
		before := len(c.outputs)
		answer, err1 := encodeAnswer(c.outputs, id)
		push, err2 := encodePush(c.outputs)
		if err1 != nil || err2 != nil || string(answer) != c.answer || string(push) != c.push || len(c.outputs) != before {
			t.Errorf("%v: %s %v, %s %v", c.outputs, answer, err1, push, err2)
		}
	}
	if b, err := encodeAnswer(map[string]any{"x": math.Inf(1)}, nil); err == nil {
		t.Errorf("infinity is written as %s", b)
	}
	bad := &process.Bad{Code: "WRONG_TYPE", Message: "x must be \"a\" <b>", Field: "x"}
	if got := string(appendError(nil, bad, json.RawMessage(`{"n": 1}`))); got != `{"$id":{"n": 1},"error":{"code":"WRONG_TYPE","message":"x must be \"a\" <b>","field":"x"}}` {
		t.Error(got)
	}
	if got := string(appendError(nil, &process.Bad{Code: "C", Message: "m"}, nil)); got != `{"error":{"code":"C","message":"m"}}` {
		t.Error(got)
	}
}

// data is a value as a message holds it.
func data(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFormat(t *testing.T) {
	notice := &journal.Message{Kind: account.KindNotice, Data: data(t, account.Notice{Text: "a \"word\""})}
	if got, want := (Format{}).Append(nil, notice, 7), ws.AppendText(nil, []byte(`{"$push":true,"notice":{"text":"a \"word\""}}`)); !bytes.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, m := range []*journal.Message{
		{Kind: chat.KindMessage, Data: data(t, chat.MessageSent{Text: "x"})},
		{Kind: account.KindLoginEnded, Data: []byte(`{}`)},
		{Kind: account.KindNotice, Data: []byte(`nothing`)},
		{Kind: account.KindNotice, Data: data(t, account.Notice{Text: "to all", All: true})},
		{Kind: account.KindNotice, Data: data(t, account.Notice{Text: "to everybody", All: true})},
	} {
		if got := (Format{}).Append(nil, m, 7); got != nil {
			t.Errorf("%s is written as %q", m.Kind, got)
		}
	}
}

func TestEars(t *testing.T) {
	ann, bob := account.Profile{ID: 1, Handle: "ann", Name: "Ann"}, account.Profile{ID: 2, Handle: "bob", Name: "Bob"}
	sent := data(t, chat.MessageSent{Room: 9, To: 1, Text: "psst", Sender: bob})
	type trigger = process.Trigger
	for name, c := range map[string]struct {
		f    earFormat
		m    journal.Message
		want *trigger
	}{
		"said": {
			earFormat{topic: "bot/chat"}, journal.Message{Kind: process.KindSaid, Hops: 3, Data: data(t, process.Said{Process: "p", From: ann, Text: "x", Data: []byte(`{"n":1}`)})},
			&trigger{On: process.OnMessage, From: ann, Topic: "bot/chat", Text: "x", Data: []byte(`{"n":1}`), Hops: 3},
		},
		"typing": {
			earFormat{topic: "bot/chat"}, journal.Message{Kind: process.KindTyping, Data: data(t, ann)},
			&trigger{On: process.OnTyping, From: ann, Topic: "bot/chat"},
		},
		"a line": {
			earFormat{topic: chat.FeedTopic}, journal.Message{Kind: chat.KindLine, From: 2, Data: data(t, chat.Line{Name: "B", Text: "x"})},
			&trigger{On: process.OnMessage, From: account.Profile{ID: 2, Name: "B"}, Topic: chat.FeedTopic, Text: "x"},
		},
		"a notice on the feed": {
			earFormat{topic: chat.FeedTopic}, journal.Message{Kind: account.KindNotice, Data: data(t, account.Notice{Text: "x"})},
			&trigger{On: process.OnMessage, Topic: chat.FeedTopic, Text: "x"},
		},
		"in a room": {
			earFormat{topic: "room/9"}, journal.Message{Kind: chat.KindMessage, From: 2, Data: sent},
			&trigger{On: process.OnMessage, From: bob, Topic: "room/9", Text: "psst"},
		},
		"to me": {
			earFormat{"user/1", 1}, journal.Message{Kind: chat.KindMessage, From: 2, Data: sent},
			&trigger{On: process.OnMessage, From: bob, Topic: inbox, Text: "psst"},
		},
		"my own, in my inbox": {earFormat{"user/2", 2}, journal.Message{Kind: chat.KindMessage, From: 2, Data: sent}, nil},
		"a notice to me":      {earFormat{"user/1", 1}, journal.Message{Kind: account.KindNotice, Data: data(t, account.Notice{Text: "x"})}, nil},
		"an edit":             {earFormat{topic: "room/9"}, journal.Message{Kind: chat.KindEdited, Data: sent}, nil},
		"what cannot be read": {earFormat{topic: "bot/chat"}, journal.Message{Kind: process.KindSaid, Data: []byte(`[]`)}, nil},
		"typing to me": {
			earFormat{"user/1", 1}, journal.Message{Kind: chat.KindTyping, From: 2, Data: data(t, chat.Typing{By: bob, To: 1})},
			&trigger{On: process.OnTyping, From: bob, Topic: inbox},
		},
	} {
		c.m.Time = time.Now()
		b := c.f.Append([]byte("before"), &c.m, 7)
		b, kept := bytes.CutPrefix(b, []byte("before"))
		if !kept {
			t.Errorf("%s: %q", name, b)
		}
		if c.want == nil {
			if len(b) > 0 {
				t.Errorf("%s: %q", name, b)
			}
			continue
		}
		two := append(bytes.Clone(b), b...) // as a queue holds them
		got, rest, ok := nextTrigger(two)
		if !ok || !reflect.DeepEqual(&got, c.want) || !bytes.Equal(rest, b) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
	for _, in := range []string{"", "\x00\x00\x00", "\x00\x00\x00\x02{", "\x00\x00\x00\x01{"} {
		if got, _, ok := nextTrigger([]byte(in)); ok {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

// FuzzDecode wants every frame to be read or refused, and what was read to be
// JSON that can be written again.
func FuzzDecode(f *testing.F) {
	for _, in := range []string{
		`{"message":"Hai!"}`, `{"$id":1,"a":{"b":[1,2]}}`, `{"$typing":true}`, `{"a":1,"a":2}`, `[]`, `Hai`, `{`, `{"\ud800":1}`, "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		got, bad := decode(in)
		if !bytes.Equal(in, before) {
			t.Fatal("the frame was changed")
		}
		out := appendError(nil, &process.Bad{Code: "X", Message: "x"}, got.id)
		if bad != nil {
			out = appendError(nil, bad, got.id)
		}
		if !json.Valid(out) {
			t.Fatalf("%q becomes %q", in, out)
		}
		b, err := encodeAnswer(nil, got.id)
		if err != nil || !json.Valid(b) {
			t.Fatalf("%q: %q, %v", in, b, err)
		}
		if bad == nil && !json.Valid(in) {
			t.Fatalf("%q is no JSON, and taken", in)
		}
		for key, value := range got.inputs {
			if !json.Valid(value) {
				t.Fatalf("%q: %q is %q", in, key, value)
			}
		}
	})
}
