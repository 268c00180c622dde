package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/kabar-io/kabar/internal/status"
)

// Hash is a password's hash as a PHC string, which carries its own cost; "" is
// no password. It does not print, so that it cannot slip into a log.
type Hash string

// String hides the hash.
func (h Hash) String() string { return "[hash]" }

// GoString hides the hash.
func (h Hash) GoString() string { return "[hash]" }

// MarshalJSON hides the hash.
func (h Hash) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// HashCost is what argon2id spends on a password.
type HashCost struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

func (c HashCost) validate() error {
	if c.Memory < 8*uint32(c.Threads) || c.Memory > 1<<20 || c.Passes < 1 || c.Passes > 100 || c.Threads < 1 {
		return fmt.Errorf("account: a password hash of %d KiB, %d passes and %d threads is not possible", c.Memory, c.Passes, c.Threads)
	}
	return nil
}

const (
	saltLen, keyLen = 16, 32

	minPassword = 8    // characters
	maxPassword = 1024 // bytes: a longer one only costs time
)

func checkPassword(p string) error {
	switch {
	case !utf8.ValidString(p):
		return status.Errorf(status.Invalid, "PASSWORD_INVALID", "the password is not valid UTF-8")
	case utf8.RuneCountInString(p) < minPassword:
		return status.Errorf(status.Invalid, "PASSWORD_TOO_SHORT", "the password needs %d characters or more", minPassword)
	case len(p) > maxPassword:
		return status.Errorf(status.Invalid, "PASSWORD_TOO_LONG", "the password is longer than %d bytes", maxPassword)
	}
	return nil
}

// hasher hashes a bounded number of passwords at once: each takes megabytes
// and most of a processor, on purpose.
type hasher struct {
	cost  HashCost
	slots chan struct{}
	dummy Hash // what an unknown name is checked against, and no password's
}

func newHasher(cost HashCost, concurrency int) *hasher {
	return &hasher{cost: cost, slots: make(chan struct{}, concurrency), dummy: cost.write(random(saltLen), random(keyLen))}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// write is the hash with that salt and key.
func (c HashCost) write(salt, key []byte) Hash {
	b64 := base64.RawStdEncoding.EncodeToString
	return Hash(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Passes, c.Threads, b64(salt), b64(key)))
}

func (h *hasher) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return status.Errorf(status.Unavailable, "BUSY", "too many passwords are being checked; try again in a moment")
	}
}

func (h *hasher) release() { <-h.slots }

// hash is a new hash of the password.
func (h *hasher) hash(ctx context.Context, password string) (Hash, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer h.release()
	salt := random(saltLen)
	return h.cost.write(salt, argon2.IDKey([]byte(password), salt, h.cost.Passes, h.cost.Memory, h.cost.Threads, keyLen)), nil
}

// verify says whether the password is the hash's. No hash is checked like one,
// and never matches.
func (h *hasher) verify(ctx context.Context, password string, want Hash) (bool, error) {
	none := want == "" || len(password) > maxPassword
	if none {
		want, password = h.dummy, ""
	}
	cost, salt, key, err := want.parse()
	if err != nil {
		return false, err
	}
	if err := h.acquire(ctx); err != nil {
		return false, err
	}
	defer h.release()
	got := argon2.IDKey([]byte(password), salt, cost.Passes, cost.Memory, cost.Threads, uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1 && !none, nil
}

var errHash = errors.New("account: a stored password hash cannot be read")

func (h Hash) parse() (c HashCost, salt, key []byte, err error) {
	parts := strings.Split(string(h), "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.Memory, &c.Passes, &c.Threads); err != nil {
		return c, nil, nil, errHash
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(key) == 0 || len(key) > 128 || c.validate() != nil {
		return c, nil, nil, errHash
	}
	return c, salt, key, nil
}
