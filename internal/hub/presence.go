package hub

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// maxNames is up to how many people presence names them: with more, a list
// would be long and its changes without end.
const maxNames = 200

// Here is the Data of the messages about presence, which are told and not
// kept: presence.here to who begins to watch, presence.joined and
// presence.left to all who watch.
type Here struct {
	Names []string `json:"names"`
	Count int      `json:"count"`
}

// Skipped is the Data of session.skipped: how many messages were lost.
type Skipped struct {
	Count uint64 `json:"count"`
}

// event makes a message that is told and not kept.
func event(kind string, data any) *journal.Message {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err) // the types above always encode
	}
	return &journal.Message{Kind: kind, Time: time.Now().UTC(), Data: b}
}

// people is who is in a topic: an account is one, however many sessions it
// has, and so is a name; sessions without either count one each. It is owned
// by the topic's shard, and kept only while somebody watches.
type people struct {
	watchers int
	sessions map[string]int // by who
	names    map[string]string
	nameless int

	joined, left map[string]string // since the last message about it
	count        int               // as it was told last
	timer        *time.Timer
}

// who tells people apart; "" is somebody without a name.
func (s *Session) who() string {
	switch {
	case s.User != 0:
		return "u" + strconv.FormatUint(s.User, 10)
	case s.Name != "":
		return "n" + s.Name
	}
	return ""
}

func (p *people) total() int { return len(p.sessions) + p.nameless }

func (p *people) add(s *Session) {
	who := s.who()
	if who == "" {
		p.nameless++
		return
	}
	p.sessions[who]++
	if p.sessions[who] > 1 {
		return
	}
	p.names[who] = s.Name
	if _, back := p.left[who]; back {
		delete(p.left, who)
		return
	}
	p.joined[who] = s.Name
}

func (p *people) remove(s *Session) {
	who := s.who()
	if who == "" {
		p.nameless--
		return
	}
	p.sessions[who]--
	if p.sessions[who] > 0 {
		return
	}
	delete(p.sessions, who)
	delete(p.names, who)
	if _, just := p.joined[who]; just {
		delete(p.joined, who)
		return
	}
	p.left[who] = s.Name
}

func (p *people) here() Here { return p.some(p.names) }

func (p *people) some(names map[string]string) Here {
	h := Here{Names: []string{}, Count: p.total()}
	if h.Count <= maxNames {
		h.Names = slices.AppendSeq(h.Names, maps.Values(names))
		slices.Sort(h.Names)
	}
	return h
}

func (t *topic) count() *people {
	p := &people{sessions: map[string]int{}, names: map[string]string{}, joined: map[string]string{}, left: map[string]string{}}
	t.each(func(s *Session, _ *group) { p.add(s) })
	clear(p.joined)
	p.count = p.total()
	return p
}

// arrived is called when a session has joined.
func (t *topic) arrived(s *Session) {
	switch {
	case t.people != nil:
		t.people.add(s)
		t.changed()
	case s.Presence:
		t.people = t.count()
	}
	if s.Presence {
		t.people.watchers++
		s.tell(event("presence.here", t.people.here())) // the first thing it is sent: there is room
	}
}

// left is called when a session has gone.
func (t *topic) left(s *Session) {
	if t.people == nil {
		return
	}
	if s.Presence {
		t.people.watchers--
	}
	if t.people.watchers == 0 {
		t.stop()
		return
	}
	t.people.remove(s)
	t.changed()
}

func (t *topic) stop() {
	if t.people != nil && t.people.timer != nil {
		t.people.timer.Stop()
	}
	t.people = nil
}

// changed lets the watchers know, soon: several changes make one message, and
// who comes back at once never left.
func (t *topic) changed() {
	if p := t.people; p.timer == nil {
		sh, name := t.shard, t.name
		p.timer = time.AfterFunc(sh.hub.o.Settle, func() {
			sh.box.put(item{op: opDo, command: func(sh *shard) {
				if t := sh.topics[name]; t != nil && t.people == p {
					t.announce()
				}
			}})
		})
	}
}

// announce tells who joined or, a moment later, who left. Who is catching up is
// told who is here instead, once it is live.
func (t *topic) announce() {
	p := t.people
	p.timer = nil
	for s := range t.lagging {
		s.flags.Or(uninformed)
	}
	switch {
	case len(p.joined) > 0 || len(p.left) == 0 && p.total() > p.count:
		t.hear(event("presence.joined", p.some(p.joined)), 0)
		clear(p.joined)
	case len(p.left) > 0 || p.total() < p.count:
		t.hear(event("presence.left", p.some(p.left)), 0)
		clear(p.left)
	}
	p.count = p.total()
	if len(p.left) > 0 {
		t.changed()
	}
}

// Presence is who hears topic at the moment, on this node.
func (h *Hub) Presence(ctx context.Context, name string) (Here, error) {
	reply := make(chan Here, 1)
	h.shardOf(name).box.put(item{op: opDo, command: func(sh *shard) {
		if t := sh.topics[name]; t != nil {
			reply <- t.count().here()
		} else {
			reply <- Here{Names: []string{}}
		}
	}})
	select {
	case here := <-reply:
		return here, nil
	case <-ctx.Done():
		return Here{}, ctx.Err()
	}
}
