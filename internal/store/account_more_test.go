package store_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
)

// A data folder of before there were badges, tickets and mailed codes opens,
// and who is in it is not proven.
func TestAnOldFolderOpens(t *testing.T) {
	folder := t.TempDir()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "kabar.db"))
	if err != nil {
		t.Fatal(err)
	}
	old := fstest.MapFS{}
	for _, name := range []string{"0001_journal.sql", "0002_account.sql", "0003_chat.sql", "0004_instance.sql"} {
		b, err := fs.ReadFile(os.DirFS("migrations"), name)
		if err != nil {
			t.Fatal(err)
		}
		old[name] = &fstest.MapFile{Data: b}
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, old, goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := p.Up(t.Context())
	_, err2 := db.ExecContext(t.Context(), `INSERT INTO users VALUES (1, 'ann', 'ann', 'Ann', 'ann', 'ann@x', 'ann@x', '$h', '', '', 1700000000000, 0)`)
	_, err3 := db.ExecContext(t.Context(), `INSERT INTO logins VALUES (1, 1, x'01', 'direct', 1700000000000, 1700000000000, 1700000000001, 1000, 0),
		(2, 1, x'02', 'direct', 1700000000000, 1700000000000, 1700000000001, 1000, 0)`)
	if err := errors.Join(err1, err2, err3, db.Close()); err != nil {
		t.Fatal(err)
	}
	inBatches(t, folder, func(st *store.Store, tx *journal.Tx) error {
		u, l, ok, err := st.Accounts().LoginByToken(bg, []byte{1})
		if err != nil || !ok || u.Handle != "ann" || u.Proven || u.Badges != nil || l.ID != 1 {
			t.Errorf("read %+v %+v, %v", u, l, err)
		}
		if ts, err := st.Accounts().TicketsOf(bg, 1); err != nil || len(ts) != 0 {
			t.Errorf("tickets %+v, %v", ts, err)
		}
		id, err := st.Accounts().In(tx).NextTicket(bg)
		if id != 1 {
			t.Errorf("the first ticket is %d", id)
		}
		return err
	})
}

func TestTicketRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		a := st.Accounts().In(tx)
		var errs []error
		errs = append(errs, a.AddUser(bg, account.User{ID: 7, Handle: "ann"}))
		for id := range uint64(3) {
			errs = append(errs, a.AddLogin(bg, account.Login{ID: id + 1, User: 7, Expires: at}, []byte{byte(id)}))
		}
		want := account.Ticket{ID: 5, Login: 2, Start: 9, Head: 12}
		errs = append(errs, a.SetTicket(bg, account.Ticket{ID: 4, Login: 2}, []byte("old")), a.SetTicket(bg, want, []byte("new")))
		if _, _, _, ok, err := a.LoginByTicket(bg, []byte("old")); ok || err != nil {
			t.Errorf("the old one is good, %v", err)
		}
		if u, l, got, ok, err := a.LoginByTicket(bg, []byte("new")); err != nil || !ok || got != want || u.ID != 7 || l.ID != 2 {
			t.Errorf("read %+v %+v %+v, %v", u, l, got, err)
		}
		if ts, err := a.TicketsOf(bg, 7); err != nil || !slices.Equal(ts, []account.Ticket{want}) {
			t.Errorf("read %+v, %v", ts, err)
		}
		if a.SetTicket(bg, account.Ticket{ID: 6, Login: 1}, []byte("new")) == nil {
			t.Error("one secret for two logins")
		}
		if _, ok, err := a.LastTicket(bg, 1); ok || err != nil {
			t.Errorf("a login without a ticket had one, %v", err)
		}
		errs = append(errs, a.DropTicket(bg, 2))
		if last, ok, err := a.LastTicket(bg, 2); err != nil || !ok || last != want {
			t.Errorf("read %+v, %v", last, err)
		}
		if ts, err := a.TicketsOf(bg, 7); err != nil || len(ts) != 0 {
			t.Errorf("read %+v, %v", ts, err)
		}
		return errors.Join(errs...)
	})
}

func TestMailCodeRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	c := account.MailCode{Hash: []byte("hash"), Made: at, Tries: 1, Sends: 2, Since: at.Add(-time.Minute), DaySends: 7, Day: at.Add(-time.Hour)}
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		a := st.Accounts().In(tx)
		read := func(want account.MailCode) {
			got, ok, err := a.MailCode(bg, "ann@x")
			if err != nil || !ok || string(got.Hash) != string(want.Hash) || got.Made != want.Made || got.Tries != want.Tries || got.Sends != want.Sends || got.Since != want.Since || got.DaySends != want.DaySends || got.Day != want.Day {
				t.Errorf("read %+v, %v; want %+v", got, err, want)
			}
		}
		if _, ok, err := a.MailCode(bg, "ann@x"); ok || err != nil {
			t.Error(ok, err)
		}
		err1 := a.SetMailCode(bg, "ann@x", c)
		read(c)
		c.Hash, c.Tries, c.Sends, c.Made, c.Since = nil, 3, 1, at.Add(time.Hour), at
		err2 := a.SetMailCode(bg, "ann@x", c)
		read(c)
		// It is remembered for a day.
		err3 := a.Sweep(bg, c.Made.Add(24*time.Hour), 10)
		read(c)
		err4 := a.Sweep(bg, c.Made.Add(24*time.Hour+time.Millisecond), 10)
		if _, ok, err := a.MailCode(bg, "ann@x"); ok || err != nil {
			t.Error("it was not swept", err)
		}
		return errors.Join(err1, err2, err3, err4)
	})
}

func TestProofAndBadgesAreKept(t *testing.T) {
	u := account.User{ID: 7, Handle: "ann", Display: "Ann", Created: time.UnixMilli(1).UTC(), Proven: true, Badges: []int{2, 1}}
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		a := st.Accounts().In(tx)
		err1 := a.AddUser(bg, u)
		if got, _, err := a.User(bg, 7); err != nil || !same(got, u) {
			t.Errorf("read %+v, %v", got, err)
		}
		u.Proven, u.Badges = false, nil
		err2 := a.SetUser(bg, u)
		if got, _, err := a.User(bg, 7); err != nil || !same(got, u) {
			t.Errorf("read %+v, %v", got, err)
		}
		return errors.Join(err1, err2)
	})
}
