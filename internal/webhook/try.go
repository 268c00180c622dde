package webhook

import (
	"context"
	"crypto/ed25519"
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

// Verdict is what an answer means for the event and its endpoint.
type Verdict byte

// The verdicts of a try.
const (
	Failed  Verdict = iota // the endpoint is not fit: all waits
	Taken                  // done
	Refused                // this event alone
	Gone                   // the endpoint wants no more
)

// attempt is what came of one try.
type attempt struct {
	verdict    Verdict
	retryAfter time.Duration
	words      string // what failed, for its owner
}

// The answers that mean something of their own.
const (
	statusTimeout = 408
	statusGone    = 410
	statusTooMany = 429
)

func judge(code int) Verdict {
	switch {
	case code >= 200 && code < 300:
		return Taken
	case code == statusGone:
		return Gone
	case code == statusTimeout, code == statusTooMany, code >= 500, code < 200:
		return Failed
	}
	return Refused // a redirect too: whoever is meant must be named
}

// stillTakes is how long a try that is under way may still take when its worker
// ends. One that was broken off is made again, though it may have been taken.
const stillTakes = 3 * time.Second

// try posts an event once, when the endpoint's rate lets it, and notes what came
// of it. t says what the try is of.
func (w *worker) try(ctx context.Context, m *journal.Message, t Try) attempt {
	if w.signer == nil {
		var err error
		if w.signer, err = w.s.signerOf(w.row); err != nil {
			w.s.counts.failed.Add(1)
			w.s.o.Log.Error("an event cannot be signed for its webhook", "webhook", w.row.ID, "error", err)
			return attempt{words: unsigned}
		}
	}
	if w.pace(ctx) != nil {
		return attempt{}
	}
	t.Seq = m.Seq(w.topic())
	t, a := w.s.post(ctx, w.row.Webhook, w.signer, m, t)
	if a.verdict == Taken {
		w.reached()
	}
	if ctx.Err() == nil || a.verdict == Taken { // else it was broken off, and is made again
		w.s.note(w.row.ID, t)
	}
	return a
}

// unsigned is what the owner of an endpoint reads of what is our own fault.
const unsigned = "the server could not sign it"

// post is one try of an event at an endpoint.
func (s *Service) post(ctx context.Context, h Webhook, k *signer, m *journal.Message, t Try) (Try, attempt) {
	t.Event, t.Name, t.At = m.ID, instance.EventName(m.Data), time.Now()
	a := attempt{words: unsigned}
	r, err := s.request(h, k, m, t.At)
	if err != nil {
		s.o.Log.Error("an event cannot be written for its webhook", "webhook", h.ID, "error", err)
	} else {
		var answer Answer
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Attempt)
		defer cancel()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(stillTakes, cancel) })()
		answer, err = s.o.Sender.Post(limited, r)
		t.Header, t.Took = redacted(r.Header), time.Since(t.At)
		if err != nil {
			a.words = wordsOf(err, s.o.Attempt)
		} else {
			a = attempt{verdict: judge(answer.Status), retryAfter: answer.RetryAfter}
			if a.verdict != Taken {
				a.words = fmt.Sprintf("the receiver answered %d", answer.Status)
			}
			t.Status, t.Answer = answer.Status, strings.ToValidUTF8(string(answer.Body[:min(len(answer.Body), MaxAnswer)]), "\ufffd")
		}
	}
	if a.verdict == Taken {
		s.counts.delivered.Add(1)
	} else {
		s.counts.failed.Add(1)
	}
	t.Verdict, t.Error = a.verdict, a.words
	return t, a
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

// request is an event as the endpoint gets it: the frame of its subscribers or
// a CloudEvents event, signed. Resource-Owner is the instance's ownerJid or,
// without one, its name; what cannot stand in a header is written as in a URL.
func (s *Service) request(h Webhook, k *signer, m *journal.Message, now time.Time) (Request, error) {
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
	r := Request{URL: h.URL, Header: map[string]string{
		"Content-Type":   "application/json",
		"User-Agent":     "Kabar-Webhook/" + s.o.Version,
		"Resource-Owner": headerValue(resource),
	}}
	if h.Format == CloudEvents {
		r.Header["Content-Type"] = "application/cloudevents+json; charset=utf-8"
	}
	r.Body = bodyOf(h.Format, m)
	return r, k.sign(r, m.ID, now)
}

// bodyOf is an event as a format has it.
func bodyOf(f Format, m *journal.Message) []byte {
	b := make([]byte, 0, len(m.Data)+256)
	if f == CloudEvents {
		return instance.AppendCloudEvent(b, m, eventSeq(m), "")
	}
	return instance.AppendEvent(b, m, eventSeq(m), "")
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

// signer signs for one endpoint.
type signer struct {
	secret, old string
	key, oldKey ed25519.PrivateKey // nil: there is none
	oldUntil    time.Time
}

func (s *Service) signerOf(row Row) (k *signer, err error) {
	k = &signer{key: s.key(row.ID, row.Keys), oldUntil: row.OldUntil}
	if row.Instance == 0 {
		k.secret = s.o.Global.Secret
		return k, nil
	}
	if k.secret, err = s.sealer.open(row.ID, row.Secret); err != nil || len(row.OldSecret) == 0 {
		return k, err
	}
	if row.Keys > 0 {
		k.oldKey = s.key(row.ID, row.Keys-1)
	}
	k.old, err = s.sealer.open(row.ID, row.OldSecret)
	return k, err
}

// sign adds what makes a request a signed one: by the secret and by the key, and
// by the old ones as long as they hold.
func (k *signer) sign(r Request, id string, now time.Time) error {
	var others []string
	keys := []ed25519.PrivateKey{k.key}
	if now.Before(k.oldUntil) {
		if k.old != "" {
			others = []string{k.old}
		}
		if k.oldKey != nil {
			keys = append(keys, k.oldKey)
		}
	}
	signed, err := sign.Headers(k.secret, id, now, r.Body, others...)
	if err != nil {
		return err
	}
	sign.WithKeys(signed, id, now, r.Body, keys...)
	maps.Copy(r.Header, signed)
	return nil
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
