package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// What a frame gets in the place of its answer.
const (
	MissingInput   = "MISSING_INPUT"
	UnknownInput   = "UNKNOWN_INPUT"
	WrongType      = "WRONG_TYPE"
	ProcessFailed  = "PROCESS_FAILED"
	ProcessTimeout = "PROCESS_TIMEOUT"
)

// Bad says why there is no answer. It holds nothing of the process's inside.
type Bad struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

// Who is at the other end of a connection.
type Who struct {
	User    *account.User // nil: nobody
	Groups  []string
	Address string
	ID      string // of the connection
	Key     uint64 // its session's, which does not hear what it publishes itself
}

// Trigger is something other than a frame that a connection's process hears.
type Trigger struct {
	On       string
	From     account.Profile
	Topic    string
	Text     string
	Data     json.RawMessage
	Event    string
	Instance string
	Hops     int // how many processes in a row caused it
}

// Runner runs a process for one connection, one thing at a time.
type Runner struct {
	// static
	s        *Service
	endpoint *Endpoint
	who      Who
	user     any
	session  any
	state    *state
}

// state is what a connection keeps, from one version of the process to the next.
type state struct {
	mu   sync.Mutex     // held for a whole run
	vars map[string]any // guarded by mu
}

// Runner makes the runner of a connection.
func (s *Service) Runner(e *Endpoint, who Who) *Runner {
	r := &Runner{s: s, endpoint: e, who: who, state: &state{}}
	r.user = userValue(who.User, who.Groups)
	r.session = record(map[string]any{"id": who.ID, "address": who.Address, "endpoint": e.URL})
	return r
}

// Renew is a runner of the same connection for an endpoint or a person that
// changed. The vars stay while it is the same process: what one kept is none of
// another's business.
func (r *Runner) Renew(e *Endpoint, who Who) *Runner {
	next := r.s.Runner(e, who)
	if e.Process == r.endpoint.Process {
		next.state = r.state
	}
	return next
}

// record is an object of a few short values.
func record(fields map[string]any) *object {
	o, err := newObject(fields)
	if err != nil {
		panic(err) // what is put in is short
	}
	return o
}

func userValue(u *account.User, groups []string) any {
	if u == nil {
		u = &account.User{}
	}
	items := make([]any, len(groups))
	for i, g := range groups {
		items[i] = g
	}
	l, err := newList(items)
	if err != nil {
		l, _ = newList(nil) // more groups than a value can hold
	}
	return record(map[string]any{
		"id": int(u.ID), "username": u.Handle, "name": u.Display, "email": u.Email, "groups": l,
	})
}

func profileValue(p account.Profile) any {
	return record(map[string]any{"id": int(p.ID), "username": p.Handle, "name": p.Name})
}

// Frame runs the process once on a frame. It ends in the process's time.
func (r *Runner) Frame(ctx context.Context, object map[string]json.RawMessage) (answer map[string]any, bad *Bad) {
	out, bad := r.run(ctx, OnFrame, 0, func(env map[string]any) *Bad { return r.endpoint.Def.inputs(object, env) })
	if bad != nil {
		return nil, bad
	}
	if out.outputs == nil {
		return map[string]any{}, nil
	}
	return out.outputs, nil
}

// inputs reads a frame's values into env.
func (d *Definition) inputs(object map[string]json.RawMessage, env map[string]any) *Bad {
	for _, key := range sortedKeys(object) {
		if d.input(key) == nil {
			return &Bad{UnknownInput, fmt.Sprintf("there is no input %.80q; the inputs are %s", key, d.inputNames()), cut(key, 80)}
		}
	}
	for i := range d.Inputs {
		in := &d.Inputs[i]
		raw, ok := object[in.Name]
		if !ok || in.Optional && string(raw) == "null" {
			if !in.Optional {
				return &Bad{MissingInput, "the input " + in.Name + " is missing; it is " + some(string(in.Type)), in.Name}
			}
			env[in.Name] = d.defaults[in.Name]
			continue
		}
		v, err := decodeJSON(raw)
		if err != nil {
			return &Bad{WrongType, "the input " + in.Name + " cannot be read: it is too large or too deep", in.Name}
		}
		v, ok = fit(v, in.Type)
		if !ok {
			return &Bad{WrongType, "the input " + in.Name + " is not " + some(string(in.Type)), in.Name}
		}
		env[in.Name] = v
	}
	return nil
}

