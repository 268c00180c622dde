package events

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/status"
)

// shown is an instance as this dialect shows it.
type shown struct {
	ID                 uint64          `json:"id"`
	Name               string          `json:"name"`
	Description        *string         `json:"description"`
	ConnectionStatus   string          `json:"connectionStatus"`
	OwnerJid           *string         `json:"ownerJid"`
	ExternalAttributes json.RawMessage `json:"externalAttributes"`
	CreatedAt          string          `json:"createdAt"`
	UpdatedAt          string          `json:"updatedAt"`
	Auth               *auth           `json:"Auth,omitempty"`
}

// auth is a token, shown once.
type auth struct {
	ID    uint64 `json:"id"`
	Token string `json:"token"`
}

func show(i instance.Instance) shown {
	p := i.Profile()
	s := shown{
		ID: i.ID, Name: i.Name, ConnectionStatus: p.ConnectionStatus, OwnerJid: p.OwnerJid, ExternalAttributes: p.ExternalAttributes,
		CreatedAt: formatTime(i.Created), UpdatedAt: formatTime(i.Updated),
	}
	if i.Description != "" {
		s.Description = &i.Description
	}
	return s
}

// admin guards what only the administrator may.
func (g *Gateway) admin(h gateway.Handler) gateway.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !g.o.Admin.Is(r) {
			return errAdmin
		}
		return h(w, r)
	}
}

// own guards what the administrator may, and the instance named in the path.
func (g *Gateway) own(h func(w http.ResponseWriter, r *http.Request, ref instance.Ref) error) gateway.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ref, err := g.who(r)
		if err != nil {
			return err
		}
		return h(w, r, ref)
	}
}

func (g *Gateway) who(r *http.Request) (instance.Ref, error) {
	name := r.PathValue("name")
	token := gateway.Bearer(r.Header)
	switch {
	case g.o.Admin.Is(r):
		return instance.ByName(name), nil
	case r.Header.Get("apikey") != "":
		return instance.Ref{}, errAdmin
	case token == "":
		return instance.Ref{}, status.Errorf(status.Unauthenticated, "NO_TOKEN", "this needs the instance's token, as Authorization: Bearer <token>, or the administrator's key, as apikey: <key>")
	}
	a, err := g.o.Instances.Authenticate(r.Context(), token)
	if err == nil && a.Instance.Name != name {
		err = errForeign
	}
	return a.Ref(), err
}

// create is POST /instance/create.
func (g *Gateway) create(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Name        string          `json:"instanceName"`
		Description string          `json:"description"`
		Attributes  json.RawMessage `json:"externalAttributes"`
	}
	key, err := gateway.IdempotencyKey(r)
	if err != nil {
		return err
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	i, t, err := g.o.Instances.Create(r.Context(), instance.Spec{Name: in.Name, Description: in.Description, ExternalAttributes: in.Attributes, Key: key})
	if err != nil {
		return err
	}
	s := show(i)
	s.Auth = &auth{t.ID, t.Text}
	gateway.WriteJSON(w, http.StatusCreated, s)
	return nil
}

// pageSize is how many instances are read at once.
const pageSize = 500

// list is GET /instance/fetchInstances.
func (g *Gateway) list(w http.ResponseWriter, r *http.Request) error {
	all := []shown{}
	for after := uint64(0); ; {
		page, err := g.o.Instances.List(r.Context(), after, pageSize)
		if err != nil {
			return err
		}
		for _, i := range page {
			all, after = append(all, show(i)), i.ID
		}
		if len(page) < pageSize {
			break
		}
	}
	gateway.WriteJSON(w, http.StatusOK, all)
	return nil
}

// get is GET /instance/fetchInstance/{name}.
func (g *Gateway) get(w http.ResponseWriter, r *http.Request, ref instance.Ref) error {
	i, err := g.o.Instances.Get(r.Context(), ref)
	if err == nil {
		gateway.WriteJSON(w, http.StatusOK, show(i))
	}
	return err
}

// update is PATCH /instance/update/{name}.
func (g *Gateway) update(w http.ResponseWriter, r *http.Request, ref instance.Ref) error {
	var in struct {
		Description *string         `json:"description"`
		OwnerJid    *string         `json:"ownerJid"`
		Attributes  json.RawMessage `json:"externalAttributes"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	i, err := g.o.Instances.Update(r.Context(), ref, instance.Changes{Description: in.Description, OwnerJid: in.OwnerJid, ExternalAttributes: in.Attributes})
	if err == nil {
		gateway.WriteJSON(w, http.StatusOK, show(i))
	}
	return err
}

// remove is DELETE /instance/delete/{name}.
func (g *Gateway) remove(w http.ResponseWriter, r *http.Request, ref instance.Ref) error {
	i, err := g.o.Instances.Delete(r.Context(), ref)
	if err == nil {
		gateway.WriteJSON(w, http.StatusOK, map[string]any{"status": http.StatusOK, "message": []string{"the instance " + strconv.Quote(i.Name) + " is deleted"}})
	}
	return err
}

// refresh is PUT /instance/refreshToken/{name} {oldToken}.
func (g *Gateway) refresh(w http.ResponseWriter, r *http.Request, ref instance.Ref) error {
	var in struct {
		Old string `json:"oldToken"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	if in.Old == "" {
		return status.Errorf(status.Invalid, "", "oldToken is missing: the token to replace")
	}
	t, err := g.o.Instances.RefreshToken(r.Context(), ref, in.Old)
	if err == nil {
		gateway.WriteJSON(w, http.StatusCreated, auth{t.ID, t.Text})
	}
	return err
}

// state is GET /instance/connectionState/{name}.
func (g *Gateway) state(w http.ResponseWriter, r *http.Request, ref instance.Ref) error {
	c, err := g.o.Instances.ConnectionState(r.Context(), ref)
	if err == nil {
		gateway.WriteJSON(w, http.StatusOK, c)
	}
	return err
}
