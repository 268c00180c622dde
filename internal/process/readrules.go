package process

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (r *reader) rules(n *yaml.Node) {
	switch {
	case n.Kind != yaml.SequenceNode:
		r.wrong(n, "the rules are %s, but must be a list, each beginning with a dash", shape(n))
		return
	case len(n.Content) == 0:
		r.wrong(n, "the process has no rules")
	case len(n.Content) > maxRules:
		r.wrong(n, "a process has at most %d rules, not %d", maxRules, len(n.Content))
		return
	}
	for _, c := range n.Content {
		r.collect(c, 0)
	}
	for i, c := range n.Content {
		if rule := r.rule(c, i+1); rule != nil {
			r.d.rules = append(r.d.rules, rule)
		}
	}
	for _, rule := range r.d.rules {
		if rule.on == OnEvent && len(r.d.Instances) == 0 && len(r.faults) == 0 {
			r.wrong(n.Content[rule.index-1], "the process names no instance whose events it hears: write instances: and their names")
		}
	}
}

// collect finds the vars that a rule sets: what no rule sets is no var.
func (r *reader) collect(n *yaml.Node, depth int) {
	if n.Kind == yaml.SequenceNode && depth > 0 {
		for _, c := range n.Content {
			r.collect(c, depth+1)
		}
	}
	if n.Kind != yaml.MappingNode || depth > 2 {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Value == "do" && depth == 0:
			r.collect(value, 1)
		case key.Value == doSet && value.Kind == yaml.MappingNode:
			for j := 0; j+1 < len(value.Content); j += 2 {
				if name := value.Content[j].Value; isWord(name) {
					r.vars[name] = true
				}
			}
		}
	}
}

// scope is the typed environment of a trigger's rules.
func (r *reader) scope(on string, answered bool) *scopeOf {
	key := fmt.Sprint(on, answered)
	if r.scopes[key] == nil {
		s := newScope(names(r.d, on, r.vars, answered))
		s.left = &r.left
		r.scopes[key] = s
	}
	return r.scopes[key]
}

func (r *reader) rule(n *yaml.Node, index int) *rule {
	found := r.keys(n, "a rule", append([]string{"on", "when", "do"}, inOrder...)...)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	out := &rule{on: OnFrame, index: index, line: n.Line}
	if e, ok := found["on"]; ok {
		on, ok := r.word(e.value, "on")
		if ok && !slices.Contains(triggers, on) {
			text := hint("there is no trigger "+strconv.Quote(cut(on, 40)), on, triggers)
			r.wrong(e.value, "%s; the triggers are %s", text, strings.Join(triggers, ", "))
			return nil
		}
		out.on = on
	}
	if e, ok := found["when"]; ok {
		out.when = r.typed(e.value, r.scope(out.on, false), TypeBoolean, "the condition")
	}
	w := &stepReader{reader: r, on: out.on}
	do, isList := found["do"]
	for _, kind := range inOrder {
		e, ok := found[kind]
		if ok && isList {
			r.wrong(e.key, "%s stands beside do: write it into the list", kind)
			continue
		}
		if ok {
			w.step(kind, e)
		}
	}
	if isList {
		w.list(do.value)
	}
	if len(w.steps) > maxSteps1 {
		r.wrong(n, "a rule has at most %d steps", maxSteps1)
	}
	out.steps = w.steps
	return out
}

// stepReader reads the steps of one rule.
type stepReader struct {
	*reader
	on       string
	answered bool
	replied  bool
	steps    []step
}

func (r *stepReader) here() *scopeOf { return r.scope(r.on, r.answered) }

func (r *stepReader) list(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.wrong(n, "do is %s, but must be a list of steps, each beginning with a dash", shape(n))
		return
	}
	for _, c := range n.Content {
		found := r.keys(c, "a step", inOrder...)
		if c.Kind == yaml.MappingNode && len(found) != 1 {
			r.wrong(c, "a step does one thing: %s", strings.Join(inOrder, ", "))
			continue
		}
		for kind, e := range found {
			r.step(kind, e)
		}
	}
}

func (r *stepReader) step(kind string, e entry) {
	s := step{do: kind, line: e.key.Line}
	switch kind {
	case doCall:
		r.call(&s, e.value)
		r.answered = true
	case doSet:
		if r.on == OnEvent {
			r.wrong(e.key, "a rule on an event sets no vars: they belong to a connection")
			return
		}
		r.set(&s, e.value)
	case doPublish:
		r.publish(&s, e.value)
	case doSend:
		r.send(&s, e.value)
	case doNotify:
		r.notify(&s, e.value)
	case doReply:
		switch {
		case r.on == OnEvent:
			r.wrong(e.key, "a rule on an event has nobody to reply to")
			return
		case r.on == OnDisconnect:
			r.wrong(e.key, "who disconnected hears no reply")
			return
		case r.replied:
			r.wrong(e.key, "a rule replies once")
			return
		}
		r.replied = true
		r.reply(&s, e.value)
	}
	r.steps = append(r.steps, s)
}

