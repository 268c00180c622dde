package retention_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/retention"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/storetest"
	"github.com/kabar-io/kabar/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a store with a journal, which can be killed and opened again.
type world struct {
	t       *testing.T
	folder  string
	store   *store.Store
	journal *journal.Journal
	stop    func()
	kinds   []retention.Kind
	keeper  *retention.Service
}

func open(t *testing.T, kinds ...retention.Kind) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir(), kinds: kinds}
	w.start()
	return w
}

func (w *world) start() {
	w.store, w.journal, w.stop = storetest.Start(w.t, w.folder)
	w.keeper = retention.New(retention.Options{Journal: w.journal, Store: w.store.Retention(), Kinds: w.kinds})
}

func (w *world) restart() {
	w.stop()
	w.start()
}

// crash goes on with the files as they are at this moment: what a server leaves
// that is killed.
func (w *world) crash() {
	w.t.Helper()
	folder := w.t.TempDir()
	for _, name := range []string{"kabar.db", "kabar.db-wal"} {
		b, err := os.ReadFile(filepath.Join(w.folder, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), b, 0o600)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	w.stop()
	w.folder = folder
	w.start()
}

// holds says whether the text stands anywhere in the folder's files.
func (w *world) holds(text string) bool {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.folder, "*"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			w.t.Fatal(err)
		}
		if bytes.Contains(b, []byte(text)) {
			return true
		}
	}
	return false
}

func (w *world) do(c journal.Change) []*journal.Message {
	w.t.Helper()
	r, err := w.journal.Do(c).Wait(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Messages
}

func (w *world) pass() {
	w.t.Helper()
	if err := w.keeper.Pass(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func say(text string, topics ...string) journal.Change {
	return journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		return []*journal.Message{{Kind: "said", Entries: journal.To(topics...), Data: []byte(text)}}, nil
	})
}

// model is what must be found: the simplest thing that keeps messages.
type model struct {
	said  map[string][]string // by topic, all that ever was
	floor map[string]int
	rows  map[string]*journal.Message // by text
}

// check compares all that can be read with the model, and what cannot.
func (w *world) check(m *model) {
	w.t.Helper()
	ctx := w.t.Context()
	for topic, said := range m.said {
		floor := max(1, m.floor[topic])
		if head, err := w.journal.Head(ctx, topic); err != nil || head != uint64(len(said)) {
			w.t.Fatalf("%s stands at %d, %v; want %d", topic, head, err, len(said))
		}
		if f, err := w.journal.Floor(ctx, topic); err != nil || f != uint64(floor) {
			w.t.Fatalf("%s begins at %d, %v; want %d of %d", topic, f, err, floor, len(said))
		}
		ms, err := w.journal.Read(ctx, topic, uint64(floor-1), 1000)
		if err != nil {
			w.t.Fatalf("%s from %d: %v", topic, floor, err)
		}
		var got []string
		for _, m := range ms {
			got = append(got, string(m.Data))
		}
		if want := said[floor-1:]; strings.Join(got, " ") != strings.Join(want, " ") {
			w.t.Fatalf("%s from %d: %v, want %v", topic, floor, got, want)
		}
		if _, err := w.journal.Read(ctx, topic, uint64(max(floor-2, 0)), 1); floor > 1 && !errors.Is(err, journal.ErrExpired) {
			w.t.Fatalf("%s below %d: %v", topic, floor, err)
		}
	}
	for text, was := range m.rows {
		kept := false
		for _, e := range was.Entries {
			kept = kept || int(e.Seq) >= m.floor[e.Topic]
		}
		if _, err := w.journal.Find(ctx, was.ID); kept && err != nil || !kept && !errors.Is(err, journal.ErrNoMessage) {
			w.t.Fatalf("%q in %v: kept %v, found %v", text, was.Entries, kept, err)
		}
	}
}

// TestAgainstAModel says things in random topics, sweeps by random policies,
// kills the server between and in passes, and compares what is left with what
// the policies mean when they are said in a line each.
func TestAgainstAModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			count, size := uint64(r.IntN(9)), int64(r.IntN(2)*(200+r.IntN(900)))
			w := open(t,
				retention.Kind{Name: "user", Policy: retention.Policy{Count: count, Bytes: size}},
				retention.Kind{Name: "room", Policy: retention.Policy{Count: uint64(r.IntN(2) * 20)}},
				retention.Kind{Name: "feed", Policy: retention.Policy{Age: time.Nanosecond}})
			m := &model{said: map[string][]string{}, floor: map[string]int{}, rows: map[string]*journal.Message{}}
			names := []string{"user/1", "user/2", "user/3", "user", "room/1", "feed", "feedback", "bot/a"}
			sizes := map[string]int{}
			n := 0
			for range 4 + r.IntN(4) {
				for range r.IntN(40) {
					n++
					text := fmt.Sprintf("%d-%s", n, strings.Repeat("x", r.IntN(40)))
					r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
					said := w.do(say(text, names[:1+r.IntN(3)]...))[0]
					m.rows[text] = said
					for _, e := range said.Entries {
						m.said[e.Topic] = append(m.said[e.Topic], text)
					}
					st, err := w.journal.Scan(t.Context(), 0, 1000)
					if err != nil {
						t.Fatal(err)
					}
					sizes[text] = st[len(st)-1].Size
				}
				switch r.IntN(4) {
				case 0:
					w.restart()
				case 1: // cut off somewhere
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(8000))*time.Microsecond)
					_ = w.keeper.Pass(ctx)
					cancel()
					w.crash()
				case 2:
					w.crash()
				}
				w.pass()
				m.sweep(w.kinds, sizes)
				w.check(m)
			}
			w.restart()
			w.check(m)
		})
	}
}

