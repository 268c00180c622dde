package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// publication is the body of POST /v1/publish: one of its four kinds.
type publication struct {
	Topic string          `json:"topic"`
	Text  *string         `json:"text"`
	Data  json.RawMessage `json:"data"`

	User    *uint64 `json:"user"`
	Users   string  `json:"users"`
	Message *string `json:"message"`

	Instance string `json:"instance"`
	Event    string `json:"event"`
}

// place is where a publication stands.
type place struct {
	ID  string `json:"id"`
	Seq uint64 `json:"seq"`
}

// publish is POST /v1/publish → 202 {id, seq}, once it is durable:
//
//	{topic:"feed", text} or {topic:"feed", data}   a notice on the feed
//	{user, message}                                a notice to a person
//	{users:"all", message}                         a notice to everybody, the feed too
//	{instance, event, data}                        an event
func (a *API) publish(w http.ResponseWriter, r *http.Request) error {
	if err := a.mustAdmin(r); err != nil {
		return err
	}
	k, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	var p publication
	if err := gateway.ReadJSON(w, r, &p); err != nil {
		return err
	}
	pending, topic, err := a.start(r.Context(), p, k)
	if err != nil {
		return err
	}
	result, err := pending.Wait(r.Context())
	if err != nil {
		return err
	}
	m := result.Messages[0]
	seq := m.Entries[0].Seq
	if topic != "" {
		seq = m.Seq(topic)
	}
	gateway.WriteJSON(w, http.StatusAccepted, place{m.ID, seq})
	return nil
}

// start hands a publication over, and says in which topic its number counts,
// "" where it is in one only.
func (a *API) start(ctx context.Context, p publication, k idempotency) (*journal.Pending, string, error) {
	kinds := 0
	for _, is := range []bool{p.Topic != "", p.User != nil, p.Users != "", p.Instance != ""} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return nil, "", status.Errorf(status.Invalid, "WHERE_TO", `say where to publish: one of "topic", "user", "users" and "instance"`)
	}
	switch {
	case p.Topic != "":
		if p.Topic != chat.FeedTopic {
			return nil, "", status.Errorf(status.NotFound, "NO_TOPIC", "there is no topic %.80q to publish to; there is feed", p.Topic)
		}
		text, err := p.text()
		if err != nil {
			return nil, "", err
		}
		return a.o.Chats.Announce(text, k.in("admin/feed")), chat.FeedTopic, nil
	case p.Message == nil && p.Instance == "":
		return nil, "", status.Errorf(status.Invalid, "TEXT_REQUIRED", `"message" is missing: the text of the notice`)
	case p.User != nil && *p.User >= 1<<53:
		return nil, "", account.ErrUserNotFound
	case p.User != nil:
		return a.o.Accounts.Notify(*p.User, *p.Message, k.in("admin/"+account.Inbox(*p.User))), account.Inbox(*p.User), nil
	case p.Users == "all":
		return a.o.Accounts.NotifyAll(*p.Message, k.in("admin/users")), chat.FeedTopic, nil
	case p.Users != "":
		return nil, "", status.Errorf(status.Invalid, "WHERE_TO", `"users" can be "all" only; for one person write "user": <id>`)
	}
	i, err := a.o.Instances.Get(ctx, instance.ByName(p.Instance))
	if err != nil {
		return nil, "", err
	}
	event := []instance.Event{{Name: p.Event, Data: p.Data}}
	return a.o.Instances.Emit(instance.ByID(i.ID), event, k.in(adminScope(i))), "", nil
}

// text is the line: text as it is, data as compact JSON.
func (p publication) text() (string, error) {
	switch {
	case p.Text != nil && p.Data != nil:
		return "", status.Errorf(status.Invalid, "TEXT_REQUIRED", `write "text" or "data", not both`)
	case p.Text != nil:
		return *p.Text, nil
	case p.Data != nil:
		var b bytes.Buffer
		err := json.Compact(&b, p.Data)
		return b.String(), err
	}
	return "", status.Errorf(status.Invalid, "TEXT_REQUIRED", `"text" is missing: the line to publish`)
}
