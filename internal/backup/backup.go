package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/store"
)

// format is the version of the file: a higher one is refused.
const format = 1

const (
	manifestName = "manifest.json"
	maxManifest  = 1 << 20
	maxKey       = 1 << 20 // of a file beside the database
)

// Manifest says what a backup holds.
type Manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of the kabar that made it
	Made    time.Time `json:"made"`
	store.Facts
	Files []File `json:"files"`
}

// File is one file of it.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Write makes a backup of a data folder at path. It takes its name when it is
// whole and on the disk; what had the name before is there until then.
func Write(ctx context.Context, folder, path, version string) (Manifest, error) {
	out, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // mode 0600
	if err != nil {
		if at := (*os.PathError)(nil); errors.As(err, &at) {
			err = at.Err
		}
		return Manifest{}, fmt.Errorf("no file can be made in the folder %s: %w", filepath.Dir(path), err)
	}
	defer func() { _ = os.Remove(out.Name()) }() // what is left of one that failed
	m, err := WriteTo(ctx, folder, out, filepath.Dir(path), version)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return m, err
	}
	if err := os.Rename(out.Name(), path); err != nil {
		return m, err
	}
	return m, syncFolder(filepath.Dir(path))
}

// WriteTo writes a backup of a data folder to w. In the folder scratch there
// has to be room for the database.
func WriteTo(ctx context.Context, folder string, w io.Writer, scratch, version string) (m Manifest, err error) {
	db, err := os.CreateTemp(scratch, "kabar.*.db.new")
	if err != nil {
		return m, err
	}
	defer func() { _, _ = db.Close(), os.Remove(db.Name()) }()
	m = Manifest{Format: format, Version: version, Made: time.Now().UTC().Truncate(time.Second)}
	if m.Facts, err = store.Copy(ctx, folder, db.Name()); err != nil {
		return m, err
	}
	archive := tar.NewWriter(w)
	if err := m.add(archive, store.Database, db.Name()); err != nil {
		return m, err
	}
	names, err := keys(folder)
	if err != nil {
		return m, err
	}
	for _, name := range names {
		if err := m.add(archive, name, filepath.Join(folder, name)); err != nil {
			return m, err
		}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	if err := archive.WriteHeader(&tar.Header{Name: manifestName, Mode: 0o600, Size: int64(len(text)), ModTime: m.Made}); err != nil {
		return m, err
	}
	if _, err := archive.Write(text); err != nil {
		return m, err
	}
	return m, archive.Close()
}

// keys are the names of what stands beside the database.
func keys(folder string) (names []string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if name := e.Name(); e.Type().IsRegular() && kept(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// kept says whether a file beside the database belongs into a backup: not what
// is SQLite's or being made, nor who has the folder.
func kept(name string) bool {
	return !strings.HasPrefix(name, store.Database) && name != "lock" && name != manifestName && !strings.HasSuffix(name, ".new")
}

// add puts a file into the archive.
func (m *Manifest) add(archive *tar.Writer, name, path string) error {
	f, err := os.Open(path) //nolint:gosec // in the operator's own folder
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it is only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if name != store.Database && info.Size() > maxKey {
		return fmt.Errorf("%s is longer than anything that Kabar keeps beside its database: move it out of the data folder", path)
	}
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: m.Made}); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(archive, sum), f, info.Size()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	m.Files = append(m.Files, File{name, info.Size(), hex.EncodeToString(sum.Sum(nil))})
	return nil
}

func syncFolder(folder string) error {
	d, err := os.Open(folder) //nolint:gosec // the operator's own folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
