package webhook_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/webhook"
)

// TestTryOut sends an endpoint an event that is none of its instance's: signed,
// at once, and with no trace but in the delivery log.
func TestTryOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{slow: time.Second, answer: func(event, int) (webhook.Answer, error) {
			return webhook.Answer{Status: 410, Body: []byte("no more")}, nil
		}}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, id := w.create("a")
		for _, c := range []webhook.Changes{{Enabled: to(false)}, {Format: to(webhook.CloudEvents), Rate: to(0.001)}} {
			c.URL = to("http://x")
			hook := w.add(ref, c)
			before := w.find2(hook.ID)
			second := make(chan error)
			go func() {
				time.Sleep(time.Millisecond)
				_, err := w.Test(bg, hook.ID)
				second <- err
			}()
			got, err := w.Test(bg, hook.ID)
			if err != nil || got.Status != 410 || got.Answer != "no more" || got.Took != time.Second || got.Cause != webhook.Tested || got.Error != "the receiver answered 410" {
				t.Errorf("%+v, %v", got, err)
			}
			if err := <-second; err == nil || !strings.Contains(err.Error(), "being tested") {
				t.Errorf("two at once: %v", err)
			}
			all := s.list()
			last := all[len(all)-1]
			h := http.Header{}
			for name, value := range last.where {
				h.Set(name, value)
			}
			for _, err := range []error{sign.Verify(hook.Secret, h.Get, last.body, time.Now()), sign.VerifyKey(hook.PublicKey, h.Get, last.body, time.Now())} {
				if err != nil {
					t.Error(err)
				}
			}
			if h.Get(sign.HeaderID) != got.Event || !strings.HasPrefix(got.Event, "test-") || !strings.Contains(string(last.body), `"webhook.test"`) {
				t.Errorf("%s, %v", last.body, h)
			}
			if c.Format == nil && (last.Event != webhook.TestEvent || last.Instance.ID != id || last.Seq != 0 || last.ID != got.Event) {
				t.Errorf("%s", last.body)
			}
			time.Sleep(2 * time.Second)
			if list := w.tried(hook.ID, webhook.TryQuery{Limit: 9}); len(list) != 1 || list[0].ID != got.ID || list[0].Answer != "no more" {
				t.Errorf("logged %+v", list)
			}
			if _, body, err := w.Try(bg, hook.ID, got.ID); err != nil || body != nil {
				t.Errorf("%s, %v", body, err)
			}
			if after := w.find2(hook.ID); after.Enabled != before.Enabled || after.Hold != before.Hold || after.Error != "" || !after.Taken.IsZero() {
				t.Errorf("%+v became %+v", before, after)
			}
		}
		_, err := w.Test(bg, 999)
		w.refused(err, webhook.ErrNotFound)
	})
}
