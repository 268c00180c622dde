package ws

import "strings"

// A Field is a field of a request's head, its name in canonical form.
type Field struct{ Name, Value string }

// Header is the fields of a request. It is no map: there are few, few of them
// are asked for, and a map costs more than all of them.
type Header []Field

// HeaderOf is what net/http has read.
func HeaderOf(m map[string][]string) Header {
	h := make(Header, 0, len(m))
	for name, values := range m {
		for _, v := range values {
			h = append(h, Field{name, v})
		}
	}
	return h
}

// Get is the first value of a name, in any case; "" where there is none.
func (h Header) Get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Values are those of a name in canonical form; nil where there are none.
func (h Header) Values(name string) (all []string) {
	for _, f := range h {
		if f.Name == name {
			all = append(all, f.Value)
		}
	}
	return all
}

// only is the value of a name that stands there once.
func (h Header) only(name string) (value string, once bool) {
	n := 0
	for _, f := range h {
		if f.Name == name {
			value = f.Value
			n++
		}
	}
	return value, n == 1
}

// hasToken looks for a token, in ASCII, in repeated fields, each a comma list.
func (h Header) hasToken(name, token string) bool {
	for _, f := range h {
		if f.Name != name {
			continue
		}
		for part := range strings.SplitSeq(f.Value, ",") {
			part = strings.Trim(part, " \t")
			if len(part) == len(token) && strings.EqualFold(part, token) { // a letter beyond ASCII that folds to one in it is longer
				return true
			}
		}
	}
	return false
}
