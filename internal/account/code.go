package account

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kabar-io/kabar/internal/remote"
	"github.com/kabar-io/kabar/internal/status"
)

// Bounds of the codes that wait to be used. Over either the oldest gives way:
// of the user, whatever logins they have, and of all. Whose code gave way asks
// for another. At limit.connects as it is by itself, which bounds asking for
// codes, too, no more than 61,000 wait within the minute that they live, and so
// nobody's gives way to another's. With more a second they do, beyond 65,536.
const (
	maxCodes       = 1 << 16
	maxCodesOfUser = 1000
)

// codes are the one-time codes that were issued and nobody has used yet. They
// are in memory only: one that was used, or that an earlier process issued, is
// not there, and so opens nothing.
type codes struct {
	mu   sync.Mutex
	by   map[digest]*list.Element // guarded by mu; of line
	line list.List                // guarded by mu: every *waitingCode, as they were issued
	of   map[uint64][]digest      // guarded by mu: those of a user, as they were issued
}

type waitingCode struct {
	hash        digest
	user, login uint64
	until       time.Time
}

func newCodes() *codes { return &codes{by: map[digest]*list.Element{}, of: map[uint64][]digest{}} }

// add takes a code in, and those out that are over.
func (c *codes) add(w waitingCode, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.line.Front(); e != nil; e = c.line.Front() {
		if len(c.by) < maxCodes && now.Before(e.Value.(*waitingCode).until) {
			break
		}
		c.remove(e)
	}
	if mine := c.of[w.user]; len(mine) >= maxCodesOfUser {
		c.remove(c.by[mine[0]])
	}
	c.by[w.hash] = c.line.PushBack(&w)
	c.of[w.user] = append(c.of[w.user], w.hash)
}

// take takes a code out: of all who ask for it, the first gets it.
func (c *codes) take(hash digest) (waitingCode, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.by[hash]
	if e == nil {
		return waitingCode{}, false
	}
	return c.remove(e), true
}

// remove needs mu.
func (c *codes) remove(e *list.Element) waitingCode {
	w := *c.line.Remove(e).(*waitingCode)
	delete(c.by, w.hash)
	mine := c.of[w.user]
	if i := slices.Index(mine, w.hash); len(mine) > 1 {
		c.of[w.user] = slices.Delete(mine, i, i+1)
	} else {
		delete(c.of, w.user)
	}
	return w
}

// Issue makes a one-time code for a login.
func (s *Service) Issue(l Login) (string, error) {
	now := s.o.Now()
	until := jwt.NewNumericDate(now.Add(s.o.CodeTTL))
	code, err := s.signer.sign(codeClaims{
		AuthID: rand.Text(), User: l.User, Login: l.ID,
		RegisteredClaims: jwt.RegisteredClaims{Audience: jwt.ClaimStrings{codeAudience}, ExpiresAt: until},
	})
	if err == nil {
		s.waiting.add(waitingCode{digestOf(code), l.User, l.ID, until.Time}, now)
	}
	return code, err
}

// Spend takes a one-time code: of all who present it the first wins, and only
// while its login lives. Whatever comes of it, the code is spent. address is
// where it comes from, zero is not limited.
func (s *Service) Spend(ctx context.Context, code string, address remote.Addr) (User, Login, error) {
	from := ""
	if !s.codes.off() {
		from = origin(address)
	}
	if !s.codes.free(from, s.o.Now()) {
		return User{}, Login{}, ErrTooManyCodes
	}
	u, l, err := s.spend(ctx, code)
	if err != nil {
		var e *status.Error
		if errors.As(err, &e) && e.Code == status.Unauthenticated {
			s.codes.Take(from, s.o.Now())
		}
		return User{}, Login{}, err
	}
	return u, s.Touch(l), nil
}

func (s *Service) spend(ctx context.Context, code string) (User, Login, error) {
	w, ok := s.waiting.take(digestOf(code))
	switch {
	case !ok:
		return User{}, Login{}, s.whyNoCode(code)
	case !s.o.Now().Before(w.until):
		return User{}, Login{}, ErrCodeExpired
	}
	return s.liveByID(ctx, w.login)
}

// whyNoCode is what to say to somebody with a code that is not waiting.
func (s *Service) whyNoCode(code string) error {
	var c codeClaims
	err := s.signer.check(s.signer.code, code, &c)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrCodeExpired
	case err != nil || c.AuthID == "":
		return ErrCodeInvalid
	case c.ExpiresAt.Add(-s.o.CodeTTL).Before(s.started): // it went with the process that issued it
		return ErrCodeExpired
	}
	return ErrCodeSpent
}
