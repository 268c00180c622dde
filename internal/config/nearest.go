package config

import (
	"strings"

	"github.com/kabar-io/kabar/internal/likeness"
)

// nearest returns the candidate that name was most likely meant to be, or ""
// where none is near. Names are paths with parts set apart by sep: a last part
// that fits in another section counts nearly as much as the whole path.
func nearest(name string, candidates []string, sep string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		d := likeness.Distance(name, c)
		if tail, full := last(name, sep), last(c, sep); len(tail) > 3 && full != c {
			d = min(d, 1+likeness.Distance(tail, full))
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

func last(name, sep string) string {
	return name[strings.LastIndex(name, sep)+1:]
}
