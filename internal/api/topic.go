package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// topic is GET /v1/topics/{topic}/messages and /presence. A topic has slashes,
// written as they are or as %2F.
func (a *API) topic(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("topic")
	if topic, is := strings.CutSuffix(name, "/messages"); is {
		return a.messages(w, r, topic)
	}
	if topic, is := strings.CutSuffix(name, "/presence"); is {
		return a.presence(w, r, topic)
	}
	return status.Errorf(status.NotFound, "NO_ROUTE", "end the path with /messages or /presence")
}

// kept is the topic of a name that can be asked for its history. Private rooms
// and inboxes are not among them: what people say to each other is theirs.
func (a *API) kept(ctx context.Context, name string) (string, error) {
	kind, rest, _ := strings.Cut(name, "/")
	switch {
	case name == chat.FeedTopic:
		return name, nil
	case kind == "bot" && a.o.Processes != nil:
		if a.o.Processes.Endpoint("/"+rest) != nil {
			return name, nil
		}
		// What was said at an endpoint that is no more can still be read.
		if head, err := a.o.Journal.Head(ctx, name); err != nil || head > 0 {
			return name, err
		}
	case kind == "room":
		id, err := strconv.ParseUint(rest, 10, 64)
		if err != nil {
			return "", noTopic(name)
		}
		_, err = a.o.Chats.Group(ctx, id)
		return chat.RoomTopic(id), err
	case kind == "instance":
		i, err := a.o.Instances.Get(ctx, instance.ByName(rest))
		return instance.Topic(i.ID), err
	}
	return "", noTopic(name)
}

func noTopic(name string) error {
	return status.Errorf(status.NotFound, "NO_TOPIC", "there is no topic %.80q; there are feed, room/<id of a group>, bot/<endpoint> and instance/<name>", name)
}

// said is a message of a topic.
type said struct {
	ID   string          `json:"id"`
	Seq  uint64          `json:"seq"`
	Time string          `json:"time"`
	Kind string          `json:"kind"`
	From uint64          `json:"from,omitempty"`
	Data json.RawMessage `json:"data"`
}

// maxMessages is how many one answer holds.
const maxMessages = 1000

const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// messages is GET /v1/topics/{topic}/messages?after=&before=&limit= →
// {messages, epoch, head}, the oldest first; the newest page without after.
func (a *API) messages(w http.ResponseWriter, r *http.Request, name string) error {
	q := r.URL.Query()
	topic, err := a.kept(r.Context(), name)
	if err != nil {
		return err
	}
	limit, err := number("limit", q.Get("limit"), pageSize)
	if err != nil {
		return err
	}
	before, err := number("before", q.Get("before"), 0)
	if err != nil {
		return err
	}
	head, err := a.o.Journal.Head(r.Context(), topic)
	if err != nil {
		return err
	}
	ms, err := a.history(r.Context(), topic, q.Get("after"), before, int(min(max(limit, 1), maxMessages)), head)
	if err != nil {
		return err
	}
	out := make([]said, len(ms))
	for i, m := range ms {
		out[i] = said{m.ID, m.Seq(topic), m.Time.UTC().Format(timeFormat), m.Kind, m.From, m.Data}
	}
	gateway.WriteJSON(w, http.StatusOK, struct {
		Messages []said `json:"messages"`
		Epoch    string `json:"epoch"`
		Head     uint64 `json:"head"`
	}{out, a.o.Edge.Epoch, head})
	return nil
}

func (a *API) history(ctx context.Context, topic, after string, before uint64, limit int, head uint64) ([]*journal.Message, error) {
	if after == "" {
		ms, err := a.o.Journal.ReadBefore(ctx, topic, before, limit)
		slices.Reverse(ms)
		return ms, err
	}
	seq, err := gateway.ParsePosition(after, a.o.Edge.Epoch)
	var gone *hub.GoneError
	switch {
	case errors.As(err, &gone):
		gone.Head = head
		return nil, gone
	case err != nil:
		return nil, err
	case seq > head:
		return nil, &hub.GoneError{Reason: "ahead", Head: head}
	}
	ms, err := a.o.Journal.Read(ctx, topic, seq, limit)
	if errors.Is(err, journal.ErrExpired) {
		return nil, &hub.GoneError{Reason: "expired", Head: head}
	}
	if before > 0 {
		ms = slices.DeleteFunc(ms, func(m *journal.Message) bool { return m.Seq(topic) >= before })
	}
	return ms, err
}

// presence is GET /v1/topics/{topic}/presence → {names, count}: who hears it
// at the moment.
func (a *API) presence(w http.ResponseWriter, r *http.Request, name string) error {
	topic := name
	if !strings.HasPrefix(name, "user/") {
		var err error
		if topic, err = a.kept(r.Context(), name); err != nil {
			return err
		}
	}
	here, err := a.o.Hub.Presence(r.Context(), topic)
	if err != nil {
		return err
	}
	gateway.WriteJSON(w, http.StatusOK, here)
	return nil
}

// mail is GET /v1/mail → {messages:[{to, subject, text, time}]}, where none leaves.
func (a *API) mail(w http.ResponseWriter, _ *http.Request) error {
	if a.o.Mail == nil {
		return status.Errorf(status.NotFound, "NO_MAIL", "mail is kept here only where none leaves the server, as in kabar demo")
	}
	type letter struct {
		To      string `json:"to"`
		Subject string `json:"subject"`
		Text    string `json:"text"`
		Time    string `json:"time"`
	}
	all := []letter{}
	for _, m := range a.o.Mail() {
		all = append(all, letter{m.To, m.Subject, m.Text, m.Time.UTC().Format(timeFormat)})
	}
	gateway.WriteJSON(w, http.StatusOK, map[string]any{"messages": all})
	return nil
}
