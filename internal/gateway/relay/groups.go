package relay

import (
	"context"
	"net/http"
	"strconv"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
)

var errNoGroup = &worded{code: http.StatusNotFound, msg: msgNoGroup}

// create is POST /x/group/create {name} → data:{roomid, group:Chat}. 400
// GRPS_DNAME_LENGTH for a name that is empty or longer than 35 characters.
func (g *Gateway) create(w http.ResponseWriter, r *http.Request, me caller) error {
	var in struct {
		Name string `json:"name"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	group, err := g.o.Chats.CreateGroup(r.Context(), me.ID, in.Name)
	if err != nil {
		return insteadOf(err, status.Invalid, msgGroupName)
	}
	c, err := g.group(r.Context(), me, &group)
	if err != nil {
		return err
	}
	return done(w, data{"roomid": strconv.FormatUint(group.ID, 10), "group": c})
}

// group is a group as a Chat.
func (g *Gateway) group(ctx context.Context, me caller, group *chat.Group) (conversation, error) {
	ps, err := g.o.Chats.Members(ctx, me.ID, group.ID)
	if err != nil {
		return conversation{}, err
	}
	ms, _, err := g.o.Chats.History(ctx, me.ID, chat.Place{Group: group.ID}, 0, newest)
	return conversation{roomOfGroup(group), ofPeople(ps), linesOf(ms, true)}, err
}

// join is POST /x/group/join/{id} {link} → data:Chat. 404 INV_NOT_FOUND_DESC for
// another link, GRPS_404 and GRPS_MEMBER_LIMIT; 403 GRP_KICKED for who had to go
// and comes by the same link.
func (g *Gateway) join(w http.ResponseWriter, r *http.Request, me caller) error {
	var in struct {
		Link string `json:"link"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	id := pathID(r.PathValue("id"))
	if id == 0 {
		return errNoGroup
	}
	group, err := g.o.Chats.Join(r.Context(), me.ID, id, in.Link)
	if err != nil {
		return err
	}
	c, err := g.group(r.Context(), me, &group)
	if err != nil {
		return err
	}
	return done(w, c)
}

// depart is POST /x/group/leave/{id}. An owner who leaves hands the group over
// to the eldest member.
func (g *Gateway) depart(w http.ResponseWriter, r *http.Request, me caller) error {
	id := pathID(r.PathValue("id"))
	if id == 0 {
		return errNoGroup
	}
	if err := g.o.Chats.Leave(r.Context(), me.ID, id); err != nil {
		return err
	}
	return done(w, nil)
}

// kick is POST /x/group/kick/{id}/{user}, by the owner, else 403
// GRPS_OWNER_FEATURE; 404 FIND_NOTFOUND where they are no member.
func (g *Gateway) kick(w http.ResponseWriter, r *http.Request, me caller) error {
	id, other := pathID(r.PathValue("id")), pathID(r.PathValue("user"))
	switch {
	case id == 0:
		return errNoGroup
	case other == 0:
		return errNobody
	}
	err := g.o.Chats.Kick(r.Context(), me.ID, id, other)
	if err = instead(err, chat.ErrNotMember, http.StatusNotFound, msgNobody); err != nil {
		return err
	}
	return done(w, nil)
}

// resetLink is POST /x/group/reset-link {id} → data:{text}, the new link, by the
// owner, else 403 GRPS_OWNER_FEATURE. The old one invites nobody any more.
func (g *Gateway) resetLink(w http.ResponseWriter, r *http.Request, me caller) error {
	var in struct {
		ID rawID `json:"id"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	if in.ID == 0 {
		return errNoGroup
	}
	group, err := g.o.Chats.ResetLink(r.Context(), me.ID, uint64(in.ID))
	if err != nil {
		return err
	}
	return done(w, data{"text": group.Link})
}

// rename is POST /x/group/set-groupname {id, gname} → data:{text}, by the owner,
// else 403 GRPS_OWNER_FEATURE.
func (g *Gateway) rename(w http.ResponseWriter, r *http.Request, me caller) error {
	var in struct {
		ID   rawID  `json:"id"`
		Name string `json:"gname"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	if in.ID == 0 {
		return errNoGroup
	}
	group, err := g.o.Chats.Rename(r.Context(), me.ID, uint64(in.ID), in.Name)
	if err != nil {
		return insteadOf(err, status.Invalid, msgGroupName)
	}
	return done(w, data{"text": group.Name})
}

// invite is GET /invite/{link} → data:{group:Room, joined:bool, members:int};
// 404 INV_NOT_FOUND_DESC for a link that invites to nothing.
func (g *Gateway) invite(w http.ResponseWriter, r *http.Request, me caller) error {
	group, joined, err := g.o.Chats.GroupByLink(r.Context(), me.ID, r.PathValue("link"))
	if err != nil {
		return err
	}
	return done(w, data{"group": roomOfGroup(&group), "joined": joined, "members": group.Members})
}
