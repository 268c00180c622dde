package personal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/personal"
)

// TestErasedThoughNobodyWaits erases for somebody who has hung up: it is done
// all the same, and not only after the next start.
func TestErasedThoughNobodyWaits(t *testing.T) {
	w := open(t)
	zofia := w.register("zofia")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.ok(w.service.Run(ctx)) })
	defer wg.Wait()
	defer cancel()
	gone, hangUp := context.WithCancel(ctx)
	hangUp()
	if _, err := w.service.Erase(gone, zofia); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		e, ok, err := w.service.Erasure(ctx, zofia)
		w.ok(err)
		if ok && !e.Ended.IsZero() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never erased: %+v", e)
		}
	}
}

// TestNothingComesAfter has what was on its way for somebody come when they are
// erased already: a line that their socket took, a notice, a group, a badge.
func TestNothingComesAfter(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	l := w.live()
	_, err := w.service.Erase(ctx, l.zofia)
	w.ok(err)
	w.until(l.zofia)
	_, err = w.chats.Speak(chat.Speaker{User: l.zofia, Name: "Zofia Quartz"}, "a-line-secret", journal.Key{}).Wait(ctx)
	if !errors.Is(err, account.ErrSuspended) {
		t.Errorf("a line: %v", err)
	}
	if _, err := w.accounts.Notify(l.zofia, "dear Zofia Quartz", journal.Key{}).Wait(ctx); !errors.Is(err, account.ErrUserNotFound) {
		t.Errorf("a notice: %v", err)
	}
	if err := w.accounts.AddToGroup(ctx, "testers", l.zofia); !errors.Is(err, account.ErrUserNotFound) {
		t.Errorf("a group: %v", err)
	}
	if _, err := w.accounts.SetBadges(ctx, l.zofia, []int{1}); !errors.Is(err, account.ErrUserNotFound) {
		t.Errorf("a badge: %v", err)
	}
	if found := w.holds(secrets...); len(found) > 0 {
		t.Errorf("there again: %q", found)
	}
}

// TestNothingIsLeftOut exports somebody with more friends than any list shows,
// and what they did without a word: likes, and what they have read.
func TestNothingIsLeftOut(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	const friends = 5100
	zofia, bob := w.register("zofia"), w.register("bob")
	w.befriend(bob, zofia)
	_, err := w.journal.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
		people, pairs := w.store.Accounts().In(tx), w.store.Chats().In(tx)
		for id := uint64(1000); id < 1000+friends; id++ {
			name := fmt.Sprintf("u%d", id)
			if err := people.AddUser(ctx, account.User{ID: id, Handle: name, Display: name, Created: tx.Now()}); err != nil {
				return nil, err
			}
			if err := pairs.SetRelation(ctx, chat.Relation{A: zofia, B: id, Flags: 1, Room: id + friends, Since: tx.Now()}); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})).Wait(ctx)
	w.ok(err)
	w.ok(w.chats.Block(ctx, zofia, 1000))
	id := w.send(chat.Outgoing{From: bob, To: zofia, Text: "hello"}, "")
	_, err = w.chats.ReadTo(zofia, chat.Place{User: bob}, id, 0, journal.Key{}).Wait(ctx)
	w.ok(err)
	var likes []string
	for range 250 { // more than a page
		p, err := w.chats.NewPost(ctx, bob, "post")
		w.ok(err)
		_, err = w.chats.Like(zofia, p.ID, true, journal.Key{}).Wait(ctx)
		w.ok(err)
		likes = append(likes, p.ID)
	}
	people, liked, read := map[string]int{}, map[string]bool{}, 0
	err = w.service.Export(ctx, zofia, func(r personal.Record) error {
		switch r.Type {
		case "person":
			people[r.Person.Standing]++
		case "like":
			liked[r.Like] = true
		case "read":
			if read++; r.Read.Seq != 1 || r.Read.Room == 0 || r.Read.Time.IsZero() {
				t.Errorf("%+v", r.Read)
			}
		}
		return nil
	})
	w.ok(err)
	if people["friend"] != friends || people["blocked"] != 1 || len(people) != 2 {
		t.Errorf("people: %v", people)
	}
	for _, id := range likes {
		if !liked[id] {
			t.Fatalf("%s of %d likes is left out of %d", id, len(likes), len(liked))
		}
	}
	if read != 1 {
		t.Errorf("%d read marks", read)
	}
}
