package process

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/expr-lang/expr/ast"
)

// The bounds of a regular expression. Matching is linear in the text, times the
// weight of the pattern, and cannot be interrupted.
const (
	maxPattern = 256 // bytes
	maxWeight  = 500 // see weigh
	maxMatch   = 64 << 10
	maxEffort  = 4 << 20 // of one match: the text's length times the weight
)

// weigh is about how many instructions a pattern becomes. It is known before
// they are made: a few bytes can be a million.
func weigh(pattern string) (int, error) {
	if len(pattern) > maxPattern {
		return 0, fmt.Errorf("the pattern is longer than %d bytes", maxPattern)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	w := weightOf(parsed)
	if w > maxWeight {
		return 0, errors.New("the pattern is too heavy: repeat less in it")
	}
	return w, nil
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
	weight, err := weigh(pattern.Value)
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
	weight, err := weigh(pattern)
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
