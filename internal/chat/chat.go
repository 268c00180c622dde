package chat

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// What a caller may learn, besides account.ErrUserNotFound. A gateway tells
// them apart by reason.
var (
	ErrSelf             = status.Errorf(status.Invalid, "SELF", "that is yourself")
	ErrAlreadyFriend    = status.Errorf(status.Conflict, "ALREADY_FRIEND", "you are friends already")
	ErrAlreadyRequested = status.Errorf(status.Conflict, "ALREADY_REQUESTED", "you asked already, and have no answer yet")
	ErrNoRequest        = status.Errorf(status.NotFound, "NO_REQUEST", "there is no such friend request")
	ErrNotFriends       = status.Errorf(status.Forbidden, "NOT_FRIENDS", "you are not friends")
	ErrBlocking         = status.Errorf(status.Forbidden, "BLOCKING", "you blocked this person; take the block away first")
	ErrBlocked          = status.Errorf(status.Forbidden, "BLOCKED", "this person cannot be reached")
	ErrNotBlocked       = status.Errorf(status.NotFound, "NOT_BLOCKED", "you have not blocked this person")

	ErrTextRequired   = status.Errorf(status.Invalid, "TEXT_REQUIRED", "the message is empty")
	ErrTextInvalid    = status.Errorf(status.Invalid, "TEXT_INVALID", "the message is not valid UTF-8")
	ErrTextTooLong    = status.Errorf(status.TooLarge, "TEXT_TOO_LONG", "the text is too long")
	ErrPayloadInvalid = status.Errorf(status.Invalid, "PAYLOAD_INVALID", "what is to be passed on is not JSON, or too long")
	ErrNoMessage      = journal.ErrNoMessage
	ErrEditDeleted    = status.Errorf(status.Conflict, "EDIT_DELETED", "this message was deleted")
	ErrEditOther      = status.Errorf(status.Forbidden, "EDIT_OTHER", "this message is somebody else's")
	ErrEditExpired    = status.Errorf(status.Forbidden, "EDIT_EXPIRED", "this message is too old to be changed")

	ErrNoRoom        = status.Errorf(status.NotFound, "NO_ROOM", "there is no such group or person")
	ErrNoInvite      = status.Errorf(status.NotFound, "NO_INVITE", "this invitation is not valid, or not any more")
	ErrFull          = status.Errorf(status.Conflict, "GROUP_FULL", "this group has as many members as it can have")
	ErrTooManyGroups = status.Errorf(status.Conflict, "TOO_MANY_GROUPS", "you are in as many groups as one can be in; leave one first")
	ErrNotOwner      = status.Errorf(status.Forbidden, "NOT_OWNER", "only the group's owner may do that")
	ErrNotMember     = status.Errorf(status.Forbidden, "NOT_MEMBER", "not a member of this group")
	ErrKicked        = status.Errorf(status.Forbidden, "KICKED", "you were removed from this group")

	ErrNoPost    = status.Errorf(status.NotFound, "NO_POST", "there is no such post")
	ErrNoComment = status.Errorf(status.NotFound, "NO_COMMENT", "there is no such comment")
	ErrNotAuthor = status.Errorf(status.Forbidden, "NOT_AUTHOR", "this is somebody else's")
)

// Options says what chat stands on.
type Options struct {
	Journal *journal.Journal
	Store   Store
	Hub     *hub.Hub // says what is not kept; nil: nobody hears that

	MaxMembers int              // of a group; 256
	Now        func() time.Time // the clock by which a message is too old to be edited, and people were seen; nil: the journal's
	Log        *slog.Logger     // nil: slog.Default()
}

// Service is the friends, rooms, messages, groups and posts.
type Service struct {
	// static
	o    Options
	run  int64         // what people who are here are kept with: no two starts have the same
	beat time.Duration // how often it is kept that this runs

	online *online // guards itself
}

