package process

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/types"
)

func typesOf(env map[string]any) types.Map {
	m := types.Map{}
	for k := range env {
		m[k] = types.Any
	}
	return m
}

// theirs is what expr's own machine makes of an expression.
func theirs(text string, env map[string]any) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	if env == nil {
		env = map[string]any{}
	}
	program, err := expr.Compile(text, expr.Env(typesOf(env)))
	if err != nil {
		return nil, err
	}
	return expr.Run(program, env)
}

// like makes values of both machines comparable.
func like(v any) any {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Slice, reflect.Array:
		items := make([]any, r.Len())
		for i := range items {
			items[i] = like(r.Index(i).Interface())
		}
		return items
	case reflect.Map:
		fields := map[string]any{}
		for _, k := range r.MapKeys() {
			fields[fmt.Sprint(k.Interface())] = like(r.MapIndex(k).Interface())
		}
		return fields
	case reflect.Int, reflect.Int64:
		if d, ok := v.(time.Duration); ok {
			return d.String()
		}
		return float64(r.Int())
	case reflect.Float64:
		if math.IsNaN(r.Float()) {
			return "NaN"
		}
	default:
	}
	if t, ok := v.(time.Time); ok {
		return writeTime(t)
	}
	return v
}

var env = map[string]any{
	"s": "Hello, World", "n": 7, "f": 2.5, "b": true, "e": "", "z": nil,
	"l": []any{3, 1, 2, 3}, "w": []any{"b", "a", "c"}, "x": []any{},
	"o": map[string]any{"a": 1, "b": "two", "in": map[string]any{"deep": []any{1, []any{2, []any{3}}}}},
	"people": []any{
		map[string]any{"name": "Ani", "age": 30}, map[string]any{"name": "Budi", "age": 20}, map[string]any{"name": "Cici", "age": 30},
	},
}

// TestSameAsExpr compares with expr's own machine: what is written in its
// language means the same here.
func TestSameAsExpr(t *testing.T) {
	for _, text := range strings.Split(strings.TrimSpace(sameAsExpr), "\n") {
		want, err := theirs(text, env)
		got, mine := evaluate(t, text, env)
		if (err != nil) != (mine != nil) {
			t.Errorf("%s: %v (%v), expr says %v (%v)", text, got, mine, want, err)
			continue
		}
		if err == nil && !reflect.DeepEqual(like(got), like(want)) {
			t.Errorf("%s: %v, expr says %v", text, got, want)
		}
	}
}

const sameAsExpr = `
1 + 2 * 3 - 4
7 / 2
7 % 3
n % 0
2 ** 10
2 ^ 0.5
-n
+n
-f
n + f
n * f - 1
"a" + "b"
s + "!"
s + n
"a" == "a"
1 == 1.0
l == [3, 1, 2, 3]
l == [3, 1, 2]
o == {"a": 1}
o.in == {"deep": [1, [2, [3]]]}
z == nil
n != 7
n < 8 and f > 2
1 < n < 8
1 < n <= 7 < 3
"a" < "b"
n < "a"
not b
!b||b
b ? 1 : 2
if n > 3 { "big" } else { "small" }
z ?? "none"
s ?? "none"
o?.x?.y
o?.x?.y?? 3
o.b
o["a"]
o.x
o.x.y
z?.a
z.a
z?.a.b.c
l[0]
l[-1]
l[9]
l[1:3]
l[:-1]
l[5:2]
s[0:5]
s[-5:]
w[1:]
3 in l
"a" in o
"q" in o
1 in z
"a" in s
1..5
5..1
s contains "World"
s startsWith "Hello"
s endsWith "World"
s not contains "x"
z contains "x"
s matches "^H.*d$"
s matches ("W" + "orld")
all(l, # > 0)
any(l, # > 2)
one(l, # == 3)
none(l, # > 5)
filter(l, # > 1)
map(l, # * 2)
map(people, .name)
map(l, #index)
filter(people, .age > 25) | map(.name)
find(l, # > 5)
find(people, .age == 20).name
findIndex(l, # == 2)
findLast(l, # == 3)
findLastIndex(l, # == 3)
findIndex(l, # == 9)
count(l, # == 3)
count([true, false, true])
sum(l)
sum(people, .age)
sum(x)
groupBy(people, .age)
groupBy(people, .name)["Ani"][0].age
sortBy(people, .name, "desc")
sortBy(l, #)
sortBy(l, -#)
sortBy(l, #, "up")
reduce(l, #acc + #, 0)
reduce(l, #acc + #)
reduce(x, #acc + #)
reduce(l, #acc * # + #index, 1)
map(l,map(l, # * 2))
map(1..3, let v = #; map(1..2, v + #))
let a = 1; let c = a + 1; a + c
let a = l; a[0] + len(a)
1; 2; 3
len(s)
len("héllo")
len(l)
len(o)
len(n)
type(s)
type(n)
type(f)
type(l)
type(o)
type(z)
type(b)
abs(-3)
abs(-2.5)
ceil(2.1)
floor(2.9)
round(2.5)
int("42")
int(2.9)
int("x")
float("2.5")
float(3)
string(42)
string(2.5)
string(true)
string(nil)
string(1000000.0)
trim("  a ")
trim("xxaxx", "x")
trimPrefix("abc", "a")
trimSuffix("abc", "c")
upper("abc")
lower("ABC")
split("a,b,c", ",")
split("a,b,c", ",", 2)
split("abc", "")
splitAfter("a,b", ",")
replace("aaa", "a", "b")
replace("aaa", "a", "b", 2)
replace("abc", "", "-")
repeat("ab", 3)
repeat("ab", -1)
join(w, ",")
join(w)
join(l, ",")
indexOf(s, "World")
indexOf(s, "x")
lastIndexOf("abab", "ab")
hasPrefix(s, "Hell")
hasSuffix(s, "x")
fromJSON("[1, 2.5, \"a\", {\"b\": null}]")
fromJSON("{")
toBase64("hi")
fromBase64("aGk=")
fromBase64("!")
max(1, 5, 3)
max(l)
min(l, 0)
min([])
mean(l)
mean([])
median(l)
median([1, 2, 3, 4])
duration("1h30m")
duration("x")
duration("1h") + duration("5m")
duration("1h") * 2
date("2024-02-03")
date("2024-02-03", "2006-01-02")
date("2024-02-03 10:00:00", "2006-01-02 15:04:05", "Asia/Jakarta")
date("x")
date("2024-02-03") + duration("24h")
date("2024-02-03") - date("2024-02-01")
date("2024-02-03") > date("2024-02-01")
date("2024-02-03").Year()
date("2024-02-03").Format("02 Jan 2006")
duration("90m").Hours()
first(l)
first(x)
last(l)
get(l, 1)
get(l, 9)
get(o, "a")
get(o, "zz")
take(l, 2)
take(l, 9)
sort(keys(o))
len(values(o))
len(toPairs(o))
fromPairs([["a", 1], ["b", 2]])
reverse(l)
uniq(l)
concat(l, [9], w)
flatten(o.in.deep)
sort(l)
sort(w, "desc")
sort([1, "a"])
bitand(6, 3)
bitor(6, 3)
bitxor(6, 3)
bitnand(6, 3)
bitshl(1, 4)
bitshr(16, 2)
bitushr(-1, 60)
bitnot(5)
bitshl(1, -1)
[1, 2.5, "a", nil, true]
{"a": 1, "b": [1, 2]}
{("a" + "b"): 1}.ab
b ?: 3
s | upper() | lower()
filter(l, {# > 1 and # < 3})
any(people, any(l, # == 3) and .age == 20)
`

