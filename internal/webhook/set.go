package webhook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/status"
)

// Spec is what a webhook is to be.
type Spec struct {
	URL     string
	Enabled bool            // one that is not is paused: what is said meanwhile waits for it, as long as tries would last
	Events  map[string]bool // those that are true; nil for all
}

const maxURL = 2048

// CheckURL says what is wrong with a webhook's URL. Where it leads is looked at
// when it is called: a name can be another's by then.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	var why string
	switch {
	case text == "":
		why = "it is missing"
	case len(text) > maxURL:
		why = fmt.Sprintf("it is longer than %d bytes", maxURL)
	case !begins(text, "https://") && !begins(text, "http://"):
		why = "it must begin with https:// or http://"
	case !utf8.ValidString(text) || err != nil:
		why = "it cannot be read"
	case u.Hostname() == "":
		why = "it names no host"
	case u.User != nil:
		why = "it must not hold a name or password"
	case u.Fragment != "" || u.RawFragment != "" || text[len(text)-1] == '#':
		why = "it must not have a fragment (#)"
	default:
		return nil
	}
	return status.Errorf(ErrURLInvalid.Code, ErrURLInvalid.Reason, "url is not one that events can be posted to: %s", why)
}

// begins is strings.HasPrefix, whatever the case.
func begins(text, with string) bool {
	return len(text) >= len(with) && strings.EqualFold(text[:len(with)], with)
}

// events are the names of a Spec, in order; nil for all.
func (s *Service) events(set map[string]bool) ([]string, error) {
	if set == nil {
		return nil, nil
	}
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if err := s.o.Instances.Names().Check(name); err != nil {
			return nil, err
		}
		if set[name] {
			names = append(names, name)
		}
	}
	return names, nil
}

// Set makes the webhook of an instance, or changes it. A new one begins with
// what is said from then on; its secret is the second result, and is never told
// again. A hold ends with whatever was set, and what is parked is tried at once.
func (s *Service) Set(ctx context.Context, ref instance.Ref, spec Spec) (Webhook, string, error) {
	if err := CheckURL(spec.URL); err != nil {
		return Webhook{}, "", err
	}
	events, err := s.events(spec.Events)
	if err != nil {
		return Webhook{}, "", err
	}
	i, err := s.o.Instances.Get(ctx, ref)
	if err != nil {
		return Webhook{}, "", err
	}
	var missed *Kept
	if row, ok, err := s.o.Store.WebhookOf(ctx, i.ID); err != nil {
		return Webhook{}, "", err
	} else if ok && !row.Enabled && spec.Enabled {
		if missed, err = s.missed(ctx, row); err != nil {
			return Webhook{}, "", err
		}
	}
	var row Row
	var same bool
	made := ""
	err = s.change(ctx, func(tx *journal.Tx, t Tx) error {
		if _, err := s.o.Instances.GetIn(tx, ref); err != nil {
			return err
		}
		var known bool
		var err error
		if row, known, err = t.WebhookOf(background, i.ID); err != nil {
			return err
		}
		if !known {
			if row, err = s.fresh(tx, t, i.ID); err != nil {
				return err
			}
			row.Main = true
			made = sign.NewSecret()
			row.Secret = s.sealer.seal(row.ID, made)
		}
		to := row.Webhook
		to.URL, to.Enabled, to.Events = spec.URL, spec.Enabled, events
		if known {
			if same, err = unchanged(t, row, to); same || err != nil {
				return err
			}
		}
		return s.put(tx, t, &row, known, missed, to)
	})
	if err != nil {
		return Webhook{}, "", err
	}
	if !same {
		s.outdated(row.ID)
	}
	return row.Webhook, made, nil
}

// maxEndpoints is how many webhooks an instance may have: each is told every
// event of it.
const maxEndpoints = 64

// fresh is the row of a new webhook, which hears what is said from now on.
func (s *Service) fresh(tx *journal.Tx, t Tx, of uint64) (row Row, err error) {
	if n, err := t.CountWebhooks(background, of); err != nil {
		return Row{}, err
	} else if n >= maxEndpoints {
		return Row{}, ErrTooMany
	}
	row.Instance, row.Created = of, stored(tx.Now())
	if row.ID, err = t.NextID(background); err != nil {
		return Row{}, err
	}
	row.Start, err = tx.Head(topicOf(row.Webhook))
	return row, err
}

