package webhook

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/status"
)

// Find is the webhook of an instance.
func (s *Service) Find(ctx context.Context, ref instance.Ref) (Webhook, error) {
	i, err := s.o.Instances.Get(ctx, ref)
	if err != nil {
		return Webhook{}, err
	}
	row, ok, err := s.o.Store.WebhookOf(ctx, i.ID)
	if err == nil && !ok {
		err = ErrNotFound
	}
	return row.Webhook, err
}

// Get is the webhook with an id.
func (s *Service) Get(ctx context.Context, id uint64) (Webhook, error) {
	row, ok, err := s.o.Store.Webhook(ctx, id)
	if err == nil && !ok {
		err = ErrNoID
	}
	return row.Webhook, err
}

// maxList bounds one page: what is read is held in memory as a whole.
const maxList = 1000

// Standing is how a webhook stands.
type Standing struct {
	Webhook
	PublicKey               string // whpk_…
	Position, Head          uint64 // up to where it was told everything, and the newest there is
	Parked, Dead, Replaying int    // entries of Kept, by their states
}

// Behind is how many numbers of its topic it is still to be told, or to pass by.
func (s Standing) Behind() uint64 { return max(s.Head, s.Position) - s.Position }

// Standing is how the webhook with an id stands.
func (s *Service) Standing(ctx context.Context, id uint64) (Standing, error) {
	row, ok, err := s.o.Store.Webhook(ctx, id)
	if err == nil && !ok {
		err = ErrNotFound
	}
	if err != nil {
		return Standing{}, err
	}
	st := Standing{Webhook: row.Webhook, PublicKey: s.publicKey(row)}
	var errs [5]error
	st.Position, errs[0] = s.position(ctx, row)
	st.Head, errs[1] = s.o.Journal.Head(ctx, topicOf(row.Webhook))
	st.Parked, errs[2] = s.o.Store.CountKept(ctx, id, Parked)
	st.Dead, errs[3] = s.o.Store.CountKept(ctx, id, Dead)
	st.Replaying, errs[4] = s.o.Store.CountKept(ctx, id, Replaying)
	return st, errors.Join(errs[:]...)
}

// List is the webhooks with ids after one, ascending, at most limit (and at
// most 1,000).
func (s *Service) List(ctx context.Context, after uint64, limit int) ([]Webhook, error) {
	return shown(s.o.Store.Webhooks(ctx, after, max(0, min(limit, maxList))))
}

// Kept is what a webhook has of a state, those that begin after a number,
// ascending, at most limit (and at most 1,000).
func (s *Service) Kept(ctx context.Context, id uint64, state State, after uint64, limit int) ([]Kept, error) {
	return s.o.Store.Kept(ctx, id, state, after, max(0, min(limit, maxList)))
}

// ListOf is List of one instance's.
func (s *Service) ListOf(ctx context.Context, of, after uint64, limit int) ([]Webhook, error) {
	return shown(s.o.Store.WebhooksOf(ctx, of, after, max(0, min(limit, maxList))))
}

// shown is what of rows others than the service see.
func shown(rows []Row, err error) ([]Webhook, error) {
	if err != nil {
		return nil, err
	}
	list := make([]Webhook, len(rows))
	for i, row := range rows {
		list[i] = row.Webhook
	}
	return list, nil
}

// Changes is what of a webhook is to be another; what is nil stays.
type Changes struct {
	URL     *string
	Enabled *bool
	Events  *[]string // of nil: all
	Format  *Format
	Rate    *float64
}

// maxRate is the largest rate that is one: above it, say 0.
const maxRate = 100_000

// apply makes a webhook what the changes say, or says what is wrong with them.
func (s *Service) apply(h *Webhook, c Changes) error {
	if c.URL != nil {
		if err := CheckURL(*c.URL); err != nil {
			return err
		}
		h.URL = *c.URL
	}
	if c.Enabled != nil {
		h.Enabled = *c.Enabled
	}
	if c.Events != nil {
		for _, name := range *c.Events {
			if err := s.o.Instances.Names().Check(name); err != nil {
				return err
			}
		}
		if h.Events = nil; *c.Events != nil {
			h.Events = append([]string{}, slices.Compact(slices.Sorted(slices.Values(*c.Events)))...)
		}
	}
	if c.Format != nil {
		h.Format = *c.Format
	}
	if c.Rate != nil {
		if r := *c.Rate; r < 0 || r > 0 && r < minRate || r > maxRate {
			return status.Errorf(status.Invalid, "RATE_INVALID", "rate is a number of tries a second from %g to %d, or 0 for no bound", minRate, maxRate)
		}
		h.Rate = *c.Rate
	}
	return nil
}

// Made is a webhook as it was made, or its keys as they were replaced.
type Made struct {
	Webhook
	Secret    string // whsec_…; "" where it was told before
	PublicKey string // whpk_…
	OldUntil  time.Time
}

// refLasts is how long an Idempotency-Key makes its webhook's secret be told again.
const refLasts = 24 * time.Hour

// Add makes one more webhook of an instance, enabled unless c says otherwise. It
// begins with what is said from then on. With a ref that made one already it
// does nothing, and tells that one; its secret, too, as long as it is the first
// and not older than a day.
func (s *Service) Add(ctx context.Context, ref instance.Ref, c Changes, key string) (Made, error) {
	if c.URL == nil {
		c.URL = new(string) // which is missing
	}
	to := Webhook{Enabled: true}
	if err := s.apply(&to, c); err != nil {
		return Made{}, err
	}
	var row Row
	secret := sign.NewSecret()
	err := s.change(ctx, func(tx *journal.Tx, t Tx) error {
		i, err := s.o.Instances.GetIn(tx, ref)
		if err != nil {
			return err
		}
		var known bool
		if row, known, err = t.WebhookBy(background, i.ID, key); err != nil {
			return err
		}
		if known {
			if secret = ""; row.Keys == 0 && tx.Now().Sub(row.Created) < refLasts {
				secret, err = s.sealer.open(row.ID, row.Secret)
			}
			return err
		}
		if row, err = s.fresh(tx, t, i.ID); err != nil {
			return err
		}
		row.Ref, row.Secret = key, s.sealer.seal(row.ID, secret)
		return s.put(tx, t, &row, false, nil, to)
	})
	if err != nil {
		return Made{}, err
	}
	s.look(row.ID)
	return Made{row.Webhook, secret, s.publicKey(row), row.OldUntil}, nil
}

