package lifecycle_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/lifecycle"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

// patience is no measure of speed: what takes so long does not come any more.
const patience = 60 * time.Second

// world is lifecycle events on a real journal and store, until stop. It has the
// hub's part: who hears what.
type world struct {
	*lifecycle.Service
	t         *testing.T
	journal   *journal.Journal
	store     *store.Store
	instances *instance.Service
	folder    string
	stop      func()
	fails     atomic.Bool // the next write does

	mu    sync.Mutex
	heard map[string]bool                    // guarded by mu
	open  map[*hub.Session]lifecycle.Session // guarded by mu
}

func start(t *testing.T, folder string, wait time.Duration) *world {
	t.Helper()
	st, j, stop := storetest.Start(t, folder)
	w := &world{t: t, journal: j, store: st, folder: folder, heard: map[string]bool{}, open: map[*hub.Session]lifecycle.Session{}}
	var err error
	w.instances, err = instance.New(instance.Options{
		Journal: j, Store: st.Instances(), Key: bytes.Repeat([]byte("k"), 32), All: true,
		Made: func(name string) { w.Made(name) },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Service, err = lifecycle.New(lifecycle.Options{
		Journal: j, Store: failing{st.Lifecycle(), &w.fails}, Instances: w.instances, Instance: "lifecycle", Each: w.each, Open: w.eachOpen, Return: func(int) time.Duration { return wait },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		stop()
	})
	t.Cleanup(w.stop)
	return w
}

// again is the next start on the same folder.
func (w *world) again(wait time.Duration) *world {
	w.t.Helper()
	w.stop()
	return start(w.t, w.folder, wait)
}

func (w *world) each(f func(topic string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for topic := range w.heard {
		f(topic)
	}
}

func (w *world) eachOpen(f func(*hub.Session, lifecycle.Session)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, s := range w.open {
		f(key, s)
	}
}

func (w *world) come(topics ...string)  { w.move(true, topics) }
func (w *world) leave(topics ...string) { w.move(false, topics) }

func (w *world) move(here bool, topics []string) {
	for _, topic := range topics {
		w.mu.Lock()
		if w.heard[topic] = here; !here {
			delete(w.heard, topic)
		}
		w.mu.Unlock()
		w.Occupied(topic, here)
	}
}

func (w *world) make() uint64 {
	w.t.Helper()
	i, _, err := w.instances.Create(bg, instance.Spec{Name: "lifecycle"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.eventually("the instance is seen", w.Wants)
	return i.ID
}

func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never: %s", what)
		}
	}
}

// said is an event, with the name in front.
type said struct {
	name string
	lifecycle.Data
}

func (s said) String() string {
	return fmt.Sprintf("%s %s %d %s", s.name, s.Subject, s.Number, s.Reason)
}

// topic is all that entered an instance's topic.
func (w *world) topic(topic string) (all []said) {
	w.t.Helper()
	for after := uint64(0); ; {
		ms, err := w.journal.Read(bg, topic, after, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, m := range ms {
			after = m.Seq(topic)
			var e struct {
				Event string
				Data  lifecycle.Data
			}
			if err := json.Unmarshal(m.Data, &e); err != nil {
				w.t.Fatal(err)
			}
			if m.Kind == instance.KindEvent {
				all = append(all, said{e.Event, e.Data})
			}
		}
		if len(ms) < 1000 {
			return all
		}
	}
}

// says waits until an instance's events are these, in this order.
func (w *world) says(id uint64, want ...string) []said {
	w.t.Helper()
	var all []said
	w.eventually(fmt.Sprintf("%d events", len(want)), func() bool {
		all = w.topic(instance.Topic(id))
		return len(all) >= len(want)
	})
	w.are(all, want)
	return all
}

func (w *world) are(all []said, want []string) {
	w.t.Helper()
	var got []string
	for _, s := range all {
		got = append(got, s.String())
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("said %q, want %q", got, want)
	}
}

func TestNothingIsSaidOrKeptWithoutTheInstance(t *testing.T) {
	w := start(t, t.TempDir(), 0)
	w.eventually("that there is none is seen", func() bool { return !w.Wants() })
	w.come("user/7", "feed")
	w.leave("user/7")
	w.Closed(&hub.Session{}, lifecycle.Closed{Session: lifecycle.Session{Gateway: "feed", Topic: "feed", Opened: time.Now()}, Code: 1000})
	w.stop()
	w = start(t, w.folder, 0)
	w.eventually("that there is none is seen", func() bool { return !w.Wants() })
	if n := w.journal.Stats(); w.Wants() || n.Changes != 0 || w.Stats().Said != 0 {
		t.Errorf("%+v %+v", n, w.Stats())
	}
	if up, err := w.store.Lifecycle().Up(bg, 0, "", 10); err != nil || len(up) > 0 {
		t.Errorf("%+v, %v", up, err)
	}
}

func TestWhoComesAndGoes(t *testing.T) {
	w := start(t, t.TempDir(), 0)
	w.come("user/7")
	id := w.make()
	w.says(id, "user.online user/7 1 ") // who was here before
	w.come("feed", "posts", "nobody", "instances", "user/x", "bot/chat")
	w.eventually("both topics", func() bool { return w.Stats().Said == 3 })
	w.leave("user/7")
	w.eventually("gone", func() bool { return w.Stats().Said == 4 })
	w.come("user/7")
	all := w.says(id, "user.online user/7 1 ", "topic.occupied feed 1 ", "topic.occupied bot/chat 1 ", "user.offline user/7 2 left", "user.online user/7 3 ")
	if e := all[3]; e.User != 7 || e.Topic != "" || e.Seconds == nil || *e.Seconds < 0 || e.Since < all[0].Since {
		t.Errorf("%+v", e)
	}
	if e := all[1]; e.User != 0 || e.Topic != "feed" || e.Seconds != nil {
		t.Errorf("%+v", e)
	}
	if all := w.topic(instance.AllTopic); len(all) > 0 {
		t.Errorf("who hears all instances heard %v", all)
	}
}

// What came and went while nothing could be said is not said, and of what
// changed more than once, the newest.
func TestTheNewestState(t *testing.T) {
	w := start(t, t.TempDir(), 0)
	id := w.make()
	hold, held := make(chan struct{}), make(chan struct{})
	p := w.journal.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		close(held)
		<-hold
		return nil, nil
	}))
	<-held
	w.come("user/1") // is on its way to the journal, which waits
	w.eventually("taken", func() bool { return w.Waiting() == 0 })
	w.come("user/2")
	w.leave("user/1", "user/2", "user/3")
	w.come("user/1", "user/4")
	close(hold)
	if _, err := p.Wait(bg); err != nil {
		t.Fatal(err)
	}
	w.says(id, "user.online user/1 1 ", "user.online user/4 1 ")
}

