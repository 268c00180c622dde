package instance_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

func payload(t *testing.T, token string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestToken(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	i, token := w.create("a")
	c := payload(t, token.Text)
	secret, _ := c["tokenId"].(string)
	if len(c) != 5 || c["instanceName"] != "a" || c["apiName"] != "kabar" || c["sub"] != "g-t" || len(secret) < 26 || c["iat"] == nil {
		t.Errorf("the token says %v", c)
	}
	a, err := w.Authenticate(bg, token.Text)
	w.ok(err)
	if a.Instance.ID != i.ID || a.Token != token.ID || a.Credential() != instance.CredentialOf(token.ID) || !a.Until.IsZero() {
		t.Errorf("it opens %+v", a)
	}
	w.stop()
	if strings.Contains(string(w.data()), secret) || strings.Contains(string(w.data()), token.Text) {
		t.Error("the secret stands in the data folder")
	}
}

// data is all that the data folder holds.
func (w *world) data() (all []byte) {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.folder, "*"))
	w.ok(err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		w.ok(err)
		all = append(all, b...)
	}
	return all
}

func TestTokenForged(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	_, token := w.create("a")
	_, other := w.create("b")
	claims := jwt.MapClaims(payload(t, token.Text))
	sign := func(m jwt.SigningMethod, k any, header map[string]any, change map[string]any) string {
		c := jwt.MapClaims{}
		for name, v := range claims {
			c[name] = v
		}
		for name, v := range change {
			if c[name] = v; v == nil {
				delete(c, name)
			}
		}
		tok := jwt.NewWithClaims(m, c)
		for name, v := range header {
			tok.Header[name] = v
		}
		s, err := tok.SignedString(k)
		w.ok(err)
		return s
	}
	if _, err := w.Authenticate(bg, sign(jwt.SigningMethodHS256, key, nil, nil)); err != nil {
		t.Fatal("the test signs wrongly: ", err)
	}
	parts := strings.Split(token.Text, ".")
	for name, forged := range map[string]string{
		"none":          sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil),
		"HS512":         sign(jwt.SigningMethodHS512, key, nil, nil),
		"another key":   sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), nil, nil),
		"crit":          sign(jwt.SigningMethodHS256, key, map[string]any{"crit": []string{"b64"}}, nil),
		"b64":           sign(jwt.SigningMethodHS256, key, map[string]any{"b64": false}, nil),
		"kid":           sign(jwt.SigningMethodHS256, key, map[string]any{"kid": "1"}, nil),
		"a login's":     sign(jwt.SigningMethodHS256, key, nil, map[string]any{"sub": "1"}),
		"no subject":    sign(jwt.SigningMethodHS256, key, nil, map[string]any{"sub": nil}),
		"no secret":     sign(jwt.SigningMethodHS256, key, nil, map[string]any{"tokenId": nil}),
		"other secret":  sign(jwt.SigningMethodHS256, key, nil, map[string]any{"tokenId": payload(t, other.Text)["tokenId"]}),
		"other name":    sign(jwt.SigningMethodHS256, key, nil, map[string]any{"instanceName": "b"}),
		"no name":       sign(jwt.SigningMethodHS256, key, nil, map[string]any{"instanceName": nil}),
		"over":          sign(jwt.SigningMethodHS256, key, nil, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}),
		"mixed":         parts[0] + "." + strings.Split(other.Text, ".")[1] + "." + parts[2],
		"half":          token.Text[:len(token.Text)/2],
		"nothing":       "",
		"much":          strings.Repeat("x", 1<<20),
		"padded":        token.Text + "=",
		"with a header": "Bearer " + token.Text,
	} {
		_, err := w.Authenticate(bg, forged)
		if status.Of(err) == nil || status.Of(err).Code != status.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
		if name != "over" { // an old one may be refreshed
			if _, err := w.RefreshToken(bg, instance.ByName("a"), forged); status.Of(err) == nil || status.Of(err).Code != status.Unauthenticated {
				t.Errorf("%s refreshed: %v", name, err)
			}
		}
	}
}

