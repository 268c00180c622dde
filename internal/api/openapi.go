package api

import (
	"embed"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/process"
)

//go:embed schemas*.json
var schemas embed.FS

// object is a JSON object that is written out.
type object = map[string]any

// ref points at a component.
func ref(kind, name string) object { return object{"$ref": "#/components/" + kind + "/" + name} }

// readSchemas are the shapes of bodies, by name.
func readSchemas() object {
	all := object{}
	for _, name := range []string{"schemas.json", "schemas_webhooks.json"} {
		b, err := schemas.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(b, &all) // which adds to it
		}
		if err != nil {
			panic(err) // it is part of the program
		}
	}
	return all
}

// openAPI is GET /openapi.json: OpenAPI 3.1.
func (a *API) openAPI(w http.ResponseWriter, r *http.Request) error {
	return a.describe(w, r, a.openAPIDocument)
}

func (a *API) openAPIDocument(host string, secure bool) object {
	here, sockets := "http://"+host, "ws://"+host
	if secure {
		here, sockets = "https://"+host, "wss://"+host
	}
	paths := object{}
	for _, rt := range a.table {
		path, item := openPath(rt.path), object{}
		if have, is := paths[path].(object); is {
			item = have
		}
		item[strings.ToLower(rt.method)] = rt.operation()
		paths[path] = item
	}
	components := readSchemas()
	components["EventName"] = object{"enum": a.o.Instances.Names().Sayable(), "description": "events.names in the configuration adds your own"}
	if a.o.Processes != nil {
		paths["/auth"] = object{"post": logIn}
	}
	for _, e := range a.published() {
		paths[e.url] = object{"get": e.operation(sockets)}
		components[e.id+"In"], components[e.id+"Out"] = e.in, e.out
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Kabar", "version": a.version(),
			"description": "Kabar's own HTTP, and the WebSocket endpoints that are published here: an empty request to one is answered with 426 and its address. " +
				"Their frames are described in /asyncapi.json.",
			"license": object{"name": "Apache 2.0", "identifier": "Apache-2.0"},
		},
		"servers": []any{object{"url": here}},
		"tags": []any{
			object{"name": "endpoints", "description": "WebSockets that are bound to a process"},
			object{"name": "processes", "description": "Making, trying and publishing processes"},
			object{"name": "publishing", "description": "Saying something, and reading what was said"},
			object{"name": "webhooks", "description": "Where events are sent"},
			object{"name": "people", "description": "Accounts and their groups"},
			object{"name": "server", "description": "For who runs the server"},
		},
		"paths": paths,
		"components": object{
			"schemas": components,
			"responses": object{"Problem": object{
				"description": "What was wrong, as RFC 9457 has it",
				"content":     object{"application/problem+json": object{"schema": ref("schemas", "Problem")}},
			}},
			"securitySchemes": object{
				"key":    object{"type": "apiKey", "in": "header", "name": "apikey", "description": "the administrator's key"},
				"bearer": object{"type": "http", "scheme": "bearer", "description": "the administrator's key, or the token of a login or an instance"},
				"cookie": object{"type": "apiKey", "in": "cookie", "name": gateway.Cookie, "description": "a login's token; POST /auth gives it"},
			},
		},
	}
}

// logIn is POST /auth, which the endpoints' gateway answers: how to get at them.
var logIn = object{
	"operationId": "logIn", "tags": []any{"endpoints"}, "security": []any{},
	"summary":     "Log in: the token, and the cookie " + gateway.Cookie + ", open what needs a login",
	"requestBody": object{"required": true, "content": object{"application/json": object{"schema": ref("schemas", "LogIn")}}},
	"responses": object{
		"200": object{"description": "OK", "content": object{"application/json": object{"schema": ref("schemas", "LoggedIn")}}},
		"401": object{"description": "Unknown, or another password", "content": object{"application/json": object{"schema": ref("schemas", "BotError")}}},
	},
}

func (a *API) version() string {
	if a.o.Version == "" {
		return "dev"
	}
	return a.o.Version
}

// openPath is a path as OpenAPI writes it.
func openPath(path string) string { return strings.ReplaceAll(path, "...}", "}") }

var wildcard = regexp.MustCompile(`\{(\w+)(\.\.\.)?\}`)

