package process_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
)

// forward is a process that tells ani of each event.
const forward = `process: forward
instances: [demo, later]
rules:
  - on: event
    when: event.name == "send.message"
    send: { to: '"ani"', text: event.instance + " " + string(event.data) }
`

func (w *world) emit(name string, data ...int) {
	w.t.Helper()
	var events []instance.Event
	for _, d := range data {
		events = append(events, instance.Event{Name: "send.message", Data: json.RawMessage(strconv.Itoa(d))})
	}
	_, err := w.instances.Emit(instance.ByName(name), events, journal.Key{}).Wait(bg)
	ok(w.t, err)
}

func (w *world) create(name string) {
	w.t.Helper()
	_, _, err := w.instances.Create(bg, instance.Spec{Name: name})
	ok(w.t, err)
}

// notices waits until somebody has these, and no others.
func (w *world) notices(u account.User, want ...string) {
	w.t.Helper()
	read := func() []string {
		var all []string
		for _, line := range w.topic(account.Inbox(u.ID)) {
			if text, ok := strings.CutPrefix(line, `notice {"text":"`); ok {
				all = append(all, strings.TrimSuffix(text, `"}`))
			}
		}
		return all
	}
	until(w.t, fmt.Sprintf("%q", want), func() bool { return len(read()) >= len(want) })
	if got := read(); !slices.Equal(got, want) {
		w.t.Fatalf("got %q, want %q", got, want)
	}
}

func TestEvents(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, nil)
	ani := w.user("ani")
	w.create("demo")
	w.emit("demo", 1)
	w.publish(forward)
	w.emit("demo", 2, 3) // what was before is not for it
	w.notices(ani, "demo 2", "demo 3")
	w.create("later") // what comes later is heard from its beginning
	w.emit("later", 4)
	w.notices(ani, "demo 2", "demo 3", "later 4")
	ok(t, second(w.instances.Delete(bg, instance.ByName("later"))))
	w.create("later") // another instance of the name
	w.emit("later", 5)
	w.notices(ani, "demo 2", "demo 3", "later 4", "later 5")
	_, err := w.instances.Emit(instance.ByName("demo"), []instance.Event{{Name: "chats.set"}}, journal.Key{}).Wait(bg)
	ok(t, err)
	w.stop()

	// While the server is down nothing is lost, and nothing is done twice.
	w = start(t, folder, nil)
	w.emit("demo", 6)
	w.notices(ani, "demo 2", "demo 3", "later 4", "later 5", "demo 6")
	// Another version goes on where the one before was.
	w.publish(strings.ReplaceAll(forward, `event.instance + " "`, `string("v2 ")`))
	w.emit("demo", 7)
	w.notices(ani, "demo 2", "demo 3", "later 4", "later 5", "demo 6", "v2 7")
	// One that does not name the instance hears it no more, until one does again.
	w.publish("process: forward\ninstances: [later]\nrules: [{on: event, when: event.data == 9, send: { to: '\"ani\"', text: '\"nine\"' }}]\n")
	w.emit("demo", 8)
	w.emit("later", 9)
	w.notices(ani, "demo 2", "demo 3", "later 4", "later 5", "demo 6", "v2 7", "nine")
	w.publish(forward)
	w.emit("demo", 10)
	w.notices(ani, "demo 2", "demo 3", "later 4", "later 5", "demo 6", "v2 7", "nine", "demo 10")
	ok(t, w.Delete(bg, "forward"))
	w.emit("demo", 11)
	w.publish(forward)
	w.emit("demo", 12)
	w.notices(ani, "demo 2", "demo 3", "later 4", "later 5", "demo 6", "v2 7", "nine", "demo 10", "demo 12")
}

func second[T any](_ T, err error) error { return err }

// TestEventOnce has an event that was done but not acknowledged be done once.
func TestEventOnce(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, nil)
	ani := w.user("ani")
	w.create("demo")
	w.publish(forward)
	w.emit("demo", 1)
	w.notices(ani, "demo 1")
	w.stop()
	db := forget(t, folder)
	w = start(t, folder, nil)
	w.emit("demo", 2)
	w.notices(ani, "demo 1", "demo 2")
	if db == 0 {
		t.Error("there was no position to forget")
	}
	if got := w.Stats().Events; got < 2 {
		t.Errorf("heard %d events", got)
	}
}

// TestBadEventsGoBy has a process that fails at an event hear the next one.
func TestBadEventsGoBy(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	ani := w.user("ani")
	w.create("demo")
	w.publish(`process: picky
instances: demo
rules:
  - on: event
    send: { to: '"ani"', text: string(10 % event.data) }
`)
	w.emit("demo", 3, 0, 4)
	w.notices(ani, "1", "2")
	if s := w.Stats(); s.Failed != 1 || s.Events != 3 {
		t.Errorf("%+v", s)
	}
}

