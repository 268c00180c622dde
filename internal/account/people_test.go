package account_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

func TestSetHandle(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	ann, bob := w.user("ann"), w.user("Bob B")
	u, err := w.SetHandle(t.Context(), bob.ID, " Bob.B_1 ")
	if err != nil || u.Handle != "Bob.B_1" || u.Display != "Bob B" {
		t.Fatalf("%+v, %v", u, err)
	}
	if got, err := w.UserByHandle(t.Context(), "bob.b_1"); err != nil || !same(got, u) {
		t.Fatalf("%+v, %v", got, err)
	}
	if u, err = w.SetHandle(t.Context(), ann.ID, "ANN"); err != nil || u.Handle != "ANN" {
		t.Fatalf("one's own in capitals: %+v, %v", u, err)
	}
	_, err = w.SetHandle(t.Context(), bob.ID, "ann")
	wantErr(t, err, account.ErrHandleTaken)
	for _, handle := range []string{"", "ab", "a b c", "u17", "U17", "ännie", strings.Repeat("x", 21)} {
		_, err = w.SetHandle(t.Context(), bob.ID, handle)
		wantErr(t, err, account.ErrHandleInvalid)
	}
	_, err = w.SetHandle(t.Context(), 99, "nobody")
	wantErr(t, err, account.ErrUserNotFound)
	var wg sync.WaitGroup
	var won atomic.Int32
	for _, id := range []uint64{ann.ID, bob.ID} {
		wg.Go(func() {
			if _, err := w.SetHandle(t.Context(), id, "wanted"); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d have it", won.Load())
	}
}

func TestSetPassword(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{Limits: account.UsualLimits})
	w.user("ann")
	token, l := w.login("ann")
	if err := w.SetPassword(t.Context(), l, password, "another horse"); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := w.Login(t.Context(), account.LoginRequest{Name: "ann", Password: password})
	wantErr(t, err, account.ErrWrongPassword)
	if _, _, _, err := w.Login(t.Context(), account.LoginRequest{Name: "ann", Password: "another horse"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if err := w.SetPassword(t.Context(), l, "another horse", "short"); status.Of(err).Reason != "PASSWORD_TOO_SHORT" {
		t.Fatal(err)
	}
	wantErr(t, w.SetPassword(t.Context(), account.Login{ID: 99, User: 99}, "", password), account.ErrUserNotFound)
	for range 10 {
		wantErr(t, w.SetPassword(t.Context(), l, "", password), account.ErrWrongPassword)
	}
	wantErr(t, w.SetPassword(t.Context(), l, "another horse", password), account.ErrTooManyPasswords)
	w.later(2 * time.Minute)
	if err := w.SetPassword(t.Context(), l, "another horse", password); err != nil {
		t.Fatal(err)
	}
	// Of many at once one finds the password that it was told.
	var wg sync.WaitGroup
	var won atomic.Int32
	w.later(time.Hour)
	for i := range 5 {
		wg.Go(func() {
			if w.SetPassword(t.Context(), l, password, fmt.Sprintf("horse number %d", i)) == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d changed it", won.Load())
	}
}

// TestAnEndedLoginSetsNoPassword: whoever registered somebody else's address may
// be on the way to a password while its owner proves it.
func TestAnEndedLoginSetsNoPassword(t *testing.T) {
	p := &postman{}
	w := start(t, t.TempDir(), account.Options{Mailer: p})
	ann := w.user("ann")
	_, evil := w.login("ann")
	_, _, l, _, err := w.LoginByCode(t.Context(), account.CodeLogin{Email: ann.Email, Code: w.mailCode(p, ann.Email)})
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, w.SetPassword(t.Context(), evil, "", "evil horse"), account.ErrLoginEnded)
	_, _, _, err = w.Login(t.Context(), account.LoginRequest{Name: ann.Email, Password: "evil horse"})
	wantErr(t, err, account.ErrWrongPassword)
	if err := w.SetPassword(t.Context(), l, "", "her own horse"); err != nil {
		t.Fatal(err)
	}
	if err := w.Logout(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	wantErr(t, w.SetPassword(t.Context(), l, "her own horse", password), account.ErrLoginEnded)
}

func handles(us []account.User) []string {
	var hs []string
	for _, u := range us {
		hs = append(hs, u.Handle)
	}
	return hs
}

func TestUsersArePaged(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	for _, name := range []string{"joanna", "annika", "Mary Ann", "ann", "bob", "annabel", "100% wool"} { // ids 1 to 7
		w.user(name)
	}
	if err := w.Suspend(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	for q, want := range map[string][]string{
		"":            {"joanna", "annika", "u3", "ann", "bob", "annabel", "u7"},
		"ANN":         {"joanna", "annika", "u3", "ann", "annabel"},
		"bob@example": {"bob"},
		"%":           {"u7"},
		"_":           nil,
		"\xff":        nil,
	} {
		var got []string
		for after := uint64(0); ; {
			us, err := w.Users(t.Context(), q, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(us) == 0 {
				break
			}
			got, after = append(got, handles(us)...), us[len(us)-1].ID
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q found %v, want %v", q, got, want)
		}
	}
}

func TestBadges(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, account.Options{})
	ann := w.user("ann")
	for range 2 {
		u, err := w.SetBadges(t.Context(), ann.ID, []int{3, 1, 3, 0})
		if err != nil || !slices.Equal(u.Badges, []int{3, 1, 0}) {
			t.Fatalf("%+v, %v", u, err)
		}
	}
	w.stop()
	w = start(t, folder, account.Options{})
	if u, err := w.User(t.Context(), ann.ID); err != nil || !slices.Equal(u.Badges, []int{3, 1, 0}) {
		t.Fatalf("%+v, %v", u, err)
	}
	if u, err := w.SetBadges(t.Context(), ann.ID, nil); err != nil || u.Badges != nil {
		t.Fatalf("%+v, %v", u, err)
	}
	ms := w.inbox(ann.ID)
	if len(ms) != 2 || ms[0].Kind != account.KindBadges || string(ms[0].Data) != `{"badges":[3,1,0]}` || string(ms[1].Data) != `{"badges":[]}` {
		t.Fatalf("said %+v", ms)
	}
	for _, bad := range [][]int{make([]int, 33), {-1}, {1 << 31}} {
		if _, err := w.SetBadges(t.Context(), ann.ID, bad); status.Of(err).Reason != "BADGES_INVALID" {
			t.Errorf("%v: %v", bad, err)
		}
	}
	_, err := w.SetBadges(t.Context(), 99, nil)
	wantErr(t, err, account.ErrUserNotFound)
}

func TestGroups(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, account.Options{})
	ann, bob := w.user("ann"), w.user("bob")
	for _, add := range []struct {
		name string
		user uint64
	}{{"admins", ann.ID}, {"Night  Shift", bob.ID}, {"night shift", ann.ID}, {"NIGHT SHIFT", ann.ID}, {"users", ann.ID}} {
		if err := w.AddToGroup(t.Context(), add.name, add.user); err != nil {
			t.Fatal(err)
		}
	}
	w.stop()
	w = start(t, folder, account.Options{})
	for user, want := range map[uint64][]string{ann.ID: {"Users", "Admins", "Night Shift"}, bob.ID: {"Users", "Night Shift"}, 99: {"Users"}} {
		if got, err := w.Groups(t.Context(), user); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d is in %v, %v", user, got, err)
		}
	}
	if got, err := w.GroupNames(t.Context()); err != nil || !slices.Equal(got, []string{"Users", "Admins", "Night Shift"}) {
		t.Errorf("there are %v, %v", got, err)
	}
	for name, want := range map[string][]string{"Users": {"ann", "bob"}, "ADMINS": {"ann"}, "night shift": {"ann", "bob"}, "nobody": nil} {
		if got, err := w.GroupMembers(t.Context(), name, 0, 10); err != nil || !slices.Equal(handles(got), want) {
			t.Errorf("in %s are %v, %v", name, handles(got), err)
		}
	}
	if got, err := w.GroupMembers(t.Context(), "night shift", ann.ID, 10); err != nil || !slices.Equal(handles(got), []string{"bob"}) {
		t.Errorf("after ann are %v, %v", handles(got), err)
	}
	for range 2 {
		if err := w.RemoveFromGroup(t.Context(), "admins", ann.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := w.Groups(t.Context(), ann.ID); err != nil || !slices.Equal(got, []string{"Users", "Night Shift"}) {
		t.Errorf("ann is in %v, %v", got, err)
	}
	wantErr(t, w.AddToGroup(t.Context(), "x", 99), account.ErrUserNotFound)
	for _, err := range []error{
		w.RemoveFromGroup(t.Context(), "users", ann.ID), w.AddToGroup(t.Context(), "", ann.ID), w.AddToGroup(t.Context(), "a\x00", ann.ID),
		w.AddToGroup(t.Context(), strings.Repeat("x", 36), ann.ID),
	} {
		if status.Of(err).Reason != "GROUP_INVALID" {
			t.Error(err)
		}
	}
}

func TestSetup(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, account.Options{})
	w.user("ann")
	finish := func(code, email string) (account.User, error) {
		return w.FinishSetup(t.Context(), account.Setup{Code: code, Email: email, Name: "The Boss", Password: password})
	}
	_, err := finish("", "boss@example.org")
	wantErr(t, err, account.ErrSetupInvalid)
	old, needed, err := w.NewSetup(t.Context())
	if err != nil || !needed || len(old) < 26 {
		t.Fatal(old, needed, err)
	}
	code, _, _ := w.NewSetup(t.Context())
	for _, bad := range []string{"", "x", old, code + "x"} {
		_, err := finish(bad, "boss@example.org")
		wantErr(t, err, account.ErrSetupInvalid)
	}
	_, err = finish("x", "ann@example.org") // nor does it tell whose address is known
	wantErr(t, err, account.ErrSetupInvalid)
	// What can be mended does not cost the code.
	_, err = finish(code, "ann@example.org")
	wantErr(t, err, account.ErrAlreadyRegistered)
	if _, err := w.FinishSetup(t.Context(), account.Setup{Code: code, Email: "boss@example.org", Name: "boss", Password: "short"}); status.Of(err).Reason != "PASSWORD_TOO_SHORT" {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var won, lost atomic.Int32
	for i := range 10 {
		wg.Go(func() {
			_, err := finish(code, fmt.Sprintf("boss%d@example.org", i))
			if err == nil {
				won.Add(1)
				return
			}
			wantErr(t, err, account.ErrSetupInvalid)
			lost.Add(1)
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 9 {
		t.Fatalf("%d won, %d lost", won.Load(), lost.Load())
	}
	admins, err := w.GroupMembers(t.Context(), account.GroupAdmins, 0, 10)
	if err != nil || len(admins) != 1 || admins[0].Display != "The Boss" || admins[0].Proven {
		t.Fatalf("%+v, %v", admins, err)
	}
	if _, _, _, err := w.Login(t.Context(), account.LoginRequest{Name: admins[0].Email, Password: password}); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w = start(t, folder, account.Options{})
	if code, needed, err := w.NewSetup(t.Context()); err != nil || needed || code != "" {
		t.Fatal(code, needed, err)
	}
	_, err = finish(code, "again@example.org")
	wantErr(t, err, account.ErrSetupInvalid)
}

func TestNoticeTo(t *testing.T) {
	w := start(t, t.TempDir(), account.Options{})
	ann, bob := w.user("ann"), w.user("bob")
	both := func(other uint64) error {
		_, err := w.journal.Do(journal.All(w.NoticeTo(ann.ID, "one"), w.NoticeTo(other, "two"))).Wait(t.Context())
		return err
	}
	wantErr(t, both(99), account.ErrUserNotFound)
	if len(w.inbox(ann.ID)) != 0 {
		t.Fatal("half of it happened")
	}
	if err := both(bob.ID); err != nil || len(w.inbox(ann.ID)) != 1 || len(w.inbox(bob.ID)) != 1 {
		t.Fatal(err)
	}
}

func TestLimiter(t *testing.T) {
	l := account.NewLimiter(account.Limit{N: 2, Per: time.Minute})
	now := time.Now()
	for i, want := range []bool{true, true, false} {
		if l.Take("a", now) != want || !l.Take("", now) {
			t.Fatal("take", i+1)
		}
	}
	if !l.Take("b", now) || !l.Take("a", now.Add(30*time.Second)) || l.Refused() != 1 {
		t.Fatal("refused", l.Refused())
	}
}
