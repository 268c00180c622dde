package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// pageRows is how many webhooks are read at once.
const pageRows = 500

// Run delivers until ctx ends, and returns when all its workers have.
func (s *Service) Run(ctx context.Context) error {
	if err := cmp.Or(s.setGlobal(ctx), s.numbered(ctx)); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("webhook: %w", err)
	}
	r := &running{s: s, workers: map[uint64]*worker{}, lasting: map[uint64]*lasting{}}
	keeping, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	var kept sync.WaitGroup
	kept.Go(func() { s.keepTries(keeping) })
	defer kept.Wait()
	defer stopKeeping()
	defer r.stopAll()
	for after := uint64(0); ; {
		rows, err := s.o.Store.Webhooks(ctx, after, pageRows)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("webhook: %w", err)
		}
		for _, row := range rows {
			after = row.ID
			r.start(ctx, row)
		}
		if len(rows) < pageRows {
			break
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
			for id := range s.taken() {
				r.look(ctx, id)
			}
		}
	}
}

// running is what Run runs; its goroutine alone touches it.
type running struct {
	s       *Service
	workers map[uint64]*worker
	lasting map[uint64]*lasting // of those that there are
	all     sync.WaitGroup
}

// lasting is what outlasts a worker. It is its endpoint's newest worker's.
type lasting struct {
	bucket bucket
	held   time.Time // since when it is on hold, as the log has it; zero: it is not
}

func (r *running) start(ctx context.Context, row Row) {
	if !row.Enabled {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	if r.lasting[row.ID] == nil {
		r.lasting[row.ID] = &lasting{held: row.Hold.Since}
	}
	w := &worker{s: r.s, id: row.ID, version: row.Version, lasting: r.lasting[row.ID], handle: &handle{cancel: cancel, topic: topicOf(row.Webhook)}, done: make(chan struct{})}
	r.workers[row.ID] = w
	r.s.mu.Lock()
	r.s.workers[row.ID] = w.handle
	r.s.mu.Unlock()
	r.all.Go(func() {
		err := w.run(ctx)
		cancel()
		close(w.done)
		if !errors.Is(err, hub.ErrClosing) { // else the next one would end at once, too
			w.s.look(w.id)
		}
	})
}

// look puts a worker that knows how the webhook is now in the place of one that
// does not. The old one ends first: an endpoint has one at a time. Nobody waits
// for its end, which has us look again: one that is slow to end holds up no
// other webhook.
func (r *running) look(ctx context.Context, id uint64) {
	row, ok, err := r.s.o.Store.Webhook(ctx, id)
	if err != nil {
		if ctx.Err() == nil {
			if status.Of(err).Code != status.Unavailable {
				r.s.o.Log.Error("a webhook cannot be read; this is tried again", "webhook", id, "error", err)
			}
			time.AfterFunc(pause, func() { r.s.look(id) })
		}
		return
	}
	if w := r.workers[id]; w != nil {
		if !w.ended() {
			if !ok || row.Version != w.version {
				w.handle.cancel()
			}
			return
		}
		delete(r.workers, id)
		r.s.mu.Lock()
		delete(r.s.workers, id)
		r.s.mu.Unlock()
	}
	if ok {
		r.start(ctx, row)
	} else {
		delete(r.lasting, id)
	}
}

func (r *running) stopAll() {
	for _, w := range r.workers {
		w.handle.cancel()
	}
	r.all.Wait()
}

// pause is how long something waits that failed for no reason of the receiver's.
const pause = 5 * time.Second

// errOutdated ends a worker whose webhook was changed, switched off or deleted.
var errOutdated = errors.New("webhook: it is not as it was")

// worker delivers to one endpoint. Its goroutine alone touches it, but for what
// is static.
type worker struct {
	// static
	s       *Service
	id      uint64
	version uint64 // of the row that it works by
	handle  *handle
	done    chan struct{}
	lasting *lasting

	row    Row
	signer *signer // of row; nil until something is tried
	cursor *hub.Cursor
	page   []*journal.Message // read, in order
	read   uint64             // up to where the topic was read, page included
	head   *journal.Message   // the one that is to be told next, not in page
	parked Kept               // the one that is to be tried first, where some is
	some   bool
	replay replay
}

// handle is what others may do with a worker, and see of it.
type handle struct {
	cancel context.CancelFunc // static
	topic  string             // static
	at     atomic.Uint64      // up to where it told everything
}

func (w *worker) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// run delivers until the webhook is not as it was, or ctx or the hub ends.
func (w *worker) run(ctx context.Context) error {
	for {
		err := w.work(ctx)
		_ = w.leaveReplay(context.WithoutCancel(ctx)) // what cannot be saved begins a little earlier
		w.release()
		if ctx.Err() != nil || errors.Is(err, errOutdated) || errors.Is(err, hub.ErrClosing) {
			return err
		}
		if status.Of(err).Code != status.Unavailable { // of the disk's trouble the log has a line already
			w.s.o.Log.Error("a webhook cannot go on; this is tried again", "webhook", w.id, "error", err)
		}
		if err := wait(ctx, time.Now().Add(pause)); err != nil {
			return err
		}
	}
}

// wait waits until a time, or until ctx ends.
func wait(ctx context.Context, until time.Time) error {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch has Run look at the webhook when its instance is deleted, whatever the
// worker waits for. end ends the watching.
func (w *worker) watch(ctx context.Context) (end func(), err error) {
	if w.row.Instance == 0 {
		return func() {}, nil
	}
	session := &hub.Session{Conn: watcher{w.s, w.id}, Format: lastWord{}, Topic: w.topic(), Inside: hub.Own}
	if err := w.s.o.Hub.Subscribe(ctx, session, hub.Now()); err != nil {
		return nil, err
	}
	return func() { w.s.o.Hub.Unsubscribe(session) }, nil
}

// lastWord is the format of a session that hears only that its instance is no more.
type lastWord struct{}

// Append writes a byte for the instance's end.
func (lastWord) Append(dst []byte, m *journal.Message, _ uint64) []byte {
	if m.Kind != instance.KindDeleted {
		return dst
	}
	return append(dst, '.')
}

// watcher is a Conn that has Run look whatever it is sent.
type watcher struct {
	s  *Service
	id uint64
}

func (w watcher) Send(...[]byte) bool {
	w.s.look(w.id)
	return true
}

func (w watcher) Share([]byte, func() []byte) bool { return w.Send() }

func (watcher) Close(uint16, string) {}
