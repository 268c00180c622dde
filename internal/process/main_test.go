package process

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

// compiled is an expression over names with values; the names' types are not
// known, but for those of typed.
func evaluate(t testing.TB, text string, env map[string]any) (any, error) {
	t.Helper()
	e, bad := compileIn(text, env)
	if bad != nil {
		t.Fatalf("%s: at %d: %s", text, bad.at, bad.text)
	}
	ctx, cancel := context.WithTimeout(bg, time.Minute)
	defer cancel()
	values := map[string]any{}
	for k, v := range env {
		values[k] = valueOf(v)
	}
	v, err := newMachine(ctx, values).eval(e.run)
	return plain(v), err
}

// valueOf is the way back from plain.
func valueOf(v any) any {
	switch v := v.(type) {
	case []any:
		items := make([]any, len(v))
		for i := range v {
			items[i] = valueOf(v[i])
		}
		l, err := newList(items)
		if err != nil {
			panic(err)
		}
		return l
	case map[string]any:
		fields := map[string]any{}
		for k := range v {
			fields[k] = valueOf(v[k])
		}
		o, err := newObject(fields)
		if err != nil {
			panic(err)
		}
		return o
	}
	return v
}

func compileIn(text string, env map[string]any) (expression, *wrong) {
	return newScope(typesOf(env)).compile(text)
}
