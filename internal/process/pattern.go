package process

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// The bounds of a regular expression. Matching is linear in the text, times the
// weight of the pattern, and cannot be interrupted.
const (
	maxPattern = 256 // bytes
	maxWeight  = 500 // see weigh
	maxMatch   = 64 << 10
	maxEffort  = 4 << 20 // of one match: the text's length times the weight
	maxReading = 26_000  // see reading
)

// weigh is about how many instructions a pattern becomes, and what it costs to
// make them, as scopeOf.spend counts. It is known before they are made: a few
// bytes can be a million.
func weigh(pattern string) (weight, cost int, err error) {
	if len(pattern) > maxPattern {
		return 0, 0, fmt.Errorf("the pattern is longer than %d bytes", maxPattern)
	}
	if cost = reading(pattern); cost > maxReading {
		return 0, 0, errors.New("the pattern is too heavy: name smaller ranges, or heed the case")
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, 0, err
	}
	if weight = weightOf(parsed); weight > maxWeight {
		return 0, 0, errors.New("the pattern is too heavy: repeat less in it")
	}
	return weight, cost + rangesOf(parsed)/12, nil
}

var (
	// folds is the flag for which the case does not matter.
	folds = regexp.MustCompile(`\(\?[a-zA-Z]*i`)
	// rangeEnd is where a range of characters ends, written out or as it is.
	rangeEnd = regexp.MustCompile(`-(?:\\x\{([0-9A-Fa-f]+)\}|(.))`)
)

// reading is what it costs to read a pattern: a class of Unicode is hundreds of
// ranges, and where the case does not matter each letter of a range is looked up.
func reading(pattern string) int {
	cost := 10 + 300*(strings.Count(pattern, `\p`)+strings.Count(pattern, `\P`))
	if !folds.MatchString(pattern) {
		return cost
	}
	for _, m := range rangeEnd.FindAllStringSubmatch(pattern, -1) {
		end, _ := utf8.DecodeRuneInString(m[2])
		if m[1] != "" {
			n, _ := strconv.ParseInt(m[1], 16, 32)
			end = rune(n)
		}
		cost += int(end) / 10
	}
	return cost
}

// rangesOf is how many ranges of characters a pattern's instructions hold.
func rangesOf(r *syntax.Regexp) int {
	n := 1 + len(r.Rune)/2
	for _, sub := range r.Sub {
		n += rangesOf(sub)
	}
	if r.Op == syntax.OpRepeat {
		n *= max(1, r.Min+1, r.Max)
	}
	return n
}

func weightOf(r *syntax.Regexp) int {
	w := 1
	if r.Op == syntax.OpLiteral {
		w = len(r.Rune)
	}
	for _, sub := range r.Sub {
		w = min(w+weightOf(sub), maxWeight+1)
	}
	if r.Op == syntax.OpRepeat {
		w = min(w*max(1, r.Min+1, r.Max), maxWeight+1)
	}
	return w
}

// match is "matches" with a pattern that is known beforehand.
func (b *builder) match(n *ast.BinaryNode, pattern *ast.StringNode) node {
	weight, _, err := weigh(pattern.Value)
	if err != nil {
		refuse(pattern, "%v", err)
	}
	re, err := regexp.Compile(pattern.Value)
	if err != nil {
		refuse(pattern, "%v", err)
	}
	left := b.build(n.Left)
	return func(m *machine) any { return m.matched(re, weight, left(m)) }
}

func (m *machine) matches(a, b any) any {
	if a == nil || b == nil {
		return false
	}
	m.step(2000)
	pattern := m.text(b)
	weight, _, err := weigh(pattern)
	if err != nil {
		fail("%v", err)
	}
	m.step(32 * weight)
	re, err := regexp.Compile(pattern)
	if err != nil {
		fail("%v", err)
	}
	return m.matched(re, weight, a)
}

func (m *machine) matched(re *regexp.Regexp, weight int, v any) any {
	if v == nil {
		return false
	}
	text := m.text(v)
	if len(text) > maxMatch {
		fail("a text of more than %d bytes cannot be matched", maxMatch)
	}
	if len(text)*weight > maxEffort {
		fail("a text of %d bytes is too long for a pattern as heavy as this one", len(text))
	}
	m.step(1 + len(text)*weight/4)
	return re.MatchString(text)
}
