package process

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/sign"
)

// The bounds of what is kept.
const (
	maxProcesses = 1000
	maxEndpoints = 2000
	keepVersions = 200 // the newest, and the published one
)

// Info is a process as who manages it sees it.
type Info struct {
	Name       string        `json:"name"`
	Version    int           `json:"version"`   // the one that is shown
	Published  int           `json:"published"` // 0: none
	Versions   []VersionInfo `json:"versions"`  // newest first
	Source     string        `json:"source"`
	Definition *Definition   `json:"-"`
	Secret     string        `json:"secret"` // what its calls are signed with
}

// Save keeps a definition as the newest version of a process. What does not
// compile is a *FaultsError; the source that is the newest already stays it.
func (s *Service) Save(ctx context.Context, name string, source []byte) (version int, err error) {
	if !nameForm.MatchString(name) {
		return 0, ErrBadName
	}
	d, faults := Check(source)
	if len(faults) == 0 {
		faults = s.unfit(source, name, d)
	}
	if len(faults) > 0 {
		return 0, &FaultsError{faults}
	}
	source = bytes.Clone(source)
	err = s.change(ctx, func(tx *journal.Tx, t Tx) error {
		row, known, err := t.Process(background, name)
		if err != nil {
			return err
		}
		if !known {
			all, err := t.Processes(background)
			if err != nil {
				return err
			}
			if len(all) >= maxProcesses {
				return ErrTooManyProcesses
			}
			row = Row{Name: name}
		} else if newest, ok, err := t.Source(background, name, row.Newest); err != nil {
			return err
		} else if ok && bytes.Equal(newest, source) {
			version = row.Newest
			return nil
		}
		row.Newest++
		version = row.Newest
		if err := t.AddVersion(background, name, version, source, tx.Now()); err != nil {
			return err
		}
		if err := t.DropVersions(background, name, version-keepVersions, row.Published); err != nil {
			return err
		}
		return t.SetProcess(background, row)
	})
	return version, err
}

// unfit is what is wrong with a definition in this place.
func (s *Service) unfit(source []byte, name string, d *Definition) []Fault {
	root, _ := parseSource(source)
	at := func(path ...string) Fault {
		n := root
		for _, key := range path {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == key {
					n = n.Content[i+1]
					break
				}
			}
		}
		return Fault{Line: n.Line, Column: n.Column}
	}
	var faults []Fault
	if d.Name != name {
		f := at("process")
		f.Message = "this is the process " + d.Name + ", and not " + name
		faults = append(faults, f)
	}
	if d.Endpoint != nil && s.o.Reserved(d.Endpoint.URL) {
		f := at("endpoint", "url")
		f.Message = d.Endpoint.URL + ": " + ErrReserved.Message
		faults = append(faults, f)
	}
	return faults
}

// version finds a version's source; 0 is the newest.
func (s *Service) version(ctx context.Context, name string, version int) (Row, []byte, error) {
	row, ok, err := s.o.Store.Process(ctx, name)
	if err != nil || !ok {
		return Row{}, nil, errors.Join(err, orNil(!ok && err == nil, ErrNoProcess))
	}
	if version == 0 {
		version = row.Newest
	}
	source, ok, err := s.o.Store.Source(ctx, name, version)
	if err != nil || !ok {
		return Row{}, nil, errors.Join(err, orNil(!ok && err == nil, ErrNoVersion))
	}
	row.Newest = version
	return row, source, nil
}

