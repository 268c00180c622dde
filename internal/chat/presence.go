package chat

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
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
// told of a change: the newest state of each person and of each two, so that it
// holds no more than those however slow the telling is.
type online struct {
	wake chan struct{} // static; one place: there is news

	mu      sync.Mutex
	here    map[uint64]struct{} // guarded by mu
	news    map[uint64]bool     // guarded by mu
	telling map[uint64]bool     // guarded by mu: the news that Run is telling
	sights  map[sight]bool      // guarded by mu: true: to be told if they are online
}

// sight is one friend as another sees them.
type sight struct{ of, to uint64 }

func newOnline() *online {
	return &online{
		wake: make(chan struct{}, 1), here: map[uint64]struct{}{}, news: map[uint64]bool{}, sights: map[sight]bool{},
	}
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
	o.signal()
}

func (o *online) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// between takes that two friends hear each other again, or not any more: each
// is to see the other come or go. Of who was not seen online nothing is said:
// going twice would give a block away.
func (o *online) between(a, b uint64, open bool) {
	o.mu.Lock()
	for _, s := range []sight{{a, b}, {b, a}} {
		if open || o.seen(s.of) {
			o.sights[s] = open
		} else {
			delete(o.sights, s)
		}
	}
	o.mu.Unlock()
	o.signal()
}

// seen says whether friends may believe somebody to be online: also who has
// gone is until they are told. mu is held.
func (o *online) seen(user uint64) bool {
	_, here := o.here[user]
	_, untold := o.news[user]
	_, telling := o.telling[user]
	return here || untold || telling
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

// Told says whether everybody was told who came and who went.
func (s *Service) Told() bool {
	o := s.online
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.news) == 0 && o.telling == nil && len(o.sights) == 0
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

// Run tells people's friends that they came or went, until ctx ends. It alone
// does, so that what is told of somebody last is how it is.
func (s *Service) Run(ctx context.Context) error {
	alive := time.NewTicker(s.beat)
	defer alive.Stop()
	for {
		select {
		case <-ctx.Done():
			s.sawAll(ctx)
			return nil
		case <-alive.C:
			s.alive()
			continue
		case <-s.online.wake:
		}
		news, sights := s.online.take()
		if came, gone := moves(news); len(news) > 0 {
			s.saw(came, gone) // what fails is not kept: a login's own time is
		}
		for user, here := range news {
			if err := s.tellFriends(ctx, Presence{user, here}); err != nil && ctx.Err() == nil && status.Of(err).Code != status.Unavailable {
				s.o.Log.Error("friends could not be told who is online", "user", user, "error", err)
			}
		}
		for at, open := range sights {
			if !open || s.Online(at.of) {
				s.tellPresence(Presence{at.of, open}, at.to)
			}
		}
		s.online.mu.Lock()
		s.online.telling = nil
		s.online.mu.Unlock()
	}
}

// moves are those of the news who came, and who went.
func moves(news map[uint64]bool) (came, gone []uint64) {
	for user, here := range news {
		if here {
			came = append(came, user)
		} else {
			gone = append(gone, user)
		}
	}
	return came, gone
}

// take is what is to be told now.
func (o *online) take() (news map[uint64]bool, sights map[sight]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	news, sights = o.news, o.sights
	o.news, o.telling, o.sights = map[uint64]bool{}, news, map[sight]bool{}
	return news, sights
}

func (s *Service) tellFriends(ctx context.Context, p Presence) error {
	friends, err := s.OnlineFriends(ctx, p.User)
	s.tellPresence(p, friends...)
	return err
}

func (s *Service) tellPresence(p Presence, to ...uint64) {
	a := audience{hearers: to}
	_ = s.tell(&journal.Message{Kind: KindPresence, From: p.User}, p, nil, a.inboxes()...) // it always encodes
}
