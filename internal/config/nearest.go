package config

import "strings"

// nearest returns the candidate that name was most likely meant to be, or ""
// where none is near. Names are paths with parts set apart by sep: a last part
// that fits in another section counts nearly as much as the whole path.
func nearest(name string, candidates []string, sep string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		d := distance(name, c)
		if tail, full := last(name, sep), last(c, sep); len(tail) > 3 && full != c {
			d = min(d, 1+distance(tail, full))
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

// distance counts the letters to put in, take out, change or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := row[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			next[j] = min(change, row[j]+1, next[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