func orNil(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// Publish makes a version the one that runs, at once; 0 is the newest. An older
// one is the way back.
func (s *Service) Publish(ctx context.Context, name string, version int) (int, error) {
	row, source, err := s.version(ctx, name, version)
	if err != nil {
		return 0, err
	}
	version = row.Newest
	d, faults := Check(source) // it did when it was saved, perhaps by an older server
	if len(faults) == 0 {
		faults = s.unfit(source, name, d)
	}
	if len(faults) > 0 {
		return 0, &FaultsError{faults}
	}
	err = s.renew(ctx, func() error {
		if err := s.begin(ctx, d); err != nil {
			return err
		}
		return s.change(ctx, func(tx *journal.Tx, t Tx) error {
			row, ok, err := t.Process(background, name)
			switch {
			case err != nil:
				return err
			case !ok:
				return ErrNoProcess
			}
			if row.Published != version {
				row.Published, row.Since = version, tx.Now()
			}
			if err := declare(t, d); err != nil {
				return err
			}
			return t.SetProcess(background, row)
		})
	})
	return version, err
}

// declare makes the endpoint of a definition, and drops the one that an earlier
// version declared. What somebody set by hand stays as it is.
func declare(t Tx, d *Definition) error {
	all, err := t.Endpoints(background)
	if err != nil {
		return err
	}
	mine := ""
	if d.Endpoint != nil {
		mine = d.Endpoint.URL
	}
	others, byHand := 0, false
	for _, e := range all {
		switch {
		case e.URL == mine && e.Process != d.Name:
			return ErrTaken
		case e.URL == mine && !e.Declared:
			byHand = true
		case e.URL == mine:
		case e.Process == d.Name && e.Declared:
			if _, err := t.DropEndpoint(background, e.URL); err != nil {
				return err
			}
		default:
			others++
		}
	}
	if mine == "" || byHand {
		return nil
	}
	if others >= maxEndpoints {
		return ErrTooManyEndpoints
	}
	return t.SetEndpoint(background, EndpointRow{URL: mine, Process: d.Name, Access: d.Endpoint.Access, Declared: true})
}

// begin gives a process its place in the topics of the instances that it does
// not hear yet: what was said before is not for it.
func (s *Service) begin(ctx context.Context, d *Definition) error {
	row, _, err := s.o.Store.Process(ctx, d.Name)
	if err != nil {
		return err
	}
	p := s.live.Load().processes[d.Name]
	for _, name := range d.Instances {
		if p != nil && slices.Contains(p.def.Instances, name) {
			continue
		}
		i, err := s.o.Instances.Get(ctx, instance.ByName(name))
		if errors.Is(err, instance.ErrNotFound) {
			continue // once it is there, all that it says is heard
		}
		if err != nil {
			return err
		}
		if p == nil && row.Published != 0 {
			// It is published and cannot be run any more: what was said meanwhile
			// waits for the version that can.
			if _, known, err := s.o.Acked.Position(ctx, owner(d.Name, i.ID)); err != nil || known {
				if err != nil {
					return err
				}
				continue
			}
		}
		if err := s.beginAt(ctx, d.Name, i.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) beginAt(ctx context.Context, name string, id uint64) error {
	topic := instance.Topic(id)
	head, err := s.o.Journal.Head(ctx, topic)
	if err != nil {
		return err
	}
	return s.o.Acked.Begin(ctx, hub.Acked{Owner: owner(name, id), Topic: topic, Seq: head})
}

// Get is a process with one of its versions; 0 is the newest.
func (s *Service) Get(ctx context.Context, name string, version int) (Info, error) {
	row, source, err := s.version(ctx, name, version)
	if err != nil {
		return Info{}, err
	}
	versions, err := s.o.Store.Versions(ctx, name)
	if err != nil {
		return Info{}, err
	}
	d, _ := Check(source)
	return Info{
		Name: row.Name, Version: row.Newest, Published: row.Published, Versions: versions, Source: string(source), Definition: d,
		Secret: s.secret(name),
	}, nil
}

// secret is what a process's calls are signed with.
func (s *Service) secret(name string) string { return sign.Derive(s.o.Key, "process/"+name) }

// List is the processes by name, without sources and secrets.
func (s *Service) List(ctx context.Context) ([]Info, error) {
	rows, err := s.o.Store.Processes(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Info, len(rows))
	for i, row := range rows {
		list[i] = Info{Name: row.Name, Version: row.Newest, Published: row.Published}
	}
	return list, nil
}

// Delete removes a process with its versions and endpoints.
func (s *Service) Delete(ctx context.Context, name string) error {
	return s.renew(ctx, func() error {
		return s.change(ctx, func(_ *journal.Tx, t Tx) error {
			_, ok, err := t.Process(background, name)
			if err == nil && !ok {
				err = ErrNoProcess
			}
			if err != nil {
				return err
			}
			return t.DropProcess(background, name)
		})
	})
}

// SetEndpoint puts a process at a URL; it is live while the process is
// published.
func (s *Service) SetEndpoint(ctx context.Context, url string, spec EndpointSpec) error {
	url, err := CleanURL(url)
	switch {
	case err != nil:
		return err
	case s.o.Reserved(url):
		return ErrReserved
	}
	return s.renew(ctx, func() error {
		return s.change(ctx, func(_ *journal.Tx, t Tx) error {
			_, ok, err := t.Process(background, spec.Process)
			if err != nil {
				return err
			}
			if !ok {
				return ErrNoProcess
			}
			was, known, err := t.Endpoint(background, url)
			if err != nil {
				return err
			}
			if known && spec.Keep {
				spec.Access = was.Access
			}
			if !known {
				all, err := t.Endpoints(background)
				if err != nil {
					return err
				}
				if len(all) >= maxEndpoints {
					return ErrTooManyEndpoints
				}
			}
			return t.SetEndpoint(background, EndpointRow{URL: url, Process: spec.Process, Access: spec.Access})
		})
	})
}

// Bound is what is set for a URL, live or not.
func (s *Service) Bound(ctx context.Context, url string) (EndpointRow, error) {
	row, ok, err := s.o.Store.Endpoint(ctx, url)
	if err == nil && !ok {
		err = ErrNoEndpoint
	}
	return row, err
}

// DropEndpoint takes what stands at a URL away.
func (s *Service) DropEndpoint(ctx context.Context, url string) error {
	url, err := CleanURL(url)
	if err != nil {
		return err
	}
	return s.renew(ctx, func() error {
		return s.change(ctx, func(_ *journal.Tx, t Tx) error {
			was, err := t.DropEndpoint(background, url)
			if err == nil && !was {
				err = ErrNoEndpoint
			}
			return err
		})
	})
}
