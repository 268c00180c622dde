package chat

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/journal"
)

// Flags are what stands between two people, the one with the smaller id (a)
// and the other (b).
type Flags uint8

// A pair's flags. They are stored: a bit never changes its meaning.
const (
	flagFriends Flags = 1 << iota
	flagAAsked        // a asked b to be friends, who has not answered
	flagBAsked
	flagABlocks
	flagBBlocks
)

// Blocked are the flags with which two people do not hear each other.
const Blocked = flagABlocks | flagBBlocks

// Relation is a pair's row. A < B.
type Relation struct {
	A, B  uint64
	Flags Flags
	Room  uint64    // 0 until they first became friends
	Since time.Time // when it last changed
}

// Sender is what a private message needs to know, in one query: the pair's
// row, and who the two are.
type Sender struct {
	Flags     Flags
	Room      uint64
	Profile   account.Profile
	Suspended bool
	Receiver  account.Profile
}

// Neighbour is somebody, with their relation with one other person; of
// strangers it has only A and B.
type Neighbour struct {
	User     account.User
	Relation Relation
}

// Member is what a message in a group needs to know: the group, who somebody
// is, and whether they belong to it.
type Member struct {
	Group     Group
	Profile   account.Profile
	Suspended bool
	In        bool
	Kicked    bool // had to go, and may not come back by the same link
}

// Revision is what became of a message, by its number in its room.
type Revision struct {
	Room, Seq uint64
	Text      string
	Edited    time.Time
	Deleted   bool
}

// ReadMark is up to where somebody has read a room.
type ReadMark struct {
	User, Seq uint64
	At        time.Time // when it was set; zero where that is not known
}

// PostRow is a post as somebody sees it; Serial orders posts by age.
type PostRow struct {
	Serial uint64
	Post   Post
	Author Neighbour
}

// CommentRow is a comment as somebody sees it.
type CommentRow struct {
	Comment Comment
	Author  Neighbour
}

// OwnComment is a comment, by who wrote it; Serial orders comments by age.
type OwnComment struct {
	Serial, PostSerial uint64
	Post               string // its id
	Comment            Comment
}

// OwnLike is a post that somebody likes; Serial is the post's.
type OwnLike struct {
	Serial uint64
	Post   string // its id
}

// OwnMark is up to where somebody has read a room.
type OwnMark struct {
	Room uint64
	ReadMark
}

