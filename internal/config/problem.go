package config

import (
	"fmt"
	"strings"
)

// Problem is one mistake in a configuration.
type Problem struct {
	Where string // kabar.yaml:12:3, KABAR_FEED_PUBLISH, --feed-publish; "" where the place is unknown
	Key   string // feed.publish; "" where the mistake is not in a key
	Text  string // what is wrong, and what to do
}

func (p Problem) Error() string {
	var b strings.Builder
	for _, part := range []string{p.Where, p.Key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	return b.String() + p.Text
}

// Problems is every mistake of a configuration, one to a line.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// err returns nil where there is no problem.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// unknown says that name does not exist; known is what could have been meant.
func unknown(kind, name string, known []string, sep, remedy string) string {
	if near := nearest(name, known, sep); near != "" {
		return fmt.Sprintf("there is no such %s; the nearest is %s. Write that, or %s.", kind, near, remedy)
	}
	return fmt.Sprintf("there is no such %s. Please %s; `kabar config default` lists all that exist.", kind, remedy)
}