// TestOwnWays are the places where this machine differs from expr's, on purpose.
func TestOwnWays(t *testing.T) {
	for text, want := range map[string]string{
		`"hé!"[0:2]`:                 `"hé"`,
		`"日本語"[-2:]`:                 `"本語"`,
		`indexOf("日本語", "語")`:        `2`,
		`toJSON({"b": [1, "<"]})`:    `"{\"b\":[1,\"<\"]}"`,
		`string({"a": [1]})`:         `"{\"a\":[1]}"`,
		`keys({"b": 1, "a": 2})`:     `["a","b"]`,
		`fromJSON("3") / 2`:          `1.5`,
		`groupBy([1, 2, 1], #)["1"]`: `[1,1]`,
		`date("2024-02-03").Month()`: `2`,
	} {
		v, err := evaluate(t, text, env)
		b, encoding := json.Marshal(v)
		var got any
		_ = json.Unmarshal(b, &got)
		var wanted any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if err != nil || encoding != nil || !reflect.DeepEqual(got, wanted) {
			t.Errorf("%s: %s, %v; want %s", text, b, err, want)
		}
	}
	for _, text := range []string{`$env`, `$env["s"]`, `now()`, `timezone("UTC")`, `b"abc"`, `nothing`, `s.nothing()`, `f(1)`, `#`} {
		if _, bad := compileIn(text, env); bad == nil {
			if _, err := evaluate(t, text, env); err == nil {
				t.Errorf("%s was taken", text)
			}
		}
	}
}

// FuzzExpression runs what compiles, under little bounds: it ends by itself or
// by them, and nothing panics.
func FuzzExpression(f *testing.F) {
	for _, text := range strings.Split(strings.TrimSpace(sameAsExpr), "\n") {
		f.Add(text)
	}
	for _, text := range attacks() {
		f.Add(text)
	}
	values := map[string]any{}
	for k, v := range env {
		values[k] = valueOf(v)
	}
	values["big"], values["text"] = values["l"], values["s"]
	scope := typesOf(values)
	f.Fuzz(func(t *testing.T, text string) {
		e, bad := newScope(scope).compile(text)
		if bad != nil {
			if bad.at < 0 || bad.text == "" {
				t.Fatalf("%+v", bad)
			}
			return
		}
		ctx, cancel := context.WithTimeout(bg, 10*time.Second)
		defer cancel()
		m := newMachine(ctx, maps.Clone(values))
		m.steps, m.check = 100_000, 100_000
		began := time.Now()
		v, err := m.eval(e.run)
		if err != nil && strings.Contains(err.Error(), "panicked") {
			t.Fatal(err)
		}
		if err == nil {
			if sizeOf(v) > maxValue || depthOf(v) > maxDepth {
				t.Fatalf("a value of %d, %d deep", sizeOf(v), depthOf(v))
			}
			_, _ = appendJSON(nil, v)
			_ = own(v)
		}
		if took := time.Since(began); took > time.Minute {
			t.Fatalf("took %v", took)
		}
	})
}
