package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/status"
)

func TestChatbot(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.publish(example("chatbot"))
	r := w.runner("/chatbot", nil)
	for in, want := range map[string]string{
		`{"message":"Hai!"}`:                               `{"response":"Halo!"}`,
		`{"message":"Bagaimana kabarmu?"}`:                 `{"response":"Hebat! Bagaimana denganmu?"}`,
		`{"message":"Hai"}`:                                `{"response":"Hai"}`,
		`{"message":"` + strings.Repeat("é", 30000) + `"}`: `{"response":"` + strings.Repeat("é", 30000) + `"}`,
		`{}`:                    "MISSING_INPUT message",
		`{"message":null}`:      "WRONG_TYPE message",
		`{"message":1}`:         "WRONG_TYPE message",
		`{"message":["a"]}`:     "WRONG_TYPE message",
		`{"message":"a","x":1}`: "UNKNOWN_INPUT x",
	} {
		expect(t, frame(t, r, in), want)
	}
}

// example is one of the examples without the words before it.
func example(name string) string {
	_, source, _ := strings.Cut(string(process.Examples()[name]), "process:")
	return "process:" + source
}

func TestTypes(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.publish(`process: types
inputs:
  i: integer?
  n: number?
  b: boolean?
  o: object?
  l: list?
  a: any?
  d: { type: list, default: [1, x] }
outputs: { i: any, n: any, b: any, o: any, l: any, a: any, d: any }
rules:
  - reply: { i: i, n: n, b: b, o: o, l: l, a: a, d: d }
endpoint: { url: types }
`)
	r := w.runner("/types", nil)
	empty := map[string]string{"i": "null", "n": "null", "b": "null", "o": "null", "l": "null", "a": "null", "d": `[1,"x"]`}
	with := func(field, value string) string {
		all := map[string]json.RawMessage{}
		for k, v := range empty {
			all[k] = json.RawMessage(v)
		}
		if field != "" {
			all[field] = json.RawMessage(value)
		}
		b, err := json.Marshal(all)
		ok(t, err)
		return string(b)
	}
	expect(t, frame(t, r, `{}`), with("", ""))
	for _, c := range []struct{ field, in, out string }{
		{"i", "3", "3"}, {"i", "3.0", "3"}, {"i", "3.5", ""}, {"i", `"3"`, ""}, {"i", "1e300", ""}, {"i", "-9007199254740991", "-9007199254740991"},
		{"i", "99999999999999999999", ""}, {"n", "3", "3"}, {"n", "2.5", "2.5"}, {"n", "1e999", ""}, {"n", `"a"`, ""},
		{"b", "true", "true"}, {"b", "1", ""}, {"o", `{"a":[1]}`, `{"a":[1]}`}, {"o", "[]", ""}, {"l", "[]", "[]"}, {"l", "{}", ""},
		{"a", `[1,2.5,"x",null,true,{"y":{}}]`, `[1,2.5,"x",null,true,{"y":{}}]`}, {"d", "[]", "[]"}, {"d", "null", `[1,"x"]`},
		{"a", strings.Repeat("[", 65) + strings.Repeat("]", 65), ""}, {"a", strings.Repeat("[", 9000) + strings.Repeat("]", 9000), ""},
		{"a", strings.Repeat("[", 60) + strings.Repeat("]", 60), strings.Repeat("[", 60) + strings.Repeat("]", 60)},
		{"i", "null", "null"},
	} {
		want := "WRONG_TYPE " + c.field
		if c.out != "" {
			want = with(c.field, c.out)
		}
		expect(t, frame(t, r, `{"`+c.field+`":`+c.in+`}`), want)
	}
}

