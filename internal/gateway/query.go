package gateway

import (
	"net/url"
	"slices"

	"github.com/kabar-io/kabar/internal/likeness"
	"github.com/kabar-io/kabar/internal/status"
)

// CheckQuery refuses a query with a name that is none of those known, but one
// letter off: a program with afer=last would believe that it resumes. So is a
// known one that comes twice. All other names are passed over, as the dialects
// have it.
func CheckQuery(q url.Values, known ...string) error {
	for name, values := range q {
		if slices.Contains(known, name) {
			if len(values) > 1 {
				return status.Errorf(status.Invalid, "PARAMETER_TWICE", "the query has %s more than once; write it once", name)
			}
			continue
		}
		for _, k := range known {
			if longer := len(name) - len(k); len(k) > 3 && longer >= -1 && longer <= 1 && likeness.Distance(name, k) <= 1 {
				return status.Errorf(status.Invalid, "UNKNOWN_PARAMETER", "the query has %q, which means nothing; did you mean %s?", name, k)
			}
		}
	}
	return nil
}
