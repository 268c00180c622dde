package process

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func mustCheck(t testing.TB, source string) *Definition {
	t.Helper()
	d, faults := Check([]byte(source))
	if len(faults) > 0 {
		t.Fatalf("%+v\n%s", faults, source)
	}
	return d
}

func TestCheck(t *testing.T) {
	d := mustCheck(t, `
process: shop-1
description: Sells things.
inputs:
  what: string
  many: { type: integer, default: 1, description: How many. }
  wish: string?
  more: any?
outputs: { price: number, note: string? }
timeout: 2s
endpoint: { url: /shop/buy, access: [Staff, Admins] }
follow: [feed, inbox, room/12]
instances: demo
rules:
  - on: event
    when: event.name == "order.paid"
    do:
      - call: { url: "https://example.com/x", body: { id: event.data.id, all: [1, event] }, query: { q: event.name }, headers: { X-A: b } }
      - send: { to: answer.user, text: string(answer.text) }
      - call: { url: "https://example.com/y?a=1", method: GET }
      - notify: { instance: demo, event: send.message, data: answer }
  - when: what == "x" && many > 2
    set: { last: what, count: (vars.count ?? 0) + many }
    publish: { to: feed, text: what }
    send: { to: '"ani"', text: what }
    reply: { price: many * 2.5 }
  - on: message
    when: message.topic == "feed"
    reply: { price: 1, note: message.text }
  - reply: { price: 'len(vars.last ?? "")', note: wish }
`)
	if d.Name != "shop-1" || len(d.Inputs) != 4 || d.Timeout != 2*time.Second || d.Endpoint.URL != "/shop/buy" || len(d.rules) != 4 {
		t.Errorf("%+v", d)
	}
	if in := d.Inputs[1]; in.Type != TypeInteger || !in.Optional || in.Default != 1 || in.Description != "How many." {
		t.Errorf("%+v", in)
	}
	if !slices.Equal(d.Endpoint.Access.Groups, []string{"Staff", "Admins"}) || !d.Inputs[2].Optional || !d.Outputs[1].Optional {
		t.Errorf("%+v", d)
	}
	if !d.Hears(OnEvent) || !d.Hears(OnTyping, OnMessage) || d.Hears(OnConnect) {
		t.Error("hears wrongly")
	}
	if r := d.rules[0]; len(r.steps) != 4 || r.steps[0].do != doCall || r.steps[1].line != 19 || r.line != 15 {
		t.Errorf("%+v", r)
	}
	if r := d.rules[1]; len(r.steps) != 4 || r.steps[0].do != doSet || r.steps[3].do != doReply {
		t.Errorf("%+v", r)
	}
}

