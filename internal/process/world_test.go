package process_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

var bg = context.Background()

var signingKey = bytes.Repeat([]byte("k"), 32)

// world is processes on a real store, journal and hub, until stop.
type world struct {
	*process.Service
	t         testing.TB
	store     *store.Store
	journal   *journal.Journal
	hub       *hub.Hub
	acked     *hub.Collector
	accounts  *account.Service
	chats     *chat.Service
	instances *instance.Service
	log       *lines
	stop      func()
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a world; change, where it is not nil, changes its options.
func start(t testing.TB, folder string, change func(*process.Options)) *world {
	t.Helper()
	return startOn(t, folder, func(s account.Store) account.Store { return s }, change)
}

// startOn is start with accounts that stand on what wrap makes of their store.
func startOn(t testing.TB, folder string, wrap func(account.Store) account.Store, change func(*process.Options)) *world {
	t.Helper()
	st, err := storetest.Open(t, folder)
	ok(t, err)
	j, err := journal.Open(bg, journal.Options{Store: st})
	ok(t, err)
	w := &world{t: t, store: st, journal: j, hub: hub.New(j, hub.Options{}), log: &lines{}}
	w.acked = hub.NewCollector(st, j, slog.New(slog.DiscardHandler))
	w.accounts, err = account.New(account.Options{Journal: j, Store: wrap(st.Accounts()), Key: signingKey, HashCost: account.HashCost{Memory: 64, Passes: 1, Threads: 1}})
	ok(t, err)
	w.chats, err = chat.New(chat.Options{Journal: j, Store: st.Chats()})
	ok(t, err)
	w.instances, err = instance.New(instance.Options{Journal: j, Store: st.Instances(), Key: signingKey})
	ok(t, err)
	o := process.Options{
		Journal: j, Store: st.Processes(), Hub: w.hub, Acked: w.acked, Accounts: w.accounts, Chats: w.chats, Instances: w.instances,
		Key: signingKey, Log: slog.New(slog.NewTextHandler(w.log, nil)),
		Reserved: func(path string) bool { return path == "/auth" },
	}
	if change != nil {
		change(&o)
	}
	w.Service, err = process.New(o)
	ok(t, err)
	w.run()
	ok(t, w.Load(bg))
	return w
}

// run runs all parts; they end in the order in which they need each other.
func (w *world) run() {
	var stops []func()
	part := func(f func(ctx context.Context) error) {
		ctx, cancel := context.WithCancel(bg)
		done := make(chan error, 1)
		go func() { done <- f(ctx) }()
		stops = append(stops, func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Error(err)
			}
		})
	}
	part(func(ctx context.Context) error { return w.journal.Run(ctx, w.hub.Publish) })
	part(w.hub.Run)
	part(w.acked.Run)
	part(w.Run)
	w.stop = sync.OnceFunc(func() {
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i]()
		}
		ok(w.t, w.store.Close())
	})
	w.t.Cleanup(w.stop)
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// publish saves and publishes a process.
func (w *world) publish(source string) {
	w.t.Helper()
	name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(source), "process: "), "\n")
	if _, err := w.Save(bg, name, []byte(source)); err != nil {
		var faults *process.FaultsError
		if errors.As(err, &faults) {
			w.t.Fatalf("%+v", faults.Faults)
		}
		w.t.Fatal(err)
	}
	_, err := w.Publish(bg, name, 0)
	ok(w.t, err)
}

func (w *world) user(name string) account.User {
	w.t.Helper()
	u, err := w.accounts.Register(bg, account.Registration{Name: name, Email: name + "@example.com", Password: "a good password"})
	ok(w.t, err)
	return u
}

// runner is a connection of u, nil for nobody, to what stands at url.
func (w *world) runner(url string, u *account.User) *process.Runner {
	w.t.Helper()
	e := w.Endpoint(url)
	if e == nil {
		w.t.Fatalf("there is no endpoint %s", url)
	}
	return w.Runner(e, process.Who{User: u, Groups: []string{account.GroupUsers}, Address: "10.0.0.1:1", ID: "c1", Key: 99})
}

// frame runs a frame, written as JSON, and is the answer or the error as JSON.
func frame(t testing.TB, r *process.Runner, object string) string {
	t.Helper()
	var in map[string]json.RawMessage
	ok(t, json.Unmarshal([]byte(object), &in))
	return written(r.Frame(bg, in))
}

func trigger(r *process.Runner, t process.Trigger) string { return written(r.Trigger(bg, t)) }

func written(out map[string]any, bad *process.Bad) string {
	if bad != nil {
		return bad.Code + " " + bad.Field
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func expect(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// topic is what was said in a topic: kinds and data.
func (w *world) topic(name string) []string {
	w.t.Helper()
	ms, err := w.journal.Read(bg, name, 0, 1000)
	ok(w.t, err)
	all := make([]string, len(ms))
	for i, m := range ms {
		all[i] = fmt.Sprintf("%s %s", m.Kind, m.Data)
	}
	return all
}

// until waits for what will be.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// asked is a Caller that answers by a function.
type asked func(ctx context.Context, r process.Request) (process.Answer, error)

func (a asked) Call(ctx context.Context, r process.Request) (process.Answer, error) { return a(ctx, r) }

func timeNow() time.Time { return time.Now() }

// forget takes the kept positions of processes back to the beginning, and says
// how many there were.
func forget(t testing.TB, folder string) int64 {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "kabar.db"))
	ok(t, err)
	defer db.Close()
	r, err := db.ExecContext(bg, "UPDATE positions SET seq = 0 WHERE owner LIKE 'process/%'")
	ok(t, err)
	n, err := r.RowsAffected()
	ok(t, err)
	return n
}