// sweep is what the policies mean.
func (m *model) sweep(kinds []retention.Kind, sizes map[string]int) {
	for topic, said := range m.said {
		for _, k := range kinds {
			if topic != k.Name && !strings.HasPrefix(topic, k.Name+"/") {
				continue
			}
			floor := max(1, m.floor[topic])
			if k.Age > 0 {
				floor = len(said) + 1
			}
			if k.Count > 0 {
				floor = max(floor, len(said)+1-int(k.Count))
			}
			if k.Bytes > 0 {
				sum := int64(0)
				for i := len(said); i >= 1; i-- {
					if sum += int64(sizes[said[i-1]]); sum > k.Bytes {
						floor = max(floor, i+1)
						break
					}
				}
			}
			m.floor[topic] = floor
		}
	}
}

// TestNothingToDoCostsNothing: a pass over what is all kept asks a few
// statements, however much there is, and writes nothing.
func TestNothingToDoCostsNothing(t *testing.T) {
	w := open(t, retention.Kind{Name: "user", Policy: retention.Policy{Age: time.Hour}},
		retention.Kind{Name: "room", Policy: retention.Policy{Age: time.Hour, Count: 10}, Spare: time.Minute})
	var wg sync.WaitGroup
	for i := range 3000 {
		wg.Add(1)
		w.journal.Do(say("x", fmt.Sprint("user/", i), "room/1")).Then(func(journal.Result, error) { wg.Done() })
	}
	wg.Wait()
	w.pass() // looks at refs and positions, too
	written, read := w.store.Statements()
	commits := w.journal.Stats().Commits
	w.pass()
	writtenThen, readThen := w.store.Statements()
	if writtenThen != written || w.journal.Stats().Commits != commits {
		t.Errorf("%d statements were written in %d commits", writtenThen-written, w.journal.Stats().Commits-commits)
	}
	if n := readThen - read; n > 12 {
		t.Errorf("%d statements were read", n)
	}
}

