package instance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/status"
)

func TestCreate(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, instance.Options{})
	i, token, err := w.Create(bg, instance.Spec{Name: "Toko_1.b-é", Description: "a <shop>", ExternalAttributes: json.RawMessage(` {"n": 1.50, "<": ["é"]} `)})
	w.ok(err)
	if i.ID == 0 || token.ID == 0 || token.Text == "" || i.Created.IsZero() || i.Updated != i.Created || string(i.ExternalAttributes) != `{"n":1.50,"<":["é"]}` {
		t.Fatalf("made %+v, %+v", i, token)
	}
	for _, ref := range []instance.Ref{instance.ByID(i.ID), instance.ByName("Toko_1.b-é")} {
		if got, err := w.Get(bg, ref); err != nil || !reflect.DeepEqual(got, i) {
			t.Errorf("got %+v, %v; want %+v", got, err, i)
		}
	}
	_, _, err = w.Create(bg, instance.Spec{Name: "Toko_1.b-é"})
	w.refused(err, instance.ErrNameTaken)
	other, _ := w.create("toko_1.b-é")
	made, _ := w.create("")
	if !strings.HasPrefix(made.Name, "instance-") || made.ID == other.ID || made.ExternalAttributes != nil {
		t.Errorf("made %+v", made)
	}
	list, err := w.List(bg, 0, 2)
	if err != nil || len(list) != 2 || !reflect.DeepEqual(list[0], i) || !reflect.DeepEqual(list[1], other) {
		t.Errorf("listed %+v, %v", list, err)
	}
	if list, err := w.List(bg, other.ID, 10); err != nil || len(list) != 1 || list[0].Name != made.Name {
		t.Errorf("listed %+v, %v", list, err)
	}
	for _, ref := range []instance.Ref{instance.ByID(99), instance.ByName("nobody"), instance.ByName(""), {}} {
		_, err := w.Get(bg, ref)
		w.refused(err, instance.ErrNotFound)
	}
	w.stop()
	w = start(t, folder, instance.Options{})
	if a, err := w.Authenticate(bg, token.Text); err != nil || !reflect.DeepEqual(a.Instance, i) {
		t.Errorf("after a restart: %+v, %v", a, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	for _, name := range []string{".", "..", "-x", "_", "a/b", "a b", "a\x00", "a%20", "\xff", strings.Repeat("é", 65), "{a}", "a:b"} {
		_, _, err := w.Create(bg, instance.Spec{Name: name})
		invalid(t, err, status.Invalid, "name")
	}
	for code, specs := range map[status.Code][]instance.Spec{
		status.Invalid: {
			{Description: "\xff"}, {ExternalAttributes: json.RawMessage(`{`)}, {ExternalAttributes: json.RawMessage(`1 2`)},
			{ExternalAttributes: json.RawMessage("\"\xff\"")},
		},
		status.TooLarge: {
			{Description: strings.Repeat("x", 1025)}, {ExternalAttributes: json.RawMessage(`"` + strings.Repeat("x", 4<<10) + `"`)},
		},
	} {
		for _, spec := range specs {
			_, _, err := w.Create(bg, spec)
			invalid(t, err, code)
		}
	}
	if list, err := w.List(bg, 0, 10); err != nil || len(list) != 0 {
		t.Errorf("made %+v, %v", list, err)
	}
}

func TestOneNameOnce(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	var won atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, _, err := w.Create(bg, instance.Spec{Name: "one"}); err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d made it", won.Load())
	}
}

