package process_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/status"
)

// away has a caller go once its change waits for the journal, again and again
// until done says that one was stored.
func (w *world) away(what string, f func(ctx context.Context), done func() bool) {
	w.t.Helper()
	until(w.t, what, func() bool {
		in, out := make(chan struct{}), make(chan struct{})
		busy := w.journal.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
			close(in)
			<-out
			return nil, nil
		}))
		<-in
		ctx, cancel := context.WithCancel(bg)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f(ctx)
		}()
		time.Sleep(100 * time.Millisecond)
		cancel()
		time.Sleep(50 * time.Millisecond)
		close(out)
		_, err := busy.Wait(bg)
		ok(w.t, err)
		<-ended
		return done()
	})
}

// TestStoredIsInForce has who publishes or binds go away before that is stored.
func TestStoredIsInForce(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.publish(string(says("p", "old", "endpoint: { url: /p, access: anonymous }\n")))
	_, err := w.Save(bg, "p", says("p", "new", "endpoint: { url: /p, access: anonymous }\n"))
	ok(t, err)
	w.away("it is published", func(ctx context.Context) { _, _ = w.Publish(ctx, "p", 2) }, func() bool {
		i, err := w.Get(bg, "p", 0)
		ok(t, err)
		return i.Published == 2
	})
	expect(t, frame(t, w.runner("/p", nil), "{}"), `{"r":"new"}`)
	admins := process.EndpointSpec{Process: "p", Access: process.Access{Groups: []string{account.GroupAdmins}}}
	w.away("it is bound", func(ctx context.Context) { _ = w.SetEndpoint(ctx, "/p", admins) }, func() bool {
		e, err := w.Bound(bg, "/p")
		ok(t, err)
		return !e.Declared
	})
	if a := w.Endpoint("/p").Access; a.Anonymous || len(a.Groups) != 1 {
		t.Errorf("what is in force lets %+v in", a)
	}
	gone, cancel := context.WithCancel(bg)
	cancel()
	is(t, w.DropEndpoint(gone, "/p"), context.Canceled)
	if w.Endpoint("/p") == nil {
		t.Error("who had gone before changed something")
	}
}

// TestEventCallDown has an event's call fail for good: it is tried a few times,
// said in the log, counted, and the next event is heard.
func TestEventCallDown(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func() (process.Answer, error){
		"no host": func() (process.Answer, error) {
			return process.Answer{}, status.Errorf(status.Unavailable, "NO_SUCH_HOST", "the host's name is not known")
		},
		"500": func() (process.Answer, error) { return process.Answer{Status: 500}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			w := start(t, t.TempDir(), func(o *process.Options) {
				o.Caller = asked(func(context.Context, process.Request) (process.Answer, error) {
					calls.Add(1)
					return answer()
				})
			})
			ani := w.user("ani")
			w.create("demo")
			w.publish("process: p\ninstances: [demo]\nrules:\n  - on: event\n    when: event.data < 3\n    call: { url: https://gone.example/x }\n" +
				"  - on: event\n    send: { to: '\"ani\"', text: string(event.data) }\n")
			w.emit("demo", 1, 2, 3)
			w.notices(ani, "3")
			// The second one finds the other end as the first one left it.
			if n := calls.Load(); n != 4 {
				t.Errorf("%d calls for two events", n)
			}
			if s := w.Stats(); s.Failed != 2 || s.Events != 3 {
				t.Errorf("%+v", s)
			}
			if log := w.log.String(); !strings.Contains(log, "process=p") || !strings.Contains(log, "the call failed") {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// TestEventCallAgain has an event's call go well at its third try.
func TestEventCallAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	w := start(t, t.TempDir(), func(o *process.Options) {
		o.Caller = asked(func(context.Context, process.Request) (process.Answer, error) {
			if calls.Add(1) < 3 {
				return process.Answer{Status: 503}, nil
			}
			return process.Answer{Status: 200, Body: []byte("7")}, nil
		})
	})
	ani := w.user("ani")
	w.create("demo")
	w.publish("process: p\ninstances: [demo]\nrules:\n  - on: event\n    call: { url: https://x.example/x }\n    send: { to: '\"ani\"', text: string(answer) }\n")
	w.emit("demo", 1)
	w.notices(ani, "7")
	if s := w.Stats(); s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// broken is accounts whose store cannot be read while it is told so.
type broken struct {
	account.Store
	now atomic.Bool
}

func (b *broken) UserByHandle(ctx context.Context, handle string) (account.User, bool, error) {
	if b.now.Load() {
		return account.User{}, false, errors.New("disk I/O error")
	}
	return b.Store.UserByHandle(ctx, handle)
}

// TestEventWaitsForTheStore has the store fail while an event's person is looked
// up: that is not the process's doing, and the event is done once it can be.
func TestEventWaitsForTheStore(t *testing.T) {
	b := &broken{}
	w := startOn(t, t.TempDir(), func(s account.Store) account.Store {
		b.Store = s
		return b
	}, nil)
	ani := w.user("ani")
	w.create("demo")
	w.publish(forward)
	b.now.Store(true)
	w.emit("demo", 1, 2)
	until(t, "it is said", func() bool { return strings.Contains(w.log.String(), "waits for the server") })
	b.now.Store(false)
	w.notices(ani, "demo 1", "demo 2")
	if s := w.Stats(); s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// TestEventWaitsForTheJournal has what an event does be stored later than the
// process's time lasts: it happens, and is no failure.
func TestEventWaitsForTheJournal(t *testing.T) {
	t.Parallel()
	var w *world
	out := make(chan struct{})
	w = start(t, t.TempDir(), func(o *process.Options) {
		o.Caller = asked(func(context.Context, process.Request) (process.Answer, error) {
			in := make(chan struct{})
			w.journal.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
				close(in)
				<-out
				return nil, nil
			}))
			<-in
			return process.Answer{Status: 200}, nil
		})
	})
	ani := w.user("ani")
	w.create("demo")
	w.publish("process: p\ninstances: [demo]\ntimeout: 2s\nrules:\n  - on: event\n    call: { url: https://x.example/x }\n    send: { to: '\"ani\"', text: '\"done\"' }\n")
	w.emit("demo", 1)
	until(t, "it is called", func() bool { return w.Stats().Calls == 1 })
	time.Sleep(3 * time.Second)
	close(out)
	w.notices(ani, "done")
	if s := w.Stats(); s.Failed != 0 || s.Timeouts != 0 {
		t.Errorf("%+v", s)
	}
}

// TestBrokenVersionWaits has a published version not compile any more, as after
// an update of the server: what is said until there is one that does is for that.
func TestBrokenVersionWaits(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, nil)
	ani := w.user("ani")
	w.create("demo")
	w.publish(forward)
	w.emit("demo", 1)
	w.notices(ani, "demo 1")
	w.stop()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "kabar.db"))
	ok(t, err)
	_, err = db.ExecContext(bg, "UPDATE process_versions SET source = 'rules: nothing'")
	ok(t, err)
	ok(t, db.Close())
	w = start(t, folder, nil)
	w.emit("demo", 2)
	w.publish(forward)
	w.notices(ani, "demo 1", "demo 2")
}