func TestExamples(t *testing.T) {
	all := Examples()
	for _, name := range []string{"chatbot", "roomchat"} {
		if d := mustCheck(t, string(all[name])); d.Name != name || d.Endpoint == nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// in puts rules into a whole process.
func in(rules string) string {
	return "process: a\ninputs: { m: string, n: integer }\noutputs: { r: string }\nendpoint: { url: /a }\nrules:\n" + rules
}

// faulty are definitions with the place of their first fault marked with ¦, and
// words of it; no words where only that there is one matters.
var faulty = []struct{ source, words string }{
	{"¦", "empty"},
	{"¦a", "must be keys"},
	{"¦[1]", "must be keys"},
	{"¦process: a", "no rules"},
	{"¦rules: []", "no name"},
	{"process: ¦a b\nrules: [{reply: {}}]", "not a name"},
	{"process: a\n¦rulse: []\nrules: [{reply: {}}]", "did you mean rules?"},
	{"process: a\nrules: [{reply: {}}]\n¦process: b", "second time, the first is in line 1"},
	{"process: a\nrules: ¦[]", "no rules"},
	{"process: a\nrules: ¦x", "must be a list"},
	{"process: a\nrules:\n\t¦- x", ""},
	{"process: a\n--- ¦\nrules: []", ""},
	{"process: a\n# x\n¦outputs: { b: string, \"x\"y }\nrules: []", "'single quotes'"},
	{"process: a\nrules:\n  ¦- reply: { r: a ? b : c }", "'single quotes'"},
	{in("  - when: vars.a ?? \"?\" == ¦x\n    set: { a: 1 ?? 2, b: ¦y ?? 3 }"), ""},
	{in("  - when: \"(m ?? \\\"?\\\") == ¦x\""), "unknown name x"},
	{in("  - when: ¦! m"), "write not"},
	{in("  - reply: { r: ¦!m }"), "write not"},
	{in("  - when: \"¦Halo\""), "a text is written '\"…\"'"},
	{"process: a\nrules: [{reply: {}}]\ntimeout: ¦1h", "50ms to 30s"},
	{"process: a\nrules: [{reply: {}}]\nendpoint: { url: ¦/a//b }", "not a url"},
	{"process: a\nrules: [{reply: {}}]\nendpoint: { url: ¦/a/../b }", "not a url"},
	{"process: a\nrules: [{reply: {}}]\nendpoint: { url: ¦/a/b/c/d/e }", "not a url"},
	{"process: a\nrules: [{reply: {}}]\nendpoint: { url: /a, access: ¦some }", "anonymous, users"},
	{"process: a\nrules: [{reply: {}}]\nendpoint: ¦{ acces: some }", "no url"},
	{"process: a\nrules: [{reply: {}}]\nendpoint: { url: /a }\nfollow: [feed, ¦rooms]", "feed, inbox"},
	{"process: a\nrules: [{reply: {}}]\n¦follow: [feed]", "endpoint"},
	{"process: a\ninputs: { a: ¦strnig }\nrules: [{reply: {}}]", "did you mean string?"},
	{"process: a\ninputs: { ¦user: string }\nrules: [{reply: {}}]", "something else"},
	{"process: a\ninputs: { ¦in: string }\nrules: [{reply: {}}]", "something else"},
	{"process: a\ninputs: { ¦a-b: string }\nrules: [{reply: {}}]", "cannot be an input"},
	{"process: a\noutputs: { ¦$id: string }\nrules: [{on: connect}]", "cannot be an output"},
	{"process: a\noutputs: { ¦error: string }\nrules: [{on: connect}]", "cannot be an output"},
	{"process: a\ninputs: { a: { type: integer, default: ¦x } }\nrules: [{reply: {}}]", "no integer"},
	{"process: a\ninputs: { a: &x string, b: ¦*x }\nrules: [{reply: {}}]", "an alias"},
	{in("  - ¦whne: true\n    reply: { r: m }"), "did you mean when?"},
	{in("  - on: ¦mesage\n    reply: { r: m }"), `did you mean message?`},
	{in("  - when: ¦n\n    reply: { r: m }"), "must be a boolean"},
	{in("  - when: ¦\n    reply: { r: m }"), "missing"},
	{in("  - when: m == ¦x\n    reply: { r: m }"), "unknown name x"},
	{in("  - when: ¦messag == m\n    reply: { r: m }"), "unknown name messag"},
	{in("  - when: m ¦== 3\n    reply: { r: m }"), "mismatched types string and int"},
	{in("  - when: 'm ¦== 3'\n    reply: { r: m }"), "mismatched types"},
	{in("  - when: 'm == ''a'' && ¦x'\n    reply: { r: m }"), "unknown name x"},
	{in("  - when: \"m == \\\"\\u00e9\\\" && ¦x\"\n    reply: { r: m }"), "unknown name x"},
	{in("  - when: \"m == \\\"\\\n      a\\\" && ¦x\"\n    reply: { r: m }"), "unknown name x"},
	{in("  - when: \"m == `a`\n\n      && ¦x\"\n    reply: { r: m }"), "unknown name x"},
	{in("  - when: |\n      m == \"é\"\n        && ¦x\n    reply: { r: m }"), "unknown name x"},
	{in("  - when: |2-\n\n      m == \"é\" &&\n\n      ¦x\n    reply: { r: m }"), ""},
	{in("  - when: >-\n      m == \"é\"\n      &&\n\n      ¦x\n    reply: { r: m }"), "unknown name x"},
	{in("  - when: m == \"é\"\n      &&\n\n      ¦x\n    reply: { r: m }"), "unknown name x"},
	{in("  - when: m == \"日本\" and ¦x # why\n    reply: { r: m }"), "unknown name x"},
	{in("  - when: (m == \"a¦\"\n    reply: { r: m }"), "unexpected token EOF"},
	{in("  - when: m matches ¦\"(\"\n    reply: { r: m }"), "missing closing"},
	{in("  - when: m matches ¦\"((a{100}){100}){100}\"\n    reply: { r: m }"), ""},
	{in("  - reply: { r: m, ¦x: m }"), `there is no output "x"`},
	{in("  - reply: { r: upper(m), ¦m) }"), "a comma ends one"},
	{in("  - ¦on: event\n    send: { to: 1, text: event.name }"), "names no instance"},
	{in("  - reply: ¦{}"), "lacks the output r"},
	{in("  - reply: { r: ¦n }"), "must be a string; write string(…)"},
	{in("  - reply: { r: '¦n' }"), "must be a string"},
	{in("  - reply: { r: ¦nil }"), "must be a string"},
	{in("  - reply: { r: ¦{a: m} }"), "must be a string"},
	{in("  - reply: { r: m }\n    ¦reply: { r: m }"), "second time"},
	{in("  - do:\n    - reply: { r: m }\n    - ¦reply: { r: m }"), "replies once"},
	{in("  - do: ¦x"), "must be a list"},
	{in("  - do:\n    - ¦reply: { r: m }\n      set: { a: 1 }"), "one thing"},
	{in("  - do: []\n    ¦set: { a: 1 }"), "beside do"},
	{in("  - reply: { r: vars.¦a }"), "unknown field a"},
	{in("  - reply: { r: answer¦ }"), ""},
	{in("  - reply: { r: ¦from.name }"), "unknown name from"},
	{in("  - on: message\n    reply: { r: ¦m }"), "unknown name m"},
	{in("  - on: message\n    reply: { r: message.¦txt }"), "unknown field txt"},
	{in("  - on: event\n    ¦reply: { r: m }"), "nobody"},
	{in("  - on: event\n    ¦set: { r: 1 }"), "no vars"},
	{in("  - on: event\n    when: ¦user.id == 1"), "unknown name user"},
	{in("  - on: disconnect\n    ¦reply: { r: user.name }"), "hears no reply"},
	{in("  - publish: { to: ¦room/x, text: m }"), "nothing can be published"},
	{in("  - publish: ¦{ to: feed }"), "no text"},
	{in("  - publish: { to: feed, text: m, ¦data: m }"), "endpoint only"},
	{in("  - publish: ¦{}"), "nothing to publish"},
	{in("  - publish: { data: { a: [1, { b: ¦x }] } }"), "unknown name x"},
	{in("  - send: ¦{ text: m }"), "needs to"},
	{in("  - send: { to: ¦true, text: m }"), "number or a username"},
	{in("  - send: { to: 1, text: ¦1 }"), "must be a string"},
	{in("  - notify: ¦{ instance: demo }"), "needs the event"},
	{in("  - call: { url: ¦ftp://x }"), "not a url"},
	{in("  - call: { url: ¦/x }"), "not a url"},
	{in("  - call: { url: \"http://x\", method: ¦TRACE }"), "no method"},
	{in("  - call: { url: \"http://x\", headers: { ¦Host: a } }"), "cannot be a header"},
	{in("  - call: { url: \"http://x\", headers: { ¦webhook-id: a } }"), "cannot be a header"},
	{in("  - call: { url: \"http://x\", method: GET, ¦body: m }"), "no body"},
	{"{\"process\": \"a\",\n \"rules\": [{\"when\": \"1 ¦+ true\"}]}", "mismatched"},
	{"{\"process\": \"a\", \"rules\": [{\"when\": \"'\\ud83d\\ude00' == ¦x\"}]}", "unknown name x"},
	{"{\"process\": \"a\",\n\n  ¦\"rulse\": 1, \"rules\": [{\"reply\": {}}]}", "did you mean rules?"},
}

// TestFaults has each fault at its place.
func TestFaults(t *testing.T) {
	for _, c := range faulty {
		before, _, marked := strings.Cut(c.source, "¦")
		source := strings.ReplaceAll(c.source, "¦", "")
		d, faults := Check([]byte(source))
		if len(faults) == 0 {
			t.Errorf("no fault: %+v\n%s", d, source)
			continue
		}
		if !marked || c.words == "" {
			continue
		}
		lines := strings.Split(before, "\n")
		line, column := len(lines), len([]rune(lines[len(lines)-1]))+1
		if f := faults[0]; f.Line != line || f.Column != column || !strings.Contains(f.Message, c.words) {
			t.Errorf("%d:%d %q, want %d:%d %q\n%s", f.Line, f.Column, f.Message, line, column, c.words, source)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, source := range Examples() {
		f.Add(string(source))
	}
	for _, rule := range []string{
		"  - when: 'm == ''a'''\n    reply: { r: \"m + \\\"\\u00e9\\\"\" }", "  - when: |\n      n > 1\n    set: { a: n }\n", "  - call: { url: 'http://x' }",
		"  - when: >\n      n\n\n      > 1\n    do: [ { send: { to: 1, text: m } } ]",
	} {
		f.Add(in(rule))
	}
	f.Add(`{"process": "a", "rules": [{"when": "'\ud83d\ude00' == 'x'"}]}`)
	f.Fuzz(func(t *testing.T, source string) {
		d, faults := Check([]byte(source))
		if (d == nil) == (len(faults) == 0) {
			t.Fatalf("%+v, %+v", d, faults)
		}
		lines := linesOf([]byte(source))
		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 1 || fault.Message == "" || fault.Line > len(lines)+1 {
				t.Fatalf("%+v", fault)
			}
		}
		if d != nil {
			_ = fmt.Sprint(d.Inputs, d.Outputs)
		}
	})
}
