package chat

import (
	"context"
	"slices"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// beat is how often it is kept that a server runs where somebody is here: so
// late, at the most, is known until when who was here when it was killed.
const beat = 30 * time.Second

// perSaw bounds how many people's coming or going a change keeps: others wait
// for it.
const perSaw = 512

// LastSeen is when somebody was last here, zero where that is not known: about
// when their last socket went; where the server was killed before that, when it
// last said that it runs, which is less than a minute before it was killed. Who
// is online is here.
func (s *Service) LastSeen(ctx context.Context, user uint64) (time.Time, error) {
	return s.o.Store.LastSeen(ctx, user)
}

// saw keeps who came and who went, and that the server runs: who came is here
// as long as it does.
func (s *Service) saw(came, gone []uint64) (last *journal.Pending) {
	last = s.sawThese(nil, 0)
	for list := range slices.Chunk(came, perSaw) {
		last = s.sawThese(list, s.run)
	}
	for list := range slices.Chunk(gone, perSaw) {
		last = s.sawThese(list, 0)
	}
	return last
}

func (s *Service) sawThese(users []uint64, run int64) *journal.Pending {
	return s.o.Journal.Do(s.change(func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		now := tx.Now()
		if s.o.Now != nil {
			now = s.o.Now()
		}
		if len(users) == 0 {
			return nil, t.SetAlive(background, s.run, now)
		}
		return nil, t.SetSeen(background, users, now, run)
	}))
}

// alive keeps that the server runs, where anybody is here.
func (s *Service) alive() {
	s.online.mu.Lock()
	n := len(s.online.here)
	s.online.mu.Unlock()
	if n > 0 {
		s.saw(nil, nil) // what fails is not kept, and told the next time
	}
}

// sawAll notes of everybody who is here that they were, when the server stops.
func (s *Service) sawAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var here []uint64
	s.online.mu.Lock()
	for user := range s.online.here {
		here = append(here, user)
	}
	for user := range s.online.news {
		here = append(here, user)
	}
	s.online.mu.Unlock()
	if len(here) == 0 {
		return
	}
	if _, err := s.saw(nil, here).Wait(ctx); err != nil {
		s.o.Log.Warn("it was not kept when people were last seen", "people", len(here), "error", err)
	}
}