func TestSessionsThatClosed(t *testing.T) {
	w := start(t, t.TempDir(), 0)
	id := w.make()
	opened := time.Now().Add(-90 * time.Second)
	w.Closed(&hub.Session{}, lifecycle.Closed{Session: lifecycle.Session{Gateway: "direct", Topic: "user/7", User: 7, Login: 4, Opened: opened}, Code: 4001, Reason: "the login or token has ended"})
	w.Closed(&hub.Session{}, lifecycle.Closed{Session: lifecycle.Session{Gateway: "feed", Topic: "feed", Opened: opened}, Code: 1006})
	w.Closed(&hub.Session{}, lifecycle.Closed{Session: lifecycle.Session{Gateway: "events", Topic: "instance/9", Opened: opened}, Code: 1005})
	w.Closed(&hub.Session{}, lifecycle.Closed{Session: lifecycle.Session{Gateway: "relay", Topic: "user/7", User: 7, Login: 5, Opened: opened}, Code: 1001, Reason: "retry-after-ms=500"})
	all := w.says(id, "session.closed user/7/sessions 1 the login or token has ended", "session.closed feed/sessions 1 ",
		"session.closed instance/9/sessions 1 ", "session.closed user/7/sessions 2 retry-after-ms=500")
	e := all[0]
	if e.User != 7 || e.Login != 4 || e.Gateway != "direct" || e.Code != 4001 || *e.Seconds < 90 || e.Since != opened.UTC().Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("%+v", e)
	}
	if all[2].Instance != 9 || all[1].Instance != 0 || all[1].User != 0 {
		t.Errorf("%+v", all)
	}
}

// Who was there when the server ended is said to have gone by the next one, if
// they do not come back to it in time; numbers go on.
func TestTheNextStart(t *testing.T) {
	w := start(t, t.TempDir(), 0)
	id := w.make()
	w.come("user/1", "user/2", "feed")
	first := []string{"user.online user/1 1 ", "user.online user/2 1 ", "topic.occupied feed 1 "}
	w.says(id, first...)
	w.Stopping()
	w.leave("user/1", "user/2", "feed") // is told by nobody: they may be back
	w.Closed(&hub.Session{}, lifecycle.Closed{Session: lifecycle.Session{Gateway: "feed", Topic: "feed", Opened: time.Now()}, Code: 1001})

	w = w.again(patience) // what a session was closed with is said before the end
	first = append(first, "session.closed feed/sessions 1 ")
	w.says(id, first...)
	w.eventually("the instance is seen", w.Wants)
	w.come("user/1")
	w.come("user/3") // whom this start did not know
	first = append(first, "user.online user/3 1 ")
	w.says(id, first...)

	w = w.again(0)
	w.eventually("the end of all that were there", func() bool { return w.Stats().Said == 4 })
	all := w.topic(instance.Topic(id))
	var ends []string
	for _, e := range all[len(first):] {
		ends = append(ends, e.String())
	}
	slices.Sort(ends)
	w.are(all[:len(first)], first)
	if want := []string{"topic.vacated feed 2 restart", "user.offline user/1 2 restart", "user.offline user/2 2 restart", "user.offline user/3 2 restart"}; !slices.Equal(ends, want) {
		t.Errorf("the ends are %q", ends)
	}
	w.come("user/2")
	w.eventually("back", func() bool { return w.Stats().Said == 5 })
	all = w.topic(instance.Topic(id))
	w.are(all[len(all)-1:], []string{"user.online user/2 3 "})
}