// TestWhatIsDeletedIsNowhere looks for texts in the files: rows that were
// swept, short and long, and what a message said before it was rewritten.
func TestWhatIsDeletedIsNowhere(t *testing.T) {
	w := open(t, retention.Kind{Name: "user", Policy: retention.Policy{Count: 2}})
	long := strings.Repeat("all-of-a-long-secret ", 2000)
	for range 20 {
		for _, text := range []string{"a-short-secret", long, "a-secret-of-two"} {
			w.do(say(text, "user/1"))
		}
	}
	both := w.do(say("a-shared-secret", "user/1", "room/1"))[0]
	edited := w.do(say("an-edited-secret", "room/1"))[0]
	w.do(say("kept", "user/1"))
	w.do(say("kept-too", "user/1"))
	w.do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		now := *edited
		now.Data = []byte("edited")
		return nil, tx.Rewrite(&now)
	}))
	if !w.holds("a-short-secret") || !w.holds("an-edited-secret") {
		t.Fatal("the files do not hold what was said: this test finds nothing")
	}
	w.pass()
	for _, text := range []string{"a-short-secret", "of-a-long-secret", "a-secret-of-two", "an-edited-secret"} {
		if w.holds(text) {
			t.Errorf("%q is in the files", text)
		}
	}
	for _, text := range []string{"a-shared-secret", "kept", "kept-too", "edited"} {
		if !w.holds(text) {
			t.Errorf("%q is not in the files", text)
		}
	}
	if m, err := w.journal.Find(t.Context(), edited.ID); err != nil || string(m.Data) != "edited" || m.Seq("room/1") != 2 || !m.Time.Equal(edited.Time) {
		t.Errorf("it reads %+v, %v", m, err)
	}
	if _, err := w.journal.Find(t.Context(), both.ID); err != nil {
		t.Errorf("what a room keeps: %v", err)
	}
}

// TestKeysAndPositionsGo: keys that are too old or too many are forgotten, and
// positions whose owner is gone; the others stay.
func TestKeysAndPositionsGo(t *testing.T) {
	w := open(t)
	w.keeper = retention.New(retention.Options{Journal: w.journal, Store: w.store.Retention(), RefKeep: 3})
	for i := range 1200 {
		w.journal.DoOnce(journal.Key{Scope: "many", Ref: strconv.Itoa(i)}, say("x", "a"))
	}
	for i := range 3 {
		w.journal.DoOnce(journal.Key{Scope: "few", Ref: strconv.Itoa(i)}, say("x", "a"))
	}
	w.do(say("x", "a"))
	w.restart() // which stores the index
	w.keeper = retention.New(retention.Options{Journal: w.journal, Store: w.store.Retention(), RefKeep: 3})
	acked := []hub.Acked{{Owner: "login/7", Topic: "user/1", Seq: 1}, {Owner: "login/7/relay", Topic: "user/1", Seq: 1},
		{Owner: "consumer/9/billing", Topic: "instance/9", Seq: 1}, {Owner: "process/p/9", Topic: "instance/9", Seq: 1},
		{Owner: "webhook/1", Topic: "instance/9", Seq: 1}, {Owner: "webhook/2", Topic: "instance/9", Seq: 1}}
	w.do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		if err := w.store.Webhooks().In(tx).AddWebhook(t.Context(), webhook.Row{Webhook: webhook.Webhook{ID: 1, Instance: 9}}); err != nil {
			return nil, err
		}
		return nil, w.store.SavePositions(tx, acked)
	}))
	w.pass()
	refs, err := w.store.Retention().Refs(t.Context(), journal.Key{}, 5000)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, r := range refs {
		left = append(left, r.Scope+r.Key.Ref)
	}
	if got := strings.Join(left, " "); got != "few0 few1 few2 many1197 many1198 many1199" {
		t.Errorf("%d are left: %.200s", len(left), got)
	}
	for _, a := range acked {
		_, ok, err := w.store.Position(t.Context(), a.Owner)
		if err != nil || ok != (a.Owner == "webhook/1") {
			t.Errorf("%s: %v, %v", a.Owner, ok, err)
		}
	}
}

