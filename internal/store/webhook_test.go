package store_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/webhook"
)

func TestWebhookRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	full := webhook.Row{
		Webhook: webhook.Webhook{
			ID: 3, Instance: 2, Main: true, Format: webhook.CloudEvents, Rate: 0.5, URL: "https://x", Enabled: true, Events: []string{"a", "b"}, Created: at, Updated: at.Add(time.Hour),
			Hold: webhook.Hold{Since: at, Tries: 4, Next: at.Add(time.Minute)}, Error: "é",
		},
		Version: 5, Start: 6, Secret: []byte{0, 1}, OldSecret: []byte{2}, OldUntil: at.Add(2 * time.Hour), Keys: 7, Ref: "r",
	}
	bare := webhook.Row{Webhook: webhook.Webhook{ID: 4, Main: true, URL: "u", Created: at, Updated: at}}
	none := webhook.Row{Webhook: webhook.Webhook{ID: 5, Instance: 7, Main: true, Events: []string{}, Created: at, Updated: at}}
	same := func(r webhook.Reader, want ...webhook.Row) {
		t.Helper()
		for _, row := range want {
			byID, ok1, err1 := r.Webhook(bg, row.ID)
			of, ok2, err2 := r.WebhookOf(bg, row.Instance)
			if err := errors.Join(err1, err2); err != nil || !ok1 || !ok2 || !reflect.DeepEqual(byID, row) || !reflect.DeepEqual(of, row) {
				t.Errorf("read %+v and %+v, %v; want %+v", byID, of, err, row)
			}
		}
		list, err := r.Webhooks(bg, 0, 10)
		if err != nil || len(list) != len(want) || len(list) > 0 && !reflect.DeepEqual(list, want) {
			t.Errorf("listed %+v, %v", list, err)
		}
	}
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		w := st.Webhooks().In(tx)
		same(st.Webhooks())
		return errors.Join(w.AddWebhook(bg, none), w.AddWebhook(bg, full), w.AddWebhook(bg, bare))
	}, func(st *store.Store, tx *journal.Tx) error {
		if err := st.Webhooks().In(tx).AddWebhook(bg, webhook.Row{Webhook: webhook.Webhook{ID: 9, Instance: 2, Main: true}}); err == nil {
			t.Error("two main webhooks of one instance")
		}
		if err := st.Webhooks().In(tx).AddWebhook(bg, webhook.Row{Webhook: webhook.Webhook{ID: 9, Instance: 2}, Ref: "r"}); err == nil {
			t.Error("two webhooks by one key")
		}
		for id := uint64(10); id < 12; id++ {
			if err := st.Webhooks().In(tx).AddWebhook(bg, webhook.Row{Webhook: webhook.Webhook{ID: id, Instance: 2}}); err != nil {
				t.Errorf("several of one instance: %v", err)
			}
		}
		in := st.Webhooks().In(tx)
		list, err := in.WebhooksOf(bg, 2, 3, 1)
		n, err2 := in.CountWebhooks(bg, 2)
		by, ok, err3 := in.WebhookBy(bg, 2, "r")
		_, none, err4 := in.WebhookBy(bg, 2, "")
		if err := errors.Join(err, err2, err3, err4); err != nil || len(list) != 1 || list[0].ID != 10 || n != 3 || !ok || by.ID != 3 || none {
			t.Errorf("%+v, %d, %+v, %t, %v", list, n, by, none, err)
		}
		if err := in.DropWebhook(bg, 10); err != nil {
			t.Error(err)
		}
		if _, ok, _ := in.Webhook(bg, 10); ok {
			t.Error("it is still there")
		}
		return errTakenBack
	}, func(st *store.Store, tx *journal.Tx) error {
		w := st.Webhooks().In(tx)
		same(st.Webhooks(), full, bare, none)
		same(w, full, bare, none)
		if list, err := w.Webhooks(bg, 3, 1); err != nil || len(list) != 1 || list[0].ID != 4 {
			t.Errorf("listed %+v, %v", list, err)
		}
		changed := full
		changed.ID, changed.Instance, changed.Created, changed.Ref = bare.ID, bare.Instance, bare.Created, bare.Ref // what never changes
		if err := w.SetWebhook(bg, changed); err != nil {
			return err
		}
		same(w, full, changed, none)
		return nil
	})
}

