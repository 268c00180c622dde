package bot

import (
	"strings"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/process"
)

// description is how to connect to an endpoint, and what to say there.
type description struct {
	URL    string            `json:"url"` // ws:// or wss://
	Access any               `json:"access"`
	Cookie string            `json:"cookie,omitempty"` // where a login is needed
	Frame  map[string]string `json:"frame"`            // the type of each input
	Answer map[string]string `json:"answer"`
}

func describe(e *process.Endpoint, address string) description {
	d := description{URL: address, Access: "users", Frame: types(e.Def.Inputs), Answer: types(e.Def.Outputs)}
	switch {
	case e.Access.Anonymous:
		d.Access = "anonymous"
		return d
	case len(e.Access.Groups) > 0:
		d.Access = e.Access.Groups
	}
	d.Cookie = gateway.Cookie + "=<token>"
	return d
}

func types(fields []process.Field) map[string]string {
	all := make(map[string]string, len(fields))
	for _, f := range fields {
		all[f.Name] = string(f.Type)
		if f.Optional || f.Default != nil {
			all[f.Name] += ", optional"
		}
	}
	return all
}

// sentence says it in one sentence.
func (d description) sentence(inputs []process.Field) string {
	s := "this is a WebSocket: connect to " + d.URL
	if d.Cookie != "" {
		s += " with the cookie " + d.Cookie + ", which POST /auth gives,"
	}
	if len(inputs) == 0 {
		return s + " and send {}"
	}
	names := make([]string, len(inputs))
	for i, f := range inputs {
		names[i] = f.Name
	}
	return s + " and send a JSON object with a value for " + strings.Join(names, ", ")
}
