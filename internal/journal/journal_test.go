package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a journal on a real store, until stop.
type running struct {
	*journal.Journal
	folder string
	store  journal.Store
	stop   func()
}

func start(t testing.TB, folder string, sink func([]*journal.Message), wrap func(journal.Store) journal.Store) *running {
	t.Helper()
	st, err := storetest.Open(t, folder)
	if err != nil {
		t.Fatal(err)
	}
	o := journal.Options{Store: st}
	if sink == nil {
		sink = func([]*journal.Message) {}
	}
	if wrap != nil {
		o.Store = wrap(st)
	}
	j, err := journal.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx, sink) }()
	var once sync.Once
	r := &running{Journal: j, folder: folder, store: st}
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

func say(text string, topics ...string) journal.Change {
	return journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		return []*journal.Message{{Entries: journal.To(topics...), Kind: "said", From: 7, Data: []byte(text)}}, nil
	})
}

func must(t testing.TB, p *journal.Pending) journal.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := p.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func texts(ms []*journal.Message) (out []string) {
	for _, m := range ms {
		out = append(out, string(m.Data))
	}
	return out
}

func TestNumbersHaveNoHolesAndTheSinkComesFirst(t *testing.T) {
	var mu sync.Mutex
	heard := map[string]bool{}
	var last uint64
	j := start(t, t.TempDir(), func(ms []*journal.Message) {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range ms {
			heard[m.ID] = true
			if s := m.Seq("room/1"); s != last+1 {
				t.Errorf("the sink got %d after %d", s, last)
			}
			last++
		}
	}, nil)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 200 {
				r := must(t, j.Do(say(fmt.Sprintf("%d-%d", w, i), "room/1", fmt.Sprintf("user/%d", w))))
				mu.Lock()
				if !heard[r.Messages[0].ID] {
					t.Errorf("%s was done before the sink had it", r.Messages[0].ID)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	ms, err := j.Read(t.Context(), "user/3", 0, 1000)
	if err != nil || len(ms) != 200 {
		t.Fatalf("user/3 has %d messages, %v", len(ms), err)
	}
	for i, m := range ms {
		if want := fmt.Sprintf("3-%d", i); string(m.Data) != want || m.Seq("user/3") != uint64(i+1) {
			t.Fatalf("message %d is %s at %d", i, m.Data, m.Seq("user/3"))
		}
	}
}

func TestAChangeThatFailsFailsAlone(t *testing.T) {
	j := start(t, t.TempDir(), nil, nil)
	no := status.Errorf(status.Forbidden, "NO", "no")
	var ps []*journal.Pending
	for i := range 30 {
		switch i % 3 {
		case 0:
			ps = append(ps, j.Do(say("kept", "a")))
		case 1:
			ps = append(ps, j.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) { return nil, no })))
		case 2:
			ps = append(ps, j.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) { panic("oh") })))
		}
	}
	for i, p := range ps {
		_, err := p.Wait(t.Context())
		switch {
		case i%3 == 0 && err != nil, i%3 == 1 && !errors.Is(err, no), i%3 == 2 && err == nil:
			t.Fatalf("change %d: %v", i, err)
		}
	}
	if h, err := j.Head(t.Context(), "a"); h != 10 || err != nil {
		t.Fatalf("head is %d, %v", h, err)
	}
}

