package process

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// function is a built-in function without a predicate.
type function struct {
	least, most int
	run         func(m *machine, args []any) any
}

const many = 1000

// functions are those of expr, but for what a process does not need: now() (it
// has now), timezone().
var functions = map[string]function{
	"len": {1, 1, length}, "type": {1, 1, kindOf}, "abs": {1, 1, abs},
	"ceil": {1, 1, rounding(math.Ceil)}, "floor": {1, 1, rounding(math.Floor)}, "round": {1, 1, rounding(math.Round)},
	"int": {1, 1, toInt}, "float": {1, 1, toFloat}, "string": {1, 1, func(m *machine, a []any) any { return m.written(a[0]) }},

	"trim": {1, 2, trim}, "trimPrefix": {1, 2, affix(strings.TrimPrefix)}, "trimSuffix": {1, 2, affix(strings.TrimSuffix)},
	"upper": {1, 1, recase(strings.ToUpper)}, "lower": {1, 1, recase(strings.ToLower)},
	"split": {2, 3, splitting(strings.SplitN)}, "splitAfter": {2, 3, splitting(strings.SplitAfterN)},
	"replace": {3, 4, replace}, "repeat": {2, 2, repeat}, "join": {1, 2, join},
	"indexOf": {2, 2, finding(strings.Index)}, "lastIndexOf": {2, 2, finding(strings.LastIndex)},
	"hasPrefix": {2, 2, affixed(strings.HasPrefix)}, "hasSuffix": {2, 2, affixed(strings.HasSuffix)},
	"toJSON": {1, 1, toJSON}, "fromJSON": {1, 1, fromJSON}, "toBase64": {1, 1, toBase64}, "fromBase64": {1, 1, fromBase64},

	"max": {1, many, extreme(1)}, "min": {1, many, extreme(-1)}, "mean": {1, many, mean}, "median": {1, many, median},
	"duration": {1, 1, duration}, "date": {1, 3, date},

	"first": {1, 1, at(0)}, "last": {1, 1, at(-1)}, "get": {2, 2, get}, "take": {2, 2, take},
	"keys": {1, 1, keys}, "values": {1, 1, values}, "toPairs": {1, 1, toPairs}, "fromPairs": {1, 1, fromPairs},
	"reverse": {1, 1, reverse}, "uniq": {1, 1, uniq}, "concat": {1, many, concat}, "flatten": {1, 1, flatten}, "sort": {1, 2, sorted},

	"bitand": {2, 2, bits(func(x, y int) int { return x & y })}, "bitor": {2, 2, bits(func(x, y int) int { return x | y })},
	"bitxor": {2, 2, bits(func(x, y int) int { return x ^ y })}, "bitnand": {2, 2, bits(func(x, y int) int { return x &^ y })},
	"bitshl": {2, 2, shifting(func(x, y int) int { return x << y })}, "bitshr": {2, 2, shifting(func(x, y int) int { return x >> y })},
	"bitushr": {2, 2, shifting(func(x, y int) int { return int(uint(x) >> y) })},
	"bitnot":  {1, 1, func(m *machine, a []any) any { return ^m.whole(a[0]) }},
}

// written is a value as text.
func (m *machine) written(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case *list, *object:
		return m.json(v)
	case time.Time:
		return writeTime(v)
	}
	return fmt.Sprint(v)
}

// json is a value as JSON. Six bytes can come of one.
func (m *machine) json(v any) string {
	m.make(min(maxValue, 2*sizeOf(v)))
	b, err := appendJSON(nil, v)
	if err != nil {
		panic(failure{err})
	}
	m.make(len(b))
	return string(b)
}

func length(m *machine, a []any) any {
	switch v := a[0].(type) {
	case string:
		m.step(len(v) / 16)
		return utf8.RuneCountInString(v)
	case *list:
		return len(v.items)
	case *object:
		return len(v.fields)
	}
	fail("%s has no length", someOf(a[0]))
	return nil
}