// TestRun goes through rules, vars, who is there, and outputs that do not fit.
func TestRun(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	u := w.user("ani")
	w.publish(`process: run
inputs: { do: string, x: any? }
outputs: { r: string, n: "integer?", more: { type: number, default: 2.5 } }
rules:
  - when: do == "count"
    set: { n: '(vars.n ?? 0) + 1' }
    reply: { r: string(vars.n) }
  - when: do == "swap"
    do:
      - set: { a: vars.b ?? 1, b: vars.a ?? 2 }
      - reply: { r: "string(vars.a) + string(vars.b)" }
  - when: do == "forget"
    set: { n: null, a: nil }
  - when: do == "who"
    reply: { r: 'user.username + "," + user.name + "," + string(user.id > 0) + "," + join(user.groups, "|") + "," + session.id + session.endpoint + session.address' }
  - when: do == "now"
    reply: { r: 'string(now.Year() > 2020 && now == now)' }
  - when: do == "bad"
    set: { n: 100 }
    reply: { r: x }
  - when: do == "float"
    reply: { r: '""', n: x, more: 1 }
  - when: do == "when"
    reply: { r: '"x" + x' }
  - when: do == "boolean" && x
    reply: { r: '"yes"' }
endpoint: { url: /run, access: anonymous }
`)
	r := w.runner("/run", &u)
	for _, c := range [][2]string{
		{`{"do":"count"}`, `{"more":2.5,"r":"1"}`}, {`{"do":"count"}`, `{"more":2.5,"r":"2"}`},
		{`{"do":"bad","x":7}`, "PROCESS_FAILED "}, {`{"do":"count"}`, `{"more":2.5,"r":"3"}`},
		{`{"do":"swap"}`, `{"more":2.5,"r":"12"}`}, {`{"do":"swap"}`, `{"more":2.5,"r":"21"}`},
		{`{"do":"forget"}`, `{}`}, {`{"do":"count"}`, `{"more":2.5,"r":"1"}`},
		{`{"do":"who"}`, `{"more":2.5,"r":"ani,ani,true,Users,c1/run10.0.0.1:1"}`}, {`{"do":"now"}`, `{"more":2.5,"r":"true"}`},
		{`{"do":"float","x":3.0}`, `{"more":1,"n":3,"r":""}`}, {`{"do":"float","x":3.5}`, "PROCESS_FAILED "}, {`{"do":"float"}`, `{"more":1,"n":null,"r":""}`},
		{`{"do":"when","x":1}`, "PROCESS_FAILED "}, {`{"do":"boolean","x":1}`, "PROCESS_FAILED "}, {`{"do":"boolean","x":true}`, `{"more":2.5,"r":"yes"}`},
		{`{"do":"none"}`, `{}`},
	} {
		expect(t, frame(t, r, c[0]), c[1])
	}
	expect(t, frame(t, w.runner("/run", nil), `{"do":"who"}`), `{"more":2.5,"r":",,false,Users,c1/run10.0.0.1:1"}`)
	if s := w.Stats(); s.Runs < 17 || s.Failed != 4 {
		t.Errorf("%+v", s)
	}
	if log := w.log.String(); !strings.Contains(log, "process=run") || !strings.Contains(log, "line 2") {
		t.Errorf("logged %s", log)
	}
}