// New makes the service. It starts nothing.
func New(o Options) (*Service, error) {
	if o.Journal == nil || o.Store == nil {
		return nil, errors.New("chat: a journal and a store are needed")
	}
	if o.MaxMembers < 0 {
		return nil, errors.New("chat: the most members of a group are below zero")
	}
	if o.MaxMembers == 0 {
		o.MaxMembers = 256
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Service{o: o, run: rand.Int64() | 1, beat: beat, online: newOnline()}, nil //nolint:gosec // unlike others is enough
}

// background is for what runs inside a change, which waits for nobody.
var background = context.Background()

// Standing is what stands between two people, as one of them sees it.
type Standing struct {
	Friends          bool // also while one of them blocks the other
	Asked, WasAsked  bool // I asked, they asked; not answered yet
	Blocks, BlocksMe bool // I block them, they block me
	Room             uint64
}

// Open says whether they may write to each other.
func (s Standing) Open() bool { return s.Friends && !s.Blocks && !s.BlocksMe }

// pair puts two ids in the order of the row.
func pair(me, other uint64) (a, b uint64) { return min(me, other), max(me, other) }

// sides are the bits of one person and of the other in their row: which asks,
// which blocks.
func sides(me, other uint64) (asked, wasAsked, blocks, blocksMe Flags) {
	if me < other {
		return flagAAsked, flagBAsked, flagABlocks, flagBBlocks
	}
	return flagBAsked, flagAAsked, flagBBlocks, flagABlocks
}

func standing(me, other uint64, f Flags, room uint64) Standing {
	asked, wasAsked, blocks, blocksMe := sides(me, other)
	return Standing{
		Friends: f&flagFriends != 0, Asked: f&asked != 0, WasAsked: f&wasAsked != 0,
		Blocks: f&blocks != 0, BlocksMe: f&blocksMe != 0, Room: room,
	}
}

// flags is standing's way back.
func (s Standing) flags(me, other uint64) (f Flags) {
	asked, wasAsked, blocks, blocksMe := sides(me, other)
	for _, x := range []struct {
		on  bool
		bit Flags
	}{{s.Friends, flagFriends}, {s.Asked, asked}, {s.WasAsked, wasAsked}, {s.Blocks, blocks}, {s.BlocksMe, blocksMe}} {
		if x.on {
			f |= x.bit
		}
	}
	return f
}

// Standing is what stands between me and other; strangers have a zero one.
func (s *Service) Standing(ctx context.Context, me, other uint64) (Standing, error) {
	return read(ctx, s.o.Store, me, other)
}

func read(ctx context.Context, r Reader, me, other uint64) (Standing, error) {
	a, b := pair(me, other)
	rel, _, err := r.Relation(ctx, a, b)
	return standing(me, other, rel.Flags, rel.Room), err
}

// SeenBy is a user as me may see them: the e-mail address only of oneself and
// of friends, a secret never.
func (s *Service) SeenBy(ctx context.Context, me uint64, u account.User) (account.User, error) {
	p, err := s.PersonSeenBy(ctx, me, u)
	return p.User, err
}

func visible(u account.User, address bool) account.User {
	u.Password = ""
	if !address {
		u.Email = ""
	}
	return u
}

// maxList bounds a list of people: the newest, of those that have more.
const maxList = 5000

func (s *Service) list(ctx context.Context, me uint64, asA, asB Flags, keep func(Standing) bool) ([]account.User, error) {
	ns, err := s.o.Store.Neighbours(ctx, me, asA, asB, maxList)
	if err != nil {
		return nil, err
	}
	users := make([]account.User, 0, len(ns))
	for _, n := range ns {
		if st := standing(me, n.User.ID, n.Relation.Flags, n.Relation.Room); keep(st) {
			users = append(users, visible(n.User, st.Open()))
		}
	}
	return users, nil
}

// Friends are me's friends, the newest first, but for those whom me blocks.
func (s *Service) Friends(ctx context.Context, me uint64) ([]account.User, error) {
	return s.list(ctx, me, flagFriends, flagFriends, func(st Standing) bool { return !st.Blocks })
}

// Requests are the people whom me asked, and those who asked me, without an
// answer yet; the newest first.
func (s *Service) Requests(ctx context.Context, me uint64) (sent, received []account.User, err error) {
	all := func(Standing) bool { return true }
	if sent, err = s.list(ctx, me, flagAAsked, flagBAsked, all); err != nil {
		return nil, nil, err
	}
	received, err = s.list(ctx, me, flagBAsked, flagAAsked, all)
	return sent, received, err
}

// Blocked are the people whom me blocks, the newest first.
func (s *Service) Blocked(ctx context.Context, me uint64) ([]account.User, error) {
	return s.list(ctx, me, flagABlocks, flagBBlocks, func(Standing) bool { return true })
}
