package api

import (
	"net/http"
	"slices"

	"github.com/kabar-io/kabar/internal/gateway"
)

// Who may call a route.
const (
	everybody = iota
	administrator
	instanceToo // the administrator, and the instance with its own token
	senderToo   // the administrator, and who said it with their login's token
)

// route is one line of the API. The table of them is what is served, and what
// /openapi.json says.
type route struct {
	method, path string // as http.ServeMux has it
	handle       gateway.Handler
	who          int

	tag, summary string
	query        []parameter
	body         string // the schema of the body, "" for none
	media        []string
	once         bool // takes an Idempotency-Key
	caused       bool // takes a process's hops
	code         int  // of the answer when all went well
	answer       string
	errors       []int // besides 401 and 400
}

// parameter is one of a query.
type parameter struct{ name, schema, does string }

// pages are the parameters of what is read page by page.
var pages = []parameter{
	{"after", "Number", "those with a greater id: next of the page before"},
	{"limit", "Number", "at most so many, 100 where it is not given, at most 200"},
}

var (
	asJSON    = []string{"application/json"}
	asProcess = []string{"application/yaml", "application/json"}
)

// routes is the table: what this server has of it.
func (a *API) routes() []route {
	all := slices.Concat(a.publishing(), a.people(), a.describing())
	if a.o.Processes != nil {
		all = slices.Concat(all, a.processes())
	}
	if a.o.Webhooks != nil {
		all = slices.Concat(all, a.webhooks())
	}
	return all
}

// publishing are the routes of what is said, and of who hears it.
func (a *API) publishing() []route {
	return []route{
		{
			method: "POST", path: "/v1/publish", handle: a.publish, who: administrator, tag: "publishing",
			summary: "Say something: on the feed, in a group, to an endpoint, to a person, to all, or as an instance",
			body:    "Publication", media: asJSON, once: true, code: http.StatusAccepted, answer: "Place", errors: []int{403, 404, 409, 413},
			caused: true,
		},
		{
			method: "POST", path: "/v1/instances/{name}/events", handle: a.events, who: instanceToo, tag: "publishing",
			summary: "Events of an instance: one, or an array of at most 100",
			body:    "Events", media: asJSON, once: true, code: http.StatusAccepted, answer: "Accepted", errors: []int{403, 404, 409, 413},
			caused: true,
		},
		{
			method: "GET", path: "/v1/topics/{topic...}", handle: a.topic, who: administrator, tag: "publishing",
			summary: "End the path with /messages for a topic's history, the oldest first, or with /presence for who is here. Topics: feed, room/<group>, bot/<endpoint>, instance/<name>; presence of user/<id> too",
			query: []parameter{
				{"after", "Position", "messages: those that follow this position"},
				{"before", "Number", "messages: those before this number; the newest where neither is given"},
				{"limit", "Number", "messages: at most so many, 100 where it is not given, at most 1,000"},
			},
			code: http.StatusOK, answer: "TopicAnswer", errors: []int{404, 410},
		},
		{
			method: "GET", path: "/v1/messages/{id}/receipts", handle: a.receipts, who: senderToo, tag: "publishing",
			summary: "To whom a message was delivered, and who has read it; for who said it too, with their login's token",
			code:    http.StatusOK, answer: "Receipts", errors: []int{404},
		},
		{
			method: "GET", path: "/v1/mail", handle: a.mail, who: administrator, tag: "publishing",
			summary: "What would have been mailed; only where no mail leaves the server, as in kabar demo",
			code:    http.StatusOK, answer: "Mails", errors: []int{404},
		},
	}
}

