package relay

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// maxText is how many characters a message may have.
const maxText = 500

// place is the room that a path names.
func place(r *http.Request) (chat.Place, error) {
	id := pathID(r.PathValue("id"))
	switch kind := r.PathValue("type"); {
	case kind != "user" && kind != "group":
		return chat.Place{}, &worded{code: http.StatusNotFound, msg: msgNoRoute}
	case id == 0 && kind == "group":
		return chat.Place{}, &worded{code: http.StatusNotFound, msg: msgNoGroup}
	case id == 0:
		return chat.Place{}, errNobody
	case kind == "group":
		return chat.Place{Group: id}, nil
	default:
		return chat.Place{User: id}, nil
	}
}

// send is POST /x/room/sendMessage/{user|group}/{id} {text?, edit?, reply?} →
// data:{chat:Message, roomdata:Room, users:User[]}; edit is the id of a message
// of one's own that gets this text, for 15 minutes, reply of one that is
// answered. 400 MSG_TEXT_REQUIRED and MSG_TEXT_LENGTH (500 characters), 404
// FIND_NOTFOUND, MSG_EDIT_DELETED, MSG_EDIT_OTHER, CONTENT_EDIT_EXPIRED and
// GRPS_404, 403 GRP_KICKED.
func (g *Gateway) send(w http.ResponseWriter, r *http.Request, me caller) error {
	at, err := place(r)
	if err != nil {
		return err
	}
	var in struct {
		Text  string `json:"text"`
		Edit  string `json:"edit"`
		Reply string `json:"reply"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	switch in.Text = strings.TrimSpace(in.Text); {
	case in.Text == "":
		return chat.ErrTextRequired
	case utf8.RuneCountInString(in.Text) > maxText:
		return chat.ErrTextTooLong
	}
	var m chat.Message
	if in.Edit != "" {
		m, err = g.o.Chats.Edit(r.Context(), me.ID, at, in.Edit, in.Text, me.login.ID)
	} else {
		m, err = g.say(r.Context(), chat.Outgoing{
			From: me.ID, To: at.User, Group: at.Group, Login: me.login.ID, Text: in.Text, Reply: in.Reply,
		})
	}
	if err != nil {
		return err
	}
	return g.said(w, r, me, at, &m)
}

// say says something, and returns it as the past has it.
func (g *Gateway) say(ctx context.Context, out chat.Outgoing) (chat.Message, error) {
	res, err := g.o.Chats.Send(out, journal.Key{}).Wait(ctx)
	if err != nil {
		return chat.Message{}, err
	}
	m := chat.Message{ID: res.Messages[0].ID, Time: res.Messages[0].Time}
	return m, json.Unmarshal(res.Messages[0].Data, &m.MessageSent)
}

// said answers with a message, where it stands and whom it concerns.
func (g *Gateway) said(w http.ResponseWriter, r *http.Request, me caller, at chat.Place, m *chat.Message) error {
	if at.Group != 0 {
		ps, err := g.o.Chats.Members(r.Context(), me.ID, at.Group)
		if err != nil {
			return err
		}
		return done(w, data{"chat": lineOf(m), "roomdata": roomOfProfile(m.Group), "users": ofPeople(ps)})
	}
	other, err := g.person(r.Context(), me.ID, at.User)
	if err != nil {
		return err
	}
	return done(w, data{"chat": lineOf(m), "roomdata": roomOf(&other), "users": []user{other}})
}

// remove is POST /x/room/delMessage/{user|group}/{id}/{message} →
// data:{chat:Message, roomdata:Room, users:User[]}, the text taken away. Its
// errors are those of send.
func (g *Gateway) remove(w http.ResponseWriter, r *http.Request, me caller) error {
	at, err := place(r)
	if err != nil {
		return err
	}
	m, err := g.o.Chats.Delete(r.Context(), me.ID, at, r.PathValue("message"), me.login.ID)
	if err != nil {
		return err
	}
	m.Deleted = true
	return g.said(w, r, me, at, &m)
}

// clear is POST /x/room/clear/{user|group}/{id}: what was said is gone, of a
// private chat for both, of a group for all and by its owner only, else 403
// GRPS_OWNER_FEATURE.
func (g *Gateway) clear(w http.ResponseWriter, r *http.Request, me caller) error {
	at, err := place(r)
	if err != nil {
		return err
	}
	if err := g.o.Chats.Clear(r.Context(), me.ID, at, me.login.ID); err != nil {
		return err
	}
	return done(w, nil)
}

// history is GET /x/room/history/{user|group}/{id}?before= → data:Message[], a
// page of 50, the oldest first; next, beside data, is the before of the page
// before it, and missing where there is none.
func (g *Gateway) history(w http.ResponseWriter, r *http.Request, me caller) error {
	at, err := place(r)
	if err != nil {
		return err
	}
	before, err := cursor(r)
	if err != nil {
		return err
	}
	ms, next, err := g.o.Chats.History(r.Context(), me.ID, at, before, newest)
	if err != nil {
		return err
	}
	gateway.WriteJSON(w, http.StatusOK, answer{OK: true, Code: http.StatusOK, Msg: msgOK, Data: linesOf(ms, true), Next: next})
	return nil
}

// cursor is where a page ends, 0 for the newest.
func cursor(r *http.Request) (uint64, error) {
	text := r.URL.Query().Get("before")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n >= maxID {
		return 0, status.Errorf(status.Invalid, msgError, "before must be what next was")
	}
	return n, nil
}

// rawID is an id in a body, as a string or a number; 0 where it is none.
type rawID uint64

// UnmarshalJSON never fails: what is no id is nobody's.
func (n *rawID) UnmarshalJSON(b []byte) error {
	*n = rawID(id(b))
	return nil
}
