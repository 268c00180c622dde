package store_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

func TestProcesses(t *testing.T) {
	folder := t.TempDir()
	st, j, stop := storetest.Start(t, folder)
	at := time.UnixMilli(1700000000123).UTC()
	change := func(f func(tx process.Tx) error) {
		t.Helper()
		_, err := j.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
			return nil, f(st.Processes().In(tx))
		})).Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
	}
	a := process.Row{Name: "a", Newest: 3, Published: 1, Since: at}
	ends := []process.EndpointRow{
		{URL: "/a", Process: "a", Declared: true}, {URL: "/b", Process: "b", Access: process.Access{Anonymous: true}},
		{URL: "/c", Process: "a", Access: process.Access{Groups: []string{"Staff", "Ad\"mins"}}},
	}
	ctx := t.Context()
	change(func(tx process.Tx) error {
		for v := range 5 {
			if err := tx.AddVersion(ctx, "a", v+1, []byte{byte(v), 0xff}, at.Add(time.Duration(v)*time.Second)); err != nil {
				return err
			}
		}
		for _, e := range ends {
			if err := tx.SetEndpoint(ctx, e); err != nil {
				return err
			}
		}
		if err := tx.SetProcess(ctx, process.Row{Name: "b"}); err != nil {
			return err
		}
		if err := tx.SetProcess(ctx, process.Row{Name: "a", Newest: 9}); err != nil {
			return err
		}
		if err := tx.DropVersions(ctx, "a", 4, 2); err != nil {
			return err
		}
		return tx.SetProcess(ctx, a)
	})
	stop()
	st, j, _ = storetest.Start(t, folder)
	s := st.Processes()
	sameProcesses(t, s, a, at)
	if got, err := s.Endpoints(ctx); err != nil || !reflect.DeepEqual(got, ends) {
		t.Errorf("%+v, %v", got, err)
	}
	if e, ok, err := s.Endpoint(ctx, "/c"); err != nil || !ok || !reflect.DeepEqual(e, ends[2]) {
		t.Errorf("%+v, %v, %v", e, ok, err)
	}
	change(func(tx process.Tx) error {
		if was, err := tx.DropEndpoint(ctx, "/nope"); err != nil || was {
			t.Errorf("%v, %v", was, err)
		}
		ends[1].Access, ends[1].Declared = process.Access{}, true
		if err := tx.SetEndpoint(ctx, ends[1]); err != nil {
			return err
		}
		return tx.DropProcess(ctx, "a")
	})
	if got, err := s.Endpoints(ctx); err != nil || !reflect.DeepEqual(got, ends[1:2]) {
		t.Errorf("%+v, %v", got, err)
	}
	if versions, err := s.Versions(ctx, "a"); err != nil || len(versions) != 0 {
		t.Errorf("%+v, %v", versions, err)
	}
	if _, ok, err := s.Process(ctx, "a"); err != nil || ok {
		t.Errorf("%v, %v", ok, err)
	}
}

// sameProcesses reads back the rows of a, and its versions 2, 4 and 5.
func sameProcesses(t *testing.T, s process.Store, a process.Row, at time.Time) {
	t.Helper()
	ctx := t.Context()
	if got, ok, err := s.Process(ctx, "a"); err != nil || !ok || got != a {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if _, ok, err := s.Process(ctx, "c"); err != nil || ok {
		t.Errorf("%v, %v", ok, err)
	}
	if all, err := s.Processes(ctx); err != nil || len(all) != 2 || all[0] != a || all[1].Name != "b" {
		t.Errorf("%+v, %v", all, err)
	}
	versions, err := s.Versions(ctx, "a")
	if err != nil || len(versions) != 3 || versions[0].Version != 5 || versions[2].Version != 2 || !versions[2].Created.Equal(at.Add(time.Second)) {
		t.Errorf("%+v, %v", versions, err)
	}
	if source, ok, err := s.Source(ctx, "a", 5); err != nil || !ok || string(source) != "\x04\xff" {
		t.Errorf("%q, %v, %v", source, ok, err)
	}
	if _, ok, err := s.Source(ctx, "a", 1); err != nil || ok {
		t.Errorf("%v, %v", ok, err)
	}
}
