package journal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
)

// TestAll joins changes: each finds what those before it said, what they cause
// says how far it came, and where one fails none happened.
func TestAll(t *testing.T) {
	r := start(t, t.TempDir(), nil, nil)
	defer r.stop()
	var heads []uint64
	say := func(topics ...string) journal.Change {
		return journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
			head, err := tx.Head("a")
			heads = append(heads, head)
			return []*journal.Message{{Kind: "said", Entries: journal.To(topics...), Data: []byte("{}")}}, err
		})
	}
	if _, err := r.Do(say("a")).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	result, err := r.Do(journal.Caused(3, journal.All(say("a", "b"), say("b"), say("a")))).Wait(t.Context())
	if err != nil || len(result.Messages) != 3 {
		t.Fatalf("%+v, %v", result, err)
	}
	want := []uint64{0, 1, 2, 2}
	for i, head := range want {
		if heads[i] != head {
			t.Fatalf("the changes found %v, want %v", heads, want)
		}
	}
	if m := result.Messages[2]; m.Seq("a") != 3 || m.Hops != 3 {
		t.Fatalf("%+v", m)
	}
	m, err := r.Find(t.Context(), result.Messages[1].ID)
	if err != nil || m.Hops != 3 || m.Seq("b") != 2 {
		t.Fatalf("%+v, %v", m, err)
	}

	no := errors.New("no")
	fails := journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) { return nil, no })
	if _, err := r.Do(journal.All(say("a"), fails, say("a"))).Wait(t.Context()); !errors.Is(err, no) {
		t.Fatal(err)
	}
	if head, err := r.Head(t.Context(), "a"); err != nil || head != 3 {
		t.Fatalf("%d, %v", head, err)
	}
	found := journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		was, err := tx.Find(m.ID)
		if err == nil && was.ID != m.ID {
			t.Errorf("%+v", was)
		}
		if _, unknown := tx.Find("zzz-1"); !errors.Is(unknown, journal.ErrNoMessage) {
			t.Errorf("what never was: %v", unknown)
		}
		return nil, err
	})
	if _, err := r.Do(found).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestAfter tells once what is durable, in order and before its Pending is
// done, and nothing of what did not happen.
func TestAfter(t *testing.T) {
	r := start(t, t.TempDir(), nil, nil)
	defer r.stop()
	var told []string // owned by the journal's goroutine until Wait returns
	change := func(name string, err error) journal.Change {
		return journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
			tx.After(func() { told = append(told, name) })
			return []*journal.Message{{Kind: "said", Entries: journal.To("a"), Data: []byte("{}")}}, err
		})
	}
	no := errors.New("no")
	key := journal.Key{Scope: "s", Ref: "r"}
	pending := []*journal.Pending{
		r.Do(change("one", nil)),
		r.Do(change("never", no)),
		r.DoOnce(key, journal.All(change("two", nil), change("three", nil))),
		r.Do(journal.All(change("not this", nil), change("nor this", no))),
		r.DoOnce(key, change("again", nil)),
		r.Do(change("four", nil)),
	}
	for i, p := range pending {
		if _, err := p.Wait(t.Context()); (err != nil) != (i == 1 || i == 3) {
			t.Fatal(i, err)
		}
	}
	if got := strings.Join(told, " "); got != "one two three four" {
		t.Fatalf("told %q", got)
	}
}
