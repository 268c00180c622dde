package relay

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

const (
	maxCalls  = 8               // of one person, made and taken
	ringsLong = 2 * time.Minute // an offer that nobody answered for so long is over when the next one comes
)

// call is a call between two friends: offered, perhaps answered, not over.
type call struct {
	key      string
	from, to uint64 // who called whom
	offered  time.Time
	answered time.Time // zero: it rings
	login    uint64    // where the one who was called has it, once it is answered
}

// other is the one whom somebody has the call with.
func (c *call) other(user uint64) uint64 {
	if c.from == user {
		return c.to
	}
	return c.from
}

// seconds is how long they talked; 0 where it only rang.
func (c *call) seconds(now time.Time) int {
	if c.answered.IsZero() {
		return 0
	}
	return max(1, int(now.Sub(c.answered).Round(time.Second)/time.Second))
}

// stale says that it rang for too long.
func (c *call) stale(now time.Time) bool {
	return c.answered.IsZero() && now.Sub(c.offered) > ringsLong
}

// calls are those that go on, at most one between two people, and who is there
// to have them. What a person has here goes with their last socket.
type calls struct {
	mu   sync.Mutex
	here map[uint64]int     // guarded by mu: how many sockets somebody has
	of   map[uint64][]*call // guarded by mu, and so what they point at: the calls of each of the two
}

func newCalls() *calls { return &calls{here: map[uint64]int{}, of: map[uint64][]*call{}} }

// come notes one more socket of somebody.
func (c *calls) come(user uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.here[user]++
}

// leave notes one less, and ends the calls of who has none left.
func (c *calls) leave(user uint64) (ended []call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here[user]--; c.here[user] > 0 {
		return nil
	}
	delete(c.here, user)
	for _, p := range slices.Clone(c.of[user]) {
		ended = append(ended, *p)
		c.drop(p)
	}
	return ended
}

// between is the call that two people have, nil for none. Needs mu.
func (c *calls) between(a, b uint64) *call {
	for _, p := range c.of[a] {
		if p.other(a) == b {
			return p
		}
	}
	return nil
}

// drop forgets a call. Needs mu.
func (c *calls) drop(p *call) {
	for _, user := range []uint64{p.from, p.to} {
		c.of[user] = slices.DeleteFunc(c.of[user], func(o *call) bool { return o == p })
		if len(c.of[user]) == 0 {
			delete(c.of, user)
		}
	}
}

// sweep drops of somebody's calls those that rang for too long. Needs mu.
func (c *calls) sweep(user uint64, now time.Time) (stale []call) {
	for _, p := range slices.Clone(c.of[user]) {
		if p.stale(now) {
			c.drop(p)
			stale = append(stale, *p)
		}
	}
	return stale
}

// full says whether one of two has as many calls as one may. Needs mu.
func (c *calls) full(a, b uint64) bool { return len(c.of[a]) >= maxCalls || len(c.of[b]) >= maxCalls }

// offer makes a call, or finds the one that they have: either may offer again
// while it goes on, and who was called has it where they do. stale are those
// that had rung for too long and are over. ok is false where one of them has too
// many.
func (c *calls) offer(from, to, login uint64, now time.Time) (key string, fresh bool, stale []call, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.between(from, to)
	if p != nil && p.stale(now) {
		c.drop(p)
		stale, p = append(stale, *p), nil
	}
	if p != nil {
		if p.to == from && !p.answered.IsZero() {
			p.login = login
		}
		return p.key, false, nil, true
	}
	if c.full(from, to) {
		stale = append(append(stale, c.sweep(from, now)...), c.sweep(to, now)...)
	}
	if c.full(from, to) {
		return "", false, stale, false
	}
	p = &call{key: rand.Text(), from: from, to: to, offered: now}
	c.of[from], c.of[to] = append(c.of[from], p), append(c.of[to], p)
	return p.key, true, stale, true
}

// goOn is the key of the call that two people have; key is what by takes it to
// be, or "". An answer of the one who was called begins it, where login is.
func (c *calls) goOn(by, other, login uint64, key string, answers bool, now time.Time) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.between(by, other)
	if p == nil || key != "" && key != p.key {
		return "", false
	}
	if answers && p.to == by && p.answered.IsZero() {
		p.answered, p.login = now, login
	}
	return p.key, true
}

// end ends the call that two people have. Once it is answered, the other logins
// of who was called, which rang too, cannot. Login 0 is the server.
func (c *calls) end(by, other, login uint64, key string) (call, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.between(by, other)
	if p == nil || key != "" && key != p.key {
		return call{}, false
	}
	if p.to == by && p.login != 0 && login != 0 && p.login != login {
		return call{}, false
	}
	c.drop(p)
	return *p, true
}

var (
	errNoCall  = &worded{code: http.StatusNotFound, msg: msgNoCall}
	errCalls   = &worded{code: http.StatusTooManyRequests, msg: msgCalls}
	errOffline = &worded{code: http.StatusNotFound, msg: msgOffline}
)