func TestUpdate(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	i, token := w.create("a")
	text, owner := "new", "628@s.whatsapp.net"
	got, err := w.Update(bg, instance.ByName("a"), instance.Changes{Description: &text, OwnerJid: &owner, ExternalAttributes: json.RawMessage(`[1]`)})
	w.ok(err)
	i.Description, i.OwnerJid, i.ExternalAttributes, i.Updated = text, owner, json.RawMessage(`[1]`), got.Updated
	if stored, err := w.Get(bg, instance.ByID(i.ID)); err != nil || !reflect.DeepEqual(got, i) || !reflect.DeepEqual(stored, i) {
		t.Errorf("updated %+v, stored %+v, %v; want %+v", got, stored, err, i)
	}
	none := ""
	got, err = w.Update(bg, instance.ByName("a"), instance.Changes{OwnerJid: &none, ExternalAttributes: json.RawMessage(`null`)})
	if err != nil || got.OwnerJid != "" || got.ExternalAttributes != nil || got.Description != text {
		t.Errorf("updated %+v, %v", got, err)
	}
	_, err = w.Update(bg, instance.ByName("b"), instance.Changes{})
	w.refused(err, instance.ErrNotFound)
	long := strings.Repeat("x", 257)
	_, err = w.Update(bg, instance.ByName("a"), instance.Changes{OwnerJid: &long})
	invalid(t, err, status.TooLarge)
	if _, err := w.Authenticate(bg, token.Text); err != nil {
		t.Error(err)
	}
}

func TestConnectionState(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	i, _ := w.create("a")
	for _, c := range []struct{ data, want, status string }{
		{"", `{"state":"close","statusReason":null}`, instance.Offline},
		{`{"state":"connecting","statusReason":200}`, `{"state":"connecting","statusReason":200}`, instance.Offline},
		{`{"state":"open"}`, `{"state":"open","statusReason":null}`, instance.Online},
		{`{"state":"close","statusReason":"logged out"}`, `{"state":"close","statusReason":"logged out"}`, instance.Offline},
		{`{"state":"open","statusReason":{"a":[1]}}`, `{"state":"open","statusReason":{"a":[1]}}`, instance.Online},
		{`{"state":7}`, `{"state":"close","statusReason":null}`, instance.Offline},
		{`"open"`, `{"state":"close","statusReason":null}`, instance.Offline},
		{`{"state":"open","statusReason":"` + strings.Repeat("x", 300) + `"}`, `{"state":"open","statusReason":null}`, instance.Online},
		{`null`, `{"state":"close","statusReason":null}`, instance.Offline},
	} {
		if c.data != "" {
			_, err := w.emit(instance.ByID(i.ID), "connection.update "+c.data)
			w.ok(err)
		}
		state, err := w.ConnectionState(bg, instance.ByName("a"))
		w.ok(err)
		got, err := json.Marshal(state)
		if i, _ := w.Get(bg, instance.ByName("a")); err != nil || string(got) != c.want || i.Status() != c.status {
			t.Errorf("after %s: %s and %s, %v", c.data, got, i.Status(), err)
		}
	}
	_, err := w.ConnectionState(bg, instance.ByName("b"))
	w.refused(err, instance.ErrNotFound)
}

