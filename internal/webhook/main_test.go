package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/outbound"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/storetest"
	"github.com/kabar-io/kabar/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = bytes.Repeat([]byte("k"), 32)

var bg = context.Background()

var noKey journal.Key

var noToken instance.Ref

// world is webhooks on a real store, journal and hub, until stop.
type world struct {
	*webhook.Service
	t         testing.TB
	store     *store.Store
	journal   *journal.Journal
	hub       *hub.Hub
	acked     *hub.Collector
	instances *instance.Service
	log       *record
	stop      func() // as a server that is shut down
	die       func() // as one that is killed: nothing more is written
}

// record is what was logged.
type record struct {
	mu  sync.Mutex
	all strings.Builder // guarded by mu
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.String()
}

// loopback is the way out to this machine.
func loopback(tb testing.TB) webhook.Sender {
	tb.Helper()
	c := outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	tb.Cleanup(c.Close)
	return c
}

func start(tb testing.TB, folder string, o webhook.Options) *world {
	tb.Helper()
	w := &world{t: tb, log: &record{}}
	var err error
	w.store, err = storetest.Open(tb, folder)
	w.ok(err)
	w.journal, err = journal.Open(bg, journal.Options{Store: w.store})
	w.ok(err)
	log := slog.New(slog.NewTextHandler(w.log, nil))
	h := hub.New(w.journal, hub.Options{Shards: 2, Readers: 1, Log: log})
	w.hub = h
	w.acked = hub.NewCollector(w.store, w.journal, log)
	w.instances, err = instance.New(instance.Options{Journal: w.journal, Store: w.store.Instances(), Key: key, All: true})
	w.ok(err)
	o.Journal, o.Store, o.Hub, o.Acked, o.Instances, o.Log = w.journal, w.store.Webhooks(), h, w.acked, w.instances, log
	if o.Key == nil {
		o.Key = key
	}
	if o.Version == "" {
		o.Version = "7"
	}
	w.Service, err = webhook.New(o)
	w.ok(err)
	parts := []func(ctx context.Context) error{
		func(ctx context.Context) error { return w.journal.Run(ctx, h.Publish) }, h.Run, w.acked.Run, w.Run,
	}
	cancels, done := make([]context.CancelFunc, len(parts)), make([]chan error, len(parts))
	for i, part := range parts {
		ctx, cancel := context.WithCancel(bg)
		cancels[i], done[i] = cancel, make(chan error, 1)
		go func() { done[i] <- part(ctx) }()
	}
	end := func(order ...int) func() {
		return func() {
			var errs []error
			for _, i := range order {
				cancels[i]()
				errs = append(errs, <-done[i])
			}
			if err := errors.Join(append(errs, w.store.Close())...); err != nil {
				tb.Error(err)
			}
		}
	}
	var once sync.Once
	w.stop = func() { once.Do(end(3, 2, 1, 0)) }
	// The journal ends first: what the others still want to write is refused.
	w.die = func() { once.Do(end(0, 3, 2, 1)) }
	tb.Cleanup(w.stop)
	return w
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

// create makes an instance.
func (w *world) create(name string) (instance.Ref, uint64) {
	w.t.Helper()
	i, _, err := w.instances.Create(bg, instance.Spec{Name: name})
	w.ok(err)
	return instance.ByID(i.ID), i.ID
}

// set sets an instance's webhook, enabled, for all events.
func (w *world) set(ref instance.Ref, to string) (webhook.Webhook, string) {
	w.t.Helper()
	h, secret, err := w.Set(bg, ref, webhook.Spec{URL: to, Enabled: true})
	w.ok(err)
	return h, secret
}

// rotate gives a webhook another secret.
func (w *world) rotate(id uint64) string {
	w.t.Helper()
	made, err := w.Rotate(bg, noToken, id, webhook.Overlap, "")
	w.ok(err)
	return made.Secret
}

// emit says events with numbers as data, from first to last.
func (w *world) emit(ref instance.Ref, first, last int) (ids []string) {
	w.t.Helper()
	for n := first; n <= last; {
		var list []instance.Event
		for ; n <= last && len(list) < instance.MaxEvents; n++ {
			list = append(list, instance.Event{Name: "messages.upsert", Data: json.RawMessage(strconv.Itoa(n))})
		}
		r, err := w.instances.Emit(ref, list, noKey).Wait(bg)
		w.ok(err)
		for _, m := range r.Messages {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// find is an instance's webhook.
func (w *world) find(ref instance.Ref) webhook.Webhook {
	w.t.Helper()
	h, err := w.Find(bg, ref)
	w.ok(err)
	return h
}

// until waits for something.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("still not: %s\n%s", what, w.log)
		}
	}
}

// event is what a receiver reads of a body.
type event struct {
	Event    string           `json:"event"`
	Instance instance.Profile `json:"instance"`
	Data     json.RawMessage  `json:"data"`
	ID       string           `json:"id"`
	Seq      uint64           `json:"seq"`
}

func parse(body []byte) (e event) {
	_ = json.Unmarshal(body, &e)
	return e
}
