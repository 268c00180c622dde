package checker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// feed checks the one stream for everybody: publishers over HTTP, and one who
// speaks over WebSocket.
type feed struct {
	*kit
	cast
	client *client
}

func newFeed(k *kit) *feed {
	return &feed{kit: k, cast: cast{found: &findings{name: "feed"}}, client: newClient(k.base, false)}
}

func (f *feed) said() *cast { return &f.cast }
func (f *feed) close()      { f.client.close() }

func (f *feed) setup(context.Context) error {
	f.ledgers = []*ledger{newLedger(f.found, "feed")}
	return nil
}

func (f *feed) prepare() {
	for n := range f.o.Subscribers {
		f.receivers = append(f.receivers, f.subscriber(fmt.Sprintf("feed subscriber %d", n), manners(n), n%2 == 0))
	}
	publishers := f.o.Publishers * f.o.many(8)
	for n := range publishers {
		p := post{found: f.found, acked: f.ledgers[0].ack, number: n, size: func(*rand.Rand) int { return 1 }, say: f.say}
		f.publishers = append(f.publishers, p.publisher(f.kit))
	}
	f.publishers = append(f.publishers, f.talker(publishers))
}

func (f *feed) say(ctx context.Context, key string, items []item) ([]ack, error) {
	var out struct {
		ID  string
		Seq uint64
	}
	err := f.client.call(ctx, "POST", "/v1/publish", [][2]string{{"apikey", f.key}, {"Idempotency-Key", key}},
		map[string]string{"topic": "feed", "text": items[0].text()}, &out)
	return []ack{{out.ID, out.Seq}}, err
}

// subscriber resumes with after=<seq> or, with epoch, after=<epoch>:<seq>.
func (f *feed) subscriber(name string, m manner, epoch bool) *receiver {
	rec := f.ledgers[0].record(name, "feed")
	c := newClient(f.base, m.slow)
	return f.receiver(rec, m, func(ctx context.Context) (source, error) {
		life, after := f.life(), strconv.FormatUint(rec.last, 10)
		if epoch && rec.epoch != "" {
			after = rec.epoch + ":" + after
		}
		ws, err := c.dial(ctx, "/websocket?format=json&after="+url.QueryEscape(after), rec.heard)
		if err != nil {
			return nil, err
		}
		rec.connected(rec.last, false, life)
		return &socket{ws: ws, decode: decodeLine, closed: c.close}, nil
	})
}

// line is any frame of the server.
type line struct {
	Seq             uint64
	ID, Text, Epoch string
	Kind            string
	Code            string // of an error
	Line            int    // of an ack: which frame of the connection, from 1
}

func decodeLine(b []byte) (frame, error) {
	var l line
	if err := json.Unmarshal(b, &l); err != nil || l.Kind != "line" && l.Kind != "notice" {
		return frame{}, &refused{what: fmt.Sprintf("not a line: %.200s", b)}
	}
	return frame{seq: l.Seq, epoch: l.Epoch, id: l.ID, text: l.Text}, nil
}

// talker speaks over WebSocket, where a line cannot be said again without being
// said twice: what was not acknowledged may be there or not, but once, in
// order, and never back to its sender.
func (f *feed) talker(number int) publisher {
	random := f.random()
	return func(ctx context.Context, stop <-chan struct{}) {
		c := newClient(f.base, false)
		defer c.close()
		for n := 0; ctx.Err() == nil; {
			select {
			case <-stop:
				return
			default:
			}
			ws, err := c.dial(ctx, "/websocket?format=json&acks=1", nil)
			if err == nil {
				n, err = f.chatter(ctx, ws, item{number, n}, random.IntN(300), stop)
				_ = ws.CloseNow()
			}
			var no *refused
			if errors.As(err, &no) || err != nil && !fair(err) && ctx.Err() == nil {
				f.found.add(Other, "publisher %d over WebSocket cannot go on: %v", number, err)
				return
			}
			pause(ctx, 20*time.Millisecond)
		}
	}
}

// chatter says count lines after last on one connection, and returns the
// number of its last. It waits for their acknowledgements: between connections
// nothing keeps an order.
func (f *feed) chatter(ctx context.Context, ws *websocket.Conn, last item, count int, stop <-chan struct{}) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	heard := make(chan error, 1)
	before := last
	var acked atomic.Int64
	go func() { heard <- f.overhear(ctx, ws, before, &acked) }()
	end := func(err error) (int, error) {
		cancel()
		if herr := <-heard; err == nil && herr != nil {
			err = herr
		}
		return last.n, err
	}
	for range count {
		select {
		case <-stop:
			count = 0
		default:
		}
		if count == 0 {
			break
		}
		last.n++
		if err := ws.Write(ctx, websocket.MessageText, []byte(last.text())); err != nil {
			return end(err)
		}
		if !pause(ctx, max(f.o.Pause+5*time.Millisecond, f.found.rest())) {
			break
		}
	}
	late := time.Now().Add(insistTime)
	for int(acked.Load()) < last.n-before.n && time.Now().Before(late) && len(heard) == 0 && pause(ctx, time.Millisecond) {
	}
	return end(nil)
}

// overhear takes the acknowledgements of what is said on a connection after
// last, and sees to it that the others' lines come and these do not.
func (f *feed) overhear(ctx context.Context, ws *websocket.Conn, last item, acked *atomic.Int64) error {
	for {
		_, b, err := read(ctx, ws)
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the speaker has ended it
			}
			return err
		}
		var l line
		if err := json.Unmarshal(b, &l); err != nil {
			return &refused{what: fmt.Sprintf("not JSON: %.200q", b)}
		}
		i, known := parse(l.Text)
		switch {
		case l.Kind == "ack":
			f.ledgers[0].ack(item{last.publisher, last.n + l.Line}, ack{l.ID, l.Seq})
			acked.Add(1)
		case l.Kind == "error" && transient(l.Code):
			acked.Add(1) // answered, at least
		case l.Kind == "error":
			return &refused{what: fmt.Sprintf("a line was dropped: %s", b)}
		case !known:
			f.found.add(Other, "publisher %d heard a line that nobody said: %.100q", last.publisher, b)
		case i.publisher == last.publisher && i.n > last.n:
			f.found.add(Other, "publisher %d heard its own line: %.100q", last.publisher, b)
		}
	}
}

// history reads everything that is kept, from the first line.
func (f *feed) history(ctx context.Context) error {
	return replay(ctx, f.subscriber("the history of the feed", manner{}, false))
}

// replay lets a receiver read from the beginning until it has everything, or
// nothing more comes.
func replay(ctx context.Context, r *receiver) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run(ctx)
	}()
	catchUp(ctx, r.ledger.missing, func() time.Duration {
		if r.ledger.found.any() {
			return lostTime
		}
		return quietTime
	})
	pause(ctx, settleTime)
	cancel()
	<-done
	return nil
}
