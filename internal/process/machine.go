package process

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The bounds of one run. A step is about what it costs to look at a node, or at
// 64 bytes; what is made counts also where it is dropped again.
const (
	maxSteps  = 10_000_000
	maxMade   = 32 << 20 // bytes
	checkEach = 4096     // steps from one look at the clock to the next
)

var (
	errSteps = errors.New("it takes too many steps")
	errMade  = errors.New("it makes too much")
)

// machine runs the expressions of one run and counts what they take. It belongs
// to one goroutine.
type machine struct {
	ctx    context.Context //nolint:containedctx // a machine lives for one run
	env    map[string]any
	lets   []any
	scopes []scope
	steps  int // left
	check  int // steps left at the next look at the clock
	made   int // bytes left
}

// scope is the list that a predicate goes through.
type scope struct {
	items []any
	index int
	acc   any
}

func newMachine(ctx context.Context, env map[string]any) *machine {
	return &machine{ctx: ctx, env: env, steps: maxSteps, check: maxSteps - checkEach, made: maxMade}
}

// failure unwinds an expression; eval makes an error of it.
type failure struct{ err error }

func fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// step counts n steps, and ends the run where there are no more or its time is up.
func (m *machine) step(n int) {
	if m.steps -= n; m.steps > m.check {
		return
	}
	if m.steps < 0 {
		panic(failure{errSteps})
	}
	m.check = m.steps - checkEach
	if err := m.ctx.Err(); err != nil {
		panic(failure{err})
	}
	if end, ok := m.ctx.Deadline(); ok && !time.Now().Before(end) {
		panic(failure{context.DeadlineExceeded})
	}
}

// make counts n bytes before they are made.
func (m *machine) make(n int) {
	if n > maxValue {
		panic(failure{errValueSize})
	}
	if m.made -= n; m.made < 0 {
		panic(failure{errMade})
	}
	m.step(1 + n/64)
}

// list makes a list of items, whose memory was counted.
func (m *machine) list(items []any) any {
	m.step(len(items) / 2)
	l, err := newList(items)
	if err != nil {
		panic(failure{err})
	}
	return l
}

func (m *machine) object(fields map[string]any) any {
	m.step(len(fields))
	o, err := newObject(fields)
	if err != nil {
		panic(failure{err})
	}
	return o
}

// grow appends to a list that is being made, and counts.
func (m *machine) grow(items []any, v any) []any {
	if len(items) == cap(items) {
		m.make(sizeScalar * max(4, 2*len(items)))
	}
	return append(items, v)
}

// eval runs one expression. Its error is the author's business, but for what is
// the run's: its context's, errSteps, errMade, errValueSize, errValueDepth.
func (m *machine) eval(e node) (v any, err error) {
	m.scopes = m.scopes[:0]
	defer func() {
		if p := recover(); p != nil {
			f, ours := p.(failure)
			if !ours { // a fault of ours: it ends this run and no other
				f.err = fmt.Errorf("an expression panicked: %v", p)
			}
			v, err = nil, f.err
		}
	}()
	m.step(1)
	return e(m), nil
}

// node is a compiled expression.
type node func(m *machine) any

// absent is the value of an optional chain that met nil, until its end.
type absent struct{}

func (m *machine) bool(v any) bool {
	b, ok := v.(bool)
	if !ok {
		fail("this is not a boolean but %s", someOf(v))
	}
	return b
}

func (m *machine) text(v any) string {
	s, ok := v.(string)
	if !ok {
		fail("this is not a string but %s", someOf(v))
	}
	return s
}

// int is ToInt of expr: numbers of both kinds.
func (m *machine) int(v any) int {
	switch n := v.(type) {
	case int:
		return n
	case float64:
		return int(n)
	}
	fail("this is not a number but %s", someOf(v))
	return 0
}

func (m *machine) number(v any) float64 {
	switch n := v.(type) {
	case int:
		return float64(n)
	case float64:
		return n
	}
	fail("this is not a number but %s", someOf(v))
	return 0
}

func (m *machine) items(v any) []any {
	l, ok := v.(*list)
	if !ok {
		fail("this is not a list but %s", someOf(v))
	}
	return l.items
}

func (m *machine) fields(v any) map[string]any {
	o, ok := v.(*object)
	if !ok {
		fail("this is not an object but %s", someOf(v))
	}
	return o.fields
}
