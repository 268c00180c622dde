package bot

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"sync"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
)

// What an endpoint follows: topics by their names, and this.
const (
	inbox   = "inbox" // the person's own
	inboxes = "user/"
)

// hearing is what a connection hears for its process: the endpoint's own topic,
// and those that it follows.
type hearing struct {
	mu   sync.Mutex
	ears map[string]*ear // guarded by mu; by topic
	deaf bool            // guarded by mu: the connection has ended
}

// ear is one topic of a connection, as the hub's Conn: what it hears waits in
// the connection's queue for its turn.
type ear struct {
	s       *socket // static
	session hub.Session
}

// Send takes triggers, all or none; false where there is no room.
func (e *ear) Send(frames ...[]byte) bool { return e.s.hear(e, frames) }

// Share is Send.
func (e *ear) Share(frames []byte, _ func() []byte) bool { return e.Send(frames) }

// Close ends the connection.
func (e *ear) Close(code uint16, reason string) { e.s.conn.Close(code, reason) }

// listen lets a connection hear what an endpoint follows, and nothing else. The
// upgrade calls it, and after that its lane's check: never two at a time.
func (s *socket) listen(ctx context.Context, e *process.Endpoint) error {
	s.listens.Store(e.Def.Hears(process.OnMessage, process.OnTyping))
	want := map[string]bool{process.BotTopic(e.URL): true}
	for _, f := range e.Follow {
		if f != inbox {
			want[f] = true
		} else if s.who != nil {
			want[account.Inbox(s.who.ID)] = true
		}
	}
	for topic := range want {
		if err := s.addEar(ctx, topic); err != nil {
			return err
		}
	}
	s.hearing.mu.Lock()
	var old []*ear
	for topic, e := range s.hearing.ears {
		if !want[topic] {
			old = append(old, e)
			delete(s.hearing.ears, topic)
		}
	}
	s.hearing.mu.Unlock()
	s.stop(old)
	return nil
}

// addEar subscribes to one more topic, if it is not heard already.
func (s *socket) addEar(ctx context.Context, topic string) error {
	h := &s.hearing
	h.mu.Lock()
	known := h.deaf || h.ears[topic] != nil
	h.mu.Unlock()
	if known {
		return nil
	}
	e := &ear{s: s}
	f := earFormat{topic: topic}
	if strings.HasPrefix(topic, inboxes) {
		f.me = s.User
	}
	e.session = hub.Session{
		Inside: hub.Beside,
		Conn:   e, Format: f, Topic: topic, Key: s.key, Credential: s.Credential, User: s.User, Name: s.Name,
	}
	if err := s.g.o.Edge.Hub.Subscribe(ctx, &e.session, hub.Now()); err != nil {
		s.deafen()
		return err
	}
	h.mu.Lock()
	if h.ears == nil {
		h.ears = map[string]*ear{}
	}
	late := h.deaf
	if !late {
		h.ears[topic] = e
	}
	h.mu.Unlock()
	if late {
		s.stop([]*ear{e})
	}
	return nil
}

// deafen ends all that a connection hears for its process.
func (s *socket) deafen() {
	h := &s.hearing
	h.mu.Lock()
	h.deaf = true
	all := h.ears
	h.ears = nil
	h.mu.Unlock()
	for e := range maps.Values(all) {
		s.g.o.Edge.Hub.Unsubscribe(&e.session)
	}
}

func (s *socket) stop(ears []*ear) {
	for _, e := range ears {
		s.g.o.Edge.Hub.Unsubscribe(&e.session)
	}
}

// earFormat writes what happens in a topic as triggers.
type earFormat struct {
	topic string
	me    uint64 // whose inbox it is, 0 where it is none
}

// Append writes a message as a trigger, or nothing where it is none.
func (f earFormat) Append(dst []byte, m *journal.Message, _ uint64) []byte {
	t := process.Trigger{On: process.OnMessage, Topic: f.topic, Hops: int(m.Hops)}
	var ok bool
	switch m.Kind {
	case process.KindSaid:
		var d process.Said
		ok = json.Unmarshal(m.Data, &d) == nil
		t.From, t.Text, t.Data = d.From, d.Text, d.Data
	case process.KindTyping:
		t.On = process.OnTyping
		ok = json.Unmarshal(m.Data, &t.From) == nil
	case chat.KindTyping:
		var d chat.Typing
		t.On = process.OnTyping
		ok = json.Unmarshal(m.Data, &d) == nil
		t.From = d.By
	case chat.KindMessage:
		d, err := chat.ReadMessage(m.Data)
		ok = err == nil && d.Text != "" && (f.me == 0 || m.From != f.me) // in an inbox stands what one sent, too
		t.From, t.Text = d.Sender, d.Text
	case chat.KindLine:
		var d chat.Line
		ok = json.Unmarshal(m.Data, &d) == nil
		t.From, t.Text = account.Profile{ID: m.From, Name: d.Name}, d.Text
	case account.KindNotice:
		var d account.Notice
		ok = f.topic == chat.FeedTopic && json.Unmarshal(m.Data, &d) == nil
		t.Text = d.Text
	}
	if !ok {
		return dst
	}
	if f.me != 0 {
		t.Topic = inbox // a rule is the same for everybody
	}
	return appendTrigger(dst, t)
}
