package api

import (
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/process"
)

// published is an endpoint as the descriptions have it.
type published struct {
	id, url, process string // id names it in a document: letters, digits and _
	access           process.Access
	anonymous        bool
	in, out          object // schemas of a frame and of its answer
}

func (a *API) published() []*published {
	if a.o.Processes == nil {
		return nil
	}
	var all []*published
	taken := map[string]bool{}
	for _, s := range sockets {
		taken[s.id] = true
	}
	for name := range readSchemas() { // no two schemas of a document have one name
		for _, suffix := range suffixes {
			taken[strings.TrimSuffix(name, suffix)] = true
		}
	}
	for _, e := range a.o.Processes.Endpoints() {
		id := documentID(e.URL)
		for n := 2; taken[id] || id == ""; n++ {
			id = documentID(e.URL) + "_" + strconv.Itoa(n)
		}
		taken[id] = true
		all = append(all, &published{
			id: id, url: e.URL, process: e.Process, access: e.Access, anonymous: e.Access.Anonymous,
			in: fieldsSchema(e.Def.Inputs, true), out: fieldsSchema(e.Def.Outputs, false),
		})
	}
	return all
}

// suffixes are what the names of an endpoint's parts end in.
var suffixes = []string{"In", "Out", "Typing", "Error", "Push"}

// documentID is a name that a path could have in a document.
func documentID(url string) string {
	return strings.Trim(strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		}
		return '_'
	}, url), "_")
}

func (e *published) accessWords() string {
	switch {
	case e.access.Anonymous:
		return "Open to everybody."
	case len(e.access.Groups) > 0:
		return "Open to the accounts of " + strings.Join(e.access.Groups, ", ") + "."
	}
	return "Open to every account."
}

// fieldsSchema is a JSON Schema of inputs or outputs. Inputs are all that may
// be there; of the outputs some may be missing.
func fieldsSchema(fields []process.Field, inputs bool) object {
	properties, required := object{}, []any{}
	for _, f := range fields {
		properties[f.Name] = fieldSchema(f)
		if inputs && !f.Optional && f.Default == nil {
			required = append(required, f.Name)
		}
	}
	s := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

var schemaTypes = map[process.Type]string{
	process.TypeString: "string", process.TypeNumber: "number", process.TypeInteger: "integer", process.TypeBoolean: "boolean",
	process.TypeObject: "object", process.TypeList: "array",
}

func fieldSchema(f process.Field) object {
	s := object{}
	if t, is := schemaTypes[f.Type]; is {
		s["type"] = t
	}
	if f.Description != "" {
		s["description"] = f.Description
	}
	if f.Default != nil {
		s["default"] = f.Default
	}
	return s
}