// typed compiles an expression that must be of a type.
func (r *reader) typed(n *yaml.Node, s *scopeOf, t Type, what string) node {
	e, ok := r.expression(n, s)
	if ok {
		r.must(n, e, t, what)
	}
	return e.run
}

// must checks the static type of an expression.
func (r *reader) must(n *yaml.Node, e expression, t Type, what string) {
	if !yields(e.static, t) {
		text := fmt.Sprintf("%s is %s, but must be %s", what, some(staticName(e.static)), some(string(t)))
		if t == TypeString {
			text += "; write string(…)"
		}
		if n.Kind == yaml.ScalarNode {
			line, column := r.places.locate(n, leading(n.Value))
			r.fault(line, column, text)
		} else {
			r.wrong(n, "%s", text)
		}
	}
}

// leading is where a text begins, in characters.
func leading(s string) int { return len(s) - len(strings.TrimLeft(s, " \t\r\n")) }

// expression compiles a scalar; keys and lists become objects and lists of
// what stands in them.
func (r *reader) expression(n *yaml.Node, s *scopeOf) (expression, bool) {
	switch n.Kind {
	case yaml.MappingNode, yaml.SequenceNode:
		return r.composed(n, s, 0)
	case yaml.ScalarNode:
		return r.scalar(n, s)
	default:
		r.wrong(n, "%s cannot be used here", shape(n))
		return expression{}, false
	}
}

// scalar reads an expression that is one text of YAML.
func (r *reader) scalar(n *yaml.Node, s *scopeOf) (expression, bool) {
	if r.places.tagged(n) { // "! done" would mean done
		r.wrong(n, "a ! here is YAML's own: write not, or put the expression into 'single quotes'")
		return expression{}, false
	}
	if n.Tag == "!!null" && n.Value != "" {
		return expression{run: constant(nil)}, true
	}
	e, bad := s.compile(n.Value)
	if bad == nil {
		return e, true
	}
	hint := ""
	json := bytes.HasPrefix(bytes.TrimSpace(r.source), []byte("{"))
	if n.Style&yaml.DoubleQuotedStyle != 0 && !json { // YAML's quotes are gone, and a text of the expression's has none
		hint = `; a text is written '"…"', with quotes inside of YAML's`
	}
	line, column := r.places.locate(n, bad.at)
	if *s.left < 0 {
		r.end(line, column, bad.text)
	}
	r.fault(line, column, bad.text+hint)
	return expression{}, false
}

func (r *reader) composed(n *yaml.Node, s *scopeOf, depth int) (expression, bool) {
	if depth > maxDepth/2 {
		r.wrong(n, "this is nested too deeply")
		return expression{}, false
	}
	inner := func(c *yaml.Node) (node, bool) {
		if c.Kind == yaml.MappingNode || c.Kind == yaml.SequenceNode {
			e, ok := r.composed(c, s, depth+1)
			return e.run, ok
		}
		e, ok := r.expression(c, s)
		return e.run, ok
	}
	good := true
	if n.Kind == yaml.SequenceNode {
		all := make([]node, len(n.Content))
		for i, c := range n.Content {
			e, ok := inner(c)
			all[i], good = e, good && ok
		}
		return expression{listOf(all), anySlice}, good
	}
	var all []assign
	for _, e := range r.entries(n, "an object") {
		v, ok := inner(e.value)
		all, good = append(all, assign{e.key.Value, TypeAny, v}), good && ok
	}
	return expression{objectOf(all), anyObject}, good
}

func (r *stepReader) set(s *step, n *yaml.Node) {
	for _, e := range r.entries(n, "set") {
		if !isWord(e.key.Value) {
			r.wrong(e.key, "%s cannot be a var: write up to 64 of A-Z a-z 0-9 _, the first no digit", shape(e.key))
		}
		v, _ := r.expression(e.value, r.here())
		s.fields = append(s.fields, assign{e.key.Value, TypeAny, v.run})
	}
}

