package process

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/likeness"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Nearest returns the candidate that name was most likely meant to be, or ""
// where none is near.
func Nearest(name string, candidates []string) string {
	if len(name) > 64 {
		return ""
	}
	best, least := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		if d := likeness.Distance(name, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// hint adds the nearest candidate to what is said of an unknown name.
func hint(text, name string, candidates []string) string {
	if n := Nearest(name, candidates); n != "" {
		return text + "; did you mean " + n + "?"
	}
	return text
}

// cut bounds what is shown of a text that somebody else wrote.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// isWord says whether an expression can use a name as it is.
func isWord(s string) bool {
	for i, r := range s {
		switch {
		case r == '_', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', i > 0 && r >= '0' && r <= '9':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// taken are the words that expressions have for themselves.
var taken = []string{
	"true", "false", "nil", "let", "if", "else", "and", "or", "not", "in", "matches", "contains", "startsWith", "endsWith",
}
