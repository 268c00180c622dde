package process

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// bound is what an attack may take: its errors are the run's bounds.
func isBound(err error) bool {
	for _, b := range []error{errSteps, errMade, errValueSize, errValueDepth, context.DeadlineExceeded} {
		if errors.Is(err, b) {
			return true
		}
	}
	return false
}

// attacks are expressions that would take for ever, or all memory.
func attacks() map[string]string {
	nested := func(open, middle, closing string, n int) string {
		return strings.Repeat(open, n) + middle + strings.Repeat(closing, n)
	}
	lets := func(first, next string, n int) string {
		b := "let v0 = " + first + "; "
		for i := range n {
			b += fmt.Sprintf("let v%d = %s; ", i+1, strings.ReplaceAll(next, "$", fmt.Sprintf("v%d", i)))
		}
		return b + fmt.Sprintf("v%d", n)
	}
	return map[string]string{
		"n^3":              `count(big,count(big,count(big,# > 0) > 0) > 0) > 0`,
		"n^4 of any":       `count(big,count(big,count(big,count(big,# > 0) > 0) > 0) > 0)`,
		"maps":             `map(big,map(big,#))`,
		"range":            `len(1..1000000000)`,
		"range of all":     `len(-9223372036854775807..9223372036854775807)`,
		"many ranges":      `sum(1..40000, len(1..40000))`,
		"reduce ranges":    `reduce(1..40000, concat(#acc, 1..100), [])`,
		"doubling":         lets(`text`, `$ + $`, 40),
		"doubling reduce":  `reduce(1..1000, #acc + #acc, "x")`,
		"sharing":          lets(`[1]`, `[$, $]`, 40),
		"sharing objects":  lets(`{"a": 1}`, `{"a": $, "b": $}`, 40),
		"sharing compared": lets(`[1]`, `[$, $]`, 40) + ` == ` + `[1]`,
		"sharing reduce":   `toJSON(reduce(1..50, [#acc, #acc], 1))`,
		"deep":             `reduce(1..1000, [#acc], 1)`,
		"repeat":           `repeat("x", 1000000000)`,
		"repeat twice":     `repeat(repeat("x", 100000), 100000)`,
		"join":             `join(map(1..40000, text), text)`,
		"glue":             `join(split(text, ""), text)`,
		"replace":          `replace(text, "x", text)`,
		"replace nothing":  `replace(text, "", text)`,
		"concat":           lets(`big`, `concat($, $, $, $, $, $, $, $)`, 10),
		"flatten":          `flatten(map(1..1000, big))`,
		"flatten sharing":  `flatten(reduce(1..25, [#acc, #acc], 1))`,
		"json":             `toJSON(map(1..1000, text))`,
		"json again":       `reduce(1..100, toJSON(#acc), text)`,
		"base64":           `reduce(1..100, toBase64(#acc), text)`,
		"split":            `map(1..100, split(text, ""))`,
		"split dropped":    `count(1..1000000, len(split(text, "")) > 0)`,
		"upper dropped":    `all(1..40000, len(upper(text)) > 0)`,
		"equal":            `count(big, big == big)`,
		"in":               `count(big, 0 in big)`,
		"uniq":             `uniq(1..40000)`,
		"sort":             `count(big, len(sort(big)) > 0)`,
		"sortBy":           `count(big, len(sortBy(big, -#)) > 0)`,
		"groupBy":          `count(big, len(groupBy(big, #)) > 0)`,
		"max":              `count(big, max(big) > 0)`,
		"median":           `count(big, median(big) > 0)`,
		"regexp":           `count(big, text matches "^(x+x+)+y$")`,
		"regexp heavy":     `count(big, text[0:8000] matches "(x|xx|xxx|xxxx){30}y")`,
		"regexp of data":   `count(big, text matches ("(x{20}){2" + "0}y" + string(#)))`,
		"contains":         `count(big, text contains text)`,
		"slices":           `count(big, len(text[0:-1]) > 0)`,
		"list slices":      `count(big, len(big[0:-1]) > 0)`,
		"pairs":            `count(big, len(toPairs(groupBy(big, #))) > 0)`,
		"dates":            `count(big, date("2024-01-01", "2006-01-02", "Asia/Jakarta") != nil)`,
		"formats":          `count(big, len(date("2024-01-01").Format(text)) > 0)`,
		"loops":            nested(`all([1], `, `count(big,count(big,true) > 0) > 0`, `)`, 40),
		"trim":             `count(big, len(trim(text, "abcdefghijklmnopqrstuvwx")) >= 0)`,
		"index":            `count(big, indexOf(text, "xxxxxxxxxxxxxxxxxy") < 0)`,
		"fromJSON":         `count(big, len(fromJSON(list)) > 0)`,
	}
}

// TestAttacks has every attack end, by its bounds and not by its time, in a
// fraction of that time, and with little memory.
func TestAttacks(t *testing.T) {
	big := make([]any, 16000)
	for i := range big {
		big[i] = i + 1
	}
	numbers := strings.TrimSuffix(strings.Repeat("1,", 8000), ",")
	values := map[string]any{"big": big, "text": strings.Repeat("x", 60<<10), "list": "[" + numbers + "]"}
	scope := newScope(typesOf(values))
	for name, text := range attacks() {
		t.Run(name, func(t *testing.T) {
			e, bad := scope.compile(text)
			if bad != nil {
				t.Logf("refused: %s", bad.text)
				return
			}
			own := map[string]any{}
			for k, v := range values {
				own[k] = valueOf(v)
			}
			ctx, cancel := context.WithTimeout(bg, 5*time.Second)
			defer cancel()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			m := newMachine(ctx, own)
			v, err := m.eval(e.run)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			made := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%v, %d MiB: %v", took, made, err)
			if err == nil && sizeOf(v) > maxValue {
				t.Errorf("a value of %d", sizeOf(v))
			}
			if err != nil && !isBound(err) && !strings.Contains(err.Error(), "nested") && !strings.Contains(err.Error(), "too heavy") {
				t.Errorf("ended by %v", err)
			}
			if took > time.Minute {
				t.Errorf("took %v", took)
			}
			if made > 400 {
				t.Errorf("made %d MiB", made)
			}
		})
	}
}

// TestLongMatches has a match that nobody could interrupt be refused: by the
// length of the text and the weight of the pattern together.
func TestLongMatches(t *testing.T) {
	env := map[string]any{"text": strings.Repeat("x", 60<<10), "heavy": "(x|xx|xxx|xxxx){30}y"}
	for text, wants := range map[string]string{
		`text matches "(x|xx|xxx|xxxx){30}y"`: "too long for a pattern",
		`text matches heavy`:                  "too long for a pattern",
		`text[0:5000] matches heavy`:          "",
		`text matches "x+y"`:                  "",
	} {
		_, err := evaluate(t, text, env)
		if wants == "" && err != nil || wants != "" && (err == nil || !strings.Contains(err.Error(), wants)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
