package process

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The bounds of a definition.
const (
	maxRules     = 200
	maxSteps1    = 32 // of a rule
	maxFields    = 64
	maxFollow    = 32
	maxInstances = 32
	maxFaults    = 50
	maxText      = 1000 // of a description
	minTimeout   = 50 * time.Millisecond
	maxTimeout   = 30 * time.Second
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Check reads a definition, YAML or JSON, and compiles it, or says all that is
// wrong with it. It is pure.
func Check(source []byte) (*Definition, []Fault) {
	root, fault := parseSource(source)
	if fault != nil {
		return nil, []Fault{*fault}
	}
	r := &reader{
		source: source, places: placesOf(source), d: &Definition{defaults: map[string]any{}},
		vars: map[string]bool{}, scopes: map[string]*scopeOf{}, left: maxCost,
	}
	r.whole(root)
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	return r.d, nil
}

// reader makes a definition of nodes and collects the faults.
type reader struct {
	source []byte
	places places
	d      *Definition
	faults []Fault
	vars   map[string]bool // that some rule sets
	scopes map[string]*scopeOf
	left   int // of maxCost
}

// enough ends the reading, from wherever it is.
type enough struct{ last Fault }

// end ends it with a fault that comes after all others.
func (r *reader) end(line, column int, text string) {
	panic(enough{Fault{max(1, line), max(1, column), text}})
}

// whole reads a definition, in full or until it is clear that no more is worth
// working out, and puts the faults into the order of the file.
func (r *reader) whole(root *yaml.Node) {
	var end []Fault
	defer func() {
		switch p := recover().(type) {
		case nil:
		case enough:
			end = append(end, p.last)
		default:
			panic(p)
		}
		slices.SortStableFunc(r.faults, func(a, b Fault) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		r.faults = append(r.faults, end...)
	}()
	r.definition(root)
}

func (r *reader) wrong(n *yaml.Node, format string, args ...any) {
	r.fault(n.Line, n.Column, fmt.Sprintf(format, args...))
}

func (r *reader) fault(line, column int, text string) {
	if len(r.faults) == maxFaults {
		r.end(line, column, fmt.Sprintf("the check ended here, after %d faults: there may be more", maxFaults))
	}
	r.faults = append(r.faults, Fault{max(1, line), max(1, column), text})
}

func shape(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	default:
		if n.Tag == "!!null" {
			return "nothing"
		}
		return strconv.Quote(cut(n.Value, 40))
	}
}

// entry is a key with its value.
type entry struct{ key, value *yaml.Node }

// entries reads a mapping, each key once.
func (r *reader) entries(n *yaml.Node, what string) []entry {
	if n.Kind != yaml.MappingNode {
		r.wrong(n, "%s is %s, but must be keys with values", what, shape(n))
		return nil
	}
	var all []entry
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.wrong(key, "a key is a word, not %s", shape(key))
		case lines[key.Value] > 0:
			r.wrong(key, "%s stands here for the second time, the first is in line %d", cut(key.Value, 40), lines[key.Value])
		case n.Style&yaml.FlowStyle != 0 && value.Tag == "!!null" && value.Value == "":
			r.wrong(key, "%s has no value; between { } a comma ends one: put an expression with commas into 'single quotes'", shape(key))
		default:
			lines[key.Value] = key.Line
			all = append(all, entry{key, value})
		}
	}
	return all
}

// keys reads a mapping whose keys are known.
func (r *reader) keys(n *yaml.Node, what string, known ...string) map[string]entry {
	found := map[string]entry{}
	for _, e := range r.entries(n, what) {
		if !slices.Contains(known, e.key.Value) {
			text := fmt.Sprintf("there is no key %s in %s", strconv.Quote(cut(e.key.Value, 40)), what)
			if near := Nearest(e.key.Value, known); near != "" {
				text += "; did you mean " + near + "?"
			} else {
				text += "; the keys are " + strings.Join(known, ", ")
			}
			r.wrong(e.key, "%s", text)
			continue
		}
		found[e.key.Value] = e
	}
	return found
}

// word reads a scalar as it stands.
func (r *reader) word(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.wrong(n, "%s is %s, but must be a word", what, shape(n))
		return "", false
	}
	return n.Value, true
}

