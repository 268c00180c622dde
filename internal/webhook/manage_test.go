package webhook_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/webhook"
)

func to[T any](v T) *T { return &v }

// add makes one more webhook of an instance.
func (w *world) add(ref instance.Ref, c webhook.Changes) webhook.Made {
	w.t.Helper()
	made, err := w.Add(bg, ref, c, "")
	w.ok(err)
	return made
}

// urls is what was tried, at which address.
func (s *tries) urls() string {
	var b strings.Builder
	for _, t := range s.list() {
		fmt.Fprintf(&b, "%s:%s ", strings.TrimPrefix(t.url, "http://"), t.Data)
	}
	return b.String()
}

// TestSeveral sees that each endpoint of an instance has its own way: position,
// hold, secret, end.
func TestSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{}
		s.answer = func(event, int) (webhook.Answer, error) {
			if s.all[len(s.all)-1].url == "http://down" {
				return status(500)
			}
			return status(200)
		}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, id := w.create("a")
		w.set(ref, "http://main")
		w.emit(ref, 1, 1)
		time.Sleep(time.Second)
		one := w.add(ref, webhook.Changes{URL: to("http://one"), Events: to([]string{"messages.upsert", "chats.set", "chats.set"})})
		down := w.add(ref, webhook.Changes{URL: to("http://down")})
		none := w.add(ref, webhook.Changes{URL: to("http://none"), Events: to([]string{"chats.set"})})
		if one.Main || !one.Enabled || len(one.Events) != 2 || one.Secret == down.Secret || one.PublicKey == down.PublicKey {
			t.Errorf("%+v and %+v", one, down)
		}
		w.emit(ref, 2, 3)
		time.Sleep(time.Second)
		got := s.urls()
		for _, want := range []string{"main:1 ", "main:2 ", "main:3 ", "one:2 ", "one:3 ", "down:2 "} {
			if strings.Count(got, want) != 1 {
				t.Errorf("%s came %d times of %s", want, strings.Count(got, want), got)
			}
		}
		if strings.Contains(got, "one:1") || strings.Contains(got, "down:3") || strings.Contains(got, "none") {
			t.Errorf("tried %s", got)
		}
		if h := w.find(ref); h.URL != "http://main" || !h.Main {
			t.Errorf("the main one is %+v", h)
		}
		list, err := w.ListOf(bg, id, 0, 9)
		if err != nil || len(list) != 4 {
			t.Errorf("%+v, %v", list, err)
		}
		st, err := w.Standing(bg, down.ID)
		if err != nil || st.Behind() != 2 || st.Hold.Tries != 1 || st.PublicKey != down.PublicKey {
			t.Errorf("%+v, %v", st, err)
		}
		if st, err = w.Standing(bg, one.ID); err != nil || st.Behind() != 0 || st.Position != 3 {
			t.Errorf("%+v, %v", st, err)
		}
		// Changed, it is tried at once; what is not named stays.
		h, err := w.Change(bg, noToken, down.ID, webhook.Changes{URL: to("http://up")})
		if err != nil || h.URL != "http://up" || !h.Enabled || !h.Hold.Since.IsZero() {
			t.Errorf("%+v, %v", h, err)
		}
		time.Sleep(time.Second)
		if got := s.urls(); !strings.Contains(got, "up:2 up:3 ") {
			t.Errorf("tried %s", got)
		}
		// The end of one is nobody else's.
		w.ok(w.Drop(bg, noToken, one.ID))
		_, err = w.Get(bg, one.ID)
		w.refused(err, webhook.ErrNotFound)
		w.refused(w.Drop(bg, noToken, one.ID), webhook.ErrNotFound)
		before := len(s.urls())
		w.emit(ref, 4, 4)
		time.Sleep(time.Second)
		if got := s.urls()[before:]; got != "main:4 up:4 " && got != "up:4 main:4 " {
			t.Errorf("tried %s", got)
		}
		_, err = w.instances.Delete(bg, ref)
		w.ok(err)
		if list, err := w.List(bg, 0, 9); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v, among them %d", list, err, none.ID)
		}
	})
}

func TestAdd(t *testing.T) {
	w := start(t, t.TempDir(), webhook.Options{Sender: loopback(t)})
	ref, _ := w.create("a")
	other, _ := w.create("b")
	url := to("https://x.test")
	_, err := w.Add(bg, ref, webhook.Changes{}, "")
	w.refused(err, webhook.ErrURLInvalid)
	_, err = w.Add(bg, instance.ByName("nobody"), webhook.Changes{URL: url}, "")
	w.refused(err, instance.ErrNotFound)
	for _, rate := range []float64{-1, 0.0001, 1e9} {
		if _, err := w.Add(bg, ref, webhook.Changes{URL: url, Rate: &rate}, ""); err == nil {
			t.Errorf("a rate of %v", rate)
		}
	}
	if _, err := w.Add(bg, ref, webhook.Changes{URL: url, Events: to([]string{"messages.upsrt"})}, ""); err == nil {
		t.Error("an unknown event")
	}
	// A key makes one, and tells its secret again until that is another.
	made, err := w.Add(bg, ref, webhook.Changes{URL: url}, "k")
	w.ok(err)
	again, err := w.Add(bg, ref, webhook.Changes{URL: to("https://y.test")}, "k")
	if err != nil || again.ID != made.ID || again.Secret != made.Secret || again.URL != *url {
		t.Errorf("%+v, then %+v, %v", made, again, err)
	}
	if elsewhere, err := w.Add(bg, other, webhook.Changes{URL: url}, "k"); err != nil || elsewhere.ID == made.ID {
		t.Errorf("%+v, %v", elsewhere, err)
	}
	w.rotate(made.ID)
	if again, err = w.Add(bg, ref, webhook.Changes{URL: url}, "k"); err != nil || again.ID != made.ID || again.Secret != "" {
		t.Errorf("%+v, %v", again, err)
	}
	for n := 1; n < 64; n++ {
		w.add(ref, webhook.Changes{URL: url, Enabled: to(false)})
	}
	_, err = w.Add(bg, ref, webhook.Changes{URL: url}, "")
	w.refused(err, webhook.ErrTooMany)
	_, _, err = w.Set(bg, ref, webhook.Spec{URL: *url})
	w.refused(err, webhook.ErrTooMany)
}