// An instance that is deleted takes what was said with it: a new one of the
// name hears who is here, from the first number on.
func TestTheInstanceGoes(t *testing.T) {
	w := start(t, t.TempDir(), patience)
	id := w.make()
	w.come("user/1", "user/2")
	w.says(id, "user.online user/1 1 ", "user.online user/2 1 ")
	w.opens(feedSession, feedSession)
	w.kept(id, 2)
	if _, err := w.instances.Delete(bg, instance.ByID(id)); err != nil {
		t.Fatal(err)
	}
	w.leave("user/2")
	w.eventually("nobody asks", func() bool { return !w.Wants() })
	w.leave("user/1")
	w.come("user/3")
	if up, err := w.store.Lifecycle().Up(bg, id, "", 10); err != nil || len(up) > 0 {
		t.Errorf("%+v, %v", up, err)
	}
	w.kept(id, 0)
	id = w.make()
	w.says(id, "user.online user/3 1 ")
	w.kept(id, 2)
}

// A storm is said in few changes, whatever comes and goes in it; nobody is
// forgotten, no number is missing, and who drops what has a lower number than
// what they know ends with what is so.
func TestAStorm(t *testing.T) {
	const people = 15000
	w := start(t, t.TempDir(), 0)
	id := w.make()
	before := w.journal.Stats()
	here := map[string]bool{}
	for i := range people {
		here[fmt.Sprintf("user/%d", i+1)] = true
		w.Occupied(fmt.Sprintf("user/%d", i+1), true)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		topic := fmt.Sprintf("user/%d", random.IntN(people)+1)
		here[topic] = !here[topic]
		w.Occupied(topic, here[topic])
		w.Closed(&hub.Session{}, lifecycle.Closed{Session: lifecycle.Session{Gateway: "feed", Topic: "feed", Opened: time.Now()}, Code: 1001})
	}
	w.eventually("all is on its way", func() bool { return w.Waiting() == 0 })
	w.stop() // what is on its way is said before
	after := w.journal.Stats()
	again := start(t, w.folder, patience)
	all := again.topic(instance.Topic(id))
	// Each change says up to 512; one more where the storm begins.
	if changes := after.Changes - before.Changes; changes > uint64(len(all))/512+10 {
		t.Errorf("%d changes for %d events", changes, len(all))
	}
	numbers, closed := map[string]uint64{}, 0
	now := map[string]bool{}
	for _, e := range all {
		if numbers[e.Subject]++; e.Number != numbers[e.Subject] {
			t.Fatalf("%v is number %d", e, numbers[e.Subject])
		}
		switch e.name {
		case instance.SessionClosed:
			closed++
		default:
			if on := e.name == instance.UserOnline; on == now[e.Subject] {
				t.Fatalf("%v says what was so", e)
			} else {
				now[e.Subject] = on
			}
		}
	}
	if closed != 5000 || w.Stats().Dropped != 0 {
		t.Errorf("%d sessions were closed, %d not said", closed, w.Stats().Dropped)
	}
	for topic, is := range here {
		if now[topic] != is {
			t.Errorf("%s: %v was said", topic, now[topic])
		}
	}
	// The same in any order, with what came twice.
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	highest, state := map[string]uint64{}, map[string]bool{}
	for _, e := range append(all, all[:1000]...) {
		if e.Number > highest[e.Subject] && e.name != instance.SessionClosed {
			highest[e.Subject], state[e.Subject] = e.Number, e.name == instance.UserOnline
		}
	}
	for topic, is := range here {
		if state[topic] != is {
			t.Errorf("%s: a receiver of all of it believes %v", topic, state[topic])
		}
	}
}

// What cannot be stored is said once it can be.
func TestItIsTriedAgain(t *testing.T) {
	w := start(t, t.TempDir(), 0)
	id := w.make()
	w.fails.Store(true)
	w.come("user/1")
	w.Closed(&hub.Session{}, lifecycle.Closed{Session: lifecycle.Session{Gateway: "feed", Topic: "feed", Opened: time.Now()}, Code: 1001})
	w.says(id, "user.online user/1 1 ", "session.closed feed/sessions 1 ")
	if w.fails.Load() {
		t.Error("nothing failed")
	}
}

// failing is a store whose next write fails, where fails is set.
type failing struct {
	lifecycle.Store
	fails *atomic.Bool
}

func (f failing) In(tx *journal.Tx) lifecycle.Tx { return failingTx{f.Store.In(tx), f.fails} }

type failingTx struct {
	lifecycle.Tx
	fails *atomic.Bool
}

func (f failingTx) SetSubjects(ctx context.Context, of uint64, list []lifecycle.Subject) error {
	if f.fails.Swap(false) {
		return errors.New("the disk is full")
	}
	return f.Tx.SetSubjects(ctx, of, list)
}
