package store_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/store/faultdisk"
)

// damageLeaf writes over the last page of a WITHOUT ROWID table's leaves that
// holds the words, damageRow over that of a table's of rows.
func damageLeaf(t *testing.T, folder, words string) {
	t.Helper()
	damagePage(t, folder, 0x0a, words)
}

func damageRow(t *testing.T, folder, words string) {
	t.Helper()
	damagePage(t, folder, 0x0d, words)
}

func damagePage(t *testing.T, folder string, kind byte, words string) {
	t.Helper()
	file := filepath.Join(folder, "kabar.db")
	pages, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for at := len(pages)/4096 - 1; at > 0; at-- {
		if page := pages[at*4096 : (at+1)*4096]; page[0] == kind && bytes.Contains(page, []byte(words)) {
			if err := faultdisk.Damage(file, at+1); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no page holds %q", words)
}

// wide is the n-th name of many, of which a page holds few.
func wide(n int) string { return fmt.Sprintf("room/%0200d", n) }

func sayIn(text string, topics ...string) journal.Change {
	return journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		return []*journal.Message{{Entries: journal.To(topics...), Kind: "said", Data: []byte(text)}}, nil
	})
}

// together hands changes over so that they are one group, and returns what
// became of each.
func (r *rig) together(t *testing.T, keys []journal.Key, changes ...journal.Change) (results []journal.Result, errs []error) {
	t.Helper()
	in, out := make(chan struct{}), make(chan struct{})
	r.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		close(in)
		<-out
		return nil, nil
	}))
	<-in
	var all []*journal.Pending
	for i, c := range changes {
		var k journal.Key
		if keys != nil {
			k = keys[i]
		}
		all = append(all, r.DoOnce(k, c))
	}
	close(out)
	for _, p := range all {
		result, err := p.Wait(t.Context())
		results, errs = append(results, result), append(errs, err)
	}
	return results, errs
}

// meet has somebody meet damage for the first time: SQLite ends the transaction
// for that. From then on it is known.
func (r *rig) meet(t *testing.T, it func() error) {
	t.Helper()
	if err := it(); !isDamaged(err) {
		t.Fatalf("who meets it first hears %v", err)
	}
	if n := r.Stats().Failures; n != 1 {
		t.Errorf("%d groups failed", n)
	}
}

func isDamaged(err error) bool { return err != nil && status.Of(err).Reason == "DATA_DAMAGED" }

// hasAll: a topic has 72 messages, the first and the last one more. A page has
// neighbours of which what they say now is stored, and what they said before
// cannot be found.
func (r *rig) hasAll(t *testing.T, topics []string) {
	t.Helper()
	beside := 0
	for i, topic := range topics {
		want := uint64(72)
		if i == 0 || topic == wide(199) {
			want++
		}
		ms, err := r.Read(t.Context(), topic, 0, 100)
		if isDamaged(err) {
			beside++
		} else if head, herr := r.Head(t.Context(), topic); err != nil || herr != nil || head != want || uint64(len(ms)) != want {
			t.Errorf("topic %d: %d messages, the head is %d, and should be %d; %v, %v", i, len(ms), head, want, err, herr)
		}
	}
	if beside > 2 {
		t.Errorf("%d topics beside the damaged ones cannot be read", beside)
	}
}

