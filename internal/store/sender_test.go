package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
)

// unsure is a store of which some commits fail.
type unsure struct {
	journal.Store
	fails func() bool
}

type unsureBatch struct {
	journal.Batch
	fails func() bool
}

func (u unsure) Begin(ctx context.Context) (journal.Batch, error) {
	b, err := u.Store.Begin(ctx)
	return unsureBatch{b, u.fails}, err
}

func (b unsureBatch) Commit() error {
	if b.fails() {
		return errTakenBack
	}
	return b.Batch.Commit()
}

// few are so few people that everything happens to each of them.
var few = []uint64{1, 2, 3, 4}

// TestTheWriterKnowsSendersAsTheyStand changes pairs and people at random, in
// changes that happen, in some that are taken back and in groups of which none
// is stored, and asks what the writer keeps in between: it must be what the
// rows themselves say, at any time.
func TestTheWriterKnowsSendersAsTheyStand(t *testing.T) {
	st, err := store.Open(t.Context(), store.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	random := rand.New(rand.NewPCG(1, 2)) // the same each time; owned by the writer
	fails := false                        // owned by the writer
	failed := func() bool { return fails && random.IntN(5) == 0 }
	j, err := journal.Open(t.Context(), journal.Options{Store: unsure{st, failed}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx, func([]*journal.Message) {}) }()
	defer func() { cancel(); <-done }()

	hits, lost := 0, 0 // hits is owned by the writer
	change := func(f func(s *sendersCheck) error) *journal.Pending {
		return j.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
			b := tx.Batch().(unsureBatch).Batch.(*store.Tx)
			return nil, f(&sendersCheck{t: t, tx: b, accounts: store.AccountsIn(b), chats: store.ChatsIn(b), hits: &hits})
		}))
	}
	first := change(func(s *sendersCheck) error {
		var errs []error
		for _, id := range few {
			errs = append(errs, s.accounts.AddUser(bg, account.User{ID: id, Handle: "h" + strconv.FormatUint(id, 10), Display: "First"}))
		}
		fails = true
		return errors.Join(errs...)
	})
	if _, err := first.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	var pending []*journal.Pending
	for i := range 1000 {
		pending = append(pending, change(func(s *sendersCheck) error {
			for range 1 + random.IntN(4) {
				if err := s.step(random, i); err != nil {
					return err
				}
			}
			if random.IntN(4) == 0 {
				return errTakenBack
			}
			return nil
		}))
		if i%7 == 0 {
			_, _ = pending[i].Wait(t.Context())
		}
	}
	happened := 0
	for _, p := range pending {
		switch _, err := p.Wait(t.Context()); {
		case err == nil:
			happened++
		case !errors.Is(err, errTakenBack):
			lost++
		}
	}
	if happened < 50 || lost < 50 || hits < 50 {
		t.Errorf("%d happened, %d were in groups that failed, %d answers came from what is kept: this shows nothing", happened, lost, hits)
	}
}

// sendersCheck is one change of that test.
type sendersCheck struct {
	t        *testing.T
	tx       *store.Tx
	accounts account.Tx
	chats    chat.Tx
	hits     *int
}

// step does one thing at random, and asks about one pair.
func (s *sendersCheck) step(random *rand.Rand, i int) error {
	from, to := few[random.IntN(len(few))], few[random.IntN(len(few))]
	if from == to {
		return nil
	}
	a, b := min(from, to), max(from, to)
	var err error
	switch random.IntN(8) {
	case 0:
		err = s.chats.SetRelation(bg, chat.Relation{A: a, B: b, Flags: chat.Flags(random.IntN(32)), Room: uint64(i)})
	case 1:
		err = s.chats.DropRelation(bg, a, b)
	case 2:
		err = s.accounts.SetUser(bg, account.User{
			ID: from, Handle: "h" + strconv.FormatUint(from, 10), Display: fmt.Sprint("Name ", i), Suspended: random.IntN(3) == 0,
		})
	}
	if err != nil {
		return err
	}
	if s.tx.SenderKept(from, to) {
		*s.hits++
	}
	got, ok, err1 := s.chats.Sender(bg, from, to, a, b)
	r, stands, err2 := s.chats.Relation(bg, a, b)
	f, _, err3 := s.accounts.User(bg, from)
	u, _, err4 := s.accounts.User(bg, to)
	want := chat.Sender{Flags: r.Flags, Room: r.Room, Profile: f.Profile(), Suspended: f.Suspended, Receiver: u.Profile()}
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	if ok != stands || ok && got != want {
		s.t.Errorf("step %d: from %d to %d the writer knows %+v, %v; the rows say %+v, %v", i, from, to, got, ok, want, stands)
	}
	return nil
}

// TestWhoWritesASenderForgetsIt finds every statement of this package that
// writes a row on which a private message's rule rests, and asks that the
// function around it forgets what is kept of that row. No trigger writes one.
func TestWhoWritesASenderForgetsIt(t *testing.T) {
	writes := regexp.MustCompile(`(?is)\b(INSERT(\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|UPDATE(\s+OR\s+\w+)?|DELETE\s+FROM)\s+(users|relations)\b`)
	forgets := map[string]string{"users": "forgetPerson", "relations": "forgetPair"}
	var found []string
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			var calls []string
			ast.Inspect(d, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					calls = append(calls, s.Sel.Name)
				}
				return true
			})
			ast.Inspect(d, func(n ast.Node) bool {
				l, ok := n.(*ast.BasicLit)
				if !ok || l.Kind != token.STRING {
					return true
				}
				text, _ := strconv.Unquote(l.Value)
				for _, m := range writes.FindAllStringSubmatch(text, -1) {
					found = append(found, m[0])
					if must := forgets[strings.ToLower(m[4])]; !slices.Contains(calls, must) {
						t.Errorf("%s: what stands around %q does not call %s", name, m[0], must)
					}
				}
				return true
			})
		}
	}
	if len(found) < 4 {
		t.Errorf("found only %q", found)
	}
	folder := t.TempDir()
	inBatches(t, folder)
	db, err := sql.Open("sqlite", filepath.Join(folder, "kabar.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT sql FROM sqlite_master WHERE type = 'trigger'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		if m := writes.FindString(text); m != "" {
			t.Errorf("a trigger writes behind the store's back: %q", m)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
