package process

import (
	"sort"

	"github.com/expr-lang/expr/ast"
)

// builtin makes the call of a built-in function: one that goes through a list,
// or one of functions.
func (b *builder) builtin(n *ast.BuiltinNode) node {
	if f := loops[n.Name]; f != nil {
		over := b.build(n.Arguments[0])
		var body, last node
		if len(n.Arguments) > 1 {
			body = b.build(n.Arguments[1])
		}
		if len(n.Arguments) > 2 {
			last = b.build(n.Arguments[2])
		}
		return func(m *machine) any {
			items := m.items(over(m))
			var extra any
			if last != nil {
				extra = last(m)
			}
			return f(m, loop{items: items, body: body, last: extra, hasLast: last != nil})
		}
	}
	f, ok := functions[n.Name]
	if !ok {
		refuse(n, "there is no function %s here", n.Name)
	}
	args := b.all(n.Arguments)
	if len(args) < f.least || len(args) > f.most {
		refuse(n, "%s takes %d to %d arguments, not %d", n.Name, f.least, f.most, len(args))
	}
	return func(m *machine) any {
		values := make([]any, len(args))
		for i, arg := range args {
			values[i] = arg(m)
		}
		return f.run(m, values)
	}
}

// loop is one going through a list. body is nil where there is none.
type loop struct {
	items   []any
	body    node
	last    any
	hasLast bool
}

// maxNested bounds loops in loops.
const maxNested = 32

// each calls f with the value of the body for each item, until f says no.
func (l loop) each(m *machine, f func(i int, v any) bool) {
	l.walk(m, 0, len(l.items), 1, f)
}

// back is each from the end.
func (l loop) back(m *machine, f func(i int, v any) bool) {
	l.walk(m, len(l.items)-1, -1, -1, f)
}

func (l loop) walk(m *machine, from, to, by int, f func(i int, v any) bool) {
	at := len(m.scopes)
	if at >= maxNested {
		fail("loops are nested too deeply")
	}
	m.scopes = append(m.scopes, scope{items: l.items})
	for i := from; i != to; i += by {
		m.step(1)
		m.scopes[at].index = i
		v := l.items[i]
		if l.body != nil {
			v = l.body(m)
		}
		if !f(i, v) {
			break
		}
	}
	m.scopes = m.scopes[:at]
}

// find is where the body first holds, -1 for nowhere.
func (l loop) find(m *machine, walk func(*machine, func(int, any) bool)) int {
	found := -1
	walk(m, func(i int, v any) bool {
		if m.bool(v) {
			found = i
		}
		return found < 0
	})
	return found
}

// at is an item, or nil for -1.
func (l loop) at(i int) any {
	if i < 0 {
		return nil
	}
	return l.items[i]
}

func position(i int) any {
	if i < 0 {
		return nil
	}
	return i
}

func (l loop) count(m *machine) int {
	n := 0
	l.each(m, func(_ int, v any) bool {
		if m.bool(v) {
			n++
		}
		return true
	})
	return n
}

// loops are the built-in functions with a predicate.
var loops = map[string]func(m *machine, l loop) any{
	"all": func(m *machine, l loop) any {
		all := true
		l.each(m, func(_ int, v any) bool { all = m.bool(v); return all })
		return all
	},
	"none":          func(m *machine, l loop) any { return l.find(m, l.each) < 0 },
	"any":           func(m *machine, l loop) any { return l.find(m, l.each) >= 0 },
	"one":           func(m *machine, l loop) any { return l.count(m) == 1 },
	"count":         func(m *machine, l loop) any { return l.count(m) },
	"find":          func(m *machine, l loop) any { return l.at(l.find(m, l.each)) },
	"findIndex":     func(m *machine, l loop) any { return position(l.find(m, l.each)) },
	"findLast":      func(m *machine, l loop) any { return l.at(l.find(m, l.back)) },
	"findLastIndex": func(m *machine, l loop) any { return position(l.find(m, l.back)) },
	"filter": func(m *machine, l loop) any {
		var kept []any
		l.each(m, func(i int, v any) bool {
			if m.bool(v) {
				kept = m.grow(kept, l.items[i])
			}
			return true
		})
		return m.list(kept)
	},
	"map": func(m *machine, l loop) any {
		var made []any
		size := 0
		l.each(m, func(_ int, v any) bool {
			if size += sizeOf(v); size > maxValue {
				panic(failure{errValueSize})
			}
			made = m.grow(made, v)
			return true
		})
		return m.list(made)
	},
	"sum": func(m *machine, l loop) any {
		var sum any = 0
		l.each(m, func(_ int, v any) bool { sum = m.add(v, sum); return true })
		return sum
	},
	"groupBy": groupBy,
	"sortBy":  sortBy,
	"reduce":  reduce,
}

func groupBy(m *machine, l loop) any {
	groups := map[string][]any{}
	l.each(m, func(i int, v any) bool {
		key := m.key(v)
		if _, known := groups[key]; !known {
			m.make(2 * sizeEntry)
		}
		groups[key] = m.grow(groups[key], l.items[i])
		return true
	})
	fields := make(map[string]any, len(groups))
	for k, items := range groups {
		fields[k] = m.list(items)
	}
	return m.object(fields)
}

func reduce(m *machine, l loop) any {
	from, acc := 0, l.last
	if !l.hasLast {
		if len(l.items) == 0 {
			fail("an empty list cannot be reduced without a first value")
		}
		from, acc = 1, l.items[0]
	}
	at := len(m.scopes)
	if at >= maxNested {
		fail("loops are nested too deeply")
	}
	m.scopes = append(m.scopes, scope{items: l.items, acc: acc})
	for i := from; i < len(l.items); i++ {
		m.step(1)
		m.scopes[at].index = i
		next := l.body(m) // which may move the scopes
		m.scopes[at].acc = next
	}
	acc = m.scopes[at].acc
	m.scopes = m.scopes[:at]
	return acc
}

// descending reads the order of a sort.
func descending(m *machine, order any, given bool) bool {
	if !given {
		return false
	}
	switch m.text(order) {
	case "asc":
		return false
	case "desc":
		return true
	}
	fail(`the order is "asc" or "desc"`)
	return false
}

// sorting sorts items by values.
type sorting struct {
	m             *machine
	items, values []any
	desc          bool
}

func (s *sorting) Len() int { return len(s.items) }

func (s *sorting) Swap(i, j int) {
	s.items[i], s.items[j] = s.items[j], s.items[i]
	if len(s.values) > 0 {
		s.values[i], s.values[j] = s.values[j], s.values[i]
	}
}

func (s *sorting) Less(i, j int) bool {
	by := s.values
	if by == nil {
		by = s.items
	}
	if s.desc {
		i, j = j, i
	}
	return s.m.compare(by[i], by[j]) == -1
}

func sortBy(m *machine, l loop) any {
	desc := descending(m, l.last, l.hasLast)
	m.make(3 * sizeScalar * len(l.items))
	s := &sorting{m: m, items: make([]any, 0, len(l.items)), values: make([]any, 0, len(l.items)), desc: desc}
	l.each(m, func(i int, v any) bool {
		s.items, s.values = append(s.items, l.items[i]), append(s.values, v)
		return true
	})
	sort.Stable(s)
	return m.list(s.items)
}
