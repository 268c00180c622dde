package store_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/lifecycle"
	"github.com/kabar-io/kabar/internal/store"
)

func TestLifecycleRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	ann := lifecycle.Subject{Name: "user/1", Number: 1 << 40, Up: true, Since: at}
	odd := lifecycle.Subject{Name: `bot/"é`, Number: 1, Since: at.Add(time.Hour)}
	feed := lifecycle.Subject{Name: "feed", Number: 2, Up: true, Since: at}
	same := func(r lifecycle.Reader, of uint64, want ...lifecycle.Subject) {
		t.Helper()
		list, err := r.Subjects(bg, of, []string{"user/1", "feed", "feed", `bot/"é`, "none"})
		slices.SortFunc(list, func(a, b lifecycle.Subject) int { return strings.Compare(a.Name, b.Name) })
		if err != nil || len(list) != len(want) || len(list) > 0 && !reflect.DeepEqual(list, want) {
			t.Errorf("of %d: %+v, %v; want %+v", of, list, err, want)
		}
		up := slices.DeleteFunc(slices.Clone(want), func(s lifecycle.Subject) bool { return !s.Up })
		if list, err = r.Up(bg, of, "", 9); err != nil || len(list) != len(up) || len(list) > 0 && !reflect.DeepEqual(list, up) {
			t.Errorf("up of %d: %+v, %v; want %+v", of, list, err, up)
		}
	}
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		l := st.Lifecycle().In(tx)
		defer same(st.Lifecycle(), 3)
		return errors.Join(
			st.Instances().In(tx).AddInstance(bg, instance.Row{Instance: instance.Instance{ID: 3, Name: "a", Created: at, Updated: at}, Hash: []byte{1}}),
			l.SetSubjects(bg, 3, []lifecycle.Subject{ann, odd, feed}), l.SetSubjects(bg, 4, []lifecycle.Subject{feed}), l.SetSubjects(bg, 4, nil))
	}, func(st *store.Store, tx *journal.Tx) error {
		for _, r := range []lifecycle.Reader{st.Lifecycle(), st.Lifecycle().In(tx)} {
			same(r, 3, odd, feed, ann)
			same(r, 4, feed)
			if list, err := r.Up(bg, 3, "", 1); err != nil || len(list) != 1 || list[0].Name != "feed" {
				t.Errorf("%+v, %v", list, err)
			}
			if list, err := r.Up(bg, 3, "feed", 9); err != nil || len(list) != 1 || list[0].Name != "user/1" {
				t.Errorf("%+v, %v", list, err)
			}
		}
		ann.Number, ann.Up, ann.Since = 7, false, at.Add(time.Minute)
		return st.Lifecycle().In(tx).SetSubjects(bg, 3, []lifecycle.Subject{ann})
	}, func(st *store.Store, tx *journal.Tx) error {
		same(st.Lifecycle(), 3, odd, feed, ann)
		if err := st.Instances().In(tx).DropInstance(bg, 3); err != nil {
			return err
		}
		same(st.Lifecycle().In(tx), 3)
		same(st.Lifecycle().In(tx), 4, feed)
		return nil
	})
}
