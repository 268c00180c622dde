package api

import (
	"net/http"

	"github.com/kabar-io/kabar/internal/gateway"
)

// asyncAPI is GET /asyncapi.json: AsyncAPI 3.0.
func (a *API) asyncAPI(w http.ResponseWriter, r *http.Request) error {
	return a.describe(w, r, a.asyncAPIDocument)
}

func (a *API) asyncAPIDocument(host string, secure bool) object {
	protocol := "ws"
	if secure {
		protocol = "wss"
	}
	d := asyncDocument{channels: object{}, operations: object{}, messages: object{}, schemas: object{}}
	for _, e := range a.published() {
		d.endpoint(e)
	}
	for _, s := range sockets {
		d.socket(s)
	}
	return object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "Kabar's WebSockets", "version": a.version(),
			"description": "The endpoints that are published here, each bound to a process, and the sockets of the other gateways.",
			"license":     object{"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		"defaultContentType": "application/json",
		"servers":            object{"here": object{"host": host, "protocol": protocol}},
		"channels":           d.channels,
		"operations":         d.operations,
		"components": object{
			"messages": d.messages,
			"schemas":  d.schemas,
			"securitySchemes": object{
				"cookie": object{"type": "httpApiKey", "in": "cookie", "name": gateway.Cookie, "description": "a login's token; POST /auth gives it"},
				"bearer": object{"type": "http", "scheme": "bearer", "description": "the same token, for tools"},
			},
		},
	}
}

// asyncDocument is the part of the description that grows with what is described.
type asyncDocument struct{ channels, operations, messages, schemas object }

// message adds a component, and returns where it is.
func (d *asyncDocument) message(name, title, summary string, payload object) object {
	d.schemas[name] = payload
	d.messages[name] = object{"name": name, "title": title, "summary": summary, "payload": ref("schemas", name)}
	return ref("messages", name)
}

// endpoint describes one that is bound to a process.
func (d *asyncDocument) endpoint(e *published) {
	id := object{"$id": object{"description": "any JSON value: the answer has the same"}}
	withID := func(s object) object {
		props, _ := s["properties"].(object)
		return merge(s, object{"properties": merge(props, id)})
	}
	outs, _ := e.out["properties"].(object)
	push := object{
		"type": "object", "required": []any{"$push"},
		"properties": merge(outs, object{
			"$push":  object{"const": true},
			"notice": object{"type": "object", "required": []any{"text"}, "properties": object{"text": object{"type": "string"}}},
		}),
	}
	problem := object{
		"type": "object", "required": []any{"error"},
		"properties": merge(id, object{"error": object{
			"type": "object", "required": []any{"code", "message"},
			"properties": object{
				"code":    object{"enum": []any{"NOT_JSON", "NOT_AN_OBJECT", "MISSING_INPUT", "UNKNOWN_INPUT", "WRONG_TYPE", "PROCESS_FAILED", "PROCESS_TIMEOUT"}},
				"message": object{"type": "string"}, "field": object{"type": "string"},
			},
		}}),
	}
	typing := object{
		"type": "object", "required": []any{"$typing"}, "additionalProperties": false,
		"properties": merge(id, object{"$typing": object{"const": true}}),
	}
	name := "#/channels/" + e.id
	channel := object{
		"address": e.url, "title": e.process,
		"description": "Bound to the process " + e.process + ". " + e.accessWords(),
		"messages": object{
			"in":     d.message(e.id+"In", "frame", "A value for each input", withID(e.in)),
			"typing": d.message(e.id+"Typing", "typing", "Tells the others that somebody types", typing),
			"out":    d.message(e.id+"Out", "answer", "The outputs, in the order of the frames", withID(e.out)),
			"error":  d.message(e.id+"Error", "error", "In the place of the outputs", problem),
			"push":   d.message(e.id+"Push", "push", "What no frame asked for", push),
		},
		"bindings":  object{"ws": object{"method": "GET"}},
		"x-process": e.process,
		"x-access":  showAccess(e.access),
	}
	d.channels[e.id] = channel
	of := func(names ...string) (list []any) {
		for _, n := range names {
			list = append(list, object{"$ref": name + "/messages/" + n})
		}
		return list
	}
	receive := object{
		"action": "receive", "channel": object{"$ref": name}, "summary": "Each frame runs the process once", "messages": of("in", "typing"),
		"reply": object{"channel": object{"$ref": name}, "messages": of("out", "error")},
	}
	if !e.anonymous {
		receive["security"] = []any{
			object{"$ref": "#/components/securitySchemes/cookie"}, object{"$ref": "#/components/securitySchemes/bearer"},
		}
	}
	d.operations[e.id+"Run"] = receive
	d.operations[e.id+"Push"] = object{
		"action": "send", "channel": object{"$ref": name}, "summary": "What the process says by itself, and the server's notices", "messages": of("push"),
	}
}

// socket is one of a gateway whose path is fixed. Its dialect is described in
// its package; here stands what it takes to connect.
type socket struct {
	id, address, title, summary string
	query                       []parameter
	text                        bool // frames are lines of text
}

var sockets = []socket{
	{
		id: "relay", address: "/", title: "relay", summary: "Chat with friends and groups; /socket is the same",
		query: []parameter{{"id", "", "the socket id of a login's bootstrap"}},
	},
	{
		id: "direct", address: "/ws/connect", title: "direct", summary: "Messages from person to person: {type:<int>, data:{…}}",
		query: []parameter{
			{"auth", "", "a one-time code from GET /ws/auth"}, {"after", "", "resume after an id or a position, or last"},
			{"devices", "", "1: with what is sent from my other devices"}, {"epoch", "", "1: with seq and epoch"},
		},
	},
	{
		id: "feed", address: "/websocket", title: "feed", summary: "One stream for everybody: a text frame is a line", text: true,
		query: []parameter{
			{"name", "", "a display name"}, {"format", "", "plain or json"}, {"last", "", "first the last so many lines"}, {"after", "", "resume after a position"},
		},
	},
	{
		id: "events", address: "/ws/events", title: "events", summary: "Events of an instance; what is sent is not looked at",
		query: []parameter{
			{"event", "", "names of events, comma-separated, or *"}, {"token", "", "the instance's token"},
			{"after", "", "resume after a position, or last"}, {"consumer", "", "a name to keep a position under"},
		},
	},
}

func (d *asyncDocument) socket(s socket) {
	payload := object{"type": "object"}
	if s.text {
		payload = object{"type": "string"}
	}
	properties := object{}
	for _, q := range s.query {
		properties[q.name] = object{"type": "string", "description": q.does}
	}
	name := "#/channels/" + s.id
	d.channels[s.id] = object{
		"address": s.address, "title": s.title, "description": s.summary,
		"messages": object{"frame": d.message(s.id+"Frame", "frame", s.summary, payload)},
		"bindings": object{"ws": object{"method": "GET", "query": object{"type": "object", "properties": properties}}},
	}
	frame := []any{object{"$ref": name + "/messages/frame"}}
	d.operations[s.id+"Receive"] = object{"action": "receive", "channel": object{"$ref": name}, "messages": frame}
	d.operations[s.id+"Send"] = object{"action": "send", "channel": object{"$ref": name}, "messages": frame}
}