// kindOf is expr's word for a type.
func kindOf(_ *machine, a []any) any {
	switch a[0].(type) {
	case bool:
		return "bool"
	case int:
		return "int"
	case float64:
		return "float"
	case *list:
		return "array"
	case *object:
		return "map"
	}
	return typeOf(a[0])
}

func abs(m *machine, a []any) any {
	if n, ok := a[0].(int); ok {
		return max(n, -n)
	}
	return math.Abs(m.number(a[0]))
}

func rounding(f func(float64) float64) func(*machine, []any) any {
	return func(m *machine, a []any) any { return f(m.number(a[0])) }
}

func toInt(m *machine, a []any) any {
	s, ok := a[0].(string)
	if !ok {
		return m.int(a[0])
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		fail("%q is no integer", cut(s, 40))
	}
	return n
}

func toFloat(m *machine, a []any) any {
	s, ok := a[0].(string)
	if !ok {
		return m.number(a[0])
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		fail("%q is no number", cut(s, 40))
	}
	return f
}

// whole is an integer, and no other number.
func (m *machine) whole(v any) int {
	n, ok := v.(int)
	if !ok {
		fail("this is not an integer but %s", someOf(v))
	}
	return n
}

func bits(f func(x, y int) int) func(*machine, []any) any {
	return func(m *machine, a []any) any { return f(m.whole(a[0]), m.whole(a[1])) }
}

func shifting(f func(x, y int) int) func(*machine, []any) any {
	return func(m *machine, a []any) any {
		if m.whole(a[1]) < 0 {
			fail("bits are shifted by %d places", a[1])
		}
		return f(m.whole(a[0]), m.whole(a[1]))
	}
}

// look reads a text and counts what it takes to go through it.
func (m *machine) look(v any) string {
	s := m.text(v)
	m.step(1 + len(s)/16)
	return s
}

func trim(m *machine, a []any) any {
	s := m.look(a[0])
	if len(a) == 1 {
		return strings.TrimSpace(s)
	}
	set := m.look(a[1])
	m.step(len(s) / 32 * min(len(set), 256)) // each character is looked for in the set
	if len(set) > 256 {
		fail("these are too many characters to trim")
	}
	return strings.Trim(s, set)
}

func affix(f func(s, affix string) string) func(*machine, []any) any {
	return func(m *machine, a []any) any {
		x := " "
		if len(a) == 2 {
			x = m.look(a[1])
		}
		return f(m.look(a[0]), x)
	}
}

func affixed(f func(s, affix string) bool) func(*machine, []any) any {
	return func(m *machine, a []any) any { return f(m.look(a[0]), m.look(a[1])) }
}

func recase(f func(string) string) func(*machine, []any) any {
	return func(m *machine, a []any) any {
		s := m.look(a[0])
		m.make(3 * len(s)) // a character can become a longer one
		return f(s)
	}
}

func splitting(f func(s, sep string, n int) []string) func(*machine, []any) any {
	return func(m *machine, a []any) any {
		s, sep, n := m.look(a[0]), m.look(a[1]), -1
		if len(a) == 3 {
			n = m.int(a[2])
		}
		parts := strings.Count(s, sep) + 1
		if n >= 0 {
			parts = min(parts, n)
		}
		m.make(3 * sizeScalar * parts)
		items := make([]any, 0, max(0, parts))
		for _, part := range f(s, sep, n) {
			items = append(items, part)
		}
		return m.list(items)
	}
}

func replace(m *machine, a []any) any {
	s, before, after, n := m.look(a[0]), m.look(a[1]), m.look(a[2]), -1
	if len(a) == 4 {
		n = m.int(a[3])
	}
	count := strings.Count(s, before)
	if n >= 0 {
		count = min(count, n)
	}
	if len(after) > 0 && count > maxValue/len(after) {
		panic(failure{errValueSize})
	}
	m.make(max(len(s), len(s)+count*(len(after)-len(before))))
	return strings.Replace(s, before, after, n)
}

