package account

import (
	"context"
	"log/slog"
	"strconv"
	"time"
)

// The bounds of what is kept in memory.
const (
	MaxCodes       = maxCodes
	MaxCodesOfUser = maxCodesOfUser
	MaxLive        = maxLive
)

// FillCodes issues n codes to as many users and more to as many logins of one,
// and returns how many wait of that one, and of all.
func FillCodes(n, more int) (of, all int) {
	c, now := newCodes(), time.Now()
	for i := range n + more {
		user := uint64(1)
		if i < n {
			user = uint64(2 + i)
		}
		c.add(waitingCode{digestOf(strconv.Itoa(i)), user, uint64(1 + i), now.Add(time.Minute)}, now)
	}
	return len(c.of[1]), min(len(c.by), c.line.Len())
}

// FillLive keeps n logins, and returns how many are there then.
func FillLive(n int) int {
	x := newLiveLogins()
	for i := range n {
		x.keep(0, liveLogin{login: Login{ID: uint64(1 + i)}, token: digestOf(strconv.Itoa(i)), secret: digestOf("t" + strconv.Itoa(i))})
	}
	return max(len(x.byID), len(x.byToken), len(x.byTicket))
}

// MailBy is the sending of mails alone, without the change that goes before
// it, which waits for a disk: so that a test can turn the clock.
func MailBy(m Mailer) func(ctx context.Context, to string) error {
	s := &Service{o: Options{Mailer: m, Log: slog.New(slog.DiscardHandler)}, mailing: make(chan struct{}, maxMailing)}
	return func(ctx context.Context, to string) error { return s.mail(ctx, to, "subject", "text") }
}

// UsualLimits are those of a server of which nobody configured any.
var UsualLimits = Limits{
	WrongPasswords: Limit{10, 15 * time.Minute},
	Registrations:  Limit{60, time.Minute},
	Logins:         Limit{60, time.Minute},
	RefusedCodes:   Limit{600, time.Minute},
}
