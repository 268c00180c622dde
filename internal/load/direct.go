package load

import (
	"bytes"
	"context"
	"net/url"
	"strconv"

	"github.com/coder/websocket"
)

// direct is person to person: a one-time code, then frames of a number and an
// object.
type direct struct{ *run }

func (d direct) dial(ctx context.Context, c *client) (*websocket.Conn, error) {
	var in struct {
		Data struct {
			Code string `json:"websocketAuthCode"`
		}
	}
	if err := d.server.call(ctx, "GET", "/ws/auth", asBearer(c.person.token), nil, &in); err != nil {
		return nil, err
	}
	after := ""
	if c.joined.Load() {
		after = c.after("&after=last")
	}
	return d.upgrade(ctx, "/ws/connect?epoch=1&auth="+url.QueryEscape(in.Data.Code)+after, nil)
}

func (d direct) frame(to *person, ref, text []byte) []byte {
	b := append(make([]byte, 0, len(ref)+len(text)+80), `{"type":0,"ref":"`...)
	b = append(append(b, ref...), `","data":{"to":`...)
	b = append(strconv.AppendUint(b, to.id, 10), `,"message":"`...)
	return append(append(b, text...), `"}}`...)
}

func (d direct) kind(frame []byte) kind {
	switch {
	case bytes.HasPrefix(frame, []byte(`{"type":1,`)):
		return arrival
	case bytes.HasPrefix(frame, []byte(`{"type":4,`)):
		return ackFrame
	case bytes.HasPrefix(frame, []byte(`{"type":-1,`)):
		return errFrame
	}
	return other
}
