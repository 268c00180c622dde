package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
)

// processes is the process package's port, on a snapshot or inside a batch.
type processes struct{ queries }

// processStore adds the way into a batch.
type processStore struct{ processes }

// Processes is where processes stand.
func (s *Store) Processes() process.Store { return processStore{processes{s.queries}} }

func (processStore) In(tx *journal.Tx) process.Tx { return processes{In(tx).queries} }

func (q processes) Process(ctx context.Context, name string) (r process.Row, ok bool, err error) {
	var since int64
	ok, err = q.row(ctx, "SELECT name, newest, published, since FROM processes WHERE name = ?", []any{name},
		&r.Name, &r.Newest, &r.Published, &since)
	r.Since = fromMillis(since)
	return r, ok, err
}

func (q processes) Processes(ctx context.Context) ([]process.Row, error) {
	var all []process.Row
	err := q.rows(ctx, "SELECT name, newest, published, since FROM processes ORDER BY name", nil, func(scan func(...any) error) error {
		var r process.Row
		var since int64
		err := scan(&r.Name, &r.Newest, &r.Published, &since)
		r.Since = fromMillis(since)
		all = append(all, r)
		return err
	})
	return all, err
}

func (q processes) Source(ctx context.Context, name string, version int) (source []byte, ok bool, err error) {
	ok, err = q.row(ctx, "SELECT source FROM process_versions WHERE name = ? AND version = ?", []any{name, version}, &source)
	return source, ok, err
}

func (q processes) Versions(ctx context.Context, name string) ([]process.VersionInfo, error) {
	var all []process.VersionInfo
	err := q.rows(ctx, "SELECT version, created FROM process_versions WHERE name = ? ORDER BY version DESC", []any{name},
		func(scan func(...any) error) error {
			var v process.VersionInfo
			var created int64
			err := scan(&v.Version, &created)
			v.Created = fromMillis(created)
			all = append(all, v)
			return err
		})
	return all, err
}

const endpointQuery = "SELECT url, process, anonymous, groups, declared FROM process_endpoints"

// endpointRow reads a row of endpointQuery.
func endpointRow(scan func(...any) error) (process.EndpointRow, error) {
	var e process.EndpointRow
	var groups string
	if err := scan(&e.URL, &e.Process, &e.Access.Anonymous, &groups, &e.Declared); err != nil {
		return e, err
	}
	if groups != "" {
		if err := json.Unmarshal([]byte(groups), &e.Access.Groups); err != nil {
			return e, fmt.Errorf("store: the groups of the endpoint %s: %w", e.URL, err)
		}
	}
	return e, nil
}

func (q processes) endpoints(ctx context.Context, more string, args ...any) ([]process.EndpointRow, error) {
	var all []process.EndpointRow
	err := q.rows(ctx, endpointQuery+more, args, func(scan func(...any) error) error {
		e, err := endpointRow(scan)
		all = append(all, e)
		return err
	})
	return all, err
}

func (q processes) Endpoint(ctx context.Context, url string) (process.EndpointRow, bool, error) {
	all, err := q.endpoints(ctx, " WHERE url = ?", url)
	if err != nil || len(all) == 0 {
		return process.EndpointRow{}, false, err
	}
	return all[0], true, nil
}

func (q processes) Endpoints(ctx context.Context) ([]process.EndpointRow, error) {
	return q.endpoints(ctx, " ORDER BY url")
}

func (q processes) SetProcess(ctx context.Context, r process.Row) error {
	_, err := q.exec(ctx, `INSERT INTO processes (name, newest, published, since) VALUES (?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET newest = excluded.newest, published = excluded.published, since = excluded.since`,
		r.Name, r.Newest, r.Published, r.Since.UnixMilli())
	return err
}

func (q processes) DropProcess(ctx context.Context, name string) error {
	for _, query := range []string{
		"DELETE FROM process_endpoints WHERE process = ?", "DELETE FROM process_versions WHERE name = ?", "DELETE FROM processes WHERE name = ?",
	} {
		if _, err := q.exec(ctx, query, name); err != nil {
			return err
		}
	}
	return nil
}

func (q processes) AddVersion(ctx context.Context, name string, version int, source []byte, at time.Time) error {
	_, err := q.exec(ctx, "INSERT INTO process_versions (name, version, created, source) VALUES (?, ?, ?, ?)",
		name, version, at.UnixMilli(), source)
	return err
}

func (q processes) DropVersions(ctx context.Context, name string, before, keep int) error {
	_, err := q.exec(ctx, "DELETE FROM process_versions WHERE name = ? AND version < ? AND version <> ?", name, before, keep)
	return err
}

func (q processes) SetEndpoint(ctx context.Context, e process.EndpointRow) error {
	groups := ""
	if len(e.Access.Groups) > 0 {
		b, err := json.Marshal(e.Access.Groups)
		if err != nil {
			return err
		}
		groups = string(b)
	}
	_, err := q.exec(ctx, `INSERT INTO process_endpoints (url, process, anonymous, groups, declared) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (url) DO UPDATE SET process = excluded.process, anonymous = excluded.anonymous, groups = excluded.groups, declared = excluded.declared`,
		e.URL, e.Process, e.Access.Anonymous, groups, e.Declared)
	return err
}

func (q processes) DropEndpoint(ctx context.Context, url string) (was bool, err error) {
	n, err := q.exec(ctx, "DELETE FROM process_endpoints WHERE url = ?", url)
	return n > 0, err
}
