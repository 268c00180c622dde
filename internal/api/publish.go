package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
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
//	{topic:"room/<group>", text or data}           a message into a group, by nobody
//	{topic:"bot/<endpoint>", text and data}        to who is connected there, as a message trigger
//	{user, message}                                a notice to a person
//	{users:"all", message}                         a notice to everybody, the feed too
//	{instance, event, data}                        an event
func (a *API) publish(w http.ResponseWriter, r *http.Request) error {
	k, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	var p publication
	if err := readJSON(w, r, &p); err != nil {
		return err
	}
	caused, err := hops(r)
	if err != nil {
		return err
	}
	pending, topic, err := a.start(r.Context(), p, manner{k, caused})
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

// manner is how something is said: once, and caused by so many processes in a row.
type manner struct {
	key  idempotency
	hops uint8
}

// say hands a change over.
func (a *API) say(m manner, scope string, c journal.Change) *journal.Pending {
	return a.o.Journal.DoOnce(m.key.in(scope), journal.Caused(m.hops, c))
}

// start hands a publication over, and says in which topic its number counts,
// "" where it is in one only.
func (a *API) start(ctx context.Context, p publication, m manner) (*journal.Pending, string, error) {
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
		return a.toTopic(p, m)
	case p.Message == nil && p.Instance == "":
		return nil, "", status.Errorf(status.Invalid, "TEXT_REQUIRED", `"message" is missing: the text of the notice`)
	case p.User != nil && *p.User >= 1<<53:
		return nil, "", account.ErrUserNotFound
	case p.User != nil:
		inbox := account.Inbox(*p.User)
		return a.say(m, "admin/"+inbox, a.o.Accounts.NoticeTo(*p.User, *p.Message)), inbox, nil
	case p.Users == "all" && m.hops > 0:
		return nil, "", errCaused
	case p.Users == "all":
		return a.o.Accounts.NotifyAll(*p.Message, m.key.in("admin/users")), chat.FeedTopic, nil
	case p.Users != "":
		return nil, "", status.Errorf(status.Invalid, "WHERE_TO", `"users" can be "all" only; for one person write "user": <id>`)
	}
	i, err := a.o.Instances.Get(ctx, instance.ByName(p.Instance))
	if err != nil {
		return nil, "", err
	}
	event := []instance.Event{{Name: p.Event, Data: p.Data}}
	return a.say(m, adminScope(i), a.o.Instances.EmitIn(instance.ByID(i.ID), event)), "", nil
}

// toTopic hands over what is said in a topic.
func (a *API) toTopic(p publication, m manner) (*journal.Pending, string, error) {
	kind, rest, _ := strings.Cut(p.Topic, "/")
	if kind == "bot" && a.o.Processes != nil {
		return a.toEndpoint(p, "/"+rest, m)
	}
	group, err := strconv.ParseUint(rest, 10, 64)
	if p.Topic != chat.FeedTopic && (kind != "room" || err != nil) {
		return nil, "", status.Errorf(status.NotFound, "NO_TOPIC",
			"there is no topic %.80q to publish to; there are feed, room/<id of a group> and bot/<endpoint>", p.Topic)
	}
	text, err := p.text()
	if err != nil {
		return nil, "", err
	}
	if p.Topic == chat.FeedTopic {
		return a.say(m, "admin/feed", a.o.Chats.AnnounceIn(text)), chat.FeedTopic, nil
	}
	topic := chat.RoomTopic(group)
	return a.say(m, "admin/"+topic, a.o.Chats.PublishIn(group, text)), topic, nil
}

// toEndpoint hands over what is said to who is connected to an endpoint.
func (a *API) toEndpoint(p publication, url string, m manner) (*journal.Pending, string, error) {
	e := a.o.Processes.Endpoint(url)
	switch {
	case e == nil:
		return nil, "", process.ErrNoEndpoint
	case p.Text == nil && p.Data == nil:
		return nil, "", status.Errorf(status.Invalid, "TEXT_REQUIRED", `"text" is missing: what to say; "data" may stand beside it`)
	}
	said := process.Said{Process: e.Process, Data: p.Data}
	if p.Text != nil {
		said.Text = *p.Text
	}
	topic := process.BotTopic(e.URL)
	return a.say(m, "admin/"+topic, journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		data, err := json.Marshal(said)
		return []*journal.Message{{Kind: process.KindSaid, Entries: journal.To(topic), Data: data}}, err
	})), topic, nil
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
