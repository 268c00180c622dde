package api

import (
	"net/http"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/webhook"
)

var keptPages = []parameter{
	{"after", "Number", "those that begin after this number: next of the page before"},
	{"limit", "Number", "at most so many, 100 where it is not given, at most 200"},
}

// webhooks are the routes of where events are sent.
func (a *API) webhooks() []route {
	all := func(method, summary string, h gateway.Handler, answer string) route {
		return route{
			method: method, path: "/v1/webhooks", handle: h, who: instanceToo, tag: "webhooks", summary: summary,
			code: http.StatusOK, answer: answer, errors: []int{403, 404},
		}
	}
	one := func(method, what, summary string, h gateway.Handler, answer string) route {
		rt := all(method, summary, h, answer)
		rt.path += "/{id}" + what
		rt.errors = []int{404}
		return rt
	}
	list := all("GET", "Webhooks, by id, and how each stands: all of them, or those of an instance", a.listWebhooks, "Webhooks")
	list.query = append([]parameter{{"instance", "Text", "the name of an instance"}}, pages...)
	add := all("POST", "Make one more webhook of an instance; its secret is shown once", a.addWebhook, "WebhookMade")
	add.body, add.media, add.once, add.code, add.errors = "WebhookSpec", asJSON, true, http.StatusCreated, []int{403, 404, 409}
	change := one("PATCH", "", "Change what is named; a hold ends with it", a.changeWebhook, "Webhook")
	change.body, change.media, change.errors = "WebhookSpec", asJSON, []int{404, 409}
	drop := one("DELETE", "", "Delete a webhook, and what is kept of it", a.dropWebhook, "")
	drop.code, drop.errors = http.StatusNoContent, []int{404, 409}
	rotate := one("POST", "/rotate", "Replace a webhook's secret and key; for a time the old ones sign beside them", a.rotateWebhook, "WebhookKeys")
	rotate.body, rotate.media, rotate.once, rotate.errors = "Rotation", asJSON, true, []int{404, 409}
	tries := one("GET", "/deliveries", "What was tried, the newest first: of each webhook the newest 100, for a week", a.deliveries, "Deliveries")
	tries.query = []parameter{
		{"before", "Number", "those before this one: next of the page before"},
		{"limit", "Number", "at most so many, 100 where it is not given, at most 200"},
		{"state", "Text", "delivered, failed, refused or gone"},
	}
	dead := one("GET", "/dead", "Events, and ranges of them, that ran out of tries: the newest 1,000, for 30 days, and for 7 what cannot be read any more", a.keptOf(webhook.Dead), "Kept")
	parked := one("GET", "/parked", "Events that were refused alone, and are tried again", a.keptOf(webhook.Parked), "Kept")
	dead.query, parked.query = keptPages, keptPages
	replay := one("POST", "/replay", "Tell events once more: from one number to another, by ids, or what is dead; what another replay has still to tell is told once for both", a.replay, "Replaying")
	replay.body, replay.media, replay.code, replay.errors = "Replay", asJSON, http.StatusAccepted, []int{404, 409}
	test := one("POST", "/test", "Send an event webhook.test now, and see what comes back; nothing else changes", a.testWebhook, "Delivery")
	test.errors = []int{404, 429}
	return []route{
		list, add, one("GET", "", "One webhook, and how it stands", a.oneWebhook, "WebhookStanding"), change, drop, rotate,
		tries, one("GET", "/deliveries/{delivery}", "One of them, with its body as it would be sent now", a.oneDelivery, "Delivery"),
		dead, parked, replay, test,
	}
}
