package webhook_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/outbound"
	"github.com/kabar-io/kabar/internal/webhook"
)

// receiver is an HTTP server that keeps what it accepted, once for each id, and
// checks the signature of everything with another's library.
type receiver struct {
	*httptest.Server
	t      *testing.T
	secret atomic.Value                         // a string, once it is known
	answer func(e event, w http.ResponseWriter) // static; nil accepts

	mu    sync.Mutex
	got   []event         // guarded by mu: what was accepted, in order
	ids   map[string]bool // guarded by mu
	head  http.Header     // guarded by mu: of the last
	tried int             // guarded by mu
}

func receive(t *testing.T, answer func(e event, w http.ResponseWriter)) *receiver {
	t.Helper()
	r := &receiver{t: t, answer: answer, ids: map[string]bool{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried++
	r.head = q.Header
	e := parse(body)
	if secret, ok := r.secret.Load().(string); ok {
		wh, err := standard.NewWebhook(secret)
		if err == nil {
			err = wh.Verify(body, q.Header)
		}
		if err != nil {
			r.t.Errorf("the public library says of %s: %v", e.Data, err)
		}
	}
	if q.Header.Get("webhook-id") != e.ID || !json.Valid(body) {
		r.t.Errorf("the id %s is of %s", q.Header.Get("webhook-id"), body)
	}
	answered := &status200{ResponseWriter: w, code: 200}
	if r.answer != nil {
		r.answer(e, answered)
	}
	if answered.code/100 == 2 && !r.ids[e.ID] {
		r.ids[e.ID] = true
		r.got = append(r.got, e)
	}
}

type status200 struct {
	http.ResponseWriter
	code int
}

func (s *status200) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (r *receiver) list() []event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// isOnce says whether events with these ids, and no others, were accepted in
// the order of the ids.
func (r *receiver) isOnce(ids []string) error {
	list := r.list()
	for n, e := range list {
		if n >= len(ids) || e.ID != ids[n] || n > 0 && e.Seq != list[n-1].Seq+1 {
			return fmt.Errorf("the %d. is %s, number %d", n+1, e.ID, e.Seq)
		}
	}
	if len(list) != len(ids) {
		return fmt.Errorf("%d of %d came", len(list), len(ids))
	}
	return nil
}

// TestDelivery sees what a receiver gets, and that one that was away gets all of
// it once, in order.
func TestDelivery(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	var down atomic.Bool
	r := receive(t, func(_ event, w http.ResponseWriter) {
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	ref, id := w.create("größe")
	w.emit(ref, 100, 102) // before it was there
	hook, secret := w.set(ref, r.URL+"/in?a=b")
	r.secret.Store(secret)
	ids := w.emit(ref, 1, 150)
	w.until("they came", func() bool { return len(r.list()) == 150 })
	w.ok(r.isOnce(ids))
	r.mu.Lock()
	h := r.head
	r.mu.Unlock()
	if h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "Kabar-Webhook/7" || h.Get("Resource-Owner") != "gr%C3%B6%C3%9Fe" {
		t.Errorf("the head is %v", h)
	}
	first := r.list()[0]
	if first.Event != "messages.upsert" || first.Instance.ID != id || first.Instance.Name != "größe" || first.Seq != 4 || string(first.Data) != "1" {
		t.Errorf("the first is %+v", first)
	}
	owner := "628@s.whatsapp.net"
	_, err := w.instances.Update(bg, ref, instance.Changes{OwnerJid: &owner})
	w.ok(err)

	down.Store(true)
	ids = append(ids, w.emit(ref, 151, 400)...)
	w.until("it is on hold", func() bool { return !w.find(ref).Hold.Since.IsZero() })
	ids = append(ids, w.emit(ref, 401, 500)...)
	down.Store(false)
	w.set(ref, r.URL) // it is tried at once
	w.until("they came", func() bool { return len(r.list()) == 500 })
	w.ok(r.isOnce(ids))
	r.mu.Lock()
	if h := r.head; h.Get("Resource-Owner") != owner {
		t.Errorf("the head is %v", h)
	}
	r.mu.Unlock()
	if got := w.find(ref); got.ID != hook.ID || got.Hold != (webhook.Hold{}) || got.Error != "" {
		t.Errorf("it is %+v", got)
	}
}

// TestNothingIsLost kills the server between an event's commit and its
// delivery, again and again: all of them come, in order, and no number is left
// out.
func TestNothingIsLost(t *testing.T) {
	folder := t.TempDir()
	r := receive(t, nil)
	var ids []string
	w := start(t, folder, webhook.Options{Sender: loopback(t)})
	ref, _ := w.create("a")
	_, secret := w.set(ref, r.URL)
	r.secret.Store(secret)
	for n := range 8 {
		ids = append(ids, w.emit(ref, n*50+1, n*50+50)...)
		if n%2 == 0 {
			w.until("some came", func() bool { return len(r.list()) > n*50 })
		}
		w.die()
		w = start(t, folder, webhook.Options{Sender: loopback(t)})
	}
	w.until("they came", func() bool { return len(r.list()) >= len(ids) })
	w.ok(r.isOnce(ids))
	if r.list()[0].Seq != 1 {
		t.Error("the first is missing")
	}
}

// TestParkedIsNotLost kills the server after an event was parked.
func TestParkedIsNotLost(t *testing.T) {
	folder := t.TempDir()
	var open atomic.Bool
	r := receive(t, func(e event, w http.ResponseWriter) {
		if string(e.Data) == "2" && !open.Load() {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	})
	w := start(t, folder, webhook.Options{Sender: loopback(t)})
	ref, _ := w.create("a")
	w.set(ref, r.URL)
	w.emit(ref, 1, 3)
	w.until("the others came", func() bool { return len(r.list()) == 2 })
	w.die()
	open.Store(true)
	w = start(t, folder, webhook.Options{Sender: loopback(t)})
	w.set(ref, r.URL) // the parked are due
	w.until("it came", func() bool { return len(r.list()) == 3 })
	if late := r.list()[2]; late.Seq != 2 || string(late.Data) != "2" {
		t.Errorf("it is %+v", late)
	}
}

// TestOthersAreNotHeldUp sees that receivers that answer never, slowly or with
// nonsense cost the others nothing, nor the producer.
func TestOthersAreNotHeldUp(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	stuck := make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	w.ok(err)
	defer l.Close()
	never := receive(t, func(event, http.ResponseWriter) { <-stuck })
	defer close(stuck)
	var bad []instance.Ref
	for n, to := range []string{never.URL, "http://" + l.Addr().String(), "http://127.0.0.1:1", "http://10.0.0.1/", "http://[::ffff:169.254.169.254]/"} {
		ref, _ := w.create(fmt.Sprint("bad", n))
		w.set(ref, to)
		w.emit(ref, 1, 3)
		bad = append(bad, ref)
	}
	r := receive(t, nil)
	ref, _ := w.create("good")
	_, secret := w.set(ref, r.URL)
	r.secret.Store(secret)
	ids := w.emit(ref, 1, 300)
	w.until("they came", func() bool { return len(r.list()) == 300 })
	w.ok(r.isOnce(ids))
	for _, ref := range bad[3:] {
		w.until("it is said why", func() bool {
			h := w.find(ref)
			return h.Error == outbound.ErrForbidden.Message && !h.Hold.Since.IsZero()
		})
	}
	w.until("it is said why", func() bool { return w.find(bad[2]).Error == "the connection failed: connection refused" })
}

// TestStopsAtOnce sees that a try that is under way does not hold up the end.
func TestStopsAtOnce(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t), Attempt: time.Hour})
	stuck, tried := make(chan struct{}), make(chan struct{}, 1)
	r := receive(t, func(event, http.ResponseWriter) {
		tried <- struct{}{}
		<-stuck
	})
	defer close(stuck)
	ref, _ := w.create("a")
	w.set(ref, r.URL)
	w.emit(ref, 1, 1)
	<-tried
	w.stop()
}

func TestOnlyWhatWasAskedFor(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	r := receive(t, nil)
	ref, _ := w.create("a")
	set := func(events map[string]bool) webhook.Webhook {
		h, _, err := w.Set(bg, ref, webhook.Spec{URL: r.URL, Enabled: true, Events: events})
		w.ok(err)
		return h
	}
	h := set(map[string]bool{"chats.set": true, "messages.upsert": false, "messaging-history.set": true})
	if !slices.Equal(h.Events, []string{"chats.set", "messaging-history.set"}) {
		t.Errorf("it gets %v", h.Events)
	}
	emit := func(names ...string) {
		for _, name := range names {
			_, err := w.instances.Emit(ref, []instance.Event{{Name: name}}, noKey).Wait(bg)
			w.ok(err)
		}
	}
	names := func() (all []string) {
		for _, e := range r.list() {
			all = append(all, e.Event)
		}
		return all
	}
	emit("messages.upsert", "chats.set", "chats.update", "messaging-history.set", "messages.upsert")
	want := []string{"chats.set", "messaging-history.set"}
	w.until("they came", func() bool { return len(r.list()) == 2 })
	w.until("all is passed", func() bool {
		at, _, err := w.acked.Position(bg, fmt.Sprintf("webhook/%d", h.ID))
		w.ok(err)
		return at == 5
	})
	if h = set(nil); h.Events != nil {
		t.Errorf("it gets %v", h.Events)
	}
	emit("chats.update", "messaging-history.set")
	want = append(want, "chats.update", "messaging-history.set")
	w.until("they came", func() bool { return len(r.list()) == 4 })
	if h = set(map[string]bool{"chats.set": false}); h.Events == nil || len(h.Events) != 0 || len(w.find(ref).Events) != 0 || w.find(ref).Events == nil {
		t.Errorf("it gets %v", h.Events)
	}
	emit("chats.set")
	if !slices.Equal(names(), want) {
		t.Errorf("got %v", names())
	}
}

// TestGlobal sees the webhook of all instances.
func TestGlobal(t *testing.T) {
	folder := t.TempDir()
	r := receive(t, nil)
	g := &webhook.GlobalOptions{URL: r.URL, Secret: "whsec_" + strings.Repeat("aGVs", 8)}
	r.secret.Store(g.Secret)
	w := start(t, folder, webhook.Options{Sender: loopback(t), Global: g})
	w.until("it is there", func() bool { list, err := w.List(bg, 0, 9); return err == nil && len(list) == 1 })
	a, idA := w.create("a")
	b, idB := w.create("b")
	ids := w.emit(a, 1, 2)
	ids = append(ids, w.emit(b, 3, 3)...)
	w.until("they came", func() bool { return len(r.list()) == 3 })
	for n, e := range r.list() {
		seq, of := []uint64{1, 2, 1}[n], []uint64{idA, idA, idB}[n]
		if e.ID != ids[n] || e.Seq != seq || e.Instance.ID != of {
			t.Errorf("%d is %+v", n, e)
		}
	}
	_, err := w.instances.Delete(bg, a)
	w.ok(err)
	w.emit(b, 4, 4)
	w.until("it goes on", func() bool { return len(r.list()) == 4 })
	list, err := w.List(bg, 0, 9)
	if err != nil || list[0].Instance != 0 || list[0].URL != r.URL {
		t.Fatalf("%+v, %v", list, err)
	}
	_, err = w.Rotate(bg, noToken, list[0].ID, 0, "")
	w.refused(err, webhook.ErrOfConfig)
	w.stop()

	// It goes with the configuration, and comes back where it stood.
	w = start(t, folder, webhook.Options{Sender: loopback(t)})
	w.until("it is off", func() bool { list, err = w.List(bg, 0, 9); return err == nil && len(list) == 1 && !list[0].Enabled })
	w.emit(b, 5, 5)
	w.stop()
	g.Events = []string{"messages.upsert"}
	w = start(t, folder, webhook.Options{Sender: loopback(t), Global: g})
	w.emit(b, 6, 6)
	w.until("they came", func() bool { return len(r.list()) == 6 })
	w.stop()
	version := func() uint64 { row, _, _ := w.store.Webhooks().WebhookOf(bg, 0); return row.Version }
	w = start(t, folder, webhook.Options{Sender: loopback(t), Global: g})
	before := version()
	w.emit(b, 7, 7)
	w.until("it came", func() bool { return len(r.list()) == 7 })
	if version() != before {
		t.Error("what is the same was set again")
	}
}

// TestRotate sees that a new secret is taken at once, and the old one for a day.
func TestRotate(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	r := receive(t, nil)
	ref, _ := w.create("a")
	hook, old := w.set(ref, r.URL)
	fresh := w.rotate(hook.ID)
	if fresh == old || !strings.HasPrefix(fresh, "whsec_") {
		t.Errorf("%s is no new secret", fresh)
	}
	for n, secret := range []string{old, fresh} {
		r.secret.Store(secret)
		w.emit(ref, n, n)
		w.until("it came", func() bool { return len(r.list()) == n+1 })
	}
	again := w.rotate(hook.ID)
	for n, secret := range []string{again, fresh} {
		r.secret.Store(secret)
		w.emit(ref, n+2, n+2)
		w.until("it came", func() bool { return len(r.list()) == n+3 })
	}
	_, err := w.Rotate(bg, noToken, 999, 0, "")
	w.refused(err, webhook.ErrNotFound)
}

// TestSecretsAreSealed looks for a secret wherever it must not be.
func TestSecretsAreSealed(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, webhook.Options{Sender: loopback(t)})
	r := receive(t, nil)
	ref, _ := w.create("a")
	hook, secret := w.set(ref, r.URL)
	if _, again := w.set(ref, r.URL); again != "" {
		t.Error("the secret is told again")
	}
	fresh := w.rotate(hook.ID)
	w.emit(ref, 1, 1)
	w.until("it came", func() bool { return len(r.list()) == 1 })
	r.Close()
	w.emit(ref, 2, 2)
	w.until("it is on hold", func() bool { return !w.find(ref).Hold.Since.IsZero() })
	w.stop()
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	w.ok(err)
	all := w.log.String()
	for _, f := range files {
		b, err := os.ReadFile(f)
		w.ok(err)
		all += string(b)
	}
	for _, s := range []string{secret, fresh} {
		if strings.Contains(all, strings.TrimPrefix(s, "whsec_")) {
			t.Error("a secret can be read in the data folder, or in the log")
		}
	}
	// With another key nothing is sent, and it is said.
	other := slices.Clone(key)
	other[0]++
	w = start(t, folder, webhook.Options{Sender: loopback(t), Key: other})
	w.set(ref, r.URL)
	w.until("it is said", func() bool { return w.find(ref).Error == "the server could not sign it" })
}

func TestSet(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	ref, id := w.create("a")
	_, err := w.Find(bg, ref)
	w.refused(err, webhook.ErrNotFound)
	for _, to := range []string{
		"", "/x", "x.test", "ftp://x.test", "http://", "http:///x", "http://:80/", "https://u@x.test", "https://u:p@x.test/", "https://x.test/#f", "https://x.test/#",
		"https://x.test/" + strings.Repeat("x", 2048), "https://x.test/\x00", "https://x.test/\xff", "javascript:alert(1)", "http://[::1", "mailto:a@x.test",
	} {
		_, _, err := w.Set(bg, ref, webhook.Spec{URL: to})
		w.refused(err, webhook.ErrURLInvalid)
	}
	_, _, err = w.Set(bg, ref, webhook.Spec{URL: "https://x.test", Events: map[string]bool{"messages.upsrt": true}})
	if err == nil || !strings.Contains(err.Error(), "messages.upsert") {
		t.Errorf("an unknown event: %v", err)
	}
	_, _, err = w.Set(bg, instance.ByName("nobody"), webhook.Spec{URL: "https://x.test"})
	w.refused(err, instance.ErrNotFound)
	h, secret, err := w.Set(bg, ref, webhook.Spec{URL: "https://x.test/" + strings.Repeat("x", 2048-15)})
	if err != nil || !strings.HasPrefix(secret, "whsec_") || h.Instance != id || h.Enabled || h.Events != nil {
		t.Errorf("%+v, %v", h, err)
	}
	got, err := w.Get(bg, h.ID)
	if err != nil || got.ID != h.ID {
		t.Errorf("%+v, %v", got, err)
	}
	// Two at once make one.
	ref, _ = w.create("b")
	var made atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, secret, err := w.Set(bg, ref, webhook.Spec{URL: "https://x.test"}); err == nil && secret != "" {
				made.Add(1)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("%d were made", made.Load())
	}
	if list, err := w.List(bg, h.ID, 9); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	// By a token that has ended.
	i, token, err := w.instances.Create(bg, instance.Spec{Name: "c"})
	w.ok(err)
	a, err := w.instances.Authenticate(bg, token.Text)
	w.ok(err)
	_, err = w.instances.RefreshToken(bg, instance.ByID(i.ID), token.Text)
	w.ok(err)
	_, _, err = w.Set(bg, a.Ref(), webhook.Spec{URL: "https://x.test"})
	w.refused(err, instance.ErrTokenEnded)
}

// TestOneWorkerKnows sees that a worker of an older version writes nothing.
func TestOneWorkerKnows(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	ref, _ := w.create("a")
	h, _, err := w.Set(bg, ref, webhook.Spec{URL: "http://x"})
	w.ok(err)
	row, _, err := w.store.Webhooks().Webhook(bg, h.ID)
	w.ok(err)
	w.ok(w.ChangeAs(bg, h.ID, row.Version))
	if got := w.find(ref).Error; got != "changed" {
		t.Errorf("the one that knows wrote %q", got)
	}
	_, _, err = w.Set(bg, ref, webhook.Spec{URL: "http://y"})
	w.ok(err)
	w.refused(w.ChangeAs(bg, h.ID, row.Version), webhook.ErrOutdated)
	w.refused(w.ChangeAs(bg, 999, 1), webhook.ErrOutdated)
	if got := w.find(ref); got.Error != "" || got.URL != "http://y" {
		t.Errorf("the other wrote %+v", got)
	}
}

func TestOptions(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	secret := "whsec_" + strings.Repeat("aGVs", 8)
	for name, o := range map[string]webhook.Options{
		"nothing":   {},
		"short key": {Key: key[:31]},
		"url":       {Key: key, Global: &webhook.GlobalOptions{URL: "x", Secret: secret}},
		"secret":    {Key: key, Global: &webhook.GlobalOptions{URL: "http://x", Secret: "x"}},
		"event":     {Key: key, Global: &webhook.GlobalOptions{URL: "http://x", Secret: secret, Events: []string{"x"}}},
		"time":      {Key: key, Attempt: -1},
	} {
		if name != "nothing" {
			o.Journal, o.Store, o.Hub, o.Acked, o.Instances, o.Sender = w.journal, w.store.Webhooks(), w.hub, w.acked, w.instances, loopback(t)
		}
		if _, err := webhook.New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