func TestRefresh(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	i, old := w.create("a")
	_, foreign := w.create("b")
	before, err := w.Authenticate(bg, old.Text)
	w.ok(err)
	_, err = w.RefreshToken(bg, instance.ByName("a"), foreign.Text)
	w.refused(err, instance.ErrTokenEnded)
	_, err = w.RefreshToken(bg, instance.ByName("nobody"), old.Text)
	w.refused(err, instance.ErrNotFound)
	if len(w.topic(i.ID)) != 0 {
		t.Error("something ended")
	}
	token, err := w.RefreshToken(bg, instance.ByName("a"), old.Text)
	w.ok(err)
	if token.ID == old.ID || token.Text == old.Text {
		t.Errorf("%+v is the old one", token)
	}
	_, err = w.Authenticate(bg, old.Text)
	w.refused(err, instance.ErrTokenEnded)
	_, err = w.RefreshToken(bg, instance.ByName("a"), old.Text)
	w.refused(err, instance.ErrTokenEnded)
	// What was authenticated before does nothing any more.
	_, err = w.emit(before.Ref(), "messages.set 1")
	w.refused(err, instance.ErrTokenEnded)
	_, err = w.Update(bg, before.Ref(), instance.Changes{})
	w.refused(err, instance.ErrTokenEnded)
	a, err := w.Authenticate(bg, token.Text)
	if err != nil || a.Instance.ID != i.ID || a.Token != token.ID {
		t.Fatalf("the new one opens %+v, %v", a, err)
	}
	_, err = w.emit(a.Ref(), "messages.set 1")
	w.ok(err)
	ms := w.topic(i.ID)
	if len(ms) != 2 || ms[0].Kind != instance.KindEvent || instance.EventName(ms[0].Data) != "refresh.token" || ms[0].Ends != before.Credential() {
		t.Fatalf("said %+v", ms)
	}
	for _, m := range ms {
		if strings.Contains(string(m.Data), payload(t, token.Text)["tokenId"].(string)) {
			t.Errorf("the secret is told: %s", m.Data)
		}
	}
	// By one's own token, as itself.
	_, err = w.RefreshToken(bg, a.Ref(), token.Text)
	w.ok(err)
}

func TestRefreshOnce(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	_, old := w.create("a")
	var won atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := w.RefreshToken(bg, instance.ByName("a"), old.Text); err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d got a new one", won.Load())
	}
}

func TestExpiry(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{TokenTTL: time.Hour, APIName: "toko"})
	_, token := w.create("a")
	a, err := w.Authenticate(bg, token.Text)
	if left := time.Until(a.Until); err != nil || left < 59*time.Minute || left > time.Hour || payload(t, token.Text)["apiName"] != "toko" {
		t.Fatalf("it lives until %v, %v", a.Until, err)
	}
	w.later(61 * time.Minute)
	_, err = w.Authenticate(bg, token.Text)
	w.refused(err, instance.ErrTokenExpired)
	fresh, err := w.RefreshToken(bg, instance.ByName("a"), token.Text)
	w.ok(err)
	_, err = w.Authenticate(bg, fresh.Text)
	w.ok(err)
}

func TestDelete(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	first, old := w.create("a")
	access, err := w.Authenticate(bg, old.Text)
	w.ok(err)
	_, err = w.emit(instance.ByName("a"), `connection.update {"state":"open"}`)
	w.ok(err)
	gone, err := w.Delete(bg, instance.ByName("a"))
	if err != nil || gone.ID != first.ID {
		t.Fatalf("deleted %+v, %v", gone, err)
	}
	ms := w.topic(first.ID)
	if end := ms[len(ms)-1]; end.Kind != instance.KindDeleted || end.Ends != access.Credential() {
		t.Errorf("said %+v", end)
	}
	_, err = w.Delete(bg, instance.ByName("a"))
	w.refused(err, instance.ErrNotFound)
	for range 2 { // the second time with a new one of that name
		_, err = w.Authenticate(bg, old.Text)
		w.refused(err, instance.ErrTokenEnded)
		_, err = w.emit(access.Ref(), "messages.set 1")
		w.refused(err, instance.ErrTokenEnded)
		_, err = w.emit(instance.ByID(first.ID), "messages.set 1")
		w.refused(err, instance.ErrNotFound)
		if i, err := w.Get(bg, instance.ByName("a")); err == nil {
			if _, err := w.RefreshToken(bg, instance.ByName("a"), old.Text); status.Of(err).Code != status.Unauthenticated {
				t.Error(err)
			}
			if i.State != "" || i.ID == first.ID || len(w.topic(i.ID)) != 0 {
				t.Errorf("the new one remembers the old: %+v", i)
			}
			break
		}
		w.create("a")
	}
	if len(w.topic(first.ID)) != len(ms) {
		t.Error("something was said after the end")
	}
}

// TestEndsBetween sees that an event is stored before its token's end or not
// at all.
func TestEndsBetween(t *testing.T) {
	w := start(t, t.TempDir(), instance.Options{})
	i, token := w.create("a")
	access, err := w.Authenticate(bg, token.Text)
	w.ok(err)
	var all sync.WaitGroup
	var stored atomic.Int32
	for range 4 {
		all.Go(func() {
			for range 25 {
				w.Emit(access.Ref(), parse("messages.upsert 1"), journal.Key{}).Then(func(_ journal.Result, err error) {
					if err == nil {
						stored.Add(1)
					}
				})
			}
		})
	}
	_, err = w.RefreshToken(bg, instance.ByName("a"), token.Text)
	w.ok(err)
	all.Wait()
	_, err = w.emit(instance.ByName("a"), "status.instance 1") // after all of them
	w.ok(err)
	ms := w.topic(i.ID)
	if len(ms) != int(stored.Load())+2 {
		t.Errorf("%d stored, %d said", stored.Load(), len(ms))
	}
	for n, m := range ms {
		if m.Ends != "" && n != len(ms)-2 {
			t.Errorf("%d were said after the end", len(ms)-2-n)
		}
	}
}
