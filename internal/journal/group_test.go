package journal_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
)

// held is a journal whose writer stands in its first change until release.
func held(t testing.TB, j *journal.Journal) (release func()) {
	t.Helper()
	in, out := make(chan struct{}), make(chan struct{})
	p := j.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		close(in)
		<-out
		return nil, nil
	}))
	<-in
	return func() {
		close(out)
		must(t, p)
	}
}

// TestAGroupFillsItself counts what becomes of changes that come while one is
// committed: they are one commit, with so many rows and a few statements, and
// not a commit each. A flood is cut into groups.
func TestAGroupFillsItself(t *testing.T) {
	for _, c := range []struct{ waiting, commits int }{{1, 1}, {10, 1}, {1000, 1}, {4096, 1}, {4097, 2}, {10000, 3}} {
		t.Run(strconv.Itoa(c.waiting), func(t *testing.T) {
			j := start(t, t.TempDir(), nil, nil)
			release := held(t, j.Journal)
			before, statements := j.Stats(), writtenStatements(j)
			ps := make([]*journal.Pending, c.waiting)
			for i := range ps {
				ps[i] = j.DoOnce(journal.Key{Scope: "s", Ref: strconv.Itoa(i)}, say("x", "a"))
			}
			release()
			for _, p := range ps {
				must(t, p)
			}
			now := j.Stats()
			if got := now.Commits - before.Commits; got != uint64(c.commits)+1 { // and the one that held them up
				t.Errorf("%d commits for %d that waited, want %d", got, c.waiting, c.commits)
			}
			if got := now.Messages - before.Messages; got != uint64(c.waiting) {
				t.Errorf("%d rows for %d messages", got, c.waiting)
			}
			// 64, 8 or 1 rows or keys at once; at most 14 single ones and a few for the group.
			if got, most := writtenStatements(j)-statements, uint64(c.waiting/64*2+c.commits*40); got > most {
				t.Errorf("%d statements for %d messages, want at most %d", got, c.waiting, most)
			}
		})
	}
}

func writtenStatements(j *running) uint64 {
	written, _ := j.store.(*store.Store).Statements()
	return written
}

// TestWhatAChangeSharesIsNumberedForEach gives the journal messages that share
// a list of entries, and one that is there twice.
func TestWhatAChangeSharesIsNumberedForEach(t *testing.T) {
	j := start(t, t.TempDir(), nil, nil)
	entries := journal.To("a", "b", "a")
	m := &journal.Message{Kind: "said", Entries: entries, Data: []byte("1")}
	r := must(t, j.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		return []*journal.Message{m, {Kind: "said", Entries: entries, Data: []byte("2")}, m}, nil
	})))
	for i, m := range r.Messages {
		first := uint64(2*i + 1)
		want := []journal.Entry{{Topic: "a", Seq: first}, {Topic: "b", Seq: uint64(i + 1)}, {Topic: "a", Seq: first + 1}}
		if fmt.Sprint(m.Entries) != fmt.Sprint(want) {
			t.Errorf("message %d has %v, want %v", i, m.Entries, want)
		}
		found, err := j.Find(t.Context(), m.ID)
		if err != nil || fmt.Sprint(found.Entries) != fmt.Sprint(want) {
			t.Errorf("message %d is found with %+v, %v", i, found, err)
		}
	}
	ms, err := j.Read(t.Context(), "b", 0, 10)
	if err != nil || fmt.Sprint(texts(ms)) != "[1 2 1]" {
		t.Errorf("%v, %v", texts(ms), err)
	}
}

// TestAGroupThatFailsGivesItsNumbersBack fails a commit whose messages went
// into topics that were there, and into new ones.
func TestAGroupThatFailsGivesItsNumbersBack(t *testing.T) {
	broken := false // changed while nothing is under way
	j := start(t, t.TempDir(), nil, func(s journal.Store) journal.Store { return failing{s, &broken} })
	must(t, j.Do(say("1", "old")))
	for range 3 {
		broken = true
		if _, err := j.Do(journal.All(say("lost", "old", "new"), say("lost", "new"))).Wait(t.Context()); err == nil {
			t.Fatal("a commit that failed is no error")
		}
		broken = false
	}
	no := errors.New("no")
	if _, err := j.Do(journal.All(say("lost", "old", "new"), journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) { return nil, no }))).Wait(t.Context()); !errors.Is(err, no) {
		t.Fatal(err)
	}
	r := must(t, j.Do(say("2", "old", "new")))
	if m := r.Messages[0]; m.Seq("old") != 2 || m.Seq("new") != 1 {
		t.Errorf("after it: %v", m.Entries)
	}
}