// people are the routes of accounts and their groups.
func (a *API) people() []route {
	user := func(method, what, summary string, h gateway.Handler) route {
		return route{
			method: method, path: "/v1/users/{id}" + what, handle: h, who: administrator, tag: "people", summary: summary,
			code: http.StatusOK, answer: "User", errors: []int{404},
		}
	}
	badges := user("PUT", "/badges", "Set what stands beside their name: at most 32 numbers", a.setBadges)
	badges.body, badges.media = "Badges", asJSON
	erase := user("DELETE", "", "Erase a person for ever: the account is closed at once, then all that they said and were called is taken out of what is kept. Asking again says how far it is", a.erase)
	erase.code, erase.answer = http.StatusAccepted, "Erasure"
	export := user("GET", "/export", "All that is kept of a person, a record a line: profile, logins, people, groups, posts, comments, likes, read marks and messages. The last line has the type end", a.export)
	export.answer, export.errors = "Export", []int{404, 429}
	return []route{
		erase, export,
		{
			method: "GET", path: "/v1/users", handle: a.users, who: administrator, tag: "people", summary: "Accounts, by id",
			query: append([]parameter{{"q", "Text", "the beginning of a handle, or a part of a display name"}}, pages...),
			code:  http.StatusOK, answer: "Users",
		},
		user("GET", "", "One account", a.user),
		user("POST", "/suspend", "Close an account: its logins and sockets end", a.suspend),
		user("POST", "/restore", "Open a suspended account again", a.restore),
		badges,
		{
			method: "GET", path: "/v1/users/{id}/sessions", handle: a.sessions, who: administrator, tag: "people",
			summary: "The logins of an account, by id: what each has acknowledged, and its live sockets with how they came back",
			query:   pages, code: http.StatusOK, answer: "Logins", errors: []int{404},
		},
		{
			method: "DELETE", path: "/v1/sessions/{id}", handle: a.disconnect, who: administrator, tag: "people",
			summary: "Disconnect a socket: it closes with 1000, and its login lives on", code: http.StatusNoContent, errors: []int{404},
		},
		{
			method: "GET", path: "/v1/groups", handle: a.groups, who: administrator, tag: "people",
			summary: "The groups of accounts: who may use which endpoint", code: http.StatusOK, answer: "Groups",
		},
		{
			method: "GET", path: "/v1/groups/{name}/members", handle: a.members, who: administrator, tag: "people",
			summary: "Who is in a group", query: pages, code: http.StatusOK, answer: "Users", errors: []int{404},
		},
		{
			method: "PUT", path: "/v1/groups/{name}/members/{user}", handle: a.join, who: administrator, tag: "people",
			summary: "Put an account into a group, which is made by its first member", code: http.StatusNoContent, errors: []int{404, 409},
		},
		{
			method: "DELETE", path: "/v1/groups/{name}/members/{user}", handle: a.leave, who: administrator, tag: "people",
			summary: "Take an account out of a group", code: http.StatusNoContent, errors: []int{404, 409},
		},
	}
}

// processes are the routes of processes and endpoints.
func (a *API) processes() []route {
	one := func(method, what, summary string, h gateway.Handler, answer string) route {
		return route{
			method: method, path: "/v1/processes/{name}" + what, handle: h, who: administrator, tag: "processes", summary: summary,
			code: http.StatusOK, answer: answer, errors: []int{404},
		}
	}
	save := one("PUT", "", "Save a process, as YAML or JSON; a version is made where it differs from the newest", a.saveProcess, "Version")
	save.body, save.media, save.errors = "Source", asProcess, []int{413, 422}
	get := one("GET", "", "A process: its newest version, or another", a.process, "Process")
	get.query = []parameter{{"version", "Number", "which one"}}
	drop := one("DELETE", "", "Delete a process with all its versions", a.dropProcess, "")
	drop.code, drop.errors = http.StatusNoContent, []int{404, 409}
	try := one("POST", "/try", "See what a process would do: nothing is carried out", a.tryProcess, "TrialResult")
	try.body, try.media, try.errors = "Trial", asJSON, []int{404, 422, 503}
	publish := one("POST", "/publish", "Let a version take effect at once: the newest, or an earlier one to go back", a.publishProcess, "Version")
	publish.body, publish.media, publish.errors = "VersionWanted", asJSON, []int{404, 409, 422}

	at := func(method, summary string, h gateway.Handler, answer string) route {
		return route{
			method: method, path: "/v1/endpoints/{url...}", handle: h, who: administrator, tag: "processes", summary: summary,
			code: http.StatusOK, answer: answer, errors: []int{404},
		}
	}
	set := at("PUT", "Bind a path to a process", a.setEndpoint, "Endpoint")
	set.body, set.media, set.errors = "EndpointSpec", asJSON, []int{404, 409}
	unset := at("DELETE", "Take an endpoint away: its sockets close with 4004", a.dropEndpoint, "")
	unset.code = http.StatusNoContent
	return []route{
		{
			method: "GET", path: "/v1/processes", handle: a.listProcesses, who: administrator, tag: "processes",
			summary: "All processes", code: http.StatusOK, answer: "Processes",
		},
		get, save, drop, try, publish,
		{
			method: "GET", path: "/v1/endpoints", handle: a.listEndpoints, who: administrator, tag: "processes",
			summary: "All endpoints", code: http.StatusOK, answer: "Endpoints",
		},
		at("GET", "One endpoint", a.endpoint, "Endpoint"), set, unset,
	}
}

// describing are the routes of who runs the server, and of who reads about it.
func (a *API) describing() []route {
	open := func(path, summary string, h gateway.Handler, answer string, errors ...int) route {
		return route{
			method: "GET", path: path, handle: h, tag: "server", summary: summary,
			code: http.StatusOK, answer: answer, errors: errors,
		}
	}
	metrics := open("/metrics", "Counters for Prometheus", a.metrics(), "Text")
	if !a.o.MetricsPublic {
		metrics.who = administrator
	}
	return []route{
		open("/healthz", "The server answers", a.healthz, "Health"),
		open("/readyz", "It is fit to serve: the parts and their reasons", a.readyz, "Ready", http.StatusServiceUnavailable),
		metrics,
		open("/openapi.json", "This description", a.openAPI, "Any"),
		open("/asyncapi.json", "The WebSockets: endpoints and what they say", a.asyncAPI, "Any"),
		open("/docs", "Both, for people", a.docs, "Text"),
	}
}
