package instance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = bytes.Repeat([]byte("k"), 32)

var bg = context.Background()

// world is instances on a real journal and store, until stop.
type world struct {
	*instance.Service
	t       testing.TB
	journal *journal.Journal
	store   *store.Store
	folder  string
	ahead   atomic.Int64 // how far its clock is ahead
	stop    func()
}

func (w *world) later(d time.Duration) { w.ahead.Add(int64(d)) }

func start(tb testing.TB, folder string, o instance.Options) *world {
	tb.Helper()
	st, j, stop := storetest.Start(tb, folder)
	w := &world{t: tb, journal: j, store: st, folder: folder, stop: stop}
	o.Journal, o.Store = j, st.Instances()
	if o.Key == nil {
		o.Key = key
	}
	o.Now = func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	var err error
	if w.Service, err = instance.New(o); err != nil {
		tb.Fatal(err)
	}
	return w
}

func (w *world) create(name string) (instance.Instance, instance.Token) {
	w.t.Helper()
	i, token, err := w.Create(bg, instance.Spec{Name: name})
	w.ok(err)
	return i, token
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) refused(err, want error) {
	w.t.Helper()
	if !errors.Is(err, want) {
		w.t.Fatalf("got %v, want %v", err, want)
	}
}

// invalid wants an error with this code whose message has all these words.
func invalid(tb testing.TB, err error, code status.Code, words ...string) {
	tb.Helper()
	var e *status.Error
	if !errors.As(err, &e) || e.Code != code {
		tb.Fatalf("got %v, want code %v", err, code)
	}
	for _, word := range words {
		if !strings.Contains(e.Message, word) {
			tb.Errorf("%q does not say %q", e.Message, word)
		}
	}
}

// emit says events written as "name data".
func (w *world) emit(ref instance.Ref, events ...string) (journal.Result, error) {
	w.t.Helper()
	return w.Emit(ref, parse(events...), journal.Key{}).Wait(bg)
}

func parse(events ...string) []instance.Event {
	list := make([]instance.Event, len(events))
	for i, e := range events {
		name, data, _ := strings.Cut(e, " ")
		list[i] = instance.Event{Name: name, Data: json.RawMessage(data)}
	}
	return list
}

// topic is all that entered an instance's topic.
func (w *world) topic(id uint64) []*journal.Message {
	w.t.Helper()
	ms, err := w.journal.Read(bg, instance.Topic(id), 0, 1000)
	w.ok(err)
	return ms
}
