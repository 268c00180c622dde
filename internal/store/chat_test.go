package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
)

func TestRelationRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	r := chat.Relation{A: 1, B: 2, Flags: 5, Room: 9, Since: at}
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		a, c := st.Accounts().In(tx), st.Chats().In(tx)
		for id, name := range []string{1: "ann", 2: "bob", 3: "cat", 4: "dan"} {
			if id > 0 {
				if err := a.AddUser(bg, account.User{ID: uint64(id), Handle: name, Display: "The " + name, Created: at}); err != nil {
					return err
				}
			}
		}
		return errors.Join(
			c.SetRelation(bg, chat.Relation{A: 1, B: 2, Flags: 1, Since: at.Add(-1)}), c.SetRelation(bg, r), // the second replaces the first
			c.SetRelation(bg, chat.Relation{A: 2, B: 3, Flags: 2, Since: at.Add(time.Second)}),
			c.SetRelation(bg, chat.Relation{A: 2, B: 4, Flags: 4, Since: at.Add(time.Minute)}),
		)
	}, func(st *store.Store, tx *journal.Tx) error {
		for _, c := range []chat.Reader{st.Chats(), st.Chats().In(tx)} {
			if got, ok, err := c.Relation(bg, 1, 2); err != nil || !ok || got != r {
				t.Errorf("read %+v, %v", got, err)
			}
			if _, ok, err := c.Relation(bg, 1, 3); err != nil || ok {
				t.Errorf("strangers: %v", err)
			}
			want := chat.Sender{Flags: 5, Room: 9, Profile: account.Profile{ID: 2, Handle: "bob", Name: "The bob"}, Receiver: account.Profile{ID: 1, Handle: "ann", Name: "The ann"}}
			if got, ok, err := c.Sender(bg, 2, 1, 1, 2); err != nil || !ok || got != want {
				t.Errorf("read %+v, %v", got, err)
			}
			// bob is b with ann (5 has 4) and a with cat (2) and dan (4).
			for _, x := range []struct {
				asA, asB chat.Flags
				limit    int
				want     string
			}{{4, 4, 9, "dan ann "}, {6, 1, 9, "dan cat ann "}, {6, 1, 2, "dan cat "}, {2, 2, 9, "cat "}, {8, 8, 9, ""}} {
				ns, err := c.Neighbours(bg, 2, x.asA, x.asB, x.limit)
				got := ""
				for _, n := range ns {
					got += n.User.Handle + " "
				}
				if err != nil || got != x.want {
					t.Errorf("%+v gave %q, %v", x, got, err)
				}
			}
		}
		return nil
	}, func(st *store.Store, tx *journal.Tx) error {
		c := st.Chats().In(tx)
		err := c.DropRelation(bg, 1, 2)
		if _, ok, _ := c.Relation(bg, 1, 2); ok {
			t.Error("dropped, and there")
		}
		return err
	})
}
