package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// The bounds of what a run leaves behind.
const (
	maxVars    = 64 << 10  // of a connection, as a tree
	maxOutputs = 128 << 10 // a connection's queue must hold some of them
	maxData    = 64 << 10  // of one thing that is said
	maxSaid    = 16 << 10  // a text
	maxPerson  = 320
)

// action is a thing to do once the run is through.
type action struct {
	step   *step
	text   string
	data   []byte // JSON, nil for none
	person any    // int or string
}

// outcome is what came of a run.
type outcome struct {
	rule    *rule // nil: none held
	replied bool
	outputs map[string]any
	vars    map[string]any
	actions []action
	answers int // calls that were made
}

// caller makes the call of a step whose expressions have been run.
type caller func(s *step, query map[string]string, body []byte) (any, error)

// running is one going through a definition's rules. It has no effect but by
// its caller.
type running struct {
	d    *Definition
	m    *machine
	call caller
	out  outcome
}

// run finds the first rule of a trigger that holds, and does its steps. Its env
// and vars are its own.
func (d *Definition) run(ctx context.Context, on string, env, vars map[string]any, call caller) (outcome, error) {
	r := &running{d: d, m: newMachine(ctx, env), call: call}
	r.out.vars = maps.Clone(vars)
	env["now"] = time.Now().UTC()
	if on != OnEvent {
		if err := r.show(); err != nil {
			return r.out, err
		}
	}
	for _, rule := range d.rules {
		if rule.on != on {
			continue
		}
		if rule.when != nil {
			v, err := r.m.eval(rule.when)
			holds, is := v.(bool)
			switch {
			case err != nil:
				return r.out, inLine(rule.line, err)
			case !is:
				return r.out, inLine(rule.line, fmt.Errorf("the condition is not a boolean but %s", someOf(v)))
			case !holds:
				continue
			}
		}
		r.out.rule = rule
		for i := range rule.steps {
			if err := r.do(&rule.steps[i]); err != nil {
				return r.out, inLine(rule.steps[i].line, err)
			}
		}
		return r.out, nil
	}
	return r.out, nil
}

// inLine says in which line a run failed.
func inLine(line int, err error) error { return fmt.Errorf("line %d: %w", line, err) }

// show lets the expressions see the vars as they are now.
func (r *running) show() error {
	if r.out.vars == nil {
		r.out.vars = map[string]any{}
	}
	vars, err := newObject(maps.Clone(r.out.vars))
	if err == nil && vars.size > maxVars {
		err = errors.New("the vars became too large")
	}
	r.m.env["vars"] = vars
	return err
}

func (r *running) do(s *step) error {
	switch s.do {
	case doSet:
		return r.set(s)
	case doCall:
		return r.calling(s)
	case doReply:
		return r.reply(s)
	}
	a := action{step: s}
	var err error
	if s.person != nil {
		if a.person, err = r.m.eval(s.person); err != nil {
			return err
		}
		switch p := a.person.(type) {
		case int:
		case string:
			if len(p) > maxPerson {
				return errors.New("there is no such person")
			}
		default:
			return fmt.Errorf("a person is a number or a username, not %s", someOf(p))
		}
	}
	if s.text != nil {
		if a.text, err = r.text(s.text); err != nil {
			return err
		}
		if len(a.text) > maxSaid {
			return fmt.Errorf("a text is longer than %d bytes", maxSaid)
		}
	}
	if s.data != nil {
		if a.data, err = r.json(s.data, maxData); err != nil {
			return err
		}
	}
	r.out.actions = append(r.out.actions, a)
	return nil
}

func (r *running) text(n node) (string, error) {
	v, err := r.m.eval(n)
	if err != nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("the text is not a string but %s", someOf(v))
	}
	return strings.ToValidUTF8(s, "\uFFFD"), nil
}

// json evaluates what is sent elsewhere.
func (r *running) json(n node, most int) ([]byte, error) {
	v, err := r.m.eval(func(m *machine) any { return m.json(n(m)) })
	if err != nil {
		return nil, err
	}
	if s := v.(string); len(s) <= most {
		return []byte(s), nil
	}
	return nil, fmt.Errorf("the data is longer than %d bytes", most)
}

// set changes vars. Its expressions see them as they were before.
func (r *running) set(s *step) error {
	next := maps.Clone(r.out.vars)
	for _, f := range s.fields {
		v, err := r.m.eval(f.value)
		if err != nil {
			return err
		}
		if sizeOf(v) > maxVars {
			return errors.New("the vars became too large")
		}
		if v == nil {
			delete(next, f.name)
		} else {
			next[f.name] = own(v)
		}
	}
	r.out.vars = next
	return r.show()
}

func (r *running) reply(s *step) error {
	size := 0
	r.out.replied, r.out.outputs = true, make(map[string]any, len(s.fields))
	for _, f := range s.fields {
		v, err := r.m.eval(f.value)
		if err != nil {
			return err
		}
		if v != nil {
			fitted, ok := fit(v, f.kind)
			if !ok {
				return fmt.Errorf("%s is %s, and not %s", f.name, someOf(v), some(string(f.kind)))
			}
			v = fitted
		} else if !r.nilable(f) {
			return fmt.Errorf("%s is nil, and not %s", f.name, some(string(f.kind)))
		}
		if size += sizeOf(v) + len(f.name); size > maxOutputs {
			return errors.New("the outputs became too large")
		}
		if !finite(v) {
			return fmt.Errorf("%s holds a number that is infinite or none", f.name)
		}
		r.out.outputs[f.name] = plain(v)
	}
	for _, o := range r.d.Outputs {
		if _, given := r.out.outputs[o.Name]; !given && o.Default != nil {
			r.out.outputs[o.Name] = o.Default
		}
	}
	return nil
}

func (r *running) nilable(f assign) bool {
	for _, o := range r.d.Outputs {
		if o.Name == f.name {
			return o.Optional || o.Type == TypeAny
		}
	}
	return false
}

// calling runs a call's expressions, and then has it made.
func (r *running) calling(s *step) error {
	query := map[string]string{}
	for _, f := range s.fields {
		v, err := r.m.eval(f.value)
		if err != nil {
			return err
		}
		switch v.(type) {
		case nil:
			continue
		case *list, *object:
			return fmt.Errorf("%s is %s: a query holds texts and numbers", f.name, someOf(v))
		}
		if query[f.name] = r.m.written(v); len(query[f.name]) > 4000 {
			return fmt.Errorf("%s is too long for a query", f.name)
		}
	}
	var body []byte
	if s.data != nil {
		var err error
		if body, err = r.json(s.data, maxAnswer); err != nil {
			return err
		}
	}
	v, err := r.call(s, query, body)
	if err != nil {
		return err
	}
	r.out.answers++
	r.m.env["answer"] = v
	_, err = r.m.eval(func(m *machine) any { m.make(sizeOf(v)); return nil })
	return err
}