// TestOtherProcessOtherVars has a connection go over to another process, which
// does not see what the first one kept; another version of the same one does.
func TestOtherProcessOtherVars(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	source := func(name, reply string) string {
		return "process: " + name + "\noutputs: { r: any }\nrules:\n  - when: vars.secret == nil\n    set: { secret: '\"of " + name + "\"' }\n    reply: { r: '\"set\"' }\n" +
			"  - reply: { r: " + reply + " }\nendpoint: { url: /" + name + " }\n"
	}
	w.publish(source("a", "vars.secret"))
	w.publish(source("b", "vars.secret"))
	r := w.runner("/a", nil)
	expect(t, frame(t, r, "{}"), `{"r":"set"}`)
	w.publish(source("a", "vars.secret + \"!\""))
	r = r.Renew(w.Endpoint("/a"), process.Who{ID: "c1"})
	expect(t, frame(t, r, "{}"), `{"r":"of a!"}`)
	r = r.Renew(w.Endpoint("/b"), process.Who{ID: "c1"})
	expect(t, frame(t, r, "{}"), `{"r":"set"}`)
	expect(t, frame(t, r, "{}"), `{"r":"of b"}`)
}

// TestNoInfiniteNumbers has what JSON cannot hold be refused, where it is written
// down and where it is answered.
func TestNoInfiniteNumbers(t *testing.T) {
	for _, n := range []string{"!!float inf", "!!float -Infinity", "!!float nan", ".inf", "[1, !!float inf]", "{ a: !!float NaN }"} {
		_, faults := process.Check([]byte("process: p\ninputs: { m: { type: any, default: " + n + " } }\noutputs: { r: { type: any, default: " + n + " } }\nrules:\n  - reply: {}\n"))
		if len(faults) == 0 {
			t.Errorf("the default %s was taken", n)
		}
	}
	w := start(t, t.TempDir(), nil)
	for i, r := range []string{"m / 0", "[m / 0]", "{\"a\": {\"b\": -m / 0}}", "[[0 / (m - 1)]]"} {
		name := fmt.Sprintf("p%d", i)
		w.publish("process: " + name + "\ninputs: { m: number }\noutputs: { r: any }\nrules:\n  - reply: { r: '" + r + "' }\nendpoint: { url: /" + name + " }\n")
		expect(t, frame(t, w.runner("/"+name, nil), `{"m":1}`), "PROCESS_FAILED ")
		got, err := w.Try(bg, name, 0, process.Trial{Inputs: json.RawMessage(`{"m":1}`)})
		ok(t, err)
		if _, err := json.Marshal(got); err != nil || got.Error == nil || !strings.Contains(got.Reason, "infinite") {
			t.Errorf("%s: %+v, %v", r, got, err)
		}
	}
}

