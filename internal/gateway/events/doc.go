// Package events is the dialect of an instance's events: programs subscribe to
// one source's events by name, over a WebSocket or Server-Sent Events.
//
// # Who are you
//
// The administrator carries `apikey: <key>`, an instance's own program
// `Authorization: Bearer <instance token>`; the token opens that instance's
// routes only (403 for another's). The token is a JWT {instanceName, apiName,
// tokenId, iat, exp?, sub:"g-t"} and is checked against the stored one every
// time. Errors are {status, error:"Unauthorized", message:["…"]}.
//
// # Instances
//
//	POST   /instance/create {instanceName?, description?, externalAttributes?}  admin  201 {id, name, description, createdAt, updatedAt, Auth:{id, token}}; a name taken is 403; with the same Idempotency-Key again, within a day, the same answer
//	GET    /instance/fetchInstances                                            admin  200 [instance]
//	GET    /instance/fetchInstance/{name}                                      both   200 instance
//	PATCH  /instance/update/{name} {description?, externalAttributes?, ownerJid?}  both   200 instance
//	DELETE /instance/delete/{name}                                             both   200 {status, message}
//	PUT    /instance/refreshToken/{name} {oldToken}                            both   201 {id, token}; the old one is dead at once
//	GET    /instance/connectionState/{name}                                    both   200 {state, statusReason}
//
// Events are posted to POST /v1/instances/{name}/events (package api).
//
// # Webhooks
//
//	PUT /webhook/set/{name} {url, enabled?, events?}   both  201 {id, url, enabled, events, instanceId, secret?}
//	GET /webhook/find/{name}                           both  200 the same, with lastError, onHoldSince and nextTry where there are
//
// This is the instance's main webhook; more of them, and what can be done with
// each, are under /v1/webhooks (package api). secret stands in the answer that
// made it, and never again. enabled is true where it is left out; one that is
// off is paused, and gets what is younger than three days when it is on again.
// events are flags (messagesUpsert: true): the known system's, or the names of
// events; those that are true are sent. null, or none: all,
// messaging-history.set too.
//
// An event is posted as the frame below, without an epoch, and signed as
// Standard Webhooks: webhook-id is the event's id, webhook-timestamp the time of
// the try. Resource-Owner is the instance's ownerJid or, where it has none, its
// name; what is not plain ASCII in it is written as in a URL (%C3%A9). How it is
// tried, and what becomes of what is not taken, is package webhook's promise.
//
// # Subscribing: GET /ws/events?event=<name>&token=<instance token>
//
// event is a name, several with commas, or * for all that may be subscribed to.
// Refused before the upgrade: 400 no, unknown or webhook-only event (with the
// nearest name), 401 token, 403 Origin, 410 position, 426 neither an upgrade
// nor Server-Sent Events, 429 too many connections, 503 too many at this moment
// (Retry-After says when to come back). What may be added:
//
//	consumer=<name>                 a position is kept under this name, from where it first began; pongs move it
//	after=<seq|epoch:seq|last>      first what followed that; last needs a consumer, and is refused (410) where
//	                                some of that is not kept any more: the consumer goes on with after=<head>
//	state=1                         first the last connection.update and qrcode.updated, if not newer than the position
//	format=raw|cloudevents          data alone, or a CloudEvents 1.0 JSON event (its subject is ownerJid)
//	epoch=1                         the position's epoch in every frame but a raw one; after= implies it
//	close_reason=1                  a refusal as a close code and a sentence
//
// A subscriber's frames are ignored, whatever they hold.
//
// The server pings a consumer about a second after it sent something; the pong
// acknowledges everything that was sent before the ping. WebSocket libraries
// send it by themselves: a program that acknowledges only what it has done keeps
// the position itself (after=<epoch:seq>), or switches that off.
//
// # Names
//
//	qrcode.updated connection.update status.instance messages.set messages.upsert messages.update send.message
//	contacts.set contacts.upsert contacts.update presence.update chats.set chats.update chats.upsert chats.delete
//	groups.upsert groups.update group-participants.update refresh.token call.upsert labels.association labels.edit
//	messaging-history.set, which goes to webhooks only
//
// and those that the configuration adds (events.names). An unknown name is
// refused with the nearest one. What is in data is up to who posts it.
//
// # Frame
//
//	{"event":"messages.upsert","instance":{"id","name","connectionStatus","ownerJid","externalAttributes"},
//	 "data":…,"id":"…","seq":12,"timestamp":"2026-01-02T03:04:05.678Z"}
//
// connectionStatus is ONLINE while the instance's last connection.update said
// open, else OFFLINE. The events of an instance are numbered by seq without
// gaps; a subscriber to some of them gets those in that order, at least once;
// ids let it drop repeats.
//
// # Lifecycle events
//
// The instance whose name is configured (lifecycle.instance), once it is made,
// gets what the server itself says; nobody else may say these:
//
//	user.online, user.offline        {subject, number, user, since, reason?, seconds?}
//	topic.occupied, topic.vacated    {subject, number, topic, since, reason?, seconds?}
//	session.closed                   {subject, number, gateway, user?, login?, instance?, code, reason?, since, seconds?}
//
// A subject is user/<id>, a topic (feed, instance/<id>, bot/<endpoint>, and
// room/<id> while a process follows it), or the sessions of one: user/<id>/sessions,
// instance/<id>/sessions and, for nobody in particular, <gateway>/sessions. The
// events of a subject are numbered without gaps, over restarts: what has a lower
// number than the one before is old. since is when somebody came or went, and
// for a session when it was opened; seconds how long what ended was there. Who
// went did so with reason left, or restart: they did not come back to a server
// that was started again within lifecycle.return, and since is the end of that.
// code is 1006 where a session's client just went, and, with reason killed and no
// seconds, where the server was killed under it: the next start says so.
//
// # Server-Sent Events
//
// The same URL without an upgrade and with Accept: text/event-stream: each
// event with `id: <epoch>:<seq>` and the frame as data; what state=1 sends has
// no id. Last-Event-ID resumes, and acknowledges for a consumer; reading alone
// does not. A stream that the server ends says so with an event `close` {code,
// reason}.
package events