// operation describes a route.
func (rt route) operation() object {
	op := object{
		"operationId": rt.id(), "summary": rt.summary, "tags": []any{rt.tag},
		"responses": rt.responses(), "security": rt.security(),
	}
	var params []any
	for _, m := range wildcard.FindAllStringSubmatch(rt.path, -1) {
		p := object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}}
		if m[2] != "" {
			p["description"] = "the rest of the path; it may have slashes"
		}
		params = append(params, p)
	}
	for _, q := range rt.query {
		params = append(params, object{"name": q.name, "in": "query", "description": q.does, "schema": ref("schemas", q.schema)})
	}
	if rt.once {
		params = append(params, object{
			"name": "Idempotency-Key", "in": "header", "description": "the same key again does nothing, and is answered as the first time",
			"schema": object{"type": "string", "maxLength": 255},
		})
	}
	if rt.caused {
		params = append(params, object{
			"name": process.HopsHeader, "in": "header", "description": "how many processes in a row led to this, as the call of a process says",
			"schema": object{"type": "integer", "minimum": 0, "maximum": process.MaxHops},
		})
	}
	if params != nil {
		op["parameters"] = params
	}
	if rt.body != "" {
		content := object{}
		for _, m := range rt.media {
			content[m] = object{"schema": ref("schemas", rt.body)}
		}
		op["requestBody"] = object{"required": rt.body != "VersionWanted" && rt.body != "Rotation", "content": content}
	}
	return op
}

// id names a route's operation: "putV1ProcessesName".
func (rt route) id() string {
	var b strings.Builder
	b.WriteString(strings.ToLower(rt.method))
	upper := true
	for _, c := range rt.path {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			if upper {
				c = []rune(strings.ToUpper(string(c)))[0]
			}
			b.WriteRune(c)
			upper = false
		default:
			upper = true
		}
	}
	return b.String()
}

func (rt route) responses() object {
	all := object{}
	good := object{"description": http.StatusText(rt.code)}
	switch rt.answer {
	case "":
	case "Text":
		good["content"] = object{"text/plain": object{"schema": ref("schemas", "Text")}}
		if rt.path == "/docs" {
			good["content"] = object{"text/html": object{"schema": ref("schemas", "Text")}}
		}
	case "Export":
		good["content"] = object{"application/x-ndjson": object{"schema": ref("schemas", rt.answer)}}
	default:
		good["content"] = object{"application/json": object{"schema": ref("schemas", rt.answer)}}
	}
	all[strconv.Itoa(rt.code)] = good
	codes := rt.errors
	if rt.who != everybody {
		codes = append([]int{http.StatusBadRequest, http.StatusUnauthorized}, codes...)
	}
	for _, code := range codes {
		all[strconv.Itoa(code)] = object{"$ref": "#/components/responses/Problem"}
	}
	return all
}

func (rt route) security() []any {
	if rt.who == everybody {
		return []any{}
	}
	return []any{object{"key": []any{}}, object{"bearer": []any{}}}
}

// operation describes the GET of an endpoint: an empty request shows the
// address.
func (e *published) operation(sockets string) object {
	address := sockets + e.url
	op := object{
		"operationId": "connect" + strings.ToUpper(e.id[:1]) + e.id[1:], "tags": []any{"endpoints"},
		"summary": "WebSocket: " + address,
		"description": "A WebSocket endpoint of the process " + e.process + ". Connect to " + address +
			"; a request that is no upgrade is answered with 426, and how to connect. " + e.accessWords(),
		"responses": object{
			"101": object{"description": "Switching Protocols: the WebSocket is open"},
			"426": object{
				"description": "Upgrade Required: how to connect, and what a frame holds",
				"content":     object{"application/json": object{"schema": ref("schemas", "HowToConnect")}},
			},
			"401": object{"description": "An upgrade without a login", "content": object{"application/json": object{"schema": ref("schemas", "BotError")}}},
			"403": object{"description": "An upgrade of somebody, or from a page, that may not", "content": object{"application/json": object{"schema": ref("schemas", "BotError")}}},
		},
		"x-websocket": object{"address": address, "frame": ref("schemas", e.id+"In"), "answer": ref("schemas", e.id+"Out")},
	}
	security := []any{object{"cookie": []any{}}, object{"bearer": []any{}}}
	if e.anonymous {
		security = append(security, object{})
	}
	op["security"] = security
	return op
}

// merge is two objects as one.
func merge(a, b object) object {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}
