package webhook

import (
	"context"
	"time"
)

// bucket spaces the tries of one endpoint: so many a second, with a second's
// worth at once after a pause. It belongs to one goroutine.
type bucket struct{ full time.Time } // when it will be

// one is the time that a try takes of a bucket.
func one(rate float64) time.Duration { return time.Duration(float64(time.Second) / rate) }

// next is when one more may be tried at a rate. It counts that one.
func (b *bucket) next(now time.Time, rate float64) time.Time {
	if rate <= 0 {
		return now
	}
	one := one(rate)
	if b.full.Before(now) {
		b.full = now
	}
	if most := now.Add(max(one, time.Second)); b.full.After(most) { // it was filled at a lower rate
		b.full = most
	}
	at := b.full.Add(-max(0, time.Second-one))
	b.full = b.full.Add(one)
	return at
}

// back takes back one that was counted, and was not tried.
func (b *bucket) back(rate float64) { b.full = b.full.Add(-one(rate)) }

// pace waits until the endpoint may be tried once more.
func (w *worker) pace(ctx context.Context) error {
	now := time.Now()
	at := w.lasting.bucket.next(now, w.row.Rate)
	if !at.After(now) {
		return ctx.Err()
	}
	if at.Sub(now) >= time.Second {
		w.release() // what waits long holds no memory
	}
	err := wait(ctx, at)
	if err != nil {
		w.lasting.bucket.back(w.row.Rate)
	}
	return err
}
