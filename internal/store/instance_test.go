package store_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
)

func TestInstanceRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	full := instance.Row{
		Instance: instance.Instance{
			ID: 3, Name: "é", Description: "d", ExternalAttributes: json.RawMessage(`{"a":1}`), OwnerJid: "o", Created: at, Updated: at.Add(time.Hour),
			State: "open", StatusReason: json.RawMessage(`200`), LastConnection: 7, LastQRCode: 9,
		},
		Token: 4, Hash: []byte{0, 1, 255},
	}
	bare := instance.Row{Instance: instance.Instance{ID: 5, Name: "É", Created: at, Updated: at}, Token: 6, Hash: []byte{2}}
	same := func(r instance.Reader, want ...instance.Row) {
		t.Helper()
		for _, row := range want {
			byID, ok1, err1 := r.Instance(bg, row.ID)
			byName, ok2, err2 := r.InstanceByName(bg, row.Name)
			if err := errors.Join(err1, err2); err != nil || !ok1 || !ok2 || !reflect.DeepEqual(byID, row) || !reflect.DeepEqual(byName, row) {
				t.Errorf("read %+v and %+v, %v; want %+v", byID, byName, err, row)
			}
		}
		list, err := r.Instances(bg, 0, 10)
		if err != nil || len(list) != len(want) || len(list) > 0 && !reflect.DeepEqual(list, want) {
			t.Errorf("listed %+v, %v", list, err)
		}
	}
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		s := st.Instances().In(tx)
		if err := errors.Join(s.AddInstance(bg, bare), s.AddInstance(bg, full)); err != nil {
			return err
		}
		same(st.Instances()) // a reader does not see what is not committed
		return nil
	}, func(st *store.Store, tx *journal.Tx) error {
		for name, twice := range map[string]instance.Row{"name": {Instance: instance.Instance{ID: 8, Name: "é"}, Hash: []byte{1}}, "id": {Instance: instance.Instance{ID: 3, Name: "x"}, Hash: []byte{1}}} {
			if err := st.Instances().In(tx).AddInstance(bg, twice); err == nil {
				t.Errorf("the same %s twice", name)
			}
		}
		return errTakenBack
	}, func(st *store.Store, tx *journal.Tx) error {
		for _, r := range []instance.Reader{st.Instances(), st.Instances().In(tx)} {
			same(r, full, bare)
			if list, err := r.Instances(bg, 3, 10); err != nil || len(list) != 1 || list[0].ID != 5 {
				t.Errorf("listed %+v, %v", list, err)
			}
			if list, err := r.Instances(bg, 0, 1); err != nil || len(list) != 1 || list[0].ID != 3 {
				t.Errorf("listed %+v, %v", list, err)
			}
		}
		s := st.Instances().In(tx)
		changed := full
		changed.ID, changed.Name, changed.Created = bare.ID, bare.Name, bare.Created // what never changes
		if err := errors.Join(s.SetInstance(bg, changed), s.DropInstance(bg, 3), s.DropInstance(bg, 99)); err != nil {
			return err
		}
		same(s, changed)
		return nil
	})
}

func TestTokensGoOn(t *testing.T) {
	folder := t.TempDir()
	next := func(want uint64, result error) func(*store.Store, *journal.Tx) error {
		return func(st *store.Store, tx *journal.Tx) error {
			id, err1 := st.Instances().In(tx).NextID(bg)
			user, err2 := st.Accounts().In(tx).NextID(bg)
			token, err3 := st.Instances().In(tx).NextToken(bg)
			if id != 2*want-1 || user != 2*want || token != want {
				t.Errorf("got %d, %d and token %d at %d", id, user, token, want)
			}
			return errors.Join(err1, err2, err3, result)
		}
	}
	inBatches(t, folder, next(1, nil), next(2, errTakenBack), next(2, nil))
	inBatches(t, folder, next(3, nil))
}