// TestADamagedTopicCostsThatTopic: once it is known, who speaks in a topic whose
// index is damaged is refused, and nobody else of the group; nor is anybody when
// the index can take nothing more, and what was acknowledged is there after a
// start.
func TestADamagedTopicCostsThatTopic(t *testing.T) {
	const topics = 200
	folder := t.TempDir()
	r := onDisk(t, folder)
	var names []string
	for i := range topics {
		names = append(names, wide(i))
	}
	if _, err := r.Do(sayIn("first", names...)).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.stop()
	damageLeaf(t, folder, wide(100))

	r = onDisk(t, folder)
	r.meet(t, func() error { _, err := r.Do(sayIn("x", wide(100))).Wait(t.Context()); return err })
	var changes []journal.Change
	for _, n := range names {
		changes = append(changes, sayIn("second", n))
	}
	changes = append(changes, journal.All(sayIn("both", wide(0)), sayIn("both", wide(199), wide(100))), sayIn("third", wide(0)), sayIn("third", wide(199)))
	results, errs := r.together(t, nil, changes...)
	var well []string
	for i, err := range errs {
		switch {
		case err == nil && i < topics:
			well = append(well, names[i])
			if seq := results[i].Messages[0].Entries[0].Seq; seq != 2 {
				t.Errorf("topic %d: the second message is number %d", i, seq)
			}
		case err == nil && i > topics:
			if seq := results[i].Messages[0].Entries[0].Seq; seq != 3 {
				t.Errorf("the third message is number %d: what was refused took one", seq)
			}
		case !isDamaged(err), i > topics:
			t.Errorf("change %d: %v", i, err)
		}
	}
	if bad := topics - len(well); bad < 1 || bad > 25 || errs[100] == nil || errs[topics] == nil {
		t.Errorf("%d topics are refused; the damaged one: %v, one together with others: %v", bad, errs[100], errs[topics])
	}
	if n := r.Stats().Failures; n != 1 || r.Health() != nil {
		t.Errorf("%d groups failed; %v", n, r.Health())
	}
	if _, what := r.st.Damage(); what == nil || !strings.Contains(what.Error(), "the index of room/0") {
		t.Errorf("it is known that %v", what)
	}

	many := append([]string(nil), well...)
	for i := range 1000 {
		many = append(many, fmt.Sprint("room/1", i))
	}
	for i := range 70 { // more than are kept in memory
		if _, err := r.Do(sayIn(fmt.Sprint("many ", i), many...)).Wait(t.Context()); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if n := r.log.count("index cannot be stored"); n != 1 {
		t.Fatalf("the log says %d times that the index cannot be stored", n)
	}
	r.stop()

	r = onDisk(t, folder)
	r.hasAll(t, well)
	if _, err := r.Do(sayIn("x", wide(100))).Wait(t.Context()); !isDamaged(err) {
		t.Errorf("after a start the damaged topic says %v", err)
	}
}

// TestADamagedKeyCostsThatKey: who says something under a key of which nobody
// can tell whether it was carried out is refused, and nobody else of the group.
func TestADamagedKeyCostsThatKey(t *testing.T) {
	const refs = 200
	folder := t.TempDir()
	r := onDisk(t, folder)
	var keys []journal.Key
	var changes []journal.Change
	for i := range refs {
		keys = append(keys, journal.Key{Scope: "s", Ref: wide(i)})
		changes = append(changes, sayIn(strconv.Itoa(i), "a"))
	}
	first, errs := r.together(t, keys, changes...)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	damageLeaf(t, folder, wide(100))

	r = onDisk(t, folder)
	r.meet(t, func() error { _, err := r.DoOnce(keys[100], sayIn("x", "a")).Wait(t.Context()); return err })
	again, errs := r.together(t, append(keys, journal.Key{}, journal.Key{Scope: "z", Ref: "new"}), append(changes, sayIn("new", "a"), sayIn("new", "a"))...)
	bad := 0
	for i, err := range errs {
		switch {
		case i >= refs && err == nil:
		case isDamaged(err) && i < refs:
			bad++
		case err != nil || !again[i].Repeated || again[i].Messages[0].ID != first[i].Messages[0].ID:
			t.Errorf("key %d: %+v, %v", i, again[i], err)
		}
	}
	if bad < 1 || bad > 25 || errs[100] == nil {
		t.Errorf("%d keys are refused; the damaged one: %v", bad, errs[100])
	}
	if got := r.said(t); len(got) != refs+2 {
		t.Errorf("%d messages are there", len(got))
	}
	if n := r.Stats().Failures; n != 1 || r.Health() != nil {
		t.Errorf("%d groups failed; %v", n, r.Health())
	}
}

// TestADamagedRowCostsWhoWantsIt: whoever asks for a message whose row is on a
// damaged page, to hear once more what came of a key or to say it in other words,
// is refused, and nobody else of the group.
func TestADamagedRowCostsWhoWantsIt(t *testing.T) {
	folder := t.TempDir()
	r := onDisk(t, folder)
	var keys []journal.Key
	var changes []journal.Change
	for i := range 100 {
		keys = append(keys, journal.Key{Scope: "s", Ref: strconv.Itoa(i)})
		changes = append(changes, sayIn(wide(i), "a"))
	}
	first, _ := r.together(t, keys, changes...)
	r.stop()
	damageRow(t, folder, wide(50))

	r = onDisk(t, folder)
	r.meet(t, func() error { _, err := r.DoOnce(keys[50], sayIn("x", "a")).Wait(t.Context()); return err })
	edit := func(i int, text string) journal.Change {
		m := *first[i].Messages[0]
		m.From, m.Data = 7, []byte(text) // somebody's, so that it is theirs to hear once more
		return journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) { return nil, tx.Rewrite(&m) })
	}
	gone := *first[1].Messages[0]
	disown := journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) { return nil, tx.Disown(&gone) })
	_, errs := r.together(t, []journal.Key{keys[50], {}, {}, {}, {}, {}}, sayIn("x", "a"), edit(50, "edited"), edit(0, "edited"), disown, edit(1, "edited"), sayIn("new", "a"))
	for i, err := range errs {
		if i < 2 != isDamaged(err) || i >= 2 && err != nil {
			t.Errorf("change %d: %v", i, err)
		}
	}
	if n := r.Stats().Failures; n != 1 || r.Health() != nil {
		t.Errorf("%d groups failed; %v", n, r.Health())
	}
	for i, want := range []string{"edited", "edited"} {
		if ms, err := r.Read(t.Context(), "a", uint64(i), 1); err != nil || string(ms[0].Data) != want {
			t.Errorf("message %d: %v", i+1, err)
		}
	}
	// What the same group has written of a row is what it reads: the key stays gone.
	if again, err := r.DoOnce(keys[1], sayIn("again", "a")).Wait(t.Context()); err != nil || again.Repeated {
		t.Errorf("a key that was taken away is known: %+v, %v", again, err)
	}
	if again, err := r.DoOnce(keys[0], sayIn("again", "a")).Wait(t.Context()); err != nil || !again.Repeated {
		t.Errorf("another is not: %+v, %v", again, err)
	}
	if rows, err := r.st.RowsAt(t.Context(), []uint64{2}); err != nil || len(rows) != 1 || bytes.Contains(rows[0].Data, []byte("\x01s\x011")) {
		t.Errorf("the row has its key again: %v, %v", rows, err)
	}
}
