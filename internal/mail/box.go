package mail

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Message is a mail that would have been sent.
type Message struct {
	To, Subject, Text string
	Time              time.Time
}

// Box keeps what would have been mailed, and logs it: with its secrets, which
// is what it is for. It is no way to run a server for others.
type Box struct {
	log  *slog.Logger // static
	most int          // static

	mu       sync.Mutex
	messages []Message // guarded by mu
}

// NewBox makes a box that keeps the newest, so many at most.
func NewBox(log *slog.Logger, most int) *Box { return &Box{log: log, most: max(most, 1)} }

// Send keeps a mail.
func (b *Box) Send(_ context.Context, to, subject, text string) error {
	b.log.Info("mail", "to", to, "subject", subject, "text", text)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) >= b.most {
		b.messages = slices.Delete(b.messages, 0, len(b.messages)-b.most+1)
	}
	b.messages = append(b.messages, Message{To: to, Subject: subject, Text: text, Time: time.Now().UTC()})
	return nil
}

// Messages are the mails that are kept, the newest first.
func (b *Box) Messages() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	ms := slices.Clone(b.messages)
	slices.Reverse(ms)
	return ms
}
