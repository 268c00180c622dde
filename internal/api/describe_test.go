package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/api"
)

type object = map[string]any

// document asks for a description.
func document(t *testing.T, h http.Handler, path string, header ...string) object {
	t.Helper()
	a := ask(t, h, "GET", path, "", append([]string{"apikey", ""}, header...)...)
	var d object
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.status != http.StatusOK {
		t.Fatalf("%s: %d %v", path, a.status, err)
	}
	refs(t, path, d, d, "")
	return d
}

// refs wants every $ref to name something that is there.
func refs(t *testing.T, name string, all, v any, at string) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for i, one := range v {
			refs(t, name, all, one, fmt.Sprint(at, "/", i))
		}
	case object:
		if ref, is := v["$ref"].(string); is && resolve(all, ref) == nil {
			t.Errorf("%s: %s names %s, which is not there", name, at, ref)
		}
		for key, one := range v {
			refs(t, name, all, one, at+"/"+key)
		}
	}
}

func resolve(all any, ref string) any {
	path, local := strings.CutPrefix(ref, "#/")
	if !local {
		return nil
	}
	for part := range strings.SplitSeq(path, "/") {
		o, _ := all.(object)
		all = o[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return all
}

// in is what stands at a path of keys; what is not there fails the test.
func in[T any](t *testing.T, v any, path ...string) T {
	t.Helper()
	for i, key := range path {
		o, _ := v.(object)
		if v = o[key]; v == nil {
			t.Fatalf("there is no %s", strings.Join(path[:i+1], "."))
		}
	}
	got, is := v.(T)
	if !is {
		t.Fatalf("%s is %T", strings.Join(path, "."), v)
	}
	return got
}

const twoBots = "/bots/two"

// described is a server with an endpoint for each kind of access.
func described(t *testing.T) http.Handler {
	t.Helper()
	h, _ := started(t, api.Options{Version: "1.2.3"})
	source := `{"process":"%s","inputs":{"message":"string","n":"integer"},"outputs":{"response":"string"},"rules":[{"reply":{"response":"message"}}]}`
	for _, c := range []struct{ name, url, access string }{
		{"one", "feed", `"anonymous"`}, {"two", twoBots, `"users"`}, {"three", "bots_two", `["staff","Admins"]`},
	} {
		for _, a := range []answer{
			ask(t, h, "PUT", "/v1/processes/"+c.name, fmt.Sprintf(source, c.name)),
			ask(t, h, "POST", "/v1/processes/"+c.name+"/publish", ""),
			ask(t, h, "PUT", "/v1/endpoints/"+strings.TrimPrefix(c.url, "/"), `{"process":"`+c.name+`","access":`+c.access+`}`),
		} {
			if a.status != http.StatusOK {
				t.Fatalf("%s: %+v", c.name, a)
			}
		}
	}
	return h
}

func TestOpenAPI(t *testing.T) {
	h := described(t)
	d := document(t, h, "/openapi.json", "X-Forwarded-Proto", "https")
	if v := in[string](t, d, "openapi"); v != "3.1.0" {
		t.Errorf("openapi %s", v)
	}
	for _, path := range [][]string{{"info", "title"}, {"info", "version"}, {"components", "schemas", "Problem", "type"}} {
		in[string](t, d, path...)
	}
	if url := in[string](t, in[[]any](t, d, "servers")[0], "url"); url != "https://example.com" {
		t.Errorf("the server is at %s", url)
	}
	tags := map[string]bool{}
	for _, tag := range in[[]any](t, d, "tags") {
		tags[in[string](t, tag, "name")] = true
	}
	ids := map[string]string{}
	for path, item := range in[object](t, d, "paths") {
		for method, op := range item.(object) {
			at := strings.ToUpper(method) + " " + path
			id := in[string](t, op, "operationId")
			if other, twice := ids[id]; twice {
				t.Errorf("%s and %s are both %s", at, other, id)
			}
			ids[id] = at
			operation(t, at, path, op.(object), tags)
		}
	}
	for _, want := range []string{"PUT /v1/processes/{name}", "POST /v1/publish", "GET /v1/mail", "PUT /v1/groups/{name}/members/{user}", "GET /metrics", "GET /bots/two"} {
		if !slices.Contains(slices.Collect(maps.Values(ids)), want) {
			t.Errorf("%s is not described", want)
		}
	}
	names := in[[]any](t, d, "components", "schemas", "EventName", "enum")
	if !slices.Contains(names, any("messages.upsert")) || slices.Contains(names, any("user.online")) {
		t.Errorf("the events that may be said are %v", names)
	}
	// An endpoint shows its address, and what it takes.
	two := in[object](t, d, "paths", twoBots, "get")
	if got := in[string](t, two, "x-websocket", "address"); got != "wss://example.com"+twoBots {
		t.Errorf("it is at %s", got)
	}
	in[object](t, two, "responses", "426")
	frame := resolve(d, in[string](t, two, "x-websocket", "frame", "$ref"))
	if got := in[[]any](t, frame, "required"); !slices.Equal(got, []any{"message", "n"}) || in[string](t, frame, "properties", "n", "type") != "integer" {
		t.Errorf("a frame is %v", frame)
	}
}

var wildcards = regexp.MustCompile(`\{(\w+)\}`)

// operation wants what OpenAPI wants of an operation.
func operation(t *testing.T, at, path string, op object, tags map[string]bool) {
	t.Helper()
	if in[string](t, op, "summary") == "" || !tags[in[[]any](t, op, "tags")[0].(string)] {
		t.Errorf("%s says nothing, or has no known tag", at)
	}
	responses := in[object](t, op, "responses")
	for code, r := range responses {
		if r.(object)["$ref"] == nil && in[string](t, r, "description") == "" || len(code) != 3 {
			t.Errorf("%s: answer %q is not described", at, code)
		}
	}
	var declared []string
	if list, has := op["parameters"].([]any); has {
		for _, p := range list {
			in[object](t, p, "schema")
			if name := in[string](t, p, "name"); in[string](t, p, "in") == "path" {
				declared = append(declared, name)
				if p.(object)["required"] != true {
					t.Errorf("%s: %s is not required", at, name)
				}
			}
		}
	}
	var wanted []string
	for _, m := range wildcards.FindAllStringSubmatch(path, -1) {
		wanted = append(wanted, m[1])
	}
	if !slices.Equal(declared, wanted) {
		t.Errorf("%s declares %v", at, declared)
	}
}

// TestEveryRouteIsDescribedAndGuarded asks for each route that is described.
// Without a key there is an answer of the API, and nothing is done.
func TestEveryRouteIsDescribedAndGuarded(t *testing.T) {
	h := described(t)
	d := document(t, h, "/openapi.json")
	guarded := 0
	for path, item := range in[object](t, d, "paths") {
		for method, op := range item.(object) {
			method = strings.ToUpper(method)
			where := wildcards.ReplaceAllString(path, "1")
			if tag := in[[]any](t, op, "tags")[0]; tag == "endpoints" {
				continue // the endpoints' gateway answers
			}
			mux := h.(*http.ServeMux)
			_, pattern := mux.Handler(httptest.NewRequest(method, where, nil))
			if got := strings.ReplaceAll(pattern, "...}", "}"); got != method+" "+path {
				t.Errorf("%s %s is answered by %q", method, path, pattern)
			}
			if len(in[[]any](t, op, "security")) > 0 {
				guarded++
				ask(t, h, method, where, "", "apikey", "wrong").isProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED", "key")
			}
		}
	}
	if guarded < 24 {
		t.Errorf("only %d routes want a key", guarded)
	}
}

var (
	channelName   = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	componentName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
)

func TestAsyncAPI(t *testing.T) {
	h := described(t)
	d := document(t, h, "/asyncapi.json")
	if v := in[string](t, d, "asyncapi"); v != "3.0.0" || in[string](t, d, "info", "version") != "1.2.3" || in[string](t, d, "info", "title") == "" {
		t.Errorf("asyncapi %s of %v", v, d["info"])
	}
	if in[string](t, d, "servers", "here", "host") != "example.com" || in[string](t, d, "servers", "here", "protocol") != "ws" {
		t.Errorf("the server is %v", d["servers"])
	}
	channels := in[object](t, d, "channels")
	addresses := map[string]string{}
	for id, c := range channels {
		if !channelName.MatchString(id) || len(in[object](t, c, "messages")) == 0 || in[string](t, c, "bindings", "ws", "method") != "GET" {
			t.Errorf("channel %q: %v", id, c)
		}
		addresses[in[string](t, c, "address")] = id
	}
	for _, want := range []string{"/", "/ws/connect", "/websocket", "/ws/events", "/feed", "/bots_two", twoBots} {
		if addresses[want] == "" {
			t.Errorf("there is no channel at %s", want)
		}
	}
	for kind, all := range in[object](t, d, "components") {
		for name, c := range all.(object) {
			if !componentName.MatchString(name) {
				t.Errorf("a component is named %q", name)
			}
			if kind == "messages" {
				in[string](t, c, "payload", "$ref")
			}
		}
	}
	for id, op := range in[object](t, d, "operations") {
		channel := in[string](t, op, "channel", "$ref")
		if action := in[string](t, op, "action"); action != "send" && action != "receive" {
			t.Errorf("%s does %q", id, action)
		}
		messages := in[[]any](t, op, "messages")
		if reply, has := op.(object)["reply"]; has {
			messages = append(messages, in[[]any](t, reply, "messages")...)
		}
		for _, m := range messages {
			if ref := in[string](t, m, "$ref"); !strings.HasPrefix(ref, channel+"/messages/") {
				t.Errorf("%s on %s says %s", id, channel, ref)
			}
		}
	}
	// Frames have their types, answers the id, and anonymous needs no login.
	two := addresses[twoBots]
	schema := in[object](t, d, "components", "schemas", two+"In")
	if in[string](t, schema, "properties", "message", "type") != "string" || schema["properties"].(object)["$id"] == nil {
		t.Errorf("a frame is %v", schema)
	}
	in[object](t, d, "components", "schemas", two+"Out", "properties", "$id")
	if _, has := in[object](t, d, "operations", addresses["/feed"]+"Run")["security"]; has {
		t.Error("an anonymous endpoint needs a login")
	}
	in[[]any](t, d, "operations", two+"Run", "security")
}

func TestDocsLoadNothingForeign(t *testing.T) {
	h, _ := started(t, api.Options{})
	for path, kind := range map[string]string{"/docs": "text/html", "/docs/docs.js": "text/javascript", "/docs/docs.css": "text/css"} {
		a := ask(t, h, "GET", path, "", "apikey", "")
		if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), kind) || a.header.Get("Etag") == "" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		if p := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'; script-src 'self'; style-src 'self';") {
			t.Errorf("%s may load %s", path, p)
		}
		for _, foreign := range []string{"https://", "http://", "innerHTML", "style=", "<script>", " onclick"} {
			if strings.Contains(a.body, foreign) {
				t.Errorf("%s holds %s", path, foreign)
			}
		}
		if again := ask(t, h, "GET", path, "", "apikey", "", "If-None-Match", a.header.Get("Etag")); again.status != http.StatusNotModified {
			t.Errorf("%s again: %d", path, again.status)
		}
	}
	ask(t, h, "GET", "/docs/nothing.js", "", "apikey", "").isProblem(t, http.StatusNotFound, "NO_ROUTE")
}

// TestDocsSpeakBothLanguages wants each word in both, and each of the page's to be there.
func TestDocsSpeakBothLanguages(t *testing.T) {
	h, _ := started(t, api.Options{})
	script := ask(t, h, "GET", "/docs/docs.js", "", "apikey", "").body
	en, rest, ok1 := strings.Cut(script, "\n  id: {")
	id, _, ok2 := strings.Cut(rest, "\n};")
	if !ok1 || !ok2 {
		t.Fatal("the words are not where they were")
	}
	key := regexp.MustCompile(`(?m)^    (\w+): "`)
	keys := func(s string) (all []string) {
		for _, m := range key.FindAllStringSubmatch(s, -1) {
			all = append(all, m[1])
		}
		return all
	}
	if a, b := keys(en), keys(id); len(a) == 0 || !slices.Equal(a, b) {
		t.Errorf("English has %v, Indonesian %v", a, b)
	}
	for _, m := range regexp.MustCompile(`data-t(?:-label)?="(\w+)"`).FindAllStringSubmatch(ask(t, h, "GET", "/docs", "", "apikey", "").body, -1) {
		if !slices.Contains(keys(en), m[1]) {
			t.Errorf("the page says %s, for which there is no word", m[1])
		}
	}
}
