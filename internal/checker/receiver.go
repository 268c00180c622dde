package checker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// manner is how a receiver behaves.
type manner struct {
	restless bool // comes back by itself at random moments
	slow     bool // takes nothing for a while at random moments
}

// manners deals out the manners, so that a few receivers have all of them.
func manners(n int) manner { return manner{restless: n%4 == 1 || n%4 == 2, slow: n%4 >= 2} }

// source is an open connection of a receiver.
type source interface {
	next(ctx context.Context) (frame, error) // the frame that comes next
	close()
}

// receiver follows one stream, over as many connections as it takes.
type receiver struct {
	// static
	*record
	manner
	random  *rand.Rand
	open    func(ctx context.Context) (source, error) // goes on where the record ends
	resumes atomic.Int64
	hurry   atomic.Bool   // nothing new is said: no more of its manners
	ready   chan struct{} // closed when its first connection is open
}

// run receives until ctx ends or the server says something that another try
// does not mend.
func (r *receiver) run(ctx context.Context) {
	defer r.end()
	for first := true; ctx.Err() == nil; {
		src, err := r.open(ctx)
		if err == nil {
			if first {
				close(r.ready)
				first = false
			} else {
				r.resumes.Add(1)
			}
			err = r.follow(ctx, src)
			src.close()
			r.disconnected()
		}
		var no *refused
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.As(err, &no):
			r.giveUp()
			r.ledger.found.add(Other, "%s cannot go on after %d (%s): %v", r.name, r.last, r.lastID, err)
			return
		case !fair(err):
			r.ledger.found.add(Other, "%s was closed at %d: %v", r.name, r.last, err)
		}
		pause(ctx, time.Duration(10+r.random.IntN(30))*time.Millisecond)
	}
}

// follow takes frames until the connection ends, by the server or by its own
// wish.
func (r *receiver) follow(ctx context.Context, src source) error {
	life := 2 * time.Minute
	if r.restless && !r.hurry.Load() {
		life = time.Duration(100+r.random.IntN(3000)) * time.Millisecond
	}
	life += time.Duration(r.random.IntN(1000)) * time.Millisecond
	mine, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	for {
		f, err := src.next(mine)
		if err != nil {
			if mine.Err() != nil {
				return nil
			}
			return err
		}
		r.take(f)
		if r.slow && !r.hurry.Load() && r.random.IntN(2000) == 0 && !pause(mine, time.Duration(300+r.random.IntN(1200))*time.Millisecond) {
			return nil
		}
	}
}