// words reads a list of them, or one.
func (r *reader) words(n *yaml.Node, what string, most int) []*yaml.Node {
	all := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		all = n.Content
	}
	if len(all) > most {
		r.wrong(n, "%s are %d, and at most %d", what, len(all), most)
		return nil
	}
	seen := map[string]bool{}
	var good []*yaml.Node
	for _, each := range all {
		w, ok := r.word(each, what)
		if ok && !seen[w] {
			seen[w] = true
			good = append(good, each)
		}
	}
	return good
}

func (r *reader) definition(root *yaml.Node) {
	d := r.d
	found := r.keys(root, "a process", "process", "description", "inputs", "outputs", "rules", "endpoint", "follow", "instances", "timeout")
	if root.Kind != yaml.MappingNode {
		return
	}
	if e, ok := found["process"]; !ok {
		r.wrong(root, "the process has no name: write process: and its name")
	} else if name, ok := r.word(e.value, "the name"); ok {
		if d.Name = name; !nameForm.MatchString(name) {
			r.wrong(e.value, "%s is not a name: write up to 64 of A-Z a-z 0-9 . _ -, the first a letter or a digit", shape(e.value))
		}
	}
	if e, ok := found["description"]; ok {
		if d.Description, ok = r.word(e.value, "the description"); ok && len(d.Description) > maxText {
			r.wrong(e.value, "the description is longer than %d bytes", maxText)
		}
	}
	if e, ok := found["inputs"]; ok {
		d.Inputs = r.fields(e.value, "the inputs", true)
	}
	if e, ok := found["outputs"]; ok {
		d.Outputs = r.fields(e.value, "the outputs", false)
	}
	if e, ok := found["timeout"]; ok {
		r.timeout(e.value)
	}
	if e, ok := found["endpoint"]; ok {
		r.endpoint(e.value)
	}
	if e, ok := found["follow"]; ok {
		r.follow(e.value)
		if d.Endpoint == nil && found["endpoint"].value == nil {
			r.wrong(e.key, "only a process with an endpoint follows topics")
		}
	}
	if e, ok := found["instances"]; ok {
		for _, n := range r.words(e.value, "the instances", maxInstances) {
			if len(n.Value) > 256 || n.Value == "" {
				r.wrong(n, "%s is not an instance's name", shape(n))
			}
			d.Instances = append(d.Instances, n.Value)
		}
	}
	e, ok := found["rules"]
	if !ok {
		r.wrong(root, "the process has no rules")
		return
	}
	r.rules(e.value)
}

func (r *reader) timeout(n *yaml.Node) {
	text, ok := r.word(n, "the timeout")
	if !ok {
		return
	}
	t, err := time.ParseDuration(text)
	if err != nil || t < minTimeout || t > maxTimeout {
		r.wrong(n, "%s is not a timeout: write a time from %s to %s, as 2s", shape(n), minTimeout, maxTimeout)
		return
	}
	r.d.Timeout = t
}

func (r *reader) endpoint(n *yaml.Node) {
	found := r.keys(n, "the endpoint", "url", "access")
	e, ok := found["url"]
	if !ok {
		if n.Kind == yaml.MappingNode {
			r.wrong(n, "the endpoint has no url")
		}
		return
	}
	text, ok := r.word(e.value, "the url")
	if !ok {
		return
	}
	url, err := CleanURL(text)
	if err != nil {
		r.wrong(e.value, "%v", err)
		return
	}
	spec := &EndpointSpec{URL: url}
	if a, ok := found["access"]; ok {
		spec.Access = r.access(a.value)
	}
	r.d.Endpoint = spec
}

func (r *reader) access(n *yaml.Node) (a Access) {
	var groups []string
	word := ""
	if n.Kind == yaml.ScalarNode {
		word = n.Value
	} else {
		for _, g := range r.words(n, "the groups", maxGroups) {
			groups = append(groups, g.Value)
		}
		if len(groups) == 0 {
			r.wrong(n, "access is anonymous, users or a list of groups")
			return a
		}
	}
	a, err := ParseAccess(word, groups)
	if err != nil {
		r.wrong(n, "%v", err)
	}
	return a
}

var followForm = regexp.MustCompile(`^(feed|inbox|room/[1-9][0-9]{0,15})$`)

func (r *reader) follow(n *yaml.Node) {
	for _, w := range r.words(n, "the topics", maxFollow) {
		if !followForm.MatchString(w.Value) {
			r.wrong(w, "%s cannot be followed: write feed, inbox or room/ and its number", shape(w))
			continue
		}
		r.d.Follow = append(r.d.Follow, w.Value)
	}
}

