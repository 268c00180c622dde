package chat

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// KindPresence is told to somebody's friends, and kept nowhere: they came
// online, or went. Its Data is a Presence.
const KindPresence = "person.presence"

// Presence is whether somebody is online: whether anybody hears their inbox.
type Presence struct {
	User   uint64 `json:"user"`
	Online bool   `json:"online"`
}

// online knows who is online on this node, and whose friends are still to be
// told of a change: the newest state of each person, so that it holds no more
// than people however slow the telling is.
type online struct {
	wake chan struct{} // static; one place: there is news

	mu   sync.Mutex
	here map[uint64]struct{} // guarded by mu
	news map[uint64]bool     // guarded by mu
}

func newOnline() *online {
	return &online{wake: make(chan struct{}, 1), here: map[uint64]struct{}{}, news: map[uint64]bool{}}
}

// Occupied takes what the hub says of a topic (hub.Options.Occupied): an inbox
// that somebody hears is a person who is online. It does not wait.
func (s *Service) Occupied(topic string, here bool) {
	id, ok := strings.CutPrefix(topic, inboxPrefix)
	user, err := strconv.ParseUint(id, 10, 64)
	if !ok || err != nil {
		return
	}
	o := s.online
	o.mu.Lock()
	if here {
		o.here[user] = struct{}{}
	} else {
		delete(o.here, user)
	}
	o.news[user] = here
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// inboxPrefix is what account.Inbox puts before a user's id.
var inboxPrefix = strings.TrimSuffix(account.Inbox(0), "0")

// Online says whether somebody is online.
func (s *Service) Online(user uint64) bool {
	s.online.mu.Lock()
	defer s.online.mu.Unlock()
	_, here := s.online.here[user]
	return here
}

// OnlineFriends are those of me's friends who are online and may be heard.
func (s *Service) OnlineFriends(ctx context.Context, me uint64) ([]uint64, error) {
	friends, err := s.list(ctx, me, flagFriends, flagFriends, Standing.Open)
	if err != nil {
		return nil, err
	}
	var ids []uint64
	for _, f := range friends {
		if s.Online(f.ID) {
			ids = append(ids, f.ID)
		}
	}
	return ids, nil
}

// Run tells people's friends that they came or went, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.online.wake:
		}
		s.online.mu.Lock()
		news := s.online.news
		s.online.news = map[uint64]bool{}
		s.online.mu.Unlock()
		for user, here := range news {
			if err := s.tellFriends(ctx, Presence{user, here}); err != nil && ctx.Err() == nil {
				s.o.Log.Error("friends could not be told who is online", "user", user, "error", err)
			}
		}
	}
}

func (s *Service) tellFriends(ctx context.Context, p Presence) error {
	friends, err := s.OnlineFriends(ctx, p.User)
	if err != nil || len(friends) == 0 {
		return err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	m := &journal.Message{Kind: KindPresence, From: p.User, Time: time.Now().UTC(), Data: data}
	for _, id := range friends {
		s.o.Hub.Tell(account.Inbox(id), m, nil)
	}
	return nil
}
