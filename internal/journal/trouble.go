package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kabar-io/kabar/internal/status"
)

const (
	// probeEvery is how often it is tried whether something can be stored again,
	// while nobody else tries.
	probeEvery = time.Second
	// calm is how long it has to go well before the next trouble is told anew:
	// a disk that fails every other moment does not fill the log.
	calm = 10 * time.Second
)

// trouble is what keeps the journal from storing anything.
type trouble struct {
	err     error // why the last commit failed, nil after one that went well
	since   time.Time
	ended   time.Time // the one before
	told    bool      // it is in the log
	refused uint64    // changes
}

// errAhead is the end of storing until a restart: a commit that was reported as
// failed is there after all, and whoever made the changes was told otherwise.
var errAhead = status.Errorf(status.Unavailable, "LOG_AHEAD",
	"the disk holds more than it confirmed: the server has to be restarted, which takes over what is there")

// Health is why nothing can be stored at the moment, nil where it can.
func (j *Journal) Health() error {
	_, err := j.Failing()
	return err
}

// Failing is since when and why nothing can be stored, nil where it can.
func (j *Journal) Failing() (since time.Time, why error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.trouble.since, j.trouble.err
}

// failed notes that nothing of a group was stored. The lock is held.
func (j *Journal) failed(err error, changes int) {
	t := &j.trouble
	now := time.Now()
	if t.err == nil {
		t.since, t.told, t.refused = now, false, 0
	}
	t.err = err
	t.refused += uint64(changes)
	j.stats.Failures++
	if !t.told && (t.ended.IsZero() || now.Sub(t.ended) > calm) {
		t.told = true
		j.o.Log.Error("nothing can be stored; this is tried again, and every change is refused until it works", "error", err)
	}
}

// worked notes that a commit went well. The lock is held.
func (j *Journal) worked() {
	t := &j.trouble
	if t.err == nil {
		return
	}
	now := time.Now()
	if t.told {
		j.o.Log.Info("what is said can be stored again", "after", now.Sub(t.since).Round(time.Millisecond).String(), "refused", t.refused)
	}
	*t = trouble{ended: now}
}

// rest waits until there is something to do. While nothing can be stored that
// is also to try whether it can: nobody has to say something to find out.
func (j *Journal) rest() {
	if j.trouble.err == nil { // the writer alone changes it, so it reads it without the lock
		<-j.wake
		return
	}
	tick := time.NewTimer(probeEvery)
	defer tick.Stop()
	select {
	case <-j.wake:
	case <-tick.C:
		err := j.probe()
		j.mu.Lock()
		defer j.mu.Unlock()
		if err != nil {
			j.failed(err, 0)
		} else {
			j.worked()
		}
	}
}

// probe makes the smallest durable write there is (see verify).
func (j *Journal) probe() (err error) {
	batch, err := j.o.Store.Begin(context.Background())
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, batch.Abort())
		}
	}()
	if err := j.verify(batch); err != nil {
		return err
	}
	return batch.Commit()
}

// verify compares, in the first batch after one that failed, what the store
// holds with what was acknowledged: where it holds more, numbers would be given
// twice. It also writes something: a group that has nothing to write would be
// committed by any disk.
func (j *Journal) verify(batch Batch) error {
	if j.trouble.err == nil {
		return nil
	}
	if errors.Is(j.trouble.err, errAhead) {
		return errAhead
	}
	rows, err := batch.Rows(context.Background(), j.pos, 1)
	if err != nil {
		return err
	}
	if len(rows) > 0 {
		return fmt.Errorf("%w: row %d is there, and %d was the last one", errAhead, rows[0].Pos, j.pos)
	}
	return batch.Probe()
}

// refusal is what whoever made a change of a failed group is told.
func refusal(err error) *status.Error {
	var known *status.Error
	if !errors.As(err, &known) {
		known = status.Errorf(status.Unavailable, "NOT_STORED", "the disk does not take anything")
	}
	return status.Errorf(status.Unavailable, known.Reason, "%s: this was not stored; try again in a moment", known.Message)
}
