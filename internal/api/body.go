package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/status"
)

// readJSON reads a request's body into the struct that v points to, as
// gateway.ReadJSON does. A key that the struct does not have is refused: what is
// misspelt would be left out in silence.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	var raw json.RawMessage
	if err := gateway.ReadJSON(w, r, &raw); err != nil || raw == nil {
		return err
	}
	return decodeJSON(raw, v)
}

// decodeJSON reads one value into the struct that v points to, as readJSON does.
func decodeJSON(raw []byte, v any) error {
	if err := gateway.DecodeJSON(raw, v); err != nil {
		return err
	}
	var keys map[string]ignored
	if err := gateway.DecodeJSON(raw, &keys); err != nil {
		return err
	}
	return checkKeys(keys, v)
}

// ignored is a value that nobody reads.
type ignored struct{}

// UnmarshalJSON reads nothing.
func (*ignored) UnmarshalJSON([]byte) error { return nil }

// checkQuery says which parameter of a query is none of a route's, where it has
// been given under /v1.
func (rt route) checkQuery(r *http.Request) error {
	if r.URL.RawQuery == "" || !strings.HasPrefix(rt.path, "/v1/") {
		return nil
	}
	known := make([]string, len(rt.query))
	for i, p := range rt.query {
		known[i] = p.name
	}
	q := r.URL.Query()
	for name, values := range q {
		if len(values) > 1 {
			return status.Errorf(status.Invalid, "PARAMETER_TWICE", "the query has %.80q more than once; write it once", name)
		}
	}
	return unknown(q, known, "parameter", func(a, b string) bool { return a == b })
}

// checkKeys says which key is none of a struct's, and which one was meant.
func checkKeys[V any](keys map[string]V, v any) error {
	var known []string
	for t, i := reflect.TypeOf(v).Elem(), 0; i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known = append(known, name)
	}
	return unknown(keys, known, "key", strings.EqualFold) // as encoding/json has it
}

// unknown says which of the names is none that is known, and which was meant.
func unknown[V any](names map[string]V, known []string, what string, same func(a, b string) bool) error {
	first := ""
	for name := range names {
		if !slices.ContainsFunc(known, func(k string) bool { return same(k, name) }) && (first == "" || name < first) {
			first = name
		}
	}
	if first == "" {
		return nil
	}
	hint := "; there is none here"
	if near := process.Nearest(first, known); near != "" {
		hint = "; did you mean " + near + "?"
	} else if last := len(known) - 1; last == 0 {
		hint = "; there is only " + known[0]
	} else if last > 0 {
		hint = "; there are " + strings.Join(known[:last], ", ") + " and " + known[last]
	}
	return status.Errorf(status.Invalid, "UNKNOWN_"+strings.ToUpper(what), "there is no %s %.80q%s", what, first, hint)
}
