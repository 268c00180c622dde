package direct

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
)

// person is a user as this dialect shows them.
type person struct {
	ID       uint64 `json:"Id"`
	Username string
	Email    string // of oneself and of friends, else ""
	Avatar   string
	About    string
}

func show(u account.User) person { return person{u.ID, u.Display, u.Email, u.Avatar, u.About} }

func showAll(us []account.User) []person {
	out := make([]person, len(us))
	for i, u := range us {
		out[i] = show(u)
	}
	return out
}

// user is GET /api/user[?id= or ?email=] → {code, message, data:User}; oneself
// without either. Nobody: 500 "error : user not found", as clients know it.
func (g *Gateway) user(w http.ResponseWriter, r *http.Request, me account.User) error {
	q := r.URL.Query()
	u, err := me, error(nil)
	switch {
	case q.Get("id") != "":
		var id uint64
		if id, err = number("id", q.Get("id")); err != nil {
			return err
		}
		u, err = g.o.Accounts.User(r.Context(), id)
	case q.Get("email") != "":
		u, err = g.o.Accounts.UserByEmail(r.Context(), q.Get("email"))
	}
	if err == nil {
		u, err = g.o.Chats.SeenBy(r.Context(), me.ID, u)
	}
	if errors.Is(err, account.ErrUserNotFound) {
		return &worded{code: 500, error: "error : user not found", details: account.ErrUserNotFound.Message}
	}
	if err != nil {
		return err
	}
	return success(w, show(u))
}

// setName is PATCH /api/user/username {new_username}.
func (g *Gateway) setName(w http.ResponseWriter, r *http.Request, me account.User) error {
	var in struct {
		Name string `json:"new_username"`
	}
	err := gateway.ReadJSON(w, r, &in)
	if err == nil {
		_, err = g.o.Accounts.SetDisplay(r.Context(), me.ID, in.Name)
	}
	return done(w, err, 200)
}

// setAbout is PATCH /api/user/about {new_about}.
func (g *Gateway) setAbout(w http.ResponseWriter, r *http.Request, me account.User) error {
	var in struct {
		About *string `json:"new_about"`
	}
	err := gateway.ReadJSON(w, r, &in)
	if err == nil && in.About == nil {
		err = status.Errorf(status.Invalid, "", "new_about is missing")
	}
	if err == nil {
		_, err = g.o.Accounts.SetAbout(r.Context(), me.ID, *in.About)
	}
	return done(w, err, 200)
}

// done answers {code, message:"Success"}, with code as clients know it there.
func done(w http.ResponseWriter, err error, code any) error {
	if err == nil {
		gateway.WriteJSON(w, http.StatusOK, ok{Code: code, Message: "Success"})
	}
	return err
}

// blocked is GET /api/user/block → data:[User].
func (g *Gateway) blocked(w http.ResponseWriter, r *http.Request, me account.User) error {
	us, err := g.o.Chats.Blocked(r.Context(), me.ID)
	if err != nil {
		return err
	}
	return success(w, showAll(us))
}

// block is POST /api/user/block {blocked_user_id}; nobody of that id: 404.
func (g *Gateway) block(w http.ResponseWriter, r *http.Request, me account.User) error {
	id, err := bodyID(w, r, "blocked_user_id")
	if err == nil {
		err = g.o.Chats.Block(r.Context(), me.ID, id)
	}
	return done(w, err, 200)
}

// unblock is DELETE /api/user/block {blocked_user_id}; not blocked: 404.
func (g *Gateway) unblock(w http.ResponseWriter, r *http.Request, me account.User) error {
	id, err := bodyID(w, r, "blocked_user_id")
	if err == nil {
		err = g.o.Chats.Unblock(r.Context(), me.ID, id)
	}
	return done(w, err, 200)
}

// friends is GET /api/friends → data:[User].
func (g *Gateway) friends(w http.ResponseWriter, r *http.Request, me account.User) error {
	us, err := g.o.Chats.Friends(r.Context(), me.ID)
	if err != nil {
		return err
	}
	return success(w, showAll(us))
}

// pending is GET /api/friends/pending → data:{sended, received}.
func (g *Gateway) pending(w http.ResponseWriter, r *http.Request, me account.User) error {
	sent, received, err := g.o.Chats.Requests(r.Context(), me.ID)
	if err != nil {
		return err
	}
	return success(w, struct {
		Sent     []person `json:"sended"`
		Received []person `json:"received"`
	}{showAll(sent), showAll(received)})
}

// unfriend is DELETE /api/friends {friend_id}.
func (g *Gateway) unfriend(w http.ResponseWriter, r *http.Request, me account.User) error {
	id, err := bodyID(w, r, "friend_id")
	if err == nil {
		err = friendWorded(g.o.Chats.Unfriend(r.Context(), me.ID, id))
	}
	return done(w, err, "200")
}

// friendship is POST /api/friends/{request,accept,cancel,decline} {friend_id}.
// A request to somebody who had asked is an accept.
func (g *Gateway) friendship(w http.ResponseWriter, r *http.Request, me account.User) error {
	act := map[string]func(id uint64) error{
		"request": func(id uint64) error { _, err := g.o.Chats.Request(r.Context(), me.ID, id); return err },
		"accept":  func(id uint64) error { return g.o.Chats.Accept(r.Context(), me.ID, id) },
		"cancel":  func(id uint64) error { return g.o.Chats.Cancel(r.Context(), me.ID, id) },
		"decline": func(id uint64) error { return g.o.Chats.Decline(r.Context(), me.ID, id) },
	}[r.PathValue("what")]
	if act == nil {
		return status.Errorf(status.NotFound, "", "there is no /api/friends/%s; there are request, accept, cancel and decline", r.PathValue("what"))
	}
	id, err := bodyID(w, r, "friend_id")
	if err == nil {
		err = friendWorded(act(id))
	}
	return done(w, err, "200")
}

// friendWorded is 500 with the details that clients look into.
func friendWorded(err error) error {
	for known, words := range map[*status.Error]string{
		chat.ErrSelf:             "Cannot add yourself",
		account.ErrUserNotFound:  "User not found",
		chat.ErrAlreadyFriend:    "Already friend",
		chat.ErrAlreadyRequested: "duplicated",
		chat.ErrNoRequest:        "Request not found",
		chat.ErrNotFriends:       "Not friend",
		chat.ErrBlocking:         "User is blocked",
		chat.ErrBlocked:          "User not found", // whoever is blocked is not told
	} {
		if errors.Is(err, known) {
			return &worded{code: 500, error: "Friend request failed", details: "error : " + words}
		}
	}
	return err
}

// bodyID reads one id out of the body's object.
func bodyID(w http.ResponseWriter, r *http.Request, name string) (uint64, error) {
	var in map[string]any
	b, err := gateway.ReadBody(w, r, 4096)
	if err == nil {
		err = gateway.DecodeJSON(b, &in)
	}
	if err != nil {
		return 0, err
	}
	n, isNumber := in[name].(float64)
	if !isNumber || n < 1 || n >= maxNumber || n != float64(uint64(n)) {
		return 0, status.Errorf(status.Invalid, "BAD_ID", "%s must be a user's id, a whole number", name)
	}
	return uint64(n), nil
}

// number reads an id or a cursor out of a query.
func number(name, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n >= maxNumber {
		return 0, status.Errorf(status.Invalid, "BAD_NUMBER", "%s must be a whole number", name)
	}
	return n, nil
}
