package account

import (
	"context"
	"log/slog"
)

// MailBy is the sending of mails alone, without the change that goes before
// it, which waits for a disk: so that a test can turn the clock.
func MailBy(m Mailer) func(ctx context.Context, to string) error {
	s := &Service{o: Options{Mailer: m, Log: slog.New(slog.DiscardHandler)}, mailing: make(chan struct{}, maxMailing)}
	return func(ctx context.Context, to string) error { return s.mail(ctx, to, "subject", "text") }
}
