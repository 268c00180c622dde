package relay

import (
	"context"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// OnMessage takes a frame.
func (s *socket) OnMessage(t *ws.Turn, c *ws.Conn, k ws.Kind, p []byte) {
	if !s.Alive(c) {
		return
	}
	if k != ws.Text {
		s.refuse(t, &refusal{"", msgBinary})
		return
	}
	f, bad := decode(p, s.strict)
	if bad != nil {
		s.refuse(t, bad)
		return
	}
	switch f.kind {
	case typePostLike, typePostUnlike:
		s.then(c, &f, s.g.o.Chats.Like(s.User, f.post, f.kind == typePostLike, s.key(&f)))
	case typeRead:
		s.at(t, &f, func(_ context.Context, p chat.Place) error {
			t.Blocking()
			s.then(c, &f, s.g.o.Chats.ReadAll(s.User, p, s.LoginID(), s.key(&f)))
			return nil
		})
	case typeTyping:
		s.at(t, &f, func(ctx context.Context, p chat.Place) error {
			t.Blocking()
			return s.told(t, &f, s.g.o.Chats.Typing(ctx, s.User, p, s.LoginID()))
		})
	case typeOffer, typeAnswer, typeCandidate, typeHangup, typeReject:
		s.call(t, c, &f)
	default:
		var without []string
		if f.to != 0 { // a room beside it might be any: nobody looked at it
			without = []string{"roomid", "roomtype"}
		}
		s.at(t, &f, func(ctx context.Context, p chat.Place) error {
			out := chat.RelayOut{From: s.User, Login: s.LoginID(), Place: p, Payload: f.carried(s.User, without...)}
			if f.volatile {
				t.Blocking()
				return s.told(t, &f, s.g.o.Chats.RelayVolatile(ctx, out))
			}
			s.then(c, &f, s.g.o.Chats.Relay(out, s.key(&f)))
			return nil
		})
	}
}

// at finds the place that a frame is for, and does do there.
func (s *socket) at(t *ws.Turn, f *frame, do func(ctx context.Context, p chat.Place) error) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	var p chat.Place
	var err error
	switch {
	case f.to != 0:
		p.User = f.to
	case f.roomtype == "user":
		p.User = f.room
	case f.roomtype == "group":
		p.Group = f.room
	default:
		t.Blocking()
		p, err = s.g.o.Chats.PlaceOf(ctx, f.room)
	}
	if err == nil {
		err = do(ctx, p)
	}
	if err != nil {
		s.refuse(t, s.refusal(f.ref, err))
	}
}

// key names what a frame does, so that it is done once. The login's refs in
// other dialects are others.
func (s *socket) key(f *frame) journal.Key {
	if f.ref == "" {
		return journal.Key{}
	}
	return journal.Key{Scope: ownerOf(s.LoginID()), Ref: f.ref}
}

// then answers a frame when what it does is durable, or refused.
func (s *socket) then(c *ws.Conn, f *frame, p *journal.Pending) {
	ref := f.ref
	c.Acquire()
	p.Then(func(r journal.Result, err error) {
		defer c.Release()
		switch {
		case err != nil:
			s.g.refused.Add(1)
			if bad := s.refusal(ref, err); bad.answered() {
				c.Answer(ws.AppendText(nil, appendRefusal(bad)))
			}
		case ref != "":
			var m *journal.Message
			if len(r.Messages) > 0 {
				m = r.Messages[0]
			}
			c.Answer(ws.AppendText(nil, appendSaid(ref, m)))
		}
	})
}

// told answers a frame that nothing is kept of.
func (s *socket) told(t *ws.Turn, f *frame, err error) error {
	if err == nil && f.ref != "" {
		t.Reply(ws.Text, append(appendAck(f.ref, true), '}'))
	}
	return err
}

// refuse drops a frame, and answers it where it had a ref.
func (s *socket) refuse(t *ws.Turn, bad *refusal) {
	s.g.refused.Add(1)
	if bad.answered() {
		t.Reply(ws.Text, appendRefusal(bad))
	}
}

// refusal is an error of the core as a frame's answer.
func (s *socket) refusal(ref string, err error) *refusal {
	if !isWorded(err) && status.Of(err).Code == status.Internal {
		s.g.o.Edge.Log.Error("a frame was not carried out", "gateway", "relay", "error", err)
	}
	return &refusal{ref, inWords(err).msg}
}