// TestAddAgainDisturbsNobody sees that a request that is repeated does not end
// the try that is under way.
func TestAddAgainDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{slow: 10 * time.Second, answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		for range 2 {
			_, err := w.Add(bg, ref, webhook.Changes{URL: to("http://x")}, "k")
			w.ok(err)
			w.emit(ref, 1, 1)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if got := s.data(); got != "1 1 " {
			t.Errorf("tried %s", got)
		}
	})
}

// TestRotateAgain sees that a request that comes twice, because its answer was
// lost, replaces the keys once: those that receivers have still sign beside them.
func TestRotateAgain(t *testing.T) {
	folder := t.TempDir()
	w := start(t, folder, webhook.Options{Sender: loopback(t)})
	ref, _ := w.create("a")
	hook := w.add(ref, webhook.Changes{URL: to("https://x.test")})
	rotate := func(ref string) webhook.Made {
		t.Helper()
		made, err := w.Rotate(bg, noToken, hook.ID, webhook.Overlap, ref)
		w.ok(err)
		return made
	}
	one := rotate("k")
	w.stop()
	w = start(t, folder, webhook.Options{Sender: loopback(t)})
	if again := rotate("k"); again.Secret != one.Secret || again.PublicKey != one.PublicKey || again.OldUntil != one.OldUntil || sign.Check(one.Secret) != nil {
		t.Errorf("%+v, then %+v", one, again)
	}
	other := rotate("l")
	back := rotate("k")
	if plain := rotate(""); other.Secret == one.Secret || back.Secret == one.Secret || back.Secret == other.Secret || plain.Secret == back.Secret {
		t.Errorf("%+v, %+v, %+v, %+v", one, other, back, plain)
	}
}

// TestKeys sees who accepts what is sent while keys are replaced, and when the
// old ones are over.
func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("a")
		first := w.add(ref, webhook.Changes{URL: to("http://x")})
		n := 0
		said := func() (signatures string, header func(string) string, body []byte) {
			n++
			w.emit(ref, n, n)
			time.Sleep(time.Second)
			last := s.list()[n-1]
			h := http.Header{}
			for name, value := range last.where {
				h.Set(name, value)
			}
			return h.Get(sign.HeaderSignature), h.Get, last.body
		}
		accepted := func(m webhook.Made, want bool) {
			t.Helper()
			_, header, body := said()
			if err := sign.Verify(m.Secret, header, body, time.Now()); (err == nil) != want {
				t.Errorf("by the secret: %v, want %t", err, want)
			}
			if err := sign.VerifyKey(m.PublicKey, header, body, time.Now()); (err == nil) != want {
				t.Errorf("by the key: %v, want %t", err, want)
			}
		}
		accepted(first, true)
		second, err := w.Rotate(bg, noToken, first.ID, time.Hour, "")
		w.ok(err)
		accepted(first, true)
		accepted(second, true)
		if got, _, _ := said(); strings.Count(got, "v1,") != 2 || strings.Count(got, "v1a,") != 2 || !strings.HasPrefix(got, "v1,") {
			t.Errorf("signed %s", got)
		}
		time.Sleep(time.Hour)
		accepted(first, false)
		accepted(second, true)
		if got, _, _ := said(); strings.Count(got, "v1,") != 1 || strings.Count(got, "v1a,") != 1 {
			t.Errorf("signed %s", got)
		}
		third, err := w.Rotate(bg, noToken, first.ID, 0, "")
		w.ok(err)
		accepted(second, false)
		accepted(third, true)
		for _, overlap := range []time.Duration{-1, webhook.MaxOverlap + 1} {
			if _, err := w.Rotate(bg, noToken, first.ID, overlap, ""); err == nil {
				t.Errorf("an overlap of %v", overlap)
			}
		}
		if st, err := w.Standing(bg, first.ID); err != nil || st.PublicKey != third.PublicKey {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// TestCloudEvents sees the other format.
func TestCloudEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tries{answer: func(event, int) (webhook.Answer, error) { return status(200) }}
		w := start(t, t.TempDir(), webhook.Options{Sender: s})
		defer w.stop()
		ref, _ := w.create("größe")
		made := w.add(ref, webhook.Changes{URL: to("http://x"), Format: to(webhook.CloudEvents)})
		ids := w.emit(ref, 1, 1)
		time.Sleep(time.Second)
		got := s.list()[0]
		want := fmt.Sprintf(`{"specversion":"1.0","id":"%s","source":"/instances/gr%%C3%%B6%%C3%%9Fe","type":"messages.upsert","time":"2000-01-01T00:00:00.000Z",`+
			`"sequence":"1","datacontenttype":"application/json","data":1}`, ids[0])
		if string(got.body) != want || got.where["Content-Type"] != "application/cloudevents+json; charset=utf-8" || got.where[sign.HeaderID] != ids[0] {
			t.Errorf("got %s\nwant %s, %v", got.body, want, got.where)
		}
		header := func(name string) string { return got.where[name] }
		if err := sign.Verify(made.Secret, header, got.body, time.Now()); err != nil {
			t.Error(err)
		}
	})
}