func TestKeptRows(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	parked := func(id, seq uint64, next time.Duration) webhook.Kept {
		return webhook.Kept{Webhook: id, First: seq, Last: seq, Since: at, Tries: 1, Next: at.Add(next), Reason: "r"}
	}
	dead := webhook.Kept{Webhook: 3, First: 5, Last: 9, State: webhook.Dead, Since: at, Tries: 70, Reason: "é"}
	same := func(got []webhook.Kept, err error, want ...webhook.Kept) {
		t.Helper()
		if err != nil || len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("kept %+v, %v; want %+v", got, err, want)
		}
	}
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		w := st.Webhooks().In(tx)
		return errors.Join(w.Keep(bg, parked(3, 2, time.Hour)), w.Keep(bg, parked(3, 1, time.Minute)), w.Keep(bg, parked(4, 1, 0)),
			w.Keep(bg, dead), w.Keep(bg, parked(3, 2, 2*time.Hour)))
	}, func(st *store.Store, tx *journal.Tx) error {
		for _, w := range []webhook.Reader{st.Webhooks(), st.Webhooks().In(tx)} {
			list, err := w.Kept(bg, 3, webhook.Parked, 0, 9)
			same(list, err, parked(3, 1, time.Minute), parked(3, 2, 2*time.Hour))
			list, err = w.Kept(bg, 3, webhook.Parked, 1, 9)
			same(list, err, parked(3, 2, 2*time.Hour))
			list, err = w.Kept(bg, 3, webhook.Parked, 0, 1)
			same(list, err, parked(3, 1, time.Minute))
			list, err = w.Kept(bg, 3, webhook.Dead, 0, 9)
			same(list, err, dead)
			due, ok, err := w.Due(bg, 3)
			if n, err2 := w.CountKept(bg, 3, webhook.Parked); n != 2 || err2 != nil || !ok || err != nil || due != parked(3, 1, time.Minute) {
				t.Errorf("%d, the first %+v, %v, %v", n, due, err, err2)
			}
			if _, ok, err := w.Due(bg, 9); ok || err != nil {
				t.Errorf("due of nobody: %v", err)
			}
		}
		w := st.Webhooks().In(tx)
		if err := errors.Join(w.DropKept(bg, 3, 1), w.Hasten(bg, 3, at.Add(time.Minute))); err != nil {
			return err
		}
		list, err := w.Kept(bg, 3, webhook.Parked, 0, 9)
		same(list, err, parked(3, 2, time.Minute))
		list, err = w.Kept(bg, 3, webhook.Dead, 0, 9)
		same(list, err, dead)
		list, err = w.Kept(bg, 4, webhook.Parked, 0, 9)
		same(list, err, parked(4, 1, 0))
		return w.Hasten(bg, 3, at.Add(time.Hour)) // never later
	}, func(st *store.Store, _ *journal.Tx) error {
		list, err := st.Webhooks().Kept(bg, 3, webhook.Parked, 0, 9)
		same(list, err, parked(3, 2, time.Minute))
		return nil
	})
}

// TestWebhooksGoWithInstances sees that nothing of a deleted instance's webhook
// is left, and nothing of another's is gone.
func TestWebhooksGoWithInstances(t *testing.T) {
	inBatches(t, t.TempDir(), func(st *store.Store, tx *journal.Tx) error {
		w := st.Webhooks().In(tx)
		for id := uint64(1); id <= 2; id++ {
			row := instance.Row{Instance: instance.Instance{ID: id, Name: string(rune('a' + id))}, Hash: []byte{1}}
			if err := errors.Join(st.Instances().In(tx).AddInstance(bg, row), w.AddWebhook(bg, webhook.Row{Webhook: webhook.Webhook{ID: id + 10, Instance: id}}),
				w.Keep(bg, webhook.Kept{Webhook: id + 10, First: 1, Last: 1})); err != nil {
				return err
			}
		}
		return st.SavePositions(tx, []hub.Acked{{Owner: "webhook/11", Topic: "t", Seq: 1}, {Owner: "webhook/12", Topic: "t", Seq: 1}})
	}, func(st *store.Store, tx *journal.Tx) error {
		return st.Instances().In(tx).DropInstance(bg, 1)
	}, func(st *store.Store, _ *journal.Tx) error {
		for id := uint64(11); id <= 12; id++ {
			_, ok, err1 := st.Webhooks().Webhook(bg, id)
			n, err2 := st.Webhooks().CountKept(bg, id, webhook.Parked)
			_, placed, err3 := st.Position(bg, map[uint64]string{11: "webhook/11", 12: "webhook/12"}[id])
			if err := errors.Join(err1, err2, err3); err != nil || ok != (id == 12) || n != int(id-11) || placed != (id == 12) {
				t.Errorf("%d: %t, %d kept, placed %t, %v", id, ok, n, placed, err)
			}
		}
		return nil
	})
}