// TestDeeds has all actions of a run be one change, or none.
func TestDeeds(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	ani, budi := w.user("ani"), w.user("budi")
	g, err := w.chats.CreateGroup(bg, ani.ID, "Staff")
	ok(t, err)
	i, _, err := w.instances.Create(bg, instance.Spec{Name: "demo"})
	ok(t, err)
	w.publish(fmt.Sprintf(`process: deeds
inputs: { to: any, text: string, event: string }
rules:
  - when: event == "bad"
    publish: { text: text }
    notify: { instance: demo, event: no.such, data: 1 }
  - publish: { text: text, data: { n: [1, text] } }
    send: { to: to, text: text }
    notify: { instance: demo, event: send.message, data: { text: text } }
  - on: connect
    do:
      - publish: { to: feed, text: '"welcome " + user.name' }
      - publish: { to: room/%d, text: '"hello"' }
endpoint: { url: /deeds }
`, g.ID))
	r := w.runner("/deeds", &ani)
	expect(t, frame(t, r, `{"to":"BUDI","text":"hi","event":""}`), "{}")
	expect(t, frame(t, r, fmt.Sprintf(`{"to":%d,"text":"ho","event":""}`, budi.ID)), "{}")
	said := func(text string) string {
		return fmt.Sprintf(`bot.said {"process":"deeds","from":{"id":%d,"handle":"ani","name":"ani"},"text":"%s","data":{"n":[1,"%s"]}}`, ani.ID, text, text)
	}
	if got := w.topic("bot/deeds"); !slices.Equal(got, []string{said("hi"), said("ho")}) {
		t.Errorf("%q", got)
	}
	ms, err := w.journal.Read(bg, "bot/deeds", 0, 10)
	ok(t, err)
	if m := ms[0]; m.Hops != 1 || m.Except != 99 || m.From != ani.ID {
		t.Errorf("%+v", m)
	}
	if got := w.topic(account.Inbox(budi.ID)); len(got) != 2 || got[0] != `notice {"text":"hi"}` {
		t.Errorf("%q", got)
	}
	if got := w.topic(instance.Topic(i.ID)); len(got) != 2 || !strings.HasSuffix(got[0], `"data":{"text":"hi"}}`) {
		t.Errorf("%q", got)
	}
	expect(t, trigger(r, process.Trigger{On: process.OnConnect}), "null")
	if got := w.topic(chat.FeedTopic); !slices.Equal(got, []string{`notice {"text":"welcome ani"}`}) {
		t.Errorf("%q", got)
	}
	if got := w.topic(chat.RoomTopic(g.ID)); len(got) == 0 || !strings.Contains(got[len(got)-1], `"text":"hello"`) {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{`{"to":"nobody","text":"x","event":""}`, `{"to":0,"text":"x","event":""}`, `{"to":[],"text":"x","event":""}`, `{"to":"budi","text":"","event":""}`, `{"to":"budi","text":"x","event":"bad"}`} {
		expect(t, frame(t, r, bad), "PROCESS_FAILED ")
	}
	if got := len(w.topic("bot/deeds")); got != 2 {
		t.Errorf("half a run was done: %d", got)
	}
}

func TestRoomChat(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.publish(example("roomchat"))
	ani, budi := w.user("ani"), w.user("budi")
	a, b := w.runner("/roomchat", &ani), w.runner("/roomchat", &budi)
	expect(t, trigger(a, process.Trigger{On: process.OnConnect, From: ani.Profile()}), "null")
	expect(t, frame(t, a, `{"text":" Halo "}`), `{"author":"ani","event":"Message","text":" Halo "}`)
	expect(t, frame(t, a, `{"text":"  "}`), `{}`)
	expect(t, trigger(a, process.Trigger{On: process.OnDisconnect, From: ani.Profile()}), "null")
	expect(t, trigger(b, process.Trigger{On: process.OnTyping, From: ani.Profile()}), `{"author":"ani","event":"Typing"}`)
	ms, err := w.journal.Read(bg, process.BotTopic("/roomchat"), 0, 10)
	ok(t, err)
	var heard []string
	for _, m := range ms {
		var d process.Said
		ok(t, json.Unmarshal(m.Data, &d))
		heard = append(heard, trigger(b, process.Trigger{
			On: process.OnMessage, From: d.From, Text: d.Text, Data: d.Data, Topic: "bot/roomchat", Hops: int(m.Hops),
		}))
	}
	if !slices.Equal(heard, []string{
		`{"author":"ani","event":"Connected"}`, `{"author":"ani","event":"Message","text":" Halo "}`, `{"author":"ani","event":"Disconnected"}`,
	}) {
		t.Errorf("%q", heard)
	}
}

func TestCall(t *testing.T) {
	var last process.Request
	answer := process.Answer{Status: 200, Body: []byte(`{"price": 12, "list": [1, 2]}`)}
	var failure error
	w := start(t, t.TempDir(), func(o *process.Options) {
		o.Caller = asked(func(_ context.Context, r process.Request) (process.Answer, error) {
			last = r
			return answer, failure
		})
	})
	w.publish(`process: call
inputs: { q: any }
outputs: { r: any, n: any }
rules:
  - when: q == "get"
    call: { url: "https://example.com/p?a=1", method: GET, query: { q: q, n: '1 + 1', none: nil } }
    reply: { r: answer.price, n: answer }
  - do:
      - call: { url: "https://example.com/p", body: { q: q }, headers: { X-Shop: "7" } }
      - set: { first: answer.price }
      - call: { url: "https://example.com/q", body: answer }
      - reply: { r: vars.first + answer.price, n: 'answer.list[1]' }
endpoint: { url: /call }
`)
	r := w.runner("/call", nil)
	expect(t, frame(t, r, `{"q":"get"}`), `{"n":{"list":[1,2],"price":12},"r":12}`)
	if last.URL != "https://example.com/p?a=1&n=2&q=get" || last.Method != http.MethodGet || last.Body != nil || last.MaxAnswer != 256<<10 {
		t.Errorf("%+v", last)
	}
	expect(t, frame(t, r, `{"q":[1]}`), `{"n":2,"r":24}`)
	if last.Method != http.MethodPost || string(last.Body) != `{"list":[1,2],"price":12}` || last.Header["Content-Type"] != "application/json" {
		t.Errorf("%+v", last)
	}
	info, err := w.Get(bg, "call", 0)
	ok(t, err)
	header := func(name string) string {
		for k, v := range last.Header {
			if strings.EqualFold(k, name) {
				return v
			}
		}
		return ""
	}
	ok(t, sign.Verify(info.Secret, header, last.Body, timeNow()))
	other, err := w.Save(bg, "other", []byte("process: other\nrules: [{on: connect}]"))
	ok(t, err)
	if second, _ := w.Get(bg, "other", other); second.Secret == info.Secret || second.Secret == "" {
		t.Error("two processes have one secret")
	}
	for _, a := range []process.Answer{
		{Status: 500, Body: []byte(`{"price":1}`)}, {Status: 302}, {Status: 200, Body: []byte("<html>")},
		{Status: 200, Body: []byte(strings.Repeat(" ", 257<<10) + "1")}, {Status: 200, Body: []byte(strings.Repeat("[", 1000))},
		{Status: 200, Body: []byte(strings.Repeat("[", 100) + strings.Repeat("]", 100))}, {Status: 200, Body: []byte("\"\xff\"")},
	} {
		answer = a
		expect(t, frame(t, r, `{"q":"get"}`), "PROCESS_FAILED ")
	}
	answer, failure = process.Answer{Status: 204}, errors.New("secret inner detail")
	out, bad := r.Frame(bg, map[string]json.RawMessage{"q": json.RawMessage(`"get"`)})
	if out != nil || bad == nil || strings.Contains(bad.Message, "detail") {
		t.Errorf("%v %+v", out, bad)
	}
	if !strings.Contains(w.log.String(), "process=call") {
		t.Error("nothing was logged")
	}
}

func TestNoCaller(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.publish("process: a\noutputs: { r: any }\nrules:\n  - call: { url: \"https://example.com\" }\n    reply: { r: answer }\nendpoint: { url: /a }\n")
	expect(t, frame(t, w.runner("/a", nil), "{}"), "PROCESS_FAILED ")
}

func TestTry(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	u := w.user("ani")
	source := `process: try
instances: demo
inputs: { m: string }
outputs: { r: string }
rules:
  - when: m == "call"
    call: { url: "https://example.com", body: { m: m } }
    publish: { to: feed, text: answer.text }
    send: { to: user.id, text: m }
    notify: { instance: demo, event: send.message, data: [m] }
    reply: { r: user.name + answer.text }
  - when: m == "fail"
    reply: { r: string(1 % (len(m) - 4)) }
  - on: message
    reply: { r: message.text + from.name + message.data.x }
  - on: event
    when: event.name == "send.message" && event.data.n == 1
    send: { to: '"ani"', text: event.instance }
endpoint: { url: /try }
`
	_, err := w.Save(bg, "try", []byte(source))
	ok(t, err)
	try := func(trial process.Trial) process.TrialResult {
		t.Helper()
		r, err := w.Try(bg, "try", 0, trial)
		ok(t, err)
		return r
	}
	r := try(process.Trial{Inputs: json.RawMessage(`{"m":"call"}`), User: u.ID, Answer: json.RawMessage(`{"text":"T"}`)})
	b, err := json.Marshal(r)
	ok(t, err)
	expect(t, string(b), fmt.Sprintf(`{"outputs":{"r":"aniT"},"rule":1,"line":6,"actions":[{"do":"call","line":7,"to":"POST https://example.com","data":{"m":"call"}},`+
		`{"do":"publish","line":8,"to":"feed","text":"T"},{"do":"send","line":9,"to":"%d","text":"call"},{"do":"notify","line":10,"to":"demo send.message","data":["call"]}]}`, u.ID))
	if len(w.topic(chat.FeedTopic)) != 0 || len(w.topic(account.Inbox(u.ID))) != 0 {
		t.Error("a trial did something")
	}
	if r := try(process.Trial{Inputs: json.RawMessage(`{"m":"fail"}`)}); r.Rule != 2 || r.Error.Code != process.ProcessFailed || !strings.Contains(r.Reason, "line 13") {
		t.Errorf("%+v", r)
	}
	if r := try(process.Trial{Inputs: json.RawMessage(`{"m":"x"}`)}); r.Rule != 0 || r.Line != 0 || r.Error != nil {
		t.Errorf("%+v", r)
	}
	if r := try(process.Trial{Inputs: json.RawMessage(`{"x":1}`)}); r.Error.Code != process.UnknownInput {
		t.Errorf("%+v", r)
	}
	if r := try(process.Trial{On: process.OnMessage, Inputs: json.RawMessage(`{"text":"a","from":{"name":"b"},"data":{"x":"c"}}`)}); r.Outputs["r"] != "abc" {
		t.Errorf("%+v", r)
	}
	if r := try(process.Trial{On: process.OnEvent, Inputs: json.RawMessage(`{"name":"send.message","instance":"i","data":{"n":1}}`)}); r.Rule != 4 || r.Actions[0].Text != "i" {
		t.Errorf("%+v", r)
	}
	_, err = w.Try(bg, "try", 9, process.Trial{})
	is(t, err, process.ErrNoVersion)
	_, err = w.Try(bg, "nope", 0, process.Trial{})
	is(t, err, process.ErrNoProcess)
	for _, bad := range []process.Trial{{On: "x"}, {Inputs: json.RawMessage("[]")}, {User: 12345}} {
		_, err = w.Try(bg, "try", 0, bad)
		var e *status.Error
		if !errors.As(err, &e) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestHops has what processes cause among themselves end.
func TestHops(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.publish("process: echo\noutputs: { r: string }\nrules:\n  - on: message\n    publish: { text: message.text }\n    reply: { r: message.text }\nendpoint: { url: /echo }\n")
	r := w.runner("/echo", nil)
	hear := func(hops int) string {
		return trigger(r, process.Trigger{On: process.OnMessage, Text: "x", Hops: hops})
	}
	for hops := range 8 {
		expect(t, hear(hops), `{"r":"x"}`)
	}
	expect(t, hear(8), "PROCESS_FAILED ")
	expect(t, hear(200), "PROCESS_FAILED ")
	ms, err := w.journal.Read(bg, "bot/echo", 0, 100)
	ok(t, err)
	if len(ms) != 8 || ms[7].Hops != 8 {
		t.Errorf("%d, %+v", len(ms), ms[len(ms)-1])
	}
	if s := w.Stats(); s.Loops != 2 {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(w.log.String(), "causes itself") || !strings.Contains(w.log.String(), "process=echo") {
		t.Error("it was not logged")
	}
	// Thousands of connections that hear each other become no avalanche.
	refused := 0
	for range 3000 {
		if hear(1) != `{"r":"x"}` {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}

}