// TestFullOfEndpoints has a server with all the endpoints that it may have still
// take another version of a process with one, and one that moves.
func TestFullOfEndpoints(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.publish(string(says("a", "1", "endpoint: { url: /a }\n")))
	ok(t, w.fill("a", 1999))
	w.publish(string(says("a", "2", "endpoint: { url: /a }\n")))
	expect(t, frame(t, w.runner("/a", nil), "{}"), `{"r":"2"}`)
	w.publish(string(says("a", "3", "endpoint: { url: /b }\n")))
	expect(t, frame(t, w.runner("/b", nil), "{}"), `{"r":"3"}`)
	_, err := w.Save(bg, "z", says("z", "1", "endpoint: { url: /z }\n"))
	ok(t, err)
	_, err = w.Publish(bg, "z", 0)
	is(t, err, process.ErrTooManyEndpoints)
	is(t, w.SetEndpoint(bg, "/more", process.EndpointSpec{Process: "a"}), process.ErrTooManyEndpoints)
	ok(t, w.SetEndpoint(bg, "/e1", process.EndpointSpec{Process: "a"}))
}

// fill binds a process to many URLs in one change.
func (w *world) fill(name string, n int) error {
	_, err := w.journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		for i := range n {
			e := process.EndpointRow{URL: "/e" + strconv.Itoa(i), Process: name}
			if err := w.store.Processes().In(tx).SetEndpoint(bg, e); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})).Wait(bg)
	return err
}

// TestAccessIsKept has an endpoint bound anew with the access that it had.
func TestAccessIsKept(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.publish(string(says("a", "a", "")))
	ok(t, w.SetEndpoint(bg, "/x", process.EndpointSpec{Process: "a", Keep: true}))
	if a := w.Endpoint("/x").Access; a.Anonymous || len(a.Groups) > 0 {
		t.Errorf("a new one is for %+v", a)
	}
	ok(t, w.SetEndpoint(bg, "/x", process.EndpointSpec{Process: "a", Access: process.Access{Groups: []string{"X"}}}))
	ok(t, w.SetEndpoint(bg, "/x", process.EndpointSpec{Process: "a", Keep: true}))
	if a := w.Endpoint("/x").Access; len(a.Groups) != 1 {
		t.Errorf("it is for %+v", a)
	}
}

// TestCallSaysItsHops has a call tell how many processes in a row led to it,
// whatever its author wrote.
func TestCallSaysItsHops(t *testing.T) {
	var hops atomic.Value
	w := start(t, t.TempDir(), func(o *process.Options) {
		o.Caller = asked(func(_ context.Context, r process.Request) (process.Answer, error) {
			hops.Store(r.Header["Kabar-Hops"])
			return process.Answer{Status: 200}, nil
		})
	})
	call := "  - %scall: { url: https://example.com }\n"
	w.publish("process: c\nrules:\n" + fmt.Sprintf(call, "") + fmt.Sprintf(call, "on: message\n    ") + "endpoint: { url: /c }\n")
	r := w.runner("/c", nil)
	frame(t, r, "{}")
	expect(t, hops.Load().(string), "1")
	trigger(r, process.Trigger{On: process.OnMessage, Hops: 6})
	expect(t, hops.Load().(string), "7")
	_, faults := process.Check([]byte("process: c\nrules:\n  - call: { url: https://example.com, headers: { kabar-hops: '0' } }\n"))
	if len(faults) == 0 {
		t.Error("an author may write the header")
	}
}

// TestCrowd has runs that wait for a place to call be no more than there may be:
// the next one is out of time at once.
func TestCrowd(t *testing.T) {
	let := make(chan struct{})
	w := start(t, t.TempDir(), func(o *process.Options) {
		o.Caller = asked(func(ctx context.Context, _ process.Request) (process.Answer, error) {
			select {
			case <-let:
				return process.Answer{Status: 200, Body: []byte("1")}, nil
			case <-ctx.Done():
				return process.Answer{}, ctx.Err()
			}
		})
	})
	w.publish("process: calls\noutputs: { r: any }\ntimeout: 30s\nrules:\n  - call: { url: \"https://example.com\" }\n    reply: { r: answer }\nendpoint: { url: /calls }\n")
	const all = 1000
	answers := make(chan string, all)
	for range all {
		r := w.runner("/calls", nil)
		go func() { answers <- frame(t, r, "{}") }()
	}
	for range all - 32 - 512 { // what is left is under way, or waits
		expect(t, <-answers, "PROCESS_TIMEOUT ")
	}
	close(let)
	for range 32 + 512 {
		expect(t, <-answers, `{"r":1}`)
	}
}

// TestUnservedEndpointsAreNamed has an endpoint whose URL became something else's
// be said in the log, once.
func TestUnservedEndpointsAreNamed(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, nil)
	w.publish(string(says("a", "a", "endpoint: { url: /new/route }\n")))
	w.publish(string(says("b", "b", "")))
	w.stop()
	w = start(t, folder, func(o *process.Options) {
		o.Reserved = func(path string) bool { return path == "/new/route" }
	})
	w.publish(string(says("b", "c", "")))
	if w.Endpoint("/new/route") != nil {
		t.Error("it is served")
	}
	if log := w.log.String(); strings.Count(log, "endpoint=/new/route") != 1 || !strings.Contains(log, "process=a") {
		t.Errorf("logged %s", log)
	}
}