// own is the row of a webhook that is no one's but its instance's.
func own(ctx context.Context, t Reader, id uint64) (Row, error) {
	row, ok, err := t.Webhook(ctx, id)
	switch {
	case err != nil:
		return Row{}, err
	case !ok:
		return Row{}, ErrNotFound
	case row.Instance == 0:
		return Row{}, ErrOfConfig
	}
	return row, nil
}

// may refuses whoever does something by a token that has ended. by is the zero
// Ref for who needs none. Whose a webhook is never changes, and is known before.
func (s *Service) may(tx *journal.Tx, by instance.Ref) error {
	if by == (instance.Ref{}) {
		return nil
	}
	_, err := s.o.Instances.GetIn(tx, by)
	return err
}

// Change changes a webhook. A hold ends with it, and what is parked is tried at
// once. Where nothing is another, and nothing waits, nothing happens. What is done
// by an instance's token names it in by, here and in what follows; see may.
func (s *Service) Change(ctx context.Context, by instance.Ref, id uint64, c Changes) (Webhook, error) {
	row, err := own(ctx, s.o.Store, id)
	if err != nil {
		return Webhook{}, err
	}
	var missed *Kept
	var same bool
	if c.Enabled != nil && *c.Enabled && !row.Enabled {
		if missed, err = s.missed(ctx, row); err != nil {
			return Webhook{}, err
		}
	}
	err = s.change(ctx, func(tx *journal.Tx, t Tx) error {
		err := s.may(tx, by)
		if err != nil {
			return err
		}
		if row, err = own(background, t, id); err != nil {
			return err
		}
		to := row.Webhook
		if err := s.apply(&to, c); err != nil {
			return err
		}
		if same, err = unchanged(t, row, to); same || err != nil {
			return err
		}
		return s.put(tx, t, &row, true, missed, to)
	})
	if err != nil {
		return Webhook{}, err
	}
	if !same {
		s.outdated(id)
	}
	return row.Webhook, nil
}

// Drop deletes a webhook, and what is kept of it.
func (s *Service) Drop(ctx context.Context, by instance.Ref, id uint64) error {
	err := s.change(ctx, func(tx *journal.Tx, t Tx) error {
		if err := s.may(tx, by); err != nil {
			return err
		}
		if _, err := own(background, t, id); err != nil {
			return err
		}
		return t.DropWebhook(background, id)
	})
	if err == nil {
		s.outdated(id)
	}
	return err
}

// How long the keys that were replaced sign beside the new ones: Overlap where
// nobody says, MaxOverlap at most.
const (
	Overlap    = 24 * time.Hour
	MaxOverlap = 7 * 24 * time.Hour
)

// Rotate gives a webhook a new secret, which is never told again, and a new
// key. The old ones sign beside them as long as overlap says. The ref that gave
// it those it has gives no others, and tells them again, for a day: else who asks
// twice, for an answer that was lost, would end the secret that is still in use.
func (s *Service) Rotate(ctx context.Context, by instance.Ref, id uint64, overlap time.Duration, ref string) (Made, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return Made{}, status.Errorf(status.Invalid, "OVERLAP_INVALID", "overlap is from 0s to %v", MaxOverlap)
	}
	var secret string
	var row Row
	again := false
	err := s.change(ctx, func(tx *journal.Tx, t Tx) (err error) {
		if err = s.may(tx, by); err != nil {
			return err
		}
		if row, err = own(background, t, id); err != nil {
			return err
		}
		if ref != "" && tx.Now().Sub(row.Updated) < refLasts {
			secret = s.rotated(row, ref)
			if has, err := s.sealer.open(id, row.Secret); err == nil && hmac.Equal([]byte(has), []byte(secret)) {
				again = true
				return nil
			}
		}
		row.OldSecret, row.OldUntil = row.Secret, stored(tx.Now().Add(overlap))
		if overlap == 0 {
			row.OldSecret = nil
		}
		row.Keys++
		if secret = sign.NewSecret(); ref != "" {
			secret = s.rotated(row, ref)
		}
		row.Secret = s.sealer.seal(id, secret)
		return s.put(tx, t, &row, true, nil, row.Webhook)
	})
	if err != nil {
		return Made{}, err
	}
	if !again {
		s.outdated(id)
	}
	return Made{row.Webhook, secret, s.publicKey(row), row.OldUntil}, nil
}

// rotated is the secret that a ref gives a webhook whose keys were replaced so often.
func (s *Service) rotated(row Row, ref string) string {
	return sign.Derive(s.o.Key, fmt.Sprintf("webhook/%d/%d/%s", row.ID, row.Keys, ref))
}

// minRate is the lowest: an event in a thousand seconds.
const minRate = 0.001

// key is the Ed25519 key that a webhook had after so many were replaced.
func (s *Service) key(id, replaced uint64) ed25519.PrivateKey {
	return sign.DeriveKey(s.o.Key, fmt.Sprintf("webhook/%d/%d", id, replaced))
}

func (s *Service) publicKey(row Row) string { return sign.PublicKey(s.key(row.ID, row.Keys)) }
