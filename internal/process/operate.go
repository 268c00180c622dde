package process

import (
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// equal compares as expr does, and counts what it looks at.
func (m *machine) equal(a, b any) bool {
	m.step(1)
	switch x := a.(type) {
	case int:
		switch y := b.(type) {
		case int:
			return x == y
		case float64:
			return float64(x) == y
		}
	case float64:
		switch y := b.(type) {
		case int:
			return x == float64(y)
		case float64:
			return x == y
		}
	case string:
		if y, ok := b.(string); ok {
			m.step(min(len(x), len(y)) / 64)
			return x == y
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Equal(y)
		}
	case *list:
		y, ok := b.(*list)
		if !ok || len(x.items) != len(y.items) {
			return false
		}
		for i := range x.items {
			if !m.equal(x.items[i], y.items[i]) {
				return false
			}
		}
		return true
	case *object:
		y, ok := b.(*object)
		if !ok || len(x.fields) != len(y.fields) {
			return false
		}
		for k, v := range x.fields {
			w, ok := y.fields[k]
			if !ok || !m.equal(v, w) {
				return false
			}
		}
		return true
	default: // nil, bool, time.Duration
		return a == b
	}
	return false
}

// compare orders numbers, texts, times and durations: below zero where a comes first.
func (m *machine) compare(a, b any) int {
	m.step(1)
	switch x := a.(type) {
	case int:
		switch y := b.(type) {
		case int:
			return order(x, y)
		case float64:
			return order(float64(x), y)
		}
	case float64:
		switch y := b.(type) {
		case int:
			return order(x, float64(y))
		case float64:
			return order(x, y)
		}
	case string:
		if y, ok := b.(string); ok {
			m.step(min(len(x), len(y)) / 64)
			return strings.Compare(x, y)
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y)
		}
	case time.Duration:
		if y, ok := b.(time.Duration); ok {
			return order(x, y)
		}
	}
	fail("%s and %s cannot be compared", someOf(a), someOf(b))
	return 0
}

// unordered is compare's answer where a number is none: neither comes first.
const unordered = 2

func order[N int | float64 | time.Duration](a, b N) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	}
	return unordered
}

func (m *machine) add(a, b any) any {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			m.make(len(x) + len(y))
			return x + y
		}
	case time.Time:
		if y, ok := b.(time.Duration); ok {
			return x.Add(y)
		}
	case time.Duration:
		switch y := b.(type) {
		case time.Time:
			return y.Add(x)
		case time.Duration:
			return x + y
		}
	}
	return m.arithmetic("+", a, b)
}

func (m *machine) subtract(a, b any) any {
	switch x := a.(type) {
	case time.Time:
		switch y := b.(type) {
		case time.Time:
			return x.Sub(y)
		case time.Duration:
			return x.Add(-y)
		}
	case time.Duration:
		if y, ok := b.(time.Duration); ok {
			return x - y
		}
	}
	return m.arithmetic("-", a, b)
}

func (m *machine) multiply(a, b any) any {
	x, isX := a.(time.Duration)
	y, isY := b.(time.Duration)
	switch {
	case isX && isY:
		return x * y //nolint:durationcheck // as expr does
	case isX:
		return time.Duration(float64(x) * m.number(b))
	case isY:
		return time.Duration(m.number(a) * float64(y))
	}
	return m.arithmetic("*", a, b)
}

// arithmetic is + - * on numbers: of two integers an integer.
func (m *machine) arithmetic(op string, a, b any) any {
	x, isX := a.(int)
	y, isY := b.(int)
	if isX && isY {
		switch op {
		case "+":
			return x + y
		case "-":
			return x - y
		default:
			return x * y
		}
	}
	f, okF := fit(a, TypeNumber)
	g, okG := fit(b, TypeNumber)
	if !okF || !okG {
		if typeOf(a) != "number" && typeOf(a) != "integer" || typeOf(b) != "number" && typeOf(b) != "integer" {
			fail("%s does not go with %s and %s", op, someOf(a), someOf(b))
		}
		f, g = m.number(a), m.number(b) // one is infinite, or none
	}
	switch op {
	case "+":
		return f.(float64) + g.(float64)
	case "-":
		return f.(float64) - g.(float64)
	default:
		return f.(float64) * g.(float64)
	}
}

func (m *machine) modulo(a, b any) any {
	x, isX := a.(int)
	y, isY := b.(int)
	switch {
	case !isX || !isY:
		fail("%% takes integers, not %s and %s", someOf(a), someOf(b))
	case y == 0:
		fail("it divides by zero")
	}
	return x % y
}

func (m *machine) negate(v any) any {
	switch n := v.(type) {
	case int:
		return -n
	case float64:
		return -n
	}
	fail("- does not go with %s", someOf(v))
	return nil
}

// in says whether a list has an item, or an object a key.
func (m *machine) in(needle, hay any) bool {
	switch h := hay.(type) {
	case nil:
		return false
	case *list:
		for _, v := range h.items {
			if m.equal(v, needle) {
				return true
			}
		}
		return false
	case *object:
		_, ok := h.fields[m.key(needle)]
		return ok
	}
	fail("nothing is in %s", someOf(hay))
	return false
}

// key is a value as an object's key.
func (m *machine) key(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	switch v.(type) {
	case nil, bool, int, float64:
		return m.written(v)
	}
	fail("%s cannot be a key", someOf(v))
	return ""
}

