package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
)

// maxShown is how many sockets of one login are listed.
const maxShown = 100

var errNoSession = status.Errorf(status.NotFound, "NO_SESSION", "there is no such session, or not any more")

// login is one device of a person: what it has acknowledged, and the sockets
// that it has now.
type login struct {
	ID        uint64     `json:"id"`
	Gateway   string     `json:"gateway"` // where it was made
	Created   string     `json:"created"`
	Seen      string     `json:"seen"` // last used, to an hour
	Expires   string     `json:"expires"`
	Positions []position `json:"positions"`
	Sessions  []session  `json:"sessions"`
	More      int        `json:"more,omitempty"` // sessions that are not listed
}

// position is up to where a login has acknowledged a topic.
type position struct {
	For string `json:"for"` // "" for direct, else the gateway
	standing
}

// standing is a position in a topic, and what the topic has after it.
type standing struct {
	Topic    string `json:"topic"`
	Position uint64 `json:"position"`
	Behind   uint64 `json:"behind"`
}

// session is one live socket.
type session struct {
	ID      string `json:"id"`
	Gateway string `json:"gateway"`
	Address string `json:"address"`
	Since   string `json:"since"`
	Queued  int    `json:"queued"` // bytes
	standing
	Live bool `json:"live"`
	Came came `json:"came"`
}

// came is how a socket came back.
type came struct {
	From    string `json:"from"`
	Outcome string `json:"outcome"`
	Missed  uint32 `json:"missed"`
}

// sessions is GET /v1/users/{id}/sessions?after=&limit= → {logins, next}.
func (a *API) sessions(w http.ResponseWriter, r *http.Request) error {
	user, err := pathUser(r, "id")
	if err != nil {
		return err
	}
	after, limit, err := page(r)
	if err != nil {
		return err
	}
	ls, err := a.o.Accounts.Logins(r.Context(), user, after, limit)
	if err != nil {
		return err
	}
	out := make([]login, len(ls))
	heads := heads{a: a, of: map[string]uint64{}}
	for i, l := range ls {
		if out[i], err = a.showLogin(r.Context(), l, &heads); err != nil {
			return err
		}
	}
	next := uint64(0)
	if len(ls) == limit {
		next = ls[len(ls)-1].ID
	}
	gateway.WriteJSON(w, http.StatusOK, map[string]any{"logins": out, "next": next})
	return nil
}

func (a *API) showLogin(ctx context.Context, l account.Login, heads *heads) (login, error) {
	stamp := func(t time.Time) string { return t.UTC().Format(timeFormat) }
	v := login{
		ID: l.ID, Gateway: l.Gateway, Created: stamp(l.Created), Seen: stamp(l.Seen), Expires: stamp(l.Expires),
		Positions: []position{}, Sessions: []session{},
	}
	owner := account.LoginCredential(l.ID)
	kept, err := a.o.Edge.Acked.Under(ctx, owner)
	if err != nil {
		return v, err
	}
	for _, k := range kept {
		at, err := heads.at(ctx, k.Topic, k.Seq)
		if err != nil {
			return v, err
		}
		v.Positions = append(v.Positions, position{strings.TrimPrefix(strings.TrimPrefix(k.Owner, owner), "/"), at})
	}
	live := a.o.Edge.Sessions(l.ID)
	v.More = max(0, len(live)-maxShown)
	for _, s := range live[:len(live)-v.More] {
		at, err := heads.at(ctx, s.Topic, s.Position)
		if err != nil {
			return v, err
		}
		v.Sessions = append(v.Sessions, session{
			ID: s.ID, Gateway: s.Gateway, Address: s.Address, Since: stamp(s.Since), Queued: s.Queued, standing: at, Live: s.Live,
			Came: came{s.Came.By.String(), s.Came.Outcome.String(), s.Came.Missed},
		})
	}
	return v, nil
}

// heads are where topics stand, each looked up once.
type heads struct {
	a  *API
	of map[string]uint64
}

func (h *heads) at(ctx context.Context, topic string, seq uint64) (standing, error) {
	head, known := h.of[topic]
	if !known {
		var err error
		if head, err = h.a.o.Journal.Head(ctx, topic); err != nil {
			return standing{}, err
		}
		h.of[topic] = head
	}
	return standing{topic, seq, head - min(seq, head)}, nil
}

// disconnect is DELETE /v1/sessions/{id}: the socket closes with 1000.
func (a *API) disconnect(w http.ResponseWriter, r *http.Request) error {
	if !a.o.Edge.Disconnect(r.PathValue("id")) {
		return errNoSession
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