func repeat(m *machine, a []any) any {
	s, n := m.look(a[0]), m.int(a[1])
	if n < 0 {
		fail("a text cannot be repeated %d times", n)
	}
	if len(s) > 0 && n > maxValue/len(s) {
		panic(failure{errValueSize})
	}
	m.make(len(s) * n)
	return strings.Repeat(s, n)
}

func join(m *machine, a []any) any {
	items, glue := m.items(a[0]), ""
	if len(a) == 2 {
		glue = m.text(a[1])
	}
	if len(glue) > 0 && len(items) > maxValue/len(glue) {
		panic(failure{errValueSize})
	}
	m.make(sizeOf(a[0]) + len(glue)*len(items))
	parts := make([]string, len(items))
	for i, v := range items {
		parts[i] = m.text(v)
	}
	return strings.Join(parts, glue)
}

// finding is where a text stands in another, by characters.
func finding(f func(s, part string) int) func(*machine, []any) any {
	return func(m *machine, a []any) any {
		s, part := m.look(a[0]), m.look(a[1])
		i := f(s, part)
		if i < 0 {
			return i
		}
		return utf8.RuneCountInString(s[:i])
	}
}

func toJSON(m *machine, a []any) any { return m.json(a[0]) }

func fromJSON(m *machine, a []any) any {
	s := m.text(a[0])
	m.make(len(s))
	m.made -= 8 * len(s) // what reading it takes
	m.step(len(s))
	v, err := decodeJSON([]byte(s))
	if err != nil {
		fail("it is not JSON: %v", err)
	}
	m.make(sizeOf(v))
	return v
}

func toBase64(m *machine, a []any) any {
	s := m.look(a[0])
	m.make(base64.StdEncoding.EncodedLen(len(s)))
	return base64.StdEncoding.EncodeToString([]byte(s))
}

func fromBase64(m *machine, a []any) any {
	s := m.look(a[0])
	m.make(len(s))
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		fail("it is not base64: %v", err)
	}
	return string(b)
}

func duration(m *machine, a []any) any {
	d, err := time.ParseDuration(m.look(a[0]))
	if err != nil {
		fail("%q is no duration", cut(m.text(a[0]), 40))
	}
	return d
}

var dateForms = []string{
	time.DateOnly, time.TimeOnly, time.DateTime, time.RFC3339, time.RFC822, time.RFC850, time.RFC1123,
}

func date(m *machine, a []any) any {
	s, forms, zone := m.look(a[0]), dateForms, time.UTC
	if len(a) > 1 {
		forms = []string{m.look(a[1])}
	}
	if len(a) > 2 {
		m.step(2000) // it is read from a file
		z, err := time.LoadLocation(m.text(a[2]))
		if err != nil {
			fail("there is no time zone %q", cut(m.text(a[2]), 40))
		}
		zone = z
	}
	for _, form := range forms {
		m.step(10 + len(form)/16)
		if t, err := time.ParseInLocation(form, s, zone); err == nil {
			return t
		}
	}
	fail("%q is no date", cut(s, 40))
	return nil
}

// numbers are those of a call's arguments, and of the lists among them.
func (m *machine) numbers(args []any, into []any) []any {
	for _, v := range args {
		m.step(1)
		if l, ok := v.(*list); ok {
			into = m.numbers(l.items, into)
			continue
		}
		m.number(v)
		into = m.grow(into, v)
	}
	return into
}

func extreme(side int) func(*machine, []any) any {
	return func(m *machine, a []any) (best any) {
		for _, v := range m.numbers(a, nil) {
			if best == nil || m.compare(v, best) == side {
				best = v
			}
		}
		return best
	}
}

func mean(m *machine, a []any) any {
	all := m.numbers(a, nil)
	if len(all) == 0 {
		return 0.0
	}
	sum := 0.0
	for _, v := range all {
		sum += m.number(v)
	}
	return sum / float64(len(all))
}