// Reader is what can be read, from a snapshot or inside a change. In what
// takes a pair, a < b.
type Reader interface {
	Relation(ctx context.Context, a, b uint64) (r Relation, ok bool, err error)
	// Sender finds what from needs to write to to; ok is false where the pair
	// has no row.
	Sender(ctx context.Context, from, to, a, b uint64) (s Sender, ok bool, err error)
	// Suspended is what a line needs to know of who says it.
	Suspended(ctx context.Context, user uint64) (suspended, ok bool, err error)
	User(ctx context.Context, id uint64) (u account.User, ok bool, err error)
	// Neighbours returns, newest first, those whose row with user has a bit of
	// asA where user is a, of asB where user is b.
	Neighbours(ctx context.Context, user uint64, asA, asB Flags, limit int) ([]Neighbour, error)
	// Hidden returns who does not hear user, nor is heard: one of the two
	// blocks the other.
	Hidden(ctx context.Context, user uint64) ([]uint64, error)
	// Search returns people but for me and the suspended: those whose folded
	// handle begins with handle, then those whose name begins with name, then
	// those of the newest people whose name has it in it.
	Search(ctx context.Context, me uint64, handle, name string, limit int) ([]Neighbour, error)

	Group(ctx context.Context, id uint64) (g Group, ok bool, err error)
	GroupByLink(ctx context.Context, link string) (g Group, ok bool, err error)
	Groups(ctx context.Context, user uint64, limit int) ([]Group, error) // whose member user is; the newest membership first
	CountGroups(ctx context.Context, user uint64) (int, error)
	Member(ctx context.Context, group, user uint64) (m Member, ok bool, err error) // ok: there are such a group and user
	MemberIDs(ctx context.Context, group uint64) ([]uint64, error)                 // the eldest membership first
	Members(ctx context.Context, group, me uint64) ([]Neighbour, error)            // the same, with their relation with me

	Revision(ctx context.Context, room, seq uint64) (r Revision, ok bool, err error)
	Revisions(ctx context.Context, room, from, to uint64) ([]Revision, error)
	Cleared(ctx context.Context, room uint64) (seq uint64, err error)
	ReadMarks(ctx context.Context, room uint64) ([]ReadMark, error)
	// Delivered is up to where somebody's inbox was acknowledged by any of their
	// devices, 0 where none did.
	Delivered(ctx context.Context, user uint64) (seq uint64, err error)
	// LastSeen is when somebody was last here, zero where that is not known.
	LastSeen(ctx context.Context, user uint64) (time.Time, error)

	Posts(ctx context.Context, me, before uint64, limit int) ([]PostRow, error) // newest first; before 0: from the newest
	Post(ctx context.Context, me uint64, id string) (p PostRow, ok bool, err error)
	Comments(ctx context.Context, me, post uint64, limit int) ([]CommentRow, error) // newest first
	Comment(ctx context.Context, post uint64, id string) (author uint64, ok bool, err error)

	// What somebody has, for taking it along and for taking it away: each after
	// the last one, in an order of its own.
	Standings(ctx context.Context, user, after uint64, limit int) ([]Neighbour, error) // those with a flag
	PostsBy(ctx context.Context, user, after uint64, limit int) ([]PostRow, error)
	CommentsBy(ctx context.Context, user, after uint64, limit int) ([]OwnComment, error)
	LikesBy(ctx context.Context, user, after uint64, limit int) ([]OwnLike, error)
	MarksBy(ctx context.Context, user, after uint64, limit int) ([]OwnMark, error)
}

// Tx reads and writes inside a change.
type Tx interface {
	Reader
	NextID(ctx context.Context) (uint64, error) // of users, groups and rooms; never given twice
	SetRelation(ctx context.Context, r Relation) error
	DropRelation(ctx context.Context, a, b uint64) error

	SetGroup(ctx context.Context, g Group) error // but for its Members, which are counted
	DropGroup(ctx context.Context, id uint64) error
	AddMember(ctx context.Context, group, user uint64, at time.Time) error
	DropMember(ctx context.Context, group, user uint64) error // with what they have read
	Kick(ctx context.Context, group, user uint64) error
	Forgive(ctx context.Context, group uint64) error // everybody who had to go

	SetRevision(ctx context.Context, r Revision) error
	SetCleared(ctx context.Context, room, seq uint64) error
	SetReadMark(ctx context.Context, room, user, seq uint64, at time.Time) error
	// SetSeen keeps that people were here; the time never moves back. run is the
	// server that they are here on until they go, 0 where they went.
	SetSeen(ctx context.Context, users []uint64, at time.Time, run int64) error
	// SetAlive keeps that a server ran.
	SetAlive(ctx context.Context, run int64, at time.Time) error

	AddPost(ctx context.Context, id string, user uint64, text string, at time.Time) error
	DropPost(ctx context.Context, serial uint64) error // with its likes and comments
	// Like and Unlike say whether that changed anything.
	Like(ctx context.Context, post, user uint64) (bool, error)
	Unlike(ctx context.Context, post, user uint64) (bool, error)
	AddComment(ctx context.Context, post uint64, id string, user uint64, text string, at time.Time) error
	DropComment(ctx context.Context, post uint64, id string) error

	// Likes of somebody's, and then what rooms know of them besides what was
	// said: at most limit rows, and how many there were.
	Unliked(ctx context.Context, user uint64, limit int) (int, error)
	DropMarks(ctx context.Context, user uint64, limit int) (int, error)
	DropSeen(ctx context.Context, user uint64) error
}

// Store is where chats stand.
type Store interface {
	Reader
	In(tx *journal.Tx) Tx
}
