package store

import (
	"strconv"
	"strings"
	"testing"
)

func searched(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// The beginnings of handles and names are found by their indexes, in order, so
// that no search which is full with them reads more rows than it shows.
func TestSearchPlans(t *testing.T) {
	s := searched(t)
	for query, index := range map[string]string{searchHandle: "sqlite_autoindex_users_", searchName: "users_by_name"} {
		var plan strings.Builder
		err := s.rows(t.Context(), "EXPLAIN QUERY PLAN "+query, []any{1, 1, "a", "b", 1}, func(scan func(...any) error) error {
			var id, parent, unused int
			var step string
			err := scan(&id, &parent, &unused, &step)
			plan.WriteString(step + "\n")
			return err
		})
		got := plan.String()
		if err != nil || !strings.Contains(got, "SEARCH u USING INDEX "+index) || strings.Contains(got, "SCAN") || strings.Contains(got, "TEMP B-TREE") {
			t.Errorf("%v, %s", err, got)
		}
	}
}

// Everybody is found by how their handle or name begins, and the newest 20,000
// by a part of their name too.
func TestSearchRows(t *testing.T) {
	s := searched(t)
	b, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tx := b.(*Tx)
	for _, statement := range []string{
		`WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 20001)
		INSERT INTO users (id, handle, handle_key, display, name_key, email, password, about, avatar, created, suspended)
		SELECT id, '', 'u' || id, '', 'orang', '', '', '', '', 0, 0 FROM n`,
		"UPDATE users SET handle_key = 'budi', name_key = 'pak budi tua' WHERE id = 1",
		"UPDATE users SET name_key = 'bu tua' WHERE id = 2",
		"UPDATE users SET handle_key = 'budiman', name_key = 'budi' WHERE id = 3",
		"UPDATE users SET name_key = 'budi' WHERE id IN (4, 5)",
		"UPDATE users SET suspended = 1 WHERE id = 5",
		"UPDATE users SET name_key = 'adik budi' WHERE id = 6",
		"UPDATE users SET name_key = 'paman budi' WHERE id = 7",
		"UPDATE users SET handle_key = 'budina' WHERE id = 8",
	} {
		if _, err := tx.exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct {
		me    uint64
		q     string
		limit int
		want  string
	}{
		{99, "budi", 10, "1 3 8 4 7 6 "}, {99, "budi", 5, "1 3 8 4 7 "}, {99, "budi", 1, "1 "},
		{3, "budi", 10, "1 8 4 7 6 "}, {3, "budi", 2, "1 8 "}, {99, "pak", 10, "1 "}, {99, "tua", 10, "2 "},
		{99, "udi", 10, "7 6 4 3 "}, {99, "bu_i", 10, ""}, {99, "bu%", 10, ""},
	} {
		ns, err := chats{tx.queries}.Search(t.Context(), x.me, x.q, x.q, x.limit)
		got := ""
		for _, n := range ns {
			got += strconv.FormatUint(n.User.ID, 10) + " "
		}
		if err != nil || got != x.want {
			t.Errorf("%+v found %q, %v", x, got, err)
		}
	}
	if err := b.Abort(); err != nil {
		t.Error(err)
	}
}