func (r *stepReader) reply(s *step, n *yaml.Node) {
	given := map[string]bool{}
	all := r.entries(n, "the reply")
	for _, e := range all {
		i := slices.IndexFunc(r.d.Outputs, func(f Field) bool { return f.Name == e.key.Value })
		if i < 0 {
			var known []string
			for _, f := range r.d.Outputs {
				known = append(known, f.Name)
			}
			r.wrong(e.key, "%s", hint("there is no output "+strconv.Quote(cut(e.key.Value, 40)), e.key.Value, known))
			continue
		}
		f := r.d.Outputs[i]
		given[f.Name] = true
		v, ok := r.expression(e.value, r.here())
		if ok && (v.static != nil || !f.Optional) {
			r.must(e.value, v, f.Type, f.Name)
		}
		s.fields = append(s.fields, assign{f.Name, f.Type, v.run})
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	for _, f := range r.d.Outputs {
		if !f.Optional && !given[f.Name] {
			r.wrong(n, "the reply lacks the output %s", f.Name)
		}
	}
}

var roomForm = regexp.MustCompile(`^room/([1-9][0-9]{0,15})$`)

func (r *stepReader) publish(s *step, n *yaml.Node) {
	found := r.keys(n, "publish", "to", "text", "data")
	if n.Kind != yaml.MappingNode {
		return
	}
	s.target.here = true
	if e, ok := found["to"]; ok {
		to, ok := r.word(e.value, "to")
		room := roomForm.FindStringSubmatch(to)
		switch {
		case !ok:
		case to == "feed":
			s.target = target{feed: true}
		case to == "endpoint":
		case room != nil:
			s.target = target{}
			s.target.group, _ = strconv.ParseUint(room[1], 10, 64)
		default:
			r.wrong(e.value, "nothing can be published to %s: write endpoint, feed or room/ and its number", shape(e.value))
		}
	}
	if s.target.here && r.on == OnEvent && r.d.Endpoint == nil {
		r.wrong(n, "the process declares no endpoint to publish to: write to: feed, or to: room/ and its number")
	}
	if e, ok := found["text"]; ok {
		s.text = r.typed(e.value, r.here(), TypeString, "the text")
	} else if !s.target.here {
		r.wrong(n, "there is no text to publish")
	}
	if e, ok := found["data"]; ok {
		if !s.target.here {
			r.wrong(e.key, "data is published to the endpoint only; the feed and rooms take a text")
		}
		v, _ := r.expression(e.value, r.here())
		s.data = v.run
	} else if found["text"].value == nil && s.target.here {
		r.wrong(n, "there is nothing to publish: write text or data")
	}
}

func (r *stepReader) send(s *step, n *yaml.Node) {
	found := r.keys(n, "send", "to", "text")
	if n.Kind != yaml.MappingNode {
		return
	}
	if e, ok := found["to"]; !ok {
		r.wrong(n, "send needs to: a person's number or username")
	} else if v, ok := r.expression(e.value, r.here()); ok {
		if !yields(v.static, TypeInteger) && !yields(v.static, TypeString) {
			r.wrong(e.value, "a person is a number or a username, not %s", some(staticName(v.static)))
		}
		s.person = v.run
	}
	if e, ok := found["text"]; !ok {
		r.wrong(n, "send needs a text")
	} else {
		s.text = r.typed(e.value, r.here(), TypeString, "the text")
	}
}

func (r *stepReader) notify(s *step, n *yaml.Node) {
	found := r.keys(n, "notify", "instance", "event", "data")
	if n.Kind != yaml.MappingNode {
		return
	}
	for _, key := range []string{"instance", "event"} {
		e, ok := found[key]
		if !ok {
			r.wrong(n, "notify needs the %s", key)
			continue
		}
		w, ok := r.word(e.value, key)
		if ok && (w == "" || len(w) > 256) {
			r.wrong(e.value, "%s is no %s", shape(e.value), key)
		}
		if key == "event" {
			s.name = w
		} else {
			s.to = w
		}
	}
	if e, ok := found["data"]; ok {
		v, _ := r.expression(e.value, r.here())
		s.data = v.run
	}
}

var headerForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

var ownHeaders = []string{
	"host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "user-agent", "expect", "te", "trailer", "proxy-authorization",
	"kabar-hops",
}

func (r *stepReader) call(s *step, n *yaml.Node) {
	found := r.keys(n, "call", "url", "method", "query", "headers", "body")
	if n.Kind != yaml.MappingNode {
		return
	}
	s.method = "POST"
	if e, ok := found["method"]; ok {
		if s.method, ok = r.word(e.value, "the method"); ok && !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, s.method) {
			r.wrong(e.value, "there is no method %s; it is GET, POST, PUT, PATCH or DELETE", shape(e.value))
		}
	}
	if e, ok := found["url"]; !ok {
		r.wrong(n, "call needs a url")
	} else if text, ok := r.word(e.value, "the url"); ok {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" || len(text) > 2000 {
			r.wrong(e.value, "%s is not a url that can be called: write it whole, as https://example.com/path", shape(e.value))
		}
		s.url = text
	}
	if e, ok := found["query"]; ok {
		for _, q := range r.entries(e.value, "the query") {
			v, _ := r.expression(q.value, r.here())
			s.fields = append(s.fields, assign{q.key.Value, TypeString, v.run})
		}
	}
	if e, ok := found["headers"]; ok {
		s.header = map[string]string{}
		for _, h := range r.entries(e.value, "the headers") {
			v, ok := r.word(h.value, "a header")
			name := strings.ToLower(h.key.Value)
			if !ok || !headerForm.MatchString(name) || slices.Contains(ownHeaders, name) || strings.HasPrefix(name, "webhook-") ||
				len(v) > 1000 || strings.ContainsAny(v, "\r\n\x00") {
				r.wrong(h.key, "%s cannot be a header here", shape(h.key))
			}
			s.header[h.key.Value] = v
		}
	}
	if e, ok := found["body"]; ok {
		if s.method == "GET" {
			r.wrong(e.key, "a GET has no body; write a query")
		}
		v, _ := r.expression(e.value, r.here())
		s.data = v.run
	}
}