// unchanged says whether a webhook is what it is to be already, and waits for
// nothing that a change would hasten.
func unchanged(t Tx, row Row, to Webhook) (bool, error) {
	if !row.Hold.Since.IsZero() || !reflect.DeepEqual(row.Webhook, to) {
		return false, nil
	}
	if n, err := t.CountKept(background, row.ID, Parked); err != nil || n > 0 {
		return false, err
	}
	list, err := t.Kept(background, row.ID, Replaying, 0, 1)
	return len(list) == 0 || list[0].Tries == 0, err
}

// put writes what a webhook is set to. missed is what is too old for it.
func (s *Service) put(tx *journal.Tx, t Tx, row *Row, known bool, missed *Kept, to Webhook) error {
	row.URL, row.Enabled, row.Events, row.Format, row.Rate = to.URL, to.Enabled, to.Events, to.Format, to.Rate
	row.Updated = stored(tx.Now())
	row.Hold, row.Error = Hold{}, ""
	row.Version++
	if !known {
		return t.AddWebhook(background, *row)
	}
	if missed != nil && row.Start < missed.Last {
		if err := t.Keep(background, *missed); err != nil {
			return err
		}
		row.Start = missed.Last
	}
	if err := t.Hasten(background, row.ID, stored(tx.Now())); err != nil {
		return err
	}
	return t.SetWebhook(background, *row)
}

// missed is what waited for a paused webhook longer than tries would have
// lasted; nil for nothing.
func (s *Service) missed(ctx context.Context, row Row) (*Kept, error) {
	now := time.Now()
	at, err := s.position(ctx, row)
	if err != nil {
		return nil, err
	}
	last, err := s.lastBefore(ctx, topicOf(row.Webhook), at, now.Add(-maxTrying))
	if err != nil || last <= at {
		return nil, err
	}
	return &Kept{Webhook: row.ID, First: at + 1, Last: last, State: Dead, Since: stored(now), Reason: "it was off for longer than tries last"}, nil
}

// position is up to where a webhook was told everything.
func (s *Service) position(ctx context.Context, row Row) (uint64, error) {
	kept, _, err := s.o.Acked.Position(ctx, positionOwner(row.ID))
	return max(kept, row.Start), err
}

// lastBefore is the number of the last message after seq that is not younger
// than limit; seq where there is none. Times in a topic never go back.
func (s *Service) lastBefore(ctx context.Context, topic string, seq uint64, limit time.Time) (uint64, error) {
	head, err := s.o.Journal.Head(ctx, topic)
	if err != nil {
		return 0, err
	}
	low, high := seq, max(head, seq) // low is old enough, what follows high is not
	for low < high {
		middle := low + (high-low+1)/2
		ms, err := s.o.Journal.Read(ctx, topic, middle-1, 1)
		if err != nil && !errors.Is(err, journal.ErrExpired) {
			return 0, err
		}
		if err != nil || len(ms) == 1 && !ms[0].Time.After(limit) { // what is not kept any more is older than that
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low, nil
}

// setGlobal makes the webhook of all instances what the configuration says. It
// is enabled again with each start, if its receiver had it disabled.
func (s *Service) setGlobal(ctx context.Context) error {
	old, known, err := s.o.Store.WebhookOf(ctx, 0)
	if err != nil {
		return err
	}
	g := s.o.Global
	if g == nil {
		if !known || !old.Enabled {
			return nil
		}
		return s.change(ctx, func(tx *journal.Tx, t Tx) error {
			off := old.Webhook
			off.Enabled = false
			return s.put(tx, t, &old, true, nil, off)
		})
	}
	to := old.Webhook
	to.URL, to.Enabled, to.Events = g.URL, true, nil
	if g.Events != nil {
		to.Events = slices.Compact(slices.Sorted(slices.Values(g.Events)))
	}
	if known && old.Enabled && old.URL == to.URL && (old.Events == nil) == (to.Events == nil) && slices.Equal(old.Events, to.Events) {
		return nil
	}
	var missed *Kept
	if known && !old.Enabled {
		if missed, err = s.missed(ctx, old); err != nil {
			return err
		}
	}
	return s.change(ctx, func(tx *journal.Tx, t Tx) error {
		row := old
		if !known {
			var err error
			if row, err = s.fresh(tx, t, 0); err != nil {
				return err
			}
			row.Main = true
		}
		return s.put(tx, t, &row, known, missed, to)
	})
}
