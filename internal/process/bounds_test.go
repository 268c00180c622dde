package process

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// tooMuch are definitions that are refused for being too much, by what of.
func tooMuch() map[string]string {
	deep := func(open, closing string, n int) string { return strings.Repeat(open, n) + strings.Repeat(closing, n) }
	data := "  - publish:\n      data:\n"
	return map[string]string{
		"size":            in("  - reply: { r: m }\n#" + strings.Repeat("x", maxSource)),
		"rules":           in(strings.Repeat("  - reply: { r: m }\n", maxRules+1)),
		"steps":           in("  - do:\n" + strings.Repeat("    - set: { a: 1 }\n", maxSteps1+1)),
		"deep yaml":       "process: a\nrules: " + deep("[", "]", 30000),
		"deep json":       `{"process": "a", "rules": ` + deep("[", "]", 30000) + "}",
		"deep maps":       "process: a\nrules: " + deep("{a: ", "}", 9000),
		"deep data":       in("  - publish: { data: " + deep("[", "]", 200) + " }"),
		"lists":           in("  - when: " + strings.Repeat("x[", 4000) + "1" + strings.Repeat("]", 4000)),
		"nots":            in("  - when: " + strings.Repeat("!", 8000) + "true"),
		"long":            in("  - when: \"" + strings.Repeat("m + ", 3000) + "m\""),
		"comparisons":     in("  - when: " + strings.Repeat("n < (", 1000) + "n" + strings.Repeat(") < n", 1000)),
		"comparisons 100": in("  - when: " + strings.Repeat("1 < (", 100) + "n" + strings.Repeat(" < 3 ? 1 : 2) < n", 100)),
		"elvis":           in("  - when: " + strings.Repeat("(", 300) + "true" + strings.Repeat(" ?: true)", 300)),
		"pattern":         in("  - when: m matches '" + strings.Repeat("(a|b", 40) + strings.Repeat("){900}", 40) + "'"),
		"powers":          in("  - when: " + strings.Repeat("2 ** ", 1500) + "2 == 1"),
		"aliases":         "a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nprocess: *c\nrules: []",
		"many faults":     in("  - publish: { data: [" + strings.Repeat("x, ", 20000) + "y] }"),
		"many lines":      in("  - publish:\n      data:\n" + strings.Repeat("      - é x\n", 4000)),
		"many patterns":   in("  - set:\n" + numbered("      a%d: m matches '(a|b){200}'\n", 1500) + "    when: x"),
		"utf-8":           "process: a\nrules: \xff",
		"nul":             "process: \x00",
		"tag":             "process: !!binary aGk=\nrules: !foo x",
		"many names":      in(data + strings.Repeat("      - "+strings.Repeat("x", 62)+"\n", 800)),
		"many words":      in("  - publish: { data: [" + strings.Repeat("m, ", 20000) + "m] }"),
		"many numbers":    `{"process": "a", "rules": [{"publish": {"data": [` + strings.Repeat("1,", 30000) + "1]}}]}",
		"many keys":       in("  - {" + numbered("k%d: m, ", 5000) + "b: m }"),
		"many vars":       in("  - set: {" + numbered("v%d: m, ", 5000) + "b: x }"),
		"many ranges":     in(data + strings.Repeat("      - m matches '^(\\\\pL\\\\PL){80}'\n", 1400)),
		"many classes":    in(data + strings.Repeat("      - m matches '["+strings.Repeat(`\\pL\\pN`, 30)+"]'\n", 200)),
		"folded ranges":   in("  - when: m matches '(?i)[" + strings.Repeat("B-\U0001E942", 40) + "]'"),
		"folded escapes":  in("  - when: m matches '(?i)[" + strings.Repeat(`B-\\x{1E942}`, 19) + "]'"),
		"many folded":     in(data + strings.Repeat("      - m matches '(?i)[B-\U0001E942]'\n", 1000)),
		"many trees":      in(data + strings.Repeat("      - '"+strings.Repeat("1 < (", 5)+"n"+strings.Repeat(" < 3 ? 1 : 2) < n", 5)+"'\n", 400)),
	}
}

// mostMade is what refusing a definition allocates at most, in bytes. What is
// worked out anew for each of many thousand scalars is gigabytes.
const mostMade = 40 << 20

// TestCheckBounds has what is too much refused, for little work.
func TestCheckBounds(t *testing.T) {
	for name, source := range tooMuch() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d, faults := Check([]byte(source))
		runtime.ReadMemStats(&after)
		if d != nil || len(faults) == 0 || len(faults) > maxFaults+1 || faults[0].Line < 1 || faults[0].Column < 1 {
			t.Errorf("%s: %+v", name, faults)
		}
		if made := after.TotalAlloc - before.TotalAlloc; made > mostMade {
			t.Errorf("%s: allocated %d MiB", name, made>>20)
		}
	}
}

// TestCheckEnds has a check that ends early say so, behind all that it found.
func TestCheckEnds(t *testing.T) {
	many := tooMuch()
	for name, want := range map[string]struct {
		faults int
		first  string
	}{
		"many faults":  {maxFaults + 1, "unknown name x"},
		"many keys":    {maxFaults + 1, "there is no key"},
		"many words":   {1, "the check ended here: the expressions"},
		"many numbers": {1, "the check ended here: the expressions"},
		"many ranges":  {1, "the check ended here: the expressions"},
		"many classes": {1, "the check ended here: the expressions"},
		"many folded":  {1, "the check ended here: the expressions"},
		"many trees":   {1, "the check ended here: the expressions"},
	} {
		_, faults := Check([]byte(many[name]))
		if len(faults) != want.faults || !strings.HasPrefix(faults[0].Message, want.first) ||
			!strings.HasPrefix(faults[len(faults)-1].Message, "the check ended here") {
			t.Errorf("%s: %d faults: %+v", name, len(faults), faults)
		}
	}
	// Faults are in the order of the file, which is not the order of the check.
	_, faults := Check([]byte("process: a\nrules:\n  - publish: { data: [" + strings.Repeat("x, ", 60) + "x] }\ninputs: { a: strin }\n"))
	if n := len(faults); n != maxFaults+1 || faults[n-2].Line != 4 || faults[n-1].Line != 3 {
		t.Errorf("%d faults: %+v", len(faults), faults)
	}
}

// TestCheckRoom has a definition that is large and means well pass.
func TestCheckRoom(t *testing.T) {
	mustCheck(t, in(numbered("  - when: m == \"%d\" && n > 2 && len(m) < 20\n    set: { a: m, b: (vars.b ?? 0) + n }\n    reply: { r: upper(m) + \"!\" }\n", maxRules)))
	mustCheck(t, in(strings.Repeat("  - when: m matches '^[a-zA-Z0-9._-]{1,64}$'\n    reply: { r: m }\n", maxRules)))
	mustCheck(t, in(strings.Repeat("  - when: m matches '^[\\\\p{L} ]{2,50}$'\n    reply: { r: m }\n", 10)))
	mustCheck(t, in(strings.Repeat("  - when: m matches '(?i)^[a-zäöüß]+ [а-яё]*$'\n    reply: { r: m }\n", maxRules)))
	mustCheck(t, in("  - publish:\n      data:\n"+strings.Repeat("      - { name: '\"x\"', many: 1 }\n", 1500)))
}

// BenchmarkCheckBounds is what each of them costs.
func BenchmarkCheckBounds(b *testing.B) {
	for name, source := range tooMuch() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Check([]byte(source))
			}
		})
	}
}

// numbered is a format with the numbers from 0 to n.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
