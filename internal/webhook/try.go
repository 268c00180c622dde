package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/status"
)

// verdict is what an answer means for the event and its endpoint.
type verdict byte

const (
	failed  verdict = iota // the endpoint is not fit: all waits
	taken                  // done
	refused                // this event alone
	gone                   // the endpoint wants no more
)

// attempt is what came of one try.
type attempt struct {
	verdict    verdict
	retryAfter time.Duration
	words      string // what failed, for its owner
}

// The answers that mean something of their own.
const (
	statusTimeout = 408
	statusGone    = 410
	statusTooMany = 429
)

func judge(code int) verdict {
	switch {
	case code >= 200 && code < 300:
		return taken
	case code == statusGone:
		return gone
	case code == statusTimeout, code == statusTooMany, code >= 500, code < 200:
		return failed
	}
	return refused // a redirect too: whoever is meant must be named
}

// try posts an event once.
func (w *worker) try(ctx context.Context, m *journal.Message) attempt {
	r, err := w.request(m, time.Now())
	if err != nil {
		w.s.counts.failed.Add(1)
		w.s.o.Log.Error("an event cannot be written for its webhook", "webhook", w.row.ID, "error", err)
		return attempt{words: "the server could not sign it"}
	}
	limited, cancel := context.WithTimeout(ctx, w.s.o.Attempt)
	defer cancel()
	answer, err := w.s.o.Sender.Post(limited, r)
	if err != nil {
		w.s.counts.failed.Add(1)
		return attempt{words: wordsOf(err, w.s.o.Attempt)}
	}
	a := attempt{verdict: judge(answer.Status), retryAfter: answer.RetryAfter}
	if a.verdict == taken {
		w.s.counts.delivered.Add(1)
		return a
	}
	w.s.counts.failed.Add(1)
	a.words = fmt.Sprintf("the receiver answered %d", answer.Status)
	return a
}

// wordsOf is what the owner of an endpoint may know of a failure.
func wordsOf(err error, limit time.Duration) string {
	var known *status.Error
	switch {
	case errors.As(err, &known):
		return known.Message
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("there was no answer within %v", limit)
	}
	return "the connection failed"
}

// request is an event as the endpoint gets it: the frame of its subscribers,
// signed. Resource-Owner is the instance's ownerJid or, without one, its name;
// what cannot stand in a header is written as in a URL.
func (w *worker) request(m *journal.Message, now time.Time) (Request, error) {
	var e struct {
		Instance struct {
			Name     string  `json:"name"`
			OwnerJid *string `json:"ownerJid"`
		} `json:"instance"`
	}
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return Request{}, err
	}
	resource := e.Instance.Name
	if e.Instance.OwnerJid != nil {
		resource = *e.Instance.OwnerJid
	}
	r := Request{URL: w.row.URL, Header: map[string]string{
		"Content-Type":   "application/json",
		"User-Agent":     "Kabar-Webhook/" + w.s.o.Version,
		"Resource-Owner": headerValue(resource),
	}}
	r.Body = instance.AppendEvent(make([]byte, 0, len(m.Data)+128), m, eventSeq(m), "")
	secret, others, err := w.secrets(now)
	if err != nil {
		return Request{}, err
	}
	signed, err := sign.Headers(secret, m.ID, now, r.Body, others...)
	maps.Copy(r.Header, signed)
	return r, err
}

// eventSeq is an event's number in its instance's topic, whoever hears it.
func eventSeq(m *journal.Message) uint64 {
	for _, e := range m.Entries {
		if e.Topic != instance.AllTopic {
			return e.Seq
		}
	}
	return 0
}

func (w *worker) secrets(now time.Time) (secret string, others []string, err error) {
	if w.row.Instance == 0 {
		return w.s.o.Global.Secret, nil, nil
	}
	if secret, err = w.s.sealer.open(w.row.ID, w.row.Secret); err != nil {
		return "", nil, err
	}
	if len(w.row.OldSecret) > 0 && now.Before(w.row.OldUntil) {
		old, err := w.s.sealer.open(w.row.ID, w.row.OldSecret)
		if err != nil {
			return "", nil, err
		}
		others = []string{old}
	}
	return secret, others, nil
}

const hex = "0123456789ABCDEF"

// headerValue escapes what is not plain ASCII, and the sign of escaping.
func headerValue(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