// call takes a step of a call: an offer makes it and gives it its key, hangup
// and reject end it, and all that belongs to one goes to the other with that
// key. Where nobody is there to hear, the caller gets calloffline.
func (s *socket) call(t *ws.Turn, c *ws.Conn, f *frame) {
	t.Blocking()
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	key, err := s.g.step(ctx, s.User, s.LoginID(), f, func(key string) (int, error) {
		return s.g.tell(ctx, s.User, f.to, appendCallKey(f.carried(s.User, "uid", "user", "callKey"), key), s.LoginID())
	})
	if errors.Is(err, errOffline) {
		s.offline(ctx, c, f.to)
	}
	switch {
	case err != nil:
		s.refuse(t, s.refusal(f.ref, err))
	case f.ref != "":
		t.Reply(ws.Text, append(gateway.AppendString(append(appendAck(f.ref, true), `,"callKey":`...), key), '}'))
	}
}

// step does to the calls what a frame says, and has tell say it to the other.
func (g *Gateway) step(ctx context.Context, me, login uint64, f *frame, tell func(key string) (heard int, err error)) (key string, err error) {
	if f.kind == typeHangup || f.kind == typeReject {
		return g.finish(ctx, me, login, f, tell)
	}
	now, fresh := g.o.Now(), false
	if f.kind == typeOffer {
		offered, isFresh, stale, ok := g.calls.offer(me, f.to, login, now)
		for i := range stale {
			g.record(ctx, &stale[i], 0)
		}
		if !ok {
			return "", errCalls
		}
		key, fresh = offered, isFresh
	} else {
		have, ok := g.calls.goOn(me, f.to, login, f.callKey, f.kind == typeAnswer, now)
		if !ok {
			return "", errNoCall
		}
		key = have
	}
	heard, err := tell(key)
	if err != nil && fresh {
		g.calls.end(me, f.to, 0, key) // it may not be
	}
	if err == nil && heard == 0 {
		if over, ok := g.calls.end(me, f.to, 0, key); ok {
			g.record(ctx, &over, over.seconds(now))
		}
		err = errOffline
	}
	return key, err
}

// finish ends a call.
func (g *Gateway) finish(ctx context.Context, me, login uint64, f *frame, tell func(key string) (heard int, err error)) (key string, err error) {
	over, ok := g.calls.end(me, f.to, login, f.callKey)
	if !ok {
		return "", errNoCall
	}
	seconds := over.seconds(g.o.Now())
	if f.kind == typeReject && seconds == 0 && over.to == me {
		seconds = -1
	}
	g.record(ctx, &over, seconds)
	if _, err = tell(over.key); parted(err) {
		err = g.o.Chats.EndCall(f.to, ending(f.kind, f.to, over.key))
	}
	return over.key, err
}

// parted says that two people are no friends any more, or one blocks the other:
// a call that they have is over for both all the same.
func parted(err error) bool {
	e := status.Of(err)
	return e != nil && e.Code == status.Forbidden
}

// ending is what says that a call is over.
func ending(kind string, to uint64, key string) []byte {
	b := appendID([]byte(`{"type":"`+kind+`","to":`), to)
	return appendCallKey(append(b, '}'), key)
}

// tell says a step of a call to a friend, and waits how many sockets heard it.
func (g *Gateway) tell(ctx context.Context, from, to uint64, payload []byte, login uint64) (heard int, err error) {
	told := make(chan int, 1)
	if err := g.o.Chats.Signal(ctx, from, to, payload, login, func(n int) { told <- n }); err != nil {
		return 0, err
	}
	select {
	case heard = <-told:
		return heard, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// offline says to the caller that nobody is there.
func (s *socket) offline(ctx context.Context, c *ws.Conn, other uint64) {
	u, err := s.g.person(ctx, s.User, other)
	if err != nil {
		s.g.o.Edge.Log.Error("a person could not be read", "gateway", "relay", "error", err)
		return
	}
	c.Answer(ws.AppendText(nil, appendOffline(&u)))
}

// gone takes a socket of somebody out. With the last one their calls are over.
func (g *Gateway) gone(t *ws.Turn, user uint64) {
	ended := g.calls.leave(user)
	if len(ended) == 0 {
		return
	}
	t.Blocking()
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	for i := range ended {
		c := &ended[i]
		other := c.other(user)
		g.record(ctx, c, c.seconds(g.o.Now()))
		b := ending(typeHangup, other, c.key)
		err := g.o.Chats.Signal(ctx, user, other, b, 0, nil)
		if parted(err) {
			err = g.o.Chats.EndCall(other, b)
		}
		if err != nil && gateway.Unexpected(ctx, err) {
			g.o.Edge.Log.Error("a call's end was not told", "gateway", "relay", "error", err)
		}
	}
}

// record puts a call into what the two said to each other.
func (g *Gateway) record(ctx context.Context, c *call, seconds int) {
	err := g.o.Chats.RecordCall(ctx, c.from, c.to, chat.Call{Key: c.key, Seconds: seconds})
	if err != nil && gateway.Unexpected(ctx, err) {
		g.o.Edge.Log.Error("a call was not recorded", "gateway", "relay", "error", err)
	}
}

// appendCallKey puts a call's key into an object.
func appendCallKey(b []byte, key string) []byte {
	b = b[:len(b)-1]
	if len(b) > 1 {
		b = append(b, ',')
	}
	return append(gateway.AppendString(append(b, `"callKey":`...), key), '}')
}
