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

// checkKeys says which key is none of a struct's, and which one was meant.
func checkKeys[V any](keys map[string]V, v any) error {
	var known []string
	for t, i := reflect.TypeOf(v).Elem(), 0; i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known = append(known, name)
	}
	unknown := ""
	for key := range keys {
		if !slices.ContainsFunc(known, func(name string) bool { return strings.EqualFold(name, key) }) && (unknown == "" || key < unknown) {
			unknown = key
		}
	}
	if len(keys) == 0 || unknown == "" {
		return nil
	}
	hint := "; there is only " + known[0]
	if last := len(known) - 1; last > 0 {
		hint = "; there are " + strings.Join(known[:last], ", ") + " and " + known[last]
	}
	if near := process.Nearest(unknown, known); near != "" {
		hint = "; did you mean " + near + "?"
	}
	return status.Errorf(status.Invalid, "UNKNOWN_KEY", "there is no key %.80q%s", unknown, hint)
}
