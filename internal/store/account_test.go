package store_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

// inBatches runs each function as a change on a store, whose handles it gets.
func inBatches(t *testing.T, folder string, changes ...func(st *store.Store, tx *journal.Tx) error) {
	t.Helper()
	st, j, stop := storetest.Start(t, folder)
	for i, c := range changes {
		_, err := j.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) { return nil, c(st, tx) })).Wait(t.Context())
		if err != nil && !errors.Is(err, errTakenBack) {
			t.Errorf("change %d: %v", i, err)
		}
	}
	stop()
}

var errTakenBack = errors.New("taken back")

var bg = context.Background()

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestIDsGoOn(t *testing.T) {
	folder := t.TempDir()
	next := func(want uint64, result error) func(*store.Store, *journal.Tx) error {
		return func(st *store.Store, tx *journal.Tx) error {
			user, err1 := st.Accounts().In(tx).NextID(bg)
			room, err2 := st.Chats().In(tx).NextID(bg)
			login, err3 := st.Accounts().In(tx).NextLogin(bg)
			if user != 2*want-1 || room != 2*want || login != want {
				t.Errorf("got %d, %d and login %d at %d", user, room, login, want)
			}
			return errors.Join(err1, err2, err3, result)
		}
	}
	inBatches(t, folder, next(1, nil), next(2, errTakenBack), next(2, nil))
	inBatches(t, folder, next(3, nil))
}

func TestAccountRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	u := account.User{ID: 7, Handle: "Ann", Display: "Ann A", Email: "Ann@x", Password: "$h", About: "a", Avatar: "b", Created: at}
	bot := account.User{ID: 8, Handle: "u8", Display: "Ann A", Created: at, Suspended: true}
	l := account.Login{ID: 3, User: 7, Gateway: "direct", Created: at, Seen: at, Expires: at.Add(time.Hour), Idle: time.Hour, InboxStart: 5}
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		a := st.Accounts().In(tx)
		if err := errors.Join(a.AddUser(bg, u), a.AddUser(bg, bot), a.AddLogin(bg, l, []byte("hash"))); err != nil {
			return err
		}
		// Two without an address are two people; two with one handle are not.
		if err := a.AddUser(bg, account.User{ID: 9, Handle: "u9"}); err != nil {
			return err
		}
		if _, ok, _ := st.Accounts().User(bg, 7); ok {
			t.Error("a reader sees what is not committed")
		}
		return nil
	}, func(st *store.Store, tx *journal.Tx) error {
		for name, same := range map[string]account.User{"handle": {ID: 10, Handle: "ANN"}, "address": {ID: 10, Handle: "x", Email: "ann@X"}, "id": {ID: 7, Handle: "y"}} {
			if err := st.Accounts().In(tx).AddUser(bg, same); err == nil {
				t.Errorf("the same %s twice", name)
			}
		}
		return errTakenBack
	}, func(st *store.Store, tx *journal.Tx) error {
		for _, r := range []account.Reader{st.Accounts(), st.Accounts().In(tx)} {
			got, ok, err := r.User(bg, 7)
			if err != nil || !ok || !same(got, u) {
				t.Errorf("read %+v, %v", got, err)
			}
			if got, ok, err := r.UserByHandle(bg, "u8"); err != nil || !ok || !same(got, bot) {
				t.Errorf("read %+v, %v", got, err)
			}
			if _, ok, err := r.UserByEmail(bg, ""); err != nil || ok {
				t.Errorf("somebody has no address as address, %v", err)
			}
			if ids, err := r.UserIDs(bg, 0, 10); err != nil || !slices.Equal(ids, []uint64{7, 9}) {
				t.Errorf("ids %v, %v", ids, err)
			}
			gotU, gotL, ok, err := r.LoginByToken(bg, []byte("hash"))
			if err != nil || !ok || !same(gotU, u) || gotL != l {
				t.Errorf("read %+v %+v, %v", gotU, gotL, err)
			}
		}
		return nil
	}, func(st *store.Store, tx *journal.Tx) error {
		a := st.Accounts().In(tx)
		for id := range uint64(5) {
			old := account.Login{ID: 10 + id, User: 7, Created: at, Seen: at, Expires: at}
			if err := a.AddLogin(bg, old, []byte{byte(id)}); err != nil {
				return err
			}
		}
		if err := a.Sweep(bg, at.Add(time.Millisecond), 3); err != nil {
			return err
		}
		if left, err := a.LoginsOf(bg, 7); err != nil || len(left) != 1+2 {
			t.Errorf("a sweep of 3 left %v of 6, %v", left, err)
		}
		if _, _, ok, _ := a.Login(bg, 3); !ok {
			t.Error("a login that lives was swept")
		}
		err := a.Sweep(bg, l.Expires.Add(time.Millisecond), 3)
		if _, _, ok, _ := a.Login(bg, 3); ok {
			t.Error("a login that is over was not swept")
		}
		return err
	})
}

func TestWritingNeedsABatch(t *testing.T) {
	st, err := store.Open(t.Context(), store.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if a, ok := st.Accounts().(interface {
		AddUser(context.Context, account.User) error
	}); !ok || a.AddUser(bg, account.User{ID: 1, Handle: "x"}) == nil {
		t.Error("written by a reader")
	}
}

func same(a, b account.User) bool { return reflect.DeepEqual(a, b) }
