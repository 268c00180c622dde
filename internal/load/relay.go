package load

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"strconv"

	"github.com/coder/websocket"
)

// relay is typed messages: a bootstrap, then frames of a type of our own, which
// the server carries to the friend.
type relay struct{ *run }

func (y relay) dial(ctx context.Context, c *client) (*websocket.Conn, error) {
	if c.socket == "" {
		var start struct {
			Data struct{ Socket struct{ ID string } }
		}
		if err := y.server.call(ctx, "GET", "/x/auth/isUser", asBearer(c.person.token), nil, &start); err != nil {
			return nil, err
		}
		if c.socket = start.Data.Socket.ID; c.socket == "" {
			return nil, errors.New("a bootstrap without an id for sockets")
		}
	}
	return y.upgrade(ctx, "/socket?epoch=1&id="+url.QueryEscape(c.socket)+c.after(""), nil)
}

func (y relay) frame(to *person, ref, text []byte) []byte {
	b := append(make([]byte, 0, len(ref)+len(text)+100), `{"type":"bench","identifier":"kirimin","to":"`...)
	b = append(strconv.AppendUint(b, to.id, 10), `","ref":"`...)
	b = append(append(b, ref...), `","text":"`...)
	return append(append(b, text...), `"}`...)
}

func (y relay) kind(frame []byte) kind {
	switch {
	case bytes.HasPrefix(frame, []byte(`{"type":"ack"`)) && bytes.Contains(frame, []byte(`"ok":false`)):
		return errFrame
	case bytes.HasPrefix(frame, []byte(`{"type":"ack"`)):
		return ackFrame
	case bytes.Contains(frame, []byte(`"type":"bench"`)):
		return arrival
	}
	return other
}
