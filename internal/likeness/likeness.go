// Package likeness says how far apart two names are, for whoever answers to a
// name that is none with the one that was probably meant.
//
// It knows nothing of what the names are for; how near is near enough is its
// callers' to say. They bound how long the names are.
package likeness

import "strings"

// Distance counts the letters to put in, take out, change or swap with their
// neighbour to make b of a, whatever their case.
func Distance(a, b string) int {
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
