package relay

import (
	"context"
	"errors"
	"net/http"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
)

// found is how many people a search shows.
const found = 20

// search is GET /x/profile/search/{q} → data:{users:User[]}, by the beginning of
// a handle or a part of a name; nobody: 404 FIND_NOTFOUND.
func (g *Gateway) search(w http.ResponseWriter, r *http.Request, me caller) error {
	ps, err := g.o.Chats.Search(r.Context(), me.ID, r.PathValue("q"), found)
	if err != nil {
		return err
	}
	if len(ps) == 0 {
		return errNobody
	}
	return done(w, data{"users": ofPeople(ps)})
}

var errNobody = &worded{code: http.StatusNotFound, msg: msgNobody}

// friendship is POST /x/profile/{addfriend,acceptfriend,cancelfriend,
// ignorefriend,unfriend} {userid} → data:{user:User}, and room where they are
// friends by it. What is so already is no error, but of somebody who is hidden
// they are nobody. Asking somebody who had asked is a yes. 404 FIND_NOTFOUND for
// nobody, and for a yes to what nobody asked.
func (g *Gateway) friendship(w http.ResponseWriter, r *http.Request, me caller) error {
	act := g.acts()[r.PathValue("what")]
	if act == nil {
		return noRoute(w, r)
	}
	other, err := bodyID(w, r, "userid")
	if err != nil {
		return err
	}
	friends, err := act(r.Context(), me.ID, other)
	if err != nil {
		return err
	}
	p, err := g.person(r.Context(), me.ID, other)
	if err != nil {
		return err
	}
	out := data{"user": p}
	if friends {
		out["room"] = roomOf(&p)
	}
	return done(w, out)
}

// act changes what two people are to each other; friends says that it made them
// friends.
type act func(ctx context.Context, me, other uint64) (friends bool, err error)

func (g *Gateway) acts() map[string]act {
	c := g.o.Chats
	return map[string]act{
		"addfriend": func(ctx context.Context, me, other uint64) (bool, error) {
			yes, err := c.Request(ctx, me, other)
			return yes, already(err, chat.ErrAlreadyFriend, chat.ErrAlreadyRequested)
		},
		"acceptfriend": func(ctx context.Context, me, other uint64) (bool, error) {
			err := already(c.Accept(ctx, me, other), chat.ErrAlreadyFriend)
			return err == nil, err
		},
		"cancelfriend": func(ctx context.Context, me, other uint64) (bool, error) {
			return false, g.undone(ctx, me, other, c.Cancel(ctx, me, other), chat.ErrNoRequest)
		},
		"ignorefriend": func(ctx context.Context, me, other uint64) (bool, error) {
			return false, g.undone(ctx, me, other, c.Decline(ctx, me, other), chat.ErrNoRequest)
		},
		"unfriend": func(ctx context.Context, me, other uint64) (bool, error) {
			return false, g.undone(ctx, me, other, c.Unfriend(ctx, me, other), chat.ErrNotFriends)
		},
	}
}

// already passes over what only says that it is so.
func already(err error, so ...error) error {
	for _, s := range so {
		if errors.Is(err, s) {
			return nil
		}
	}
	return err
}

// undone passes over what only says that it is so, but for a stranger of whom me
// is hidden, or who is hidden from me: to me they are nobody, and seen by no such
// way either.
func (g *Gateway) undone(ctx context.Context, me, other uint64, err, so error) error {
	if !errors.Is(err, so) {
		return err
	}
	st, err := g.o.Chats.Standing(ctx, me, other)
	if err == nil && !st.Friends && (st.Blocks || st.BlocksMe) {
		return errNobody
	}
	return err
}

// person is somebody as me sees them.
func (g *Gateway) person(ctx context.Context, me, id uint64) (user, error) {
	u, err := g.o.Accounts.User(ctx, id)
	if err != nil {
		return user{}, err
	}
	p, err := g.o.Chats.PersonSeenBy(ctx, me, u)
	return ofPerson(p), err
}

// bodyID reads one id, a string or a number, out of the body's object.
func bodyID(w http.ResponseWriter, r *http.Request, name string) (uint64, error) {
	var in map[string]rawID
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return 0, err
	}
	if in[name] == 0 {
		return 0, errNobody
	}
	return uint64(in[name]), nil
}
