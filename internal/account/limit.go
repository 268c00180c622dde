package account

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/remote"
)

// Limit is how many in how long, refilled evenly. The zero Limit is off.
type Limit struct {
	N   int
	Per time.Duration
}

// maxBuckets bounds a limiter's memory: past it the least lately used half is
// forgotten. Flushing somebody's bucket out takes more tries than waiting.
const maxBuckets = 1 << 16

type bucket struct {
	used float64
	at   time.Time
}

// Limiter counts by key.
type Limiter struct {
	limit   Limit // static
	refused atomic.Int64

	mu       sync.Mutex
	now, old map[string]bucket // guarded by mu; old is the generation before
}

// NewLimiter makes a limiter that nobody has used yet.
func NewLimiter(l Limit) *Limiter { return &Limiter{limit: l, now: map[string]bucket{}} }

func (l *Limiter) off() bool { return l.limit.N <= 0 || l.limit.Per <= 0 }

// add changes what key has used by n, and says whether that was within the
// limit; where it was not, nothing is used. n 0 only asks whether one more is.
// A bucket that is asked for counts as used lately.
func (l *Limiter) add(key string, n float64, now time.Time) bool {
	if key == "" || l.off() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.now[key]
	if !ok {
		b = l.old[key]
	}
	if past := now.Sub(b.at); past > 0 {
		b.used -= past.Seconds() * float64(l.limit.N) / l.limit.Per.Seconds()
		b.at = now
	}
	b.used = max(b.used, 0)
	// What time refilled may miss a whole by a rounding error.
	within := n < 0 || b.used+max(n, 1) <= float64(l.limit.N)+1e-6
	if within {
		b.used = max(b.used+n, 0)
	} else {
		l.refused.Add(1)
	}
	if b.used == 0 { // like one that nobody knows
		delete(l.now, key)
		delete(l.old, key)
		return within
	}
	if !ok && len(l.now) >= maxBuckets/2 {
		l.old, l.now = l.now, map[string]bucket{}
	}
	l.now[key] = b
	return within
}

// Take uses one of key's, and says whether there was one left. The key "" is
// not limited.
func (l *Limiter) Take(key string, now time.Time) bool { return l.add(key, 1, now) }

// Refused is how many were refused so far.
func (l *Limiter) Refused() int64 { return l.refused.Load() }

func (l *Limiter) free(key string, now time.Time) bool { return l.add(key, 0, now) }
func (l *Limiter) giveBack(key string, now time.Time)  { l.add(key, -1, now) }

// origin is an address's key, by what counts as one; "" of one that is not known.
func origin(a remote.Addr) string {
	if a.IsZero() {
		return ""
	}
	n := a.Network()
	return string(n[:])
}

// Limited counts what each limit refused, by its name in Limits; mail_codes are
// the sends and tries of mailed codes.
func (s *Service) Limited() map[string]int64 {
	return map[string]int64{
		"wrong_passwords": s.passwords.Refused(),
		"registrations":   s.registrations.Refused(),
		"logins":          s.logins.Refused(),
		"refused_codes":   s.codes.Refused(),
		"mail_codes":      s.mailCodesRefused.Load(),
	}
}
