package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
)

// The sizes of a page.
const (
	pageSize = 100
	maxPage  = 200 // what the core gives at the most
)

// user is an account as the administrator sees it.
type user struct {
	ID        uint64 `json:"id"`
	Handle    string `json:"handle"`
	Name      string `json:"name"`
	Email     string `json:"email"`
	About     string `json:"about"`
	Created   string `json:"created"`
	Suspended bool   `json:"suspended"`
	Badges    []int  `json:"badges"`
	Erased    bool   `json:"erased,omitempty"`

	// Where one account is asked for.
	Groups []string `json:"groups,omitempty"`
	Online *bool    `json:"online,omitempty"`
	Seen   string   `json:"last_seen,omitempty"` // of who is not online, where it is known
}

func showUser(u account.User) user {
	v := user{
		ID: u.ID, Handle: u.Handle, Name: u.Display, Email: u.Email, About: u.About,
		Created: u.Created.UTC().Format(timeFormat), Suspended: u.Suspended, Badges: u.Badges, Erased: u.Erased,
	}
	if v.Badges == nil {
		v.Badges = []int{}
	}
	return v
}

// userPage is a page of accounts; next is where the one after it begins, 0 for
// none.
func userPage(w http.ResponseWriter, us []account.User, limit int) error {
	out := make([]user, len(us))
	for i, u := range us {
		out[i] = showUser(u)
	}
	next := uint64(0)
	if len(us) == limit {
		next = us[len(us)-1].ID
	}
	gateway.WriteJSON(w, http.StatusOK, struct {
		Users []user `json:"users"`
		Next  uint64 `json:"next"`
	}{out, next})
	return nil
}

// number reads a number of a path or query; "" is none.
func number(name, text string, none uint64) (uint64, error) {
	if text == "" {
		return none, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n >= 1<<53 {
		return 0, status.Errorf(status.Invalid, "BAD_NUMBER", "%s must be a whole number, not %.80q", name, text)
	}
	return n, nil
}

// page reads after and limit, of people.
func page(r *http.Request) (after uint64, limit int, err error) {
	q := r.URL.Query()
	if after, err = number("after", q.Get("after"), 0); err != nil {
		return 0, 0, err
	}
	n, err := number("limit", q.Get("limit"), pageSize)
	return after, int(min(max(n, 1), maxPage)), err
}

// users is GET /v1/users?q=&after=&limit= → {users, next}.
func (a *API) users(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := page(r)
	if err != nil {
		return err
	}
	us, err := a.o.Accounts.Users(r.Context(), r.URL.Query().Get("q"), after, limit)
	if err != nil {
		return err
	}
	return userPage(w, us, limit)
}

func pathUser(r *http.Request, name string) (uint64, error) {
	id, err := number(name, r.PathValue(name), 0)
	if err == nil && id == 0 {
		err = account.ErrUserNotFound
	}
	return id, err
}

// one answers with one account, after do.
func (a *API) one(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, id uint64) error) error {
	id, err := pathUser(r, "id")
	if err == nil {
		err = do(r.Context(), id)
	}
	if err != nil {
		return err
	}
	u, err := a.o.Accounts.User(r.Context(), id)
	if err != nil {
		return err
	}
	v := showUser(u)
	if v.Groups, err = a.o.Accounts.Groups(r.Context(), id); err != nil {
		return err
	}
	online := a.o.Chats.Online(id)
	if v.Online = &online; !online {
		seen, err := a.o.Chats.LastSeen(r.Context(), id)
		if err != nil {
			return err
		}
		v.Seen = stampOf(seen)
	}
	gateway.WriteJSON(w, http.StatusOK, v)
	return nil
}

// user is GET /v1/users/{id}.
func (a *API) user(w http.ResponseWriter, r *http.Request) error {
	return a.one(w, r, func(context.Context, uint64) error { return nil })
}

// suspend is POST /v1/users/{id}/suspend: the account's sockets close with 4001.
func (a *API) suspend(w http.ResponseWriter, r *http.Request) error {
	return a.one(w, r, a.o.Accounts.Suspend)
}

// restore is POST /v1/users/{id}/restore.
func (a *API) restore(w http.ResponseWriter, r *http.Request) error {
	return a.one(w, r, a.o.Accounts.Restore)
}

// setBadges is PUT /v1/users/{id}/badges {badges:[1, 7]}.
func (a *API) setBadges(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Badges *[]int `json:"badges"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.Badges == nil {
		return status.Errorf(status.Invalid, "BADGES_REQUIRED", `"badges" is missing: an array of numbers, [] for none`)
	}
	return a.one(w, r, func(ctx context.Context, id uint64) error {
		_, err := a.o.Accounts.SetBadges(ctx, id, *in.Badges)
		return err
	})
}

// groups is GET /v1/groups → {groups}.
func (a *API) groups(w http.ResponseWriter, r *http.Request) error {
	names, err := a.o.Accounts.GroupNames(r.Context())
	if err != nil {
		return err
	}
	gateway.WriteJSON(w, http.StatusOK, map[string]any{"groups": names})
	return nil
}

// members is GET /v1/groups/{name}/members?after=&limit= → {users, next}.
func (a *API) members(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := page(r)
	if err != nil {
		return err
	}
	us, err := a.o.Accounts.GroupMembers(r.Context(), r.PathValue("name"), after, limit)
	if err != nil {
		return err
	}
	return userPage(w, us, limit)
}

// join is PUT /v1/groups/{name}/members/{user}.
func (a *API) join(w http.ResponseWriter, r *http.Request) error {
	return a.member(w, r, a.o.Accounts.AddToGroup)
}

// leave is DELETE /v1/groups/{name}/members/{user}.
func (a *API) leave(w http.ResponseWriter, r *http.Request) error {
	return a.member(w, r, a.o.Accounts.RemoveFromGroup)
}

func (a *API) member(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, name string, user uint64) error) error {
	id, err := pathUser(r, "user")
	if err == nil {
		err = do(r.Context(), r.PathValue("name"), id)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