func (d *Definition) input(name string) *Field {
	for i := range d.Inputs {
		if d.Inputs[i].Name == name {
			return &d.Inputs[i]
		}
	}
	return nil
}

func (d *Definition) inputNames() string {
	text := ""
	for i, in := range d.Inputs {
		if i > 0 {
			text += ", "
		}
		text += in.Name
	}
	if text == "" {
		return "none"
	}
	return cut(text, 400)
}

// Trigger runs the process on something else. A nil push is nothing to say.
func (r *Runner) Trigger(ctx context.Context, t Trigger) (push map[string]any, bad *Bad) {
	switch t.On {
	case OnConnect, OnDisconnect, OnTyping, OnMessage:
	default:
		return nil, &Bad{Code: ProcessFailed, Message: "a connection has no such trigger"}
	}
	if !r.endpoint.Def.Hears(t.On) {
		return nil, nil
	}
	if t.Hops >= MaxHops {
		r.s.loop(r.endpoint.Process, t.On, r.endpoint.gate)
		return nil, failed()
	}
	out, bad := r.run(ctx, t.On, t.Hops, func(env map[string]any) *Bad {
		env["from"] = profileValue(t.From)
		if t.On == OnMessage {
			env["message"] = messageValue(t)
		}
		return nil
	})
	if bad != nil || !out.replied {
		return nil, bad
	}
	return out.outputs, nil
}

func messageValue(t Trigger) any {
	data, err := decodeJSON(t.Data)
	if err != nil {
		data = nil
	}
	o, err := newObject(map[string]any{"text": t.Text, "topic": t.Topic, "data": data})
	if err != nil {
		o = record(map[string]any{"text": "", "topic": t.Topic, "data": nil})
	}
	return o
}

// run runs one thing for the connection, and keeps what it leaves.
func (r *Runner) run(ctx context.Context, on string, hops int, fill func(env map[string]any) *Bad) (outcome, *Bad) {
	r.state.mu.Lock()
	defer r.state.mu.Unlock()
	e := r.endpoint
	j := job{
		process: e.Process, def: e.Def, gate: e.gate, on: on, fill: fill, vars: r.state.vars, hops: hops,
		env:  map[string]any{"user": r.user, "session": r.session},
		from: r.from(), url: e.URL, except: r.who.Key,
	}
	out, err := r.s.perform(ctx, j)
	var refused *badError
	switch {
	case errors.As(err, &refused):
		return outcome{}, refused.bad
	case err != nil:
		return outcome{}, r.s.failure(ctx, j, err)
	}
	r.state.vars = out.vars
	return out, nil
}

func (r *Runner) from() account.Profile {
	if r.who.User == nil {
		return account.Profile{}
	}
	return r.who.User.Profile()
}

func failed() *Bad { return &Bad{Code: ProcessFailed, Message: "the process could not do this"} }

func timedOut() *Bad { return &Bad{Code: ProcessTimeout, Message: "the process took too long"} }

// badError is a frame that is wrong, found before any rule was looked at.
type badError struct{ bad *Bad }

func (e *badError) Error() string { return e.bad.Message }

// failure says what a run's error is to the other end, and logs it where it is
// the process's.
func (s *Service) failure(ctx context.Context, j job, err error) *Bad {
	s.counts.failed.Add(1)
	if ctx.Err() != nil { // the server or the connection goes
		return failed()
	}
	bad := failed()
	if errors.Is(err, context.DeadlineExceeded) {
		s.counts.timeouts.Add(1)
		bad = timedOut()
	}
	if more, ok := j.gate.tellable(now()); ok {
		words := "a process failed"
		if errors.As(err, new(*ownFault)) {
			words = "the server could not carry out what a process did"
		}
		s.o.Log.Warn(words, "process", j.process, "on", j.on, "error", cut(err.Error(), 500), "more", more)
	}
	return bad
}

// loop counts and logs a trigger that processes caused in a circle.
func (s *Service) loop(process, on string, g *gate) {
	s.counts.loops.Add(1)
	if more, ok := g.tellable(now()); ok {
		s.o.Log.Warn("a process causes itself, and was stopped", "process", process, "on", on, "more", more)
	}
}

// key is what makes an event's actions happen once.
func key(process, event string) journal.Key {
	return journal.Key{Scope: "process/" + process, Ref: event}
}