// index makes an index that counts from the end where it is below zero one
// that does not; ok is false where there is nothing.
func index(i, n int) (_ int, ok bool) {
	if i < 0 {
		i += n
	}
	return i, i >= 0 && i < n
}

// member is base[property].
func (m *machine) member(base, property any) any {
	switch b := base.(type) {
	case *object:
		return b.fields[m.key(property)]
	case *list:
		n := m.int(property)
		i, ok := index(n, len(b.items))
		if !ok {
			fail("the list has %d items, and not one at %d", len(b.items), n)
		}
		return b.items[i]
	case nil:
		fail("there is no %s of nil", cut(m.written(property), 80))
	}
	fail("there is no %s of %s", cut(m.written(property), 80), someOf(base))
	return nil
}

// slice is base[from:to], of a text by characters; nil is the whole way.
func (m *machine) slice(base, from, to any) any {
	var n int
	text, isText := base.(string)
	var items []any
	if isText {
		m.step(len(text) / 16)
		n = utf8.RuneCountInString(text)
	} else {
		items = m.items(base)
		n = len(items)
	}
	a, b := 0, n
	if from != nil {
		a = m.int(from)
	}
	if to != nil {
		b = m.int(to)
	}
	if a < 0 {
		a = max(0, n+a)
	}
	if b < 0 {
		b = max(0, n+b)
	}
	b = min(b, n)
	a = min(a, b)
	if isText {
		return text[runeAt(text, a):runeAt(text, b)]
	}
	return m.list(items[a:b:b])
}

// runeAt is where the n-th character begins.
func runeAt(s string, n int) int {
	if n >= len(s) {
		return len(s)
	}
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// span is a..b.
func (m *machine) span(a, b any) any {
	from, to := m.int(a), m.int(b)
	if to < from {
		return m.list(nil)
	}
	if uint64(to)-uint64(from) >= maxValue/sizeScalar {
		panic(failure{errValueSize})
	}
	n := to - from + 1
	m.make(2 * sizeScalar * n)
	items := make([]any, n)
	for i := range items {
		items[i] = from + i
	}
	return m.list(items)
}

// The methods of times and durations.
func (m *machine) method(base any, name string, args []any) any {
	if f, ok := timeMethods[name]; ok {
		if t, is := base.(time.Time); is && len(args) == 0 {
			return f(t)
		}
	}
	if f, ok := durationMethods[name]; ok {
		if d, is := base.(time.Duration); is && len(args) == 0 {
			return f(d)
		}
	}
	t, isTime := base.(time.Time)
	if isTime && len(args) == 1 {
		switch name {
		case "Format":
			layout := m.text(args[0])
			m.make(16 * len(layout)) // a letter of a layout can be a month's name
			return t.Format(layout)
		case "Before", "After", "Equal", "Sub":
			u, ok := args[0].(time.Time)
			if !ok {
				fail("%s takes a time, not %s", name, someOf(args[0]))
			}
			return timePairs[name](t, u)
		case "Add":
			d, ok := args[0].(time.Duration)
			if !ok {
				fail("Add takes a duration, not %s", someOf(args[0]))
			}
			return t.Add(d)
		}
	}
	fail("%s has no method %s", someOf(base), cut(name, 80))
	return nil
}

var timeMethods = map[string]func(time.Time) any{
	"Year": func(t time.Time) any { return t.Year() }, "Month": func(t time.Time) any { return int(t.Month()) },
	"Day": func(t time.Time) any { return t.Day() }, "Hour": func(t time.Time) any { return t.Hour() },
	"Minute": func(t time.Time) any { return t.Minute() }, "Second": func(t time.Time) any { return t.Second() },
	"Weekday": func(t time.Time) any { return int(t.Weekday()) }, "YearDay": func(t time.Time) any { return t.YearDay() },
	"Unix": func(t time.Time) any { return int(t.Unix()) }, "UnixMilli": func(t time.Time) any { return int(t.UnixMilli()) },
	"UTC": func(t time.Time) any { return t.UTC() },
}

var timePairs = map[string]func(a, b time.Time) any{
	"Before": func(a, b time.Time) any { return a.Before(b) }, "After": func(a, b time.Time) any { return a.After(b) },
	"Equal": func(a, b time.Time) any { return a.Equal(b) }, "Sub": func(a, b time.Time) any { return a.Sub(b) },
}

var durationMethods = map[string]func(time.Duration) any{
	"Hours": func(d time.Duration) any { return d.Hours() }, "Minutes": func(d time.Duration) any { return d.Minutes() },
	"Seconds": func(d time.Duration) any { return d.Seconds() }, "Milliseconds": func(d time.Duration) any { return int(d.Milliseconds()) },
	"String": func(d time.Duration) any { return d.String() },
}

// hasMethod says whether an expression may call a method of a static type.
func hasMethod(t reflect.Type, name string) bool {
	switch t {
	case reflect.TypeFor[time.Time]():
		return timeMethods[name] != nil || timePairs[name] != nil || name == "Format" || name == "Add"
	case reflect.TypeFor[time.Duration]():
		return durationMethods[name] != nil
	}
	return false
}

// power is a ** b.
func (m *machine) power(a, b any) any { return math.Pow(m.number(a), m.number(b)) }
