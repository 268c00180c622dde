package sign_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/kabar-io/kabar/internal/sign"
)

func headersOf(t *testing.T, secret, id string, at time.Time, body string, others ...string) http.Header {
	t.Helper()
	m, err := sign.Headers(secret, id, at, []byte(body), others...)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for name, value := range m {
		h.Set(name, value)
	}
	return h
}

// TestPublicLibraryAccepts sees that what the public library takes for a
// signature is what is made here, and that what it makes is taken here.
func TestPublicLibraryAccepts(t *testing.T) {
	now := time.Now()
	old, other := sign.NewSecret(), sign.NewSecret()
	for name, secret := range map[string]string{"made": sign.NewSecret(), "derived": sign.Derive([]byte("a key"), "label")} {
		for _, body := range []string{"", `{"a":"é"}`, "\x00\n."} {
			wh, err := standard.NewWebhook(secret)
			if err != nil {
				t.Fatal(name, err)
			}
			h := headersOf(t, secret, "a1-b2", now, body)
			if err := wh.Verify([]byte(body), h); err != nil {
				t.Errorf("%s, %q: the library says %v", name, body, err)
			}
			theirs, err := wh.Sign("a1-b2", now, []byte(body))
			if err != nil || theirs != h.Get(sign.HeaderSignature) {
				t.Errorf("the library signs %s, we %s, %v", theirs, h.Get(sign.HeaderSignature), err)
			}
			if err := sign.Verify(secret, h.Get, []byte(body), now); err != nil {
				t.Errorf("%s, %q: %v", name, body, err)
			}
			// While a secret is replaced, who has the old one accepts it too.
			both := headersOf(t, secret, "a1-b2", now, body, old)
			for _, s := range []string{secret, old} {
				if wh, _ := standard.NewWebhook(s); wh.Verify([]byte(body), both) != nil || sign.Verify(s, both.Get, []byte(body), now) != nil {
					t.Errorf("%s, %q: one of two secrets is not taken", name, body)
				}
			}
			if !errors.Is(sign.Verify(other, both.Get, []byte(body), now), sign.ErrSignature) {
				t.Error("a foreign secret is taken")
			}
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	secret, now := sign.NewSecret(), time.Unix(1_800_000_000, 0)
	for name, change := range map[string]func(h http.Header){
		"another id":        func(h http.Header) { h.Set(sign.HeaderID, "b") },
		"no id":             func(h http.Header) { h.Del(sign.HeaderID) },
		"another time":      func(h http.Header) { h.Set(sign.HeaderTimestamp, "1800000001") },
		"no time":           func(h http.Header) { h.Set(sign.HeaderTimestamp, "") },
		"no signature":      func(h http.Header) { h.Del(sign.HeaderSignature) },
		"half a signature":  func(h http.Header) { h.Set(sign.HeaderSignature, h.Get(sign.HeaderSignature)[:20]) },
		"another version":   func(h http.Header) { h.Set(sign.HeaderSignature, "v2"+h.Get(sign.HeaderSignature)[2:]) },
		"without a version": func(h http.Header) { h.Set(sign.HeaderSignature, h.Get(sign.HeaderSignature)[3:]) },
	} {
		h := headersOf(t, secret, "a", now, "body")
		if err := sign.Verify(secret, h.Get, []byte("body"), now); err != nil {
			t.Fatal(err)
		}
		change(h)
		if err := sign.Verify(secret, h.Get, []byte("body"), now); !errors.Is(err, sign.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := headersOf(t, secret, "a", now, "body")
	if err := sign.Verify(secret, h.Get, []byte("Body"), now); !errors.Is(err, sign.ErrSignature) {
		t.Errorf("another body: %v", err)
	}
	for late, want := range map[time.Duration]error{
		sign.Tolerance: nil, -sign.Tolerance: nil, sign.Tolerance + time.Second: sign.ErrTime, -sign.Tolerance - time.Second: sign.ErrTime,
	} {
		if err := sign.Verify(secret, h.Get, []byte("body"), now.Add(late)); !errors.Is(err, want) {
			t.Errorf("%v late: %v", late, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	fits := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), n)) }
	for secret, want := range map[string]error{
		sign.NewSecret(): nil, fits(24): nil, fits(64): nil,
		fits(23): sign.ErrSecret, fits(65): sign.ErrSecret, "": sign.ErrSecret, "whsec_": sign.ErrSecret,
		strings.TrimPrefix(fits(32), "whsec_"): sign.ErrSecret, fits(32) + "!": sign.ErrSecret,
	} {
		if err := sign.Check(secret); !errors.Is(err, want) {
			t.Errorf("%s: %v", secret, err)
		}
		if _, err := sign.Headers(secret, "a", time.Now(), nil); !errors.Is(err, want) {
			t.Errorf("%s signs: %v", secret, err)
		}
		if _, err := sign.Headers(fits(32), "a", time.Now(), nil, secret); !errors.Is(err, want) {
			t.Errorf("%s signs beside another: %v", secret, err)
		}
		if err := sign.Verify(secret, func(string) string { return "" }, nil, time.Now()); want != nil && !errors.Is(err, want) {
			t.Errorf("%s verifies: %v", secret, err)
		}
	}
	if one, other := sign.NewSecret(), sign.NewSecret(); one == other {
		t.Error("two secrets are one")
	}
	a, again := sign.Derive([]byte("key"), "a"), sign.Derive([]byte("key"), "a")
	if a != again || a == sign.Derive([]byte("key"), "b") || a == sign.Derive([]byte("kez"), "a") {
		t.Error("a derived secret is not the one of its key and label")
	}
}

// TestKeys sees that what is signed with a key is accepted by its public one
// alone, and that the public library is not in the way of it.
func TestKeys(t *testing.T) {
	secret, now, body := sign.NewSecret(), time.Unix(1_800_000_000, 0), []byte("body")
	key, other := sign.DeriveKey([]byte("key"), "a"), sign.DeriveKey([]byte("key"), "b")
	if !key.Equal(sign.DeriveKey([]byte("key"), "a")) || key.Equal(other) || key.Equal(sign.DeriveKey([]byte("kez"), "a")) {
		t.Error("a derived key is not the one of its key and label")
	}
	signed := func(keys ...ed25519.PrivateKey) http.Header {
		m, err := sign.Headers(secret, "a", now, body)
		if err != nil {
			t.Fatal(err)
		}
		sign.WithKeys(m, "a", now, body, keys...)
		h := http.Header{}
		for name, value := range m {
			h.Set(name, value)
		}
		return h
	}
	public := sign.PublicKey(key)
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(public, "whpk_")); err != nil || len(raw) != 32 || !strings.HasPrefix(public, "whpk_") {
		t.Errorf("a public key is %s", public)
	}
	h := signed(other, key)
	parts := strings.Fields(h.Get(sign.HeaderSignature))
	text, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(parts[2], "v1a,"))
	if err != nil || len(parts) != 3 || !ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("a.1800000000.body"), text) {
		t.Errorf("signed %v, %v", parts, err)
	}
	for name, c := range map[string]struct {
		public string
		header http.Header
		body   string
		now    time.Time
		want   error
	}{
		"both":         {public, h, "body", now, nil},
		"alone":        {public, signed(key), "body", now, nil},
		"another's":    {public, signed(other), "body", now, sign.ErrSignature},
		"none":         {public, signed(), "body", now, sign.ErrSignature},
		"another body": {public, h, "Body", now, sign.ErrSignature},
		"late":         {public, h, "body", now.Add(time.Hour), sign.ErrTime},
		"no key":       {"whpk_", h, "body", now, sign.ErrPublicKey},
		"a secret":     {secret, h, "body", now, sign.ErrPublicKey},
	} {
		if err := sign.VerifyKey(c.public, c.header.Get, []byte(c.body), c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wh, err := standard.NewWebhook(secret)
	if err == nil {
		err = wh.VerifyIgnoringTimestamp(body, h)
	}
	if err != nil {
		t.Errorf("the library says %v", err)
	}
}