// TestAPolicyBecomesStricter: what was looked at under the old one goes, too,
// though nobody says anything any more.
func TestAPolicyBecomesStricter(t *testing.T) {
	w := open(t, retention.Kind{Name: "room", Policy: retention.Policy{Count: 8}}, retention.Kind{Name: "user", Policy: retention.Policy{Bytes: 1000}})
	for range 10 {
		w.do(say(strings.Repeat("x", 50), "room/1", "user/1"))
	}
	w.pass()
	first := func(topic string) uint64 {
		floor, err := w.journal.Floor(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		return floor
	}
	if r, u := first("room/1"), first("user/1"); r != 3 || u != 1 {
		t.Fatalf("they begin at %d and %d", r, u)
	}
	w.kinds = []retention.Kind{{Name: "room", Policy: retention.Policy{Count: 3}}, {Name: "user", Policy: retention.Policy{Bytes: 300}}}
	w.restart()
	w.pass()
	if r, u := first("room/1"), first("user/1"); r != 8 || u <= 6 || u > 10 {
		t.Errorf("they begin at %d and %d", r, u)
	}
}

// TestManyTopicsTakeTheirTurns: messages that are in thousands of topics do not
// have the writer move all their beginnings at once.
func TestManyTopicsTakeTheirTurns(t *testing.T) {
	w := open(t, retention.Kind{Name: "user", Policy: retention.Policy{Age: time.Nanosecond}})
	for m := range 3 {
		topics := make([]string, 2000)
		for i := range topics {
			topics[i] = fmt.Sprint("user/", m, "-", i)
		}
		w.do(say("x", topics...))
	}
	before := w.journal.Stats()
	w.pass()
	after := w.journal.Stats()
	if n := after.Changes - before.Changes; n < 6000/500 {
		t.Errorf("6,000 topics were dealt with in %d changes", n)
	}
	if n := after.Swept - before.Swept; n != 3 {
		t.Errorf("%d rows were swept", n)
	}
}

// TestWhatWasLookedAtIsNotAgain, though there was nothing to do in it and what
// follows is too young.
func TestWhatWasLookedAtIsNotAgain(t *testing.T) {
	w := open(t)
	speak := func(n int) {
		var wg sync.WaitGroup
		for range n {
			wg.Add(1)
			w.journal.Do(say("x", "bot/1")).Then(func(journal.Result, error) { wg.Done() })
		}
		wg.Wait()
	}
	speak(300)
	time.Sleep(500 * time.Millisecond)
	began := time.Now()
	time.Sleep(500 * time.Millisecond)
	speak(3000)
	w.keeper = retention.New(retention.Options{Journal: w.journal, Store: w.store.Retention(),
		Kinds: []retention.Kind{{Name: "room", Policy: retention.Policy{Age: time.Since(began)}}}})
	w.pass()
	if pos, err := w.store.Retention().Scanned(t.Context(), "room.age"); err != nil || pos < 300 {
		t.Errorf("it comes as far as %d, %v", pos, err)
	}
}

// TestWhatBecameShorter: a topic whose messages were rewritten is as long as
// they are now, and nothing more is deleted of it.
func TestWhatBecameShorter(t *testing.T) {
	w := open(t, retention.Kind{Name: "room", Policy: retention.Policy{Bytes: 4000}})
	for range 6 {
		long := w.do(say(strings.Repeat("x", 500), "room/1"))[0]
		w.pass()
		w.do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
			now := *long
			now.Data = []byte("deleted")
			return nil, tx.Rewrite(&now)
		}))
	}
	for range 4 {
		w.do(say(strings.Repeat("x", 500), "room/1"))
		w.pass()
	}
	if floor, err := w.journal.Floor(t.Context(), "room/1"); err != nil || floor != 1 {
		t.Errorf("it begins at %d, %v", floor, err)
	}
}
