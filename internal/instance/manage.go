package instance

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// Spec is an instance to make.
type Spec struct {
	Name               string // "": one is made
	Description        string
	ExternalAttributes json.RawMessage // nil or null for none
	Key                string          // of a request that may come twice; "" for none
}

// keyLasts is how long a key has Create tell again what it made.
const keyLasts = 24 * time.Hour

// Create makes an instance and its token. With the Key that made it, it tells
// both again, for a day, as long as the token is that one: its secret follows
// from the key and the instance's number, which is never given twice.
func (s *Service) Create(ctx context.Context, spec Spec) (Instance, Token, error) {
	row := Row{Instance: Instance{Name: spec.Name, Description: spec.Description}}
	if row.Name == "" {
		row.Name = "instance-" + strings.ToLower(s.signer.secret("name", spec.Key)[:10])
	}
	if err := checkName(row.Name); err != nil {
		return Instance{}, Token{}, err
	}
	if err := checkText("description", row.Description, maxDescription); err != nil {
		return Instance{}, Token{}, err
	}
	var err error
	if row.ExternalAttributes, err = cleanAttributes(spec.ExternalAttributes); err != nil {
		return Instance{}, Token{}, err
	}
	secret := ""
	err = s.change(ctx, func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		have, taken, err := t.InstanceByName(background, row.Name)
		if err != nil {
			return nil, err
		}
		if taken {
			secret = s.signer.secret(fmt.Sprint("token/", have.ID), spec.Key)
			if s.o.Now().Sub(have.Created) >= keyLasts || subtle.ConstantTimeCompare(have.Hash, hashOf(secret)) == 0 {
				return nil, ErrNameTaken
			}
			row = have
			return nil, nil
		}
		if row.ID, err = t.NextID(background); err != nil {
			return nil, err
		}
		secret = s.signer.secret(fmt.Sprint("token/", row.ID), spec.Key)
		row.Hash = hashOf(secret)
		if row.Token, err = t.NextToken(background); err != nil {
			return nil, err
		}
		row.Created = stored(s.o.Now().UTC()) // of the clock that its token goes by
		row.Updated = row.Created
		if s.o.Made != nil {
			tx.After(func() { s.o.Made(row.Name) }) // also where nobody waits for it any more
		}
		return nil, t.AddInstance(background, row)
	})
	if err != nil {
		return Instance{}, Token{}, err
	}
	token := Token{ID: row.Token}
	token.Text, err = s.sign(row.Name, secret, row.Created)
	return row.Instance, token, err
}

// stored is a time cut to what the store keeps, so that a row read back is the same.
func stored(t time.Time) time.Time { return t.Truncate(time.Millisecond) }

// Get is one instance.
func (s *Service) Get(ctx context.Context, ref Ref) (Instance, error) {
	row, err := ref.find(ctx, s.o.Store)
	return row.Instance, err
}

// maxList bounds one page: what is read is held in memory as a whole.
const maxList = 1000

// List is the instances with ids after one, ascending, at most limit (and at
// most 1,000).
func (s *Service) List(ctx context.Context, after uint64, limit int) ([]Instance, error) {
	rows, err := s.o.Store.Instances(ctx, after, max(0, min(limit, maxList)))
	if err != nil {
		return nil, err
	}
	list := make([]Instance, len(rows))
	for i, row := range rows {
		list[i] = row.Instance
	}
	return list, nil
}

// ConnectionState is what the newest connection.update said.
func (s *Service) ConnectionState(ctx context.Context, ref Ref) (Connection, error) {
	i, err := s.Get(ctx, ref)
	if err != nil {
		return Connection{}, err
	}
	return i.Connection(), nil
}

// Changes is what to change of an instance; what is nil stays.
type Changes struct {
	Description        *string
	OwnerJid           *string         // "" for none
	ExternalAttributes json.RawMessage // null for none
}

// Update changes an instance. Events say it from the next one on.
func (s *Service) Update(ctx context.Context, ref Ref, c Changes) (Instance, error) {
	if c.Description != nil {
		if err := checkText("description", *c.Description, maxDescription); err != nil {
			return Instance{}, err
		}
	}
	if c.OwnerJid != nil {
		if err := checkText("ownerJid", *c.OwnerJid, maxOwnerJid); err != nil {
			return Instance{}, err
		}
	}
	attributes, err := cleanAttributes(c.ExternalAttributes)
	if err != nil {
		return Instance{}, err
	}
	var row Row
	err = s.change(ctx, func(tx *journal.Tx, t Tx) ([]*journal.Message, error) {
		var err error
		if row, err = ref.find(background, t); err != nil {
			return nil, err
		}
		if c.Description != nil {
			row.Description = *c.Description
		}
		if c.OwnerJid != nil {
			row.OwnerJid = *c.OwnerJid
		}
		if c.ExternalAttributes != nil {
			row.ExternalAttributes = attributes
		}
		row.Updated = stored(tx.Now())
		return nil, t.SetInstance(background, row)
	})
	if err != nil {
		return Instance{}, err
	}
	return row.Instance, nil
}

// Delete removes an instance and ends its token. The events that it had stay
// in the log, under an id that nobody can ask for any more.
func (s *Service) Delete(ctx context.Context, ref Ref) (Instance, error) {
	var row Row
	err := s.change(ctx, func(_ *journal.Tx, t Tx) ([]*journal.Message, error) {
		var err error
		if row, err = ref.find(background, t); err != nil {
			return nil, err
		}
		return []*journal.Message{{
			Kind: KindDeleted, Entries: journal.To(Topic(row.ID)), Data: []byte("{}"), Ends: CredentialOf(row.Token),
		}}, t.DropInstance(background, row.ID)
	})
	if err != nil {
		return Instance{}, err
	}
	return row.Instance, nil
}