func TestAKeyHappensOnce(t *testing.T) {
	folder := t.TempDir()
	j := start(t, folder, nil, nil)
	key := journal.Key{Scope: "login/1", Ref: "a"}
	var mu sync.Mutex
	ids, repeats := map[string]int{}, 0
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			r := must(t, j.DoOnce(key, say("x", "a", "b")))
			mu.Lock()
			defer mu.Unlock()
			ids[r.Messages[0].ID]++
			if r.Repeated {
				repeats++
			}
		})
	}
	wg.Wait()
	if len(ids) != 1 || repeats != 19 {
		t.Fatalf("%d ids, %d repeats", len(ids), repeats)
	}
	refused := journal.Key{Scope: "login/1", Ref: "b"}
	if _, err := j.DoOnce(refused, journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) { return nil, errors.New("no") })).Wait(t.Context()); err == nil {
		t.Fatal("a change that fails was done")
	}
	if r := must(t, j.DoOnce(refused, say("now", "a"))); r.Repeated {
		t.Fatal("a refused key was remembered")
	}
	j.stop()
	j = start(t, folder, nil, nil)
	r := must(t, j.DoOnce(key, say("other", "a")))
	if !r.Repeated || ids[r.Messages[0].ID] == 0 || string(r.Messages[0].Data) != "x" || r.Messages[0].Seq("b") != 1 {
		t.Fatalf("after a restart the key gave %+v", r)
	}
	if r := must(t, j.DoOnce(journal.Key{Scope: "login/2", Ref: "a"}, say("y", "a"))); r.Repeated {
		t.Fatal("a key counted in another scope")
	}
}