func TestConsumer(t *testing.T) {
	if got := instance.ConsumerOwner(3, "billing"); got != "consumer/3/billing" {
		t.Error(got)
	}
	for _, name := range []string{"billing", "A.b_c-9", strings.Repeat("x", 64)} {
		if err := instance.CheckConsumer(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "a/b", "é", " a", ".a", strings.Repeat("x", 65), "\xff"} {
		invalid(t, instance.CheckConsumer(name), status.Invalid, "consumer")
	}
}

func TestOptions(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	for i, o := range []instance.Options{
		{Store: w.store.Instances(), Key: key}, {Journal: w.journal, Key: key},
		{Journal: w.journal, Store: w.store.Instances(), Key: key[:31]},
		{Journal: w.journal, Store: w.store.Instances(), Key: key, TokenTTL: -1},
		{Journal: w.journal, Store: w.store.Instances(), Key: key, Names: []string{"a b"}},
	} {
		if _, err := instance.New(o); err == nil {
			t.Errorf("options %d: no error", i)
		}
	}
}

// TestCreateAgain sees that a key makes one instance, and tells its token again as
// long as it is that one; never that of one which is no more.
func TestCreateAgain(t *testing.T) {
	made := 0
	w := start(t, t.TempDir(), instance.Options{Made: func(string) { made++ }})
	create := func(name, key string) (instance.Instance, instance.Token, error) {
		return w.Create(bg, instance.Spec{Name: name, Key: key})
	}
	for _, name := range []string{"a", ""} {
		made = 0
		i, token, err := create(name, "k")
		w.ok(err)
		again, same, err := create(name, "k")
		if err != nil || again.ID != i.ID || same != token || made != 1 {
			t.Fatalf("%+v %+v, then %+v %+v, %v", i, token, again, same, err)
		}
		_, err = w.Authenticate(bg, same.Text)
		w.ok(err)
		for _, key := range []string{"", "other"} {
			_, _, err := create(i.Name, key)
			w.refused(err, instance.ErrNameTaken)
		}
		// Another one of the name has another token, and the first one's stays dead.
		_, err = w.Delete(bg, instance.ByID(i.ID))
		w.ok(err)
		next, fresh, err := create(name, "k")
		if err != nil || next.ID == i.ID || fresh.Text == token.Text || next.Name != i.Name {
			t.Fatalf("%+v %+v, %v", next, fresh, err)
		}
		_, err = w.Authenticate(bg, token.Text)
		w.refused(err, instance.ErrTokenEnded)
		// What was replaced is told no more.
		_, err = w.RefreshToken(bg, instance.ByID(next.ID), fresh.Text)
		w.ok(err)
		_, _, err = create(name, "k")
		w.refused(err, instance.ErrNameTaken)
	}
	first, _, err := create("b", "k")
	w.ok(err)
	if second, _, err := create("c", "k"); err != nil || second.ID == first.ID {
		t.Errorf("%+v, %+v, %v", first, second, err)
	}
}

func TestNames(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{Names: []string{"order.paid", "chats.set", "order.paid"}})
	n := w.Names()
	if all := n.All(); len(all) != 29 || all[28] != "order.paid" {
		t.Errorf("%d names: %v", len(all), all)
	}
	for _, name := range n.All() {
		if !n.Known(name) || n.Nearest(name) != name || n.Check(name) != nil || n.WebhookOnly(name) != (name == "messaging-history.set") || (n.CheckHeard(name) == nil) == n.WebhookOnly(name) {
			t.Errorf("%s is not itself", name)
		}
	}
	for name, nearest := range map[string]string{
		"message.upsert": "messages.upsert", "ORDER.PAID": "order.paid", "qrcode.update": "qrcode.updated", "conection.updat": "connection.update",
		"paid": "order.paid", "message-history.set": "messaging-history.set",
	} {
		if got := n.Nearest(name); got != nearest || n.Known(name) {
			t.Errorf("%s is near %s", name, got)
		}
		invalid(t, n.Check(name), status.Invalid, fmt.Sprintf("%q", name), nearest)
	}
	invalid(t, n.CheckHeard(""), status.Invalid, "event=")
	invalid(t, n.Check(""), status.Invalid)
	invalid(t, n.CheckHeard("messaging-history.set"), status.Invalid, "webhooks only", "nearest")
	if err := n.CheckHeard("messaging-history.sett"); err == nil || strings.Contains(err.Error(), "is messaging-history.set") {
		t.Errorf("it is sent to what it cannot hear: %v", err)
	}
	for _, name := range []string{"[object CloseEvent]", strings.Repeat("x", 1<<20), "\xff\x00"} {
		if err := n.CheckHeard(name); err == nil || len(err.Error()) > 500 || n.Nearest(name) == "" {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

func BenchmarkNamesRefuse(b *testing.B) {
	n := start(b, b.TempDir(), instance.Options{}).Names()
	for b.Loop() {
		_ = n.CheckHeard("[object CloseEvent]")
	}
}

// TestMadeThoughNobodyWaits makes an instance for somebody who has hung up: who
// is to know of it hears of it all the same, and of one that is there already
// nothing.
func TestMadeThoughNobodyWaits(t *testing.T) {
	made := make(chan string, 4)
	w := start(t, t.TempDir(), instance.Options{Made: func(name string) { made <- name }})
	gone, hangUp := context.WithCancel(bg)
	hangUp()
	if _, _, err := w.Create(gone, instance.Spec{Name: "lifecycle", Key: "k"}); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	select {
	case name := <-made:
		if name != "lifecycle" {
			t.Errorf("%q was made", name)
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody hears of the instance that was made")
	}
	_, _, err := w.Create(bg, instance.Spec{Name: "lifecycle", Key: "k"})
	w.ok(err)
	if len(made) > 0 {
		t.Errorf("%q was made twice", <-made)
	}
}
