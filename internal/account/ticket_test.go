package account_test

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

func (w *world) ticket(l account.Login, alone bool) (string, account.Ticket) {
	w.t.Helper()
	secret, ticket, err := w.OpenTicket(w.t.Context(), l, alone)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret, ticket
}

func (w *world) refusedTicket(secret string) {
	w.t.Helper()
	_, _, _, err := w.TicketLogin(w.t.Context(), secret)
	wantErr(w.t, err, account.ErrTicketInvalid)
}

func (w *world) goodTicket(secret string, want account.Ticket) {
	w.t.Helper()
	u, l, got, err := w.TicketLogin(w.t.Context(), secret)
	if err != nil || got != want || l.ID != want.Login || u.ID != l.User {
		w.t.Fatalf("%+v %+v %+v, %v; want %+v", u, l, got, err, want)
	}
}

func TestATicketReplacesTheOneBefore(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, account.Options{})
	ann := w.user("ann")
	_, phone := w.login("ann")
	_, desk := w.login("ann")
	if _, err := w.Notify(ann.ID, "before", journal.Key{}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, t1 := w.ticket(phone, false)
	other, t2 := w.ticket(desk, false)
	if len(first) < 26 || first == other || t1.ID == t2.ID || t1.Start != 1 || t1.Head != 1 || t1.Login != phone.ID {
		t.Fatalf("%q %+v, %q %+v", first, t1, other, t2)
	}
	if ms := w.inbox(ann.ID); len(ms) != 1 {
		t.Fatalf("a first ticket said %+v", ms[1:])
	}
	second, t3 := w.ticket(phone, false)
	w.refusedTicket(first)
	w.goodTicket(second, t3)
	w.goodTicket(other, t2)
	ms := w.inbox(ann.ID)
	if len(ms) != 2 || ms[1].Kind != account.KindTicketReplaced || ms[1].Ends != account.TicketCredential(t1.ID) {
		t.Fatalf("said %+v", ms)
	}
	var data account.TicketReplaced
	if err := json.Unmarshal(ms[1].Data, &data); err != nil || data != (account.TicketReplaced{Login: phone.ID, Ticket: t1.ID}) {
		t.Fatalf("said %s, %v", ms[1].Data, err)
	}
	w.stop()
	w = start(t, folder, account.Options{})
	w.goodTicket(second, t3)
	// Alone, the other device's goes too.
	third, t4 := w.ticket(phone, true)
	if t4.ID <= t3.ID {
		t.Fatalf("the number %d again", t4.ID)
	}
	w.refusedTicket(second)
	w.refusedTicket(other)
	w.goodTicket(third, t4)
	if ms := w.inbox(ann.ID); len(ms) != 4 || ms[2].Ends != account.TicketCredential(t3.ID) || ms[3].Ends != account.TicketCredential(t2.ID) {
		t.Fatalf("said %+v", ms)
	}
	for _, secret := range []string{"", "x", third + "x", third[1:]} {
		w.refusedTicket(secret)
	}
}

// TestATicketTakesOverWhatIsOwed: from where the login's first one began, also
// where it had none for a while.
func TestATicketTakesOverWhatIsOwed(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	ann := w.user("ann")
	_, phone := w.login("ann")
	_, desk := w.login("ann")
	head := uint64(0)
	open := func(l account.Login, alone bool, start uint64) {
		t.Helper()
		if _, err := w.Notify(ann.ID, "hi", journal.Key{}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		head++
		_, ticket, err := w.OpenTicket(t.Context(), l, alone)
		if err != nil || ticket.Start != start || ticket.Head != head {
			t.Fatalf("%+v, %v; want %d to %d", ticket, err, start, head)
		}
		head = uint64(len(w.inbox(ann.ID)))
	}
	open(phone, false, 1)
	open(phone, false, 1)
	open(desk, false, 4)
	open(phone, false, 1)
	open(desk, true, 4) // alone: the phone has none
	open(phone, false, 1)
}

func TestATicketDiesWithItsLogin(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{LoginIdle: 24 * time.Hour})
	ann := w.user("ann")
	_, l := w.login("ann")
	secret, _ := w.ticket(l, false)
	if err := w.Logout(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	w.refusedTicket(secret)
	_, _, err := w.OpenTicket(t.Context(), l, false)
	wantErr(t, err, account.ErrLoginEnded)

	_, l = w.login("ann")
	secret, _ = w.ticket(l, false)
	w.later(20 * time.Hour)
	if _, moved, _, err := w.TicketLogin(t.Context(), secret); err != nil || !moved.Expires.After(l.Expires) {
		t.Fatalf("%+v, %v: using it does not make its login live on", moved, err)
	}
	w.later(25 * time.Hour)
	w.refusedTicket(secret)
	_, l = w.login("ann")
	secret, _ = w.ticket(l, false)
	if err := w.Suspend(t.Context(), ann.ID); err != nil {
		t.Fatal(err)
	}
	w.refusedTicket(secret)
}

func TestTicketsAtOnce(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	ann := w.user("ann")
	_, l := w.login("ann")
	var mu sync.Mutex
	secrets := map[string]account.Ticket{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			secret, ticket, err := w.OpenTicket(t.Context(), l, false)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			secrets[secret] = ticket
			mu.Unlock()
		})
	}
	wg.Wait()
	good := 0
	for secret := range secrets {
		if _, _, _, err := w.TicketLogin(t.Context(), secret); err == nil {
			good++
		}
	}
	if len(secrets) != 20 || good != 1 || len(w.inbox(ann.ID)) != 19 {
		t.Fatalf("%d tickets, %d of them good, and %d messages", len(secrets), good, len(w.inbox(ann.ID)))
	}
}