// fields reads inputs or outputs: a type each, or keys.
func (r *reader) fields(n *yaml.Node, what string, input bool) []Field {
	if n.Tag == "!!null" {
		return nil
	}
	all := r.entries(n, what)
	if len(all) > maxFields {
		r.wrong(n, "%s are more than %d", what, maxFields)
		return nil
	}
	var fields []Field
	for _, e := range all {
		name := e.key.Value
		switch {
		case input && !isWord(name):
			r.wrong(e.key, "%s cannot be an input: write up to 64 of A-Z a-z 0-9 _, the first no digit", shape(e.key))
		case input && (slices.Contains(reserved, name) || slices.Contains(taken, name)):
			r.wrong(e.key, "%s cannot be an input: expressions use the word for something else", name)
		case !input && (name == "" || len(name) > 64 || strings.HasPrefix(name, "$") || name == "error"):
			r.wrong(e.key, "%s cannot be an output: it is empty, too long, or means something else in a frame", shape(e.key))
		}
		fields = append(fields, r.field(e, input))
	}
	return fields
}

func (r *reader) field(e entry, input bool) Field {
	f := Field{Name: e.key.Value, Type: TypeAny}
	if e.value.Kind != yaml.MappingNode {
		r.typeOf(&f, e.value)
		return f
	}
	found := r.keys(e.value, "a field", "type", "optional", "default", "description")
	if t, ok := found["type"]; ok {
		r.typeOf(&f, t.value)
	} else {
		r.wrong(e.value, "the field has no type: it is %s", strings.Join(typeNames, ", "))
	}
	if o, ok := found["optional"]; ok {
		switch o.value.Value {
		case "true":
			f.Optional = true
		case "false":
		default:
			r.wrong(o.value, "optional is true or false, not %s", shape(o.value))
		}
	}
	if t, ok := found["description"]; ok {
		if f.Description, ok = r.word(t.value, "the description"); ok && len(f.Description) > maxText {
			r.wrong(t.value, "the description is longer than %d bytes", maxText)
		}
	}
	if v, ok := found["default"]; ok {
		r.byDefault(&f, v.value, input)
	}
	return f
}

func (r *reader) typeOf(f *Field, n *yaml.Node) {
	text, ok := r.word(n, "the type")
	if !ok {
		return
	}
	name, optional := strings.CutSuffix(text, "?")
	f.Optional = f.Optional || optional
	if !slices.Contains(typeNames, name) {
		text := "there is no type " + strconv.Quote(cut(name, 40))
		if near := Nearest(name, typeNames); near != "" {
			text += "; did you mean " + near + "?"
		} else {
			text += "; the types are " + strings.Join(typeNames, ", ") + ", with ? where the field is optional"
		}
		r.wrong(n, "%s", text)
		return
	}
	f.Type = Type(name)
}

func (r *reader) byDefault(f *Field, n *yaml.Node, input bool) {
	v, err := r.literal(n, 0)
	if err != nil {
		r.wrong(n, "%v", err)
		return
	}
	v, ok := fit(v, f.Type)
	if !ok || v == nil {
		r.wrong(n, "the default is %s, which is no %s", shape(n), f.Type)
		return
	}
	f.Optional, f.Default = true, plain(v)
	if input {
		r.d.defaults[f.Name] = v
	}
}

// literal reads a value that is written out.
func (r *reader) literal(n *yaml.Node, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errValueDepth
	}
	switch n.Kind {
	case yaml.SequenceNode:
		items := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := r.literal(c, depth+1)
			if err != nil {
				return nil, err
			}
			items[i] = v
		}
		return newList(items)
	case yaml.MappingNode:
		fields := map[string]any{}
		for _, e := range r.entries(n, "an object") {
			v, err := r.literal(e.value, depth+1)
			if err != nil {
				return nil, err
			}
			fields[e.key.Value] = v
		}
		return newObject(fields)
	case yaml.ScalarNode:
		switch n.Tag {
		case "!!null":
			return nil, nil
		case "!!bool":
			return strings.EqualFold(n.Value, "true"), nil
		case "!!int", "!!float":
			return decodeNumber(n.Value)
		}
		return n.Value, nil
	default:
		return nil, fmt.Errorf("%s cannot be used here", shape(n))
	}
}
