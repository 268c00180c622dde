package store

import (
	"context"

	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
)

// instances is the instance package's port, on a snapshot or inside a batch.
type instances struct{ queries }

// instanceStore adds the way into a batch.
type instanceStore struct{ instances }

// Instances is where instances stand.
func (s *Store) Instances() instance.Store { return instanceStore{instances{s.queries}} }

func (instanceStore) In(tx *journal.Tx) instance.Tx { return instances{In(tx).queries} }

const instanceQuery = `SELECT id, name, description, attributes, owner_jid, created, updated,
	state, status_reason, last_connection, last_qrcode, token_id, token_hash FROM instances WHERE `

// instanceRow is where a row of instanceQuery goes; row is the row it was.
type instanceRow struct {
	r                instance.Row
	attrs, reason    []byte
	created, updated int64
}

func (s *instanceRow) dest() []any {
	r := &s.r
	return []any{
		&r.ID, &r.Name, &r.Description, &s.attrs, &r.OwnerJid, &s.created, &s.updated,
		&r.State, &s.reason, &r.LastConnection, &r.LastQRCode, &r.Token, &r.Hash,
	}
}

func (s *instanceRow) row() instance.Row {
	s.r.Created, s.r.Updated = fromMillis(s.created), fromMillis(s.updated)
	if len(s.attrs) > 0 {
		s.r.ExternalAttributes = s.attrs
	}
	if len(s.reason) > 0 {
		s.r.StatusReason = s.reason
	}
	return s.r
}

func (q instances) instance(ctx context.Context, where string, arg any) (instance.Row, bool, error) {
	var s instanceRow
	ok, err := q.row(ctx, instanceQuery+where, []any{arg}, s.dest()...)
	if err != nil || !ok {
		return instance.Row{}, false, err
	}
	return s.row(), true, nil
}

func (q instances) Instance(ctx context.Context, id uint64) (instance.Row, bool, error) {
	return q.instance(ctx, "id = ?", id)
}

func (q instances) InstanceByName(ctx context.Context, name string) (instance.Row, bool, error) {
	return q.instance(ctx, "name = ?", name)
}

func (q instances) Instances(ctx context.Context, after uint64, limit int) ([]instance.Row, error) {
	var rows []instance.Row
	err := q.rows(ctx, instanceQuery+"id > ? ORDER BY id LIMIT ?", []any{after, limit}, func(scan func(...any) error) error {
		var s instanceRow
		err := scan(s.dest()...)
		rows = append(rows, s.row())
		return err
	})
	return rows, err
}

func (q instances) NextID(ctx context.Context) (uint64, error)    { return q.next(ctx, "last_id") }
func (q instances) NextToken(ctx context.Context) (uint64, error) { return q.next(ctx, "last_token") }

func (q instances) AddInstance(ctx context.Context, r instance.Row) error {
	_, err := q.exec(ctx, `INSERT INTO instances (id, name, description, attributes, owner_jid, created, updated,
		state, status_reason, last_connection, last_qrcode, token_id, token_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, r.Name, r.Description, string(r.ExternalAttributes), r.OwnerJid, r.Created.UnixMilli(), r.Updated.UnixMilli(),
		r.State, string(r.StatusReason), int64(r.LastConnection), int64(r.LastQRCode), r.Token, r.Hash)
	return err
}

func (q instances) SetInstance(ctx context.Context, r instance.Row) error {
	_, err := q.exec(ctx, `UPDATE instances SET description = ?, attributes = ?, owner_jid = ?, updated = ?,
		state = ?, status_reason = ?, last_connection = ?, last_qrcode = ?, token_id = ?, token_hash = ? WHERE id = ?`,
		r.Description, string(r.ExternalAttributes), r.OwnerJid, r.Updated.UnixMilli(),
		r.State, string(r.StatusReason), int64(r.LastConnection), int64(r.LastQRCode), r.Token, r.Hash, r.ID)
	return err
}

func (q instances) DropInstance(ctx context.Context, id uint64) error {
	_, err := q.exec(ctx, "DELETE FROM instances WHERE id = ?", id)
	return err
}