// TestSelfCause has a process that emits the event that it hears end, and say so.
func TestSelfCause(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.create("demo")
	w.publish(`process: self
instances: demo
rules:
  - on: event
    notify: { instance: demo, event: send.message, data: event.data + 1 }
`)
	w.emit("demo", 0)
	until(t, "the loop is found", func() bool { return w.Stats().Loops == 1 })
	i, err := w.instances.Get(bg, instance.ByName("demo"))
	ok(t, err)
	ms, err := w.journal.Read(bg, instance.Topic(i.ID), 0, 100)
	ok(t, err)
	if len(ms) != 9 || ms[8].Hops != 8 {
		t.Errorf("%d events", len(ms))
	}
	if log := w.log.String(); !strings.Contains(log, "causes itself") || !strings.Contains(log, "process=self") {
		t.Errorf("logged %s", log)
	}
	w.emit("demo", 100)
	until(t, "the next one is heard", func() bool { return w.Stats().Loops == 2 })
}

// TestFanOutEnds has a process that makes many events of each one end soon.
func TestFanOutEnds(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.create("demo")
	w.publish("process: many\ninstances: demo\nrules:\n  - on: event\n    do:\n" +
		strings.Repeat("      - notify: { instance: demo, event: send.message, data: 1 }\n", 20))
	w.emit("demo", 0)
	last := int64(-1)
	until(t, "it ends", func() bool {
		s := w.Stats()
		ended := s.Events == last && s.Loops > 0
		last = s.Events
		i, err := w.instances.Get(bg, instance.ByName("demo"))
		ok(t, err)
		head, err := w.journal.Head(bg, instance.Topic(i.ID))
		ok(t, err)
		return ended && uint64(s.Events) >= head
	})
}

// TestEventCallsAreNamed has an event's call carry the event's id, so that who
// is called knows it when it comes again.
func TestEventCallsAreNamed(t *testing.T) {
	var id atomic.Value
	w := start(t, t.TempDir(), func(o *process.Options) {
		o.Caller = asked(func(_ context.Context, r process.Request) (process.Answer, error) {
			for k, v := range r.Header {
				if strings.EqualFold(k, "webhook-id") {
					id.Store(v)
				}
			}
			return process.Answer{Status: 200}, nil
		})
	})
	w.create("demo")
	w.publish("process: c\ninstances: demo\nrules:\n  - on: event\n    call: { url: \"https://example.com\", body: event }\n")
	w.emit("demo", 1)
	until(t, "the call", func() bool { return id.Load() != nil })
	i, err := w.instances.Get(bg, instance.ByName("demo"))
	ok(t, err)
	ms, err := w.journal.Read(bg, instance.Topic(i.ID), 0, 1)
	ok(t, err)
	expect(t, id.Load().(string), "evt_"+ms[0].ID+"_5")
}

// TestSweptAroundAProcess has retention pass a process while it is busy with an
// event: it hears what is left, as it reads then, once, and what it missed is said
// once.
func TestSweptAroundAProcess(t *testing.T) {
	folder := t.TempDir()
	busy, goOn := make(chan struct{}), make(chan struct{})
	options := func(o *process.Options) {
		o.Caller = asked(func(ctx context.Context, _ process.Request) (process.Answer, error) {
			select {
			case busy <- struct{}{}:
			case <-ctx.Done():
			}
			select {
			case <-goOn:
			case <-ctx.Done():
			}
			return process.Answer{Status: 200}, nil
		})
	}
	w := start(t, folder, options)
	ani := w.user("ani")
	w.create("demo")
	w.publish(`process: forward
instances: [demo]
rules:
  - on: event
    when: event.data % 6 == 1
    call: { url: "https://example.com", body: event }
  - on: event
    send: { to: '"ani"', text: string(event.data) }
`)
	i, err := w.instances.Get(bg, instance.ByName("demo"))
	ok(t, err)
	change := func(f func(tx *journal.Tx) error) {
		t.Helper()
		ok(t, second(w.journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) { return nil, f(tx) })).Wait(bg)))
	}
	w.emit("demo", 0)
	w.notices(ani, "0")
	change(func(tx *journal.Tx) error { return tx.Raise(instance.Topic(i.ID), 2) }) // below it: nothing
	w.emit("demo", 1)
	<-busy
	w.emit("demo", 2, 3, 4, 5)
	change(func(tx *journal.Tx) error { return tx.Raise(instance.Topic(i.ID), 5) })
	ms, err := w.journal.Read(bg, instance.Topic(i.ID), 4, 9)
	ok(t, err)
	change(func(tx *journal.Tx) error {
		now := *ms[1]
		now.Data = []byte(strings.Replace(string(now.Data), `"data":5`, `"data":50`, 1))
		return tx.Rewrite(&now)
	})
	goOn <- struct{}{}
	w.notices(ani, "0", "4", "50")
	said := func(times int) {
		t.Helper()
		log := w.log.String()
		if n := strings.Count(log, "missed events that are not kept any more"); n != times || times > 0 && !strings.Contains(log, "first=3 last=4") || strings.Contains(log, "cannot hear") {
			t.Errorf("logged %s", log)
		}
	}
	said(1)
	// All there is: said once, and not at each start again.
	w.emit("demo", 7)
	<-busy
	w.emit("demo", 8, 9)
	change(func(tx *journal.Tx) error { return tx.Raise(instance.Topic(i.ID), 10) })
	goOn <- struct{}{}
	until(t, "it is said", func() bool { return strings.Contains(w.log.String(), "first=8 last=9") })
	w.stop()
	w = start(t, folder, nil)
	w.emit("demo", 10)
	w.notices(ani, "0", "4", "50", "10")
	said(0)
}
