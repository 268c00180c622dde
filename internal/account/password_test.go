package account

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/status"
)

func TestPasswords(t *testing.T) {
	h := newHasher(HashCost{Memory: 64, Passes: 1, Threads: 2}, 1)
	hash, err := h.hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := h.hash(t.Context(), "correct horse"); again == hash {
		t.Fatal("a hash has no salt")
	}
	dearer := newHasher(HashCost{Memory: 128, Passes: 2, Threads: 1}, 1) // each hash has its own cost
	for password, want := range map[string]bool{"correct horse": true, "correct hors": false, "": false} {
		if ok, err := dearer.verify(t.Context(), password, hash); err != nil || ok != want {
			t.Errorf("%q: %v, %v", password, ok, err)
		}
	}
	for _, password := range []string{"", "correct horse"} {
		if ok, err := h.verify(t.Context(), password, ""); err != nil || ok {
			t.Errorf("%q is the password of somebody without one: %v, %v", password, ok, err)
		}
	}
	for _, bad := range []Hash{"x", "$argon2i$v=19$m=64,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=64,t=1,p=1$AAAA$", "$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=64,t=1,p=1$!$AAAA"} {
		if _, err := h.verify(t.Context(), "x", bad); !errors.Is(err, errHash) {
			t.Errorf("%s gave %v", string(bad), err)
		}
	}
}

func TestABusyHasherLetsTheCallerGo(t *testing.T) {
	h := newHasher(HashCost{Memory: 64, Passes: 1, Threads: 1}, 1)
	if err := h.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := h.verify(ctx, "x", ""); status.Of(err).Reason != "BUSY" {
		t.Fatalf("got %v", err)
	}
	h.release()
	if _, err := h.verify(t.Context(), "x", ""); err != nil {
		t.Fatal(err)
	}
}

func TestALimiterForgetsTheOldest(t *testing.T) {
	l := NewLimiter(Limit{1, time.Hour})
	now := time.Now()
	if !l.Take("guessed", now) {
		t.Fatal("the first")
	}
	for i := range 3 * maxBuckets {
		l.Take(strconv.Itoa(i), now)
		if i%1000 == 0 && l.Take("guessed", now) {
			t.Fatal("forgotten while it was in use, after", i)
		}
	}
	if n := len(l.now) + len(l.old); n > maxBuckets {
		t.Fatalf("%d buckets", n)
	}
}