func median(m *machine, a []any) any {
	all := m.numbers(a, nil)
	n := len(all)
	if n == 0 {
		return 0.0
	}
	sort.Sort(&sorting{m: m, items: all})
	if n%2 == 1 {
		return m.number(all[n/2])
	}
	return (m.number(all[n/2-1]) + m.number(all[n/2])) / 2
}

func at(i int) func(*machine, []any) any {
	return func(m *machine, a []any) any { return get(m, []any{a[0], i}) }
}

// get is a member, or nil where there is none.
func get(m *machine, a []any) any {
	switch b := a[0].(type) {
	case nil:
		return nil
	case *object:
		return b.fields[m.key(a[1])]
	case *list:
		if i, ok := index(m.int(a[1]), len(b.items)); ok {
			return b.items[i]
		}
	}
	return nil
}

func take(m *machine, a []any) any {
	items, n := m.items(a[0]), m.whole(a[1])
	if n < 0 {
		fail("%d items cannot be taken", n)
	}
	n = min(n, len(items))
	return m.list(items[:n:n])
}

func keys(m *machine, a []any) any {
	fields := m.fields(a[0])
	m.make(2 * sizeScalar * len(fields))
	items := make([]any, 0, len(fields))
	for _, k := range sortedKeys(fields) {
		items = append(items, k)
	}
	return m.list(items)
}

func values(m *machine, a []any) any {
	fields := m.fields(a[0])
	m.make(2 * sizeScalar * len(fields))
	items := make([]any, 0, len(fields))
	for _, k := range sortedKeys(fields) {
		items = append(items, fields[k])
	}
	return m.list(items)
}

func toPairs(m *machine, a []any) any {
	fields := m.fields(a[0])
	m.make(6 * sizeScalar * len(fields))
	items := make([]any, 0, len(fields))
	for _, k := range sortedKeys(fields) {
		items = append(items, m.list([]any{k, fields[k]}))
	}
	return m.list(items)
}

func fromPairs(m *machine, a []any) any {
	items := m.items(a[0])
	m.make(2 * sizeEntry * len(items))
	fields := make(map[string]any, len(items))
	for _, v := range items {
		pair := m.items(v)
		if len(pair) != 2 {
			fail("a pair has %d items", len(pair))
		}
		fields[m.key(pair[0])] = pair[1]
	}
	return m.object(fields)
}

func reverse(m *machine, a []any) any {
	items := m.items(a[0])
	m.make(sizeScalar * len(items))
	items = slices.Clone(items)
	slices.Reverse(items)
	return m.list(items)
}

func uniq(m *machine, a []any) any {
	var kept []any
	for _, v := range m.items(a[0]) {
		if !slices.ContainsFunc(kept, func(k any) bool { return m.equal(v, k) }) {
			kept = m.grow(kept, v)
		}
	}
	return m.list(kept)
}

func concat(m *machine, a []any) any {
	n := 0
	for _, v := range a {
		n += len(m.items(v))
	}
	m.make(sizeScalar * n)
	items := make([]any, 0, n)
	for _, v := range a {
		items = append(items, m.items(v)...)
	}
	return m.list(items)
}

func flatten(m *machine, a []any) any { return m.list(m.flat(m.items(a[0]), nil)) }

func (m *machine) flat(items, into []any) []any {
	for _, v := range items {
		m.step(1)
		if l, ok := v.(*list); ok {
			into = m.flat(l.items, into)
			continue
		}
		into = m.grow(into, v)
	}
	return into
}

func sorted(m *machine, a []any) any {
	items := m.items(a[0])
	var order any
	if len(a) == 2 {
		order = a[1]
	}
	desc := descending(m, order, len(a) == 2)
	m.make(sizeScalar * len(items))
	s := &sorting{m: m, items: slices.Clone(items), desc: desc}
	sort.Stable(s)
	return m.list(s.items)
}