func TestReadingAcrossWhatIsStoredAndWhatIsInMemory(t *testing.T) {
	folder := t.TempDir()
	j := start(t, folder, nil, nil)
	const n = 16000 // seven entries each: the index is stored on the way, and the rest is hot
	ps := make([]*journal.Pending, n)
	for i := range ps {
		topics := []string{"feed", fmt.Sprintf("room/%d", i%97), "1", "2", "3", "4", "5"}
		if i < n/10 {
			topics = append(topics, "early", "again") // and then no more
		}
		ps[i] = j.Do(say(strconv.Itoa(i+1), topics...))
	}
	for _, p := range ps {
		must(t, p)
	}
	if state, err := j.store.State(t.Context()); err != nil || state.Mark == 0 || state.Mark >= n {
		t.Fatalf("of %d rows the stored index has %d, %v", n, state.Mark, err)
	}
	check := func(j *journal.Journal) {
		t.Helper()
		after := uint64(0)
		for {
			ms, err := j.Read(t.Context(), "feed", after, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range ms {
				after++
				if m.Seq("feed") != after || string(m.Data) != strconv.FormatUint(after, 10) {
					t.Fatalf("at %d stands %s with %d", after, m.Data, m.Seq("feed"))
				}
			}
			if len(ms) < 1000 {
				break
			}
		}
		if after != n {
			t.Fatalf("read %d of %d", after, n)
		}
		ms, err := j.ReadBefore(t.Context(), "room/5", 0, 3)
		if err != nil || len(ms) != 3 || ms[0].Seq("room/5") != 165 || ms[2].Seq("room/5") != 163 {
			t.Fatalf("newest of room/5: %v %v", texts(ms), err)
		}
		ms, err = j.ReadBefore(t.Context(), "room/5", 3, 100)
		if err != nil || fmt.Sprint(texts(ms)) != "[103 6]" {
			t.Fatalf("oldest of room/5: %v %v", texts(ms), err)
		}
		if ms, err := j.Read(t.Context(), "feed", n, 10); err != nil || len(ms) != 0 {
			t.Fatalf("behind the head: %v %v", ms, err)
		}
		ms, err = j.Read(t.Context(), "early", n/10-2, 10)
		if head, err2 := j.Head(t.Context(), "early"); err != nil || err2 != nil || head != n/10 || fmt.Sprint(texts(ms)) != "[1599 1600]" {
			t.Fatalf("a topic that fell silent: %d, %v %v %v", head, texts(ms), err, err2)
		}
		if ms, err := j.ReadBefore(t.Context(), "early", 0, 1); err != nil || fmt.Sprint(texts(ms)) != "[1600]" {
			t.Fatalf("the newest of a topic that fell silent: %v %v", texts(ms), err)
		}
		if ms, err := j.Read(t.Context(), "early", n/10, 10); err != nil || len(ms) != 0 {
			t.Fatalf("behind the head of a topic that fell silent: %v %v", texts(ms), err)
		}
		if ms, err := j.Read(t.Context(), "nothing", 0, 10); err != nil || len(ms) != 0 {
			t.Fatalf("an empty topic: %v %v", ms, err)
		}
	}
	check(j.Journal)
	killed := copyFolder(t, folder) // as a kill −9 leaves it: the newest rows are in no stored index
	if r := must(t, j.Do(say("again", "again"))); r.Messages[0].Seq("again") != n/10+1 {
		t.Fatalf("it speaks again at %v", r.Messages[0].Entries)
	}
	j.stop()
	j = start(t, folder, nil, nil)
	check(j.Journal)
	if r := must(t, j.Do(say("again", "again"))); r.Messages[0].Seq("again") != n/10+2 {
		t.Fatalf("after a restart it speaks again at %v", r.Messages[0].Entries)
	}
	check(start(t, killed, nil, nil).Journal)
}

func copyFolder(t *testing.T, folder string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"kabar.db", "kabar.db-wal"} {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestFindByID(t *testing.T) {
	j := start(t, t.TempDir(), nil, nil)
	r := must(t, j.Do(say("hello", "a")))
	m, err := j.Find(t.Context(), r.Messages[0].ID)
	if err != nil || string(m.Data) != "hello" || m.From != 7 || !m.Time.Equal(r.Messages[0].Time) {
		t.Fatalf("found %+v, %v", m, err)
	}
	for _, id := range []string{"", "x", "1-0", "zzzzzzzzzzzzzzzzzzz-1", r.Messages[0].ID + "0", "-"} {
		if _, err := j.Find(t.Context(), id); !errors.Is(err, journal.ErrNoMessage) {
			t.Errorf("%q gave %v", id, err)
		}
	}
}

// failing is a store whose commits fail while broken is set.
type failing struct {
	journal.Store
	broken *bool
}

type failingBatch struct {
	journal.Batch
	broken *bool
}

func (f failing) Begin(ctx context.Context) (journal.Batch, error) {
	b, err := f.Store.Begin(ctx)
	return failingBatch{b, f.broken}, err
}

func (f failingBatch) Commit() error {
	if *f.broken {
		return errors.New("no space left on device")
	}
	return f.Batch.Commit()
}

func TestNothingIsAcknowledgedThatIsNotStored(t *testing.T) {
	broken := false
	heard := 0
	j := start(t, t.TempDir(), func(ms []*journal.Message) { heard += len(ms) },
		func(s journal.Store) journal.Store { return failing{s, &broken} })
	must(t, j.Do(say("1", "a")))
	broken = true
	key := journal.Key{Scope: "s", Ref: "r"}
	_, err := j.DoOnce(key, say("lost", "a")).Wait(t.Context())
	if status.Of(err).Code != status.Unavailable || j.Health() == nil {
		t.Fatalf("a full disk gave %v, health %v", err, j.Health())
	}
	broken = false
	r := must(t, j.DoOnce(key, say("2", "a")))
	if r.Repeated || r.Messages[0].Seq("a") != 2 || j.Health() != nil || heard != 2 {
		t.Fatalf("after it: %+v, health %v, heard %d", r, j.Health(), heard)
	}
}

func TestThenRunsInOrderAndAfterTheEndNothingIsTaken(t *testing.T) {
	j := start(t, t.TempDir(), nil, nil)
	var order []int
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Add(1)
		j.Do(say("x", "a")).Then(func(journal.Result, error) { order = append(order, i); wg.Done() })
	}
	wg.Wait()
	for i, o := range order {
		if i != o {
			t.Fatalf("order is %v", order)
		}
	}
	j.stop()
	if _, err := j.Do(say("x", "a")).Wait(t.Context()); status.Of(err).Code != status.Unavailable {
		t.Fatalf("after the end: %v", err)
	}
}
