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
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kabar-io/kabar/internal/store"
)

// Restore puts a backup into a data folder that is empty or does not exist, and
// gives its log a new epoch. Where something is wrong with it, nothing is left
// in the folder.
func Restore(ctx context.Context, backup io.Reader, folder string) (m Manifest, epoch string, err error) {
	made, err := empty(folder)
	if err != nil {
		return m, "", err
	}
	lock, err := store.Lock(folder)
	if err != nil {
		return m, "", err
	}
	r := restore{folder: folder}
	defer func() {
		if err != nil {
			r.undo(made)
		}
		err = errors.Join(err, lock.Close())
	}()
	if m, err = r.unpack(tar.NewReader(backup)); err != nil {
		return m, "", err
	}
	before, epoch, err := store.Restored(ctx, filepath.Join(folder, store.Unfinished))
	if err != nil {
		return m, "", err
	}
	if before != m.Facts {
		return m, "", fmt.Errorf("this backup is damaged: its database says %+v, its manifest %+v", before, m.Facts)
	}
	return m, epoch, r.finish()
}

// empty makes the folder where it is missing, and refuses one that holds something.
func empty(folder string) (made bool, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return true, os.MkdirAll(folder, 0o700)
	}
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if e.Name() != "lost+found" { // a disk of its own has one
			return false, fmt.Errorf("%s is not empty: restoring would mix two servers; choose another folder with --data, or move this one away", folder)
		}
	}
	return false, nil
}

// restore is one that is under way. Its files have other names until all are there.
type restore struct {
	folder string // static
	files  []File // that were written
}

// under is the name of a file until everything is there. The store refuses a
// folder in which the database has that name.
func under(name string) string {
	if name == store.Database {
		return store.Unfinished
	}
	return name + ".restoring"
}

// unpack writes what is in the archive, and compares it with its manifest.
func (r *restore) unpack(archive *tar.Reader) (m Manifest, err error) {
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return m, errors.New("this backup is cut short, or is none: it has no manifest at its end")
		}
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
			return m, errors.New("this backup is damaged or cut short, or is none: give the file that `kabar backup` wrote")
		}
		if err != nil {
			return m, fmt.Errorf("this backup cannot be read: %w", err)
		}
		if h.Name == manifestName {
			return r.compare(archive)
		}
		if !ours(h) {
			return m, fmt.Errorf("this is no backup of Kabar's: it holds %q", h.Name)
		}
		if slices.ContainsFunc(r.files, func(have File) bool { return have.Name == h.Name }) {
			return m, fmt.Errorf("this backup is damaged: it holds %s twice", h.Name)
		}
		if err := r.write(h, archive); err != nil {
			return m, err
		}
	}
}

// ours says whether an entry could be a backup's: a plain file in no folder, and
// not longer than what there is of it (a sparse one is made of holes).
func ours(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return false
		}
	}
	if h.Typeflag != tar.TypeReg || !fs.ValidPath(h.Name) || path.Base(h.Name) != h.Name || h.Name == "." {
		return false
	}
	return h.Name == store.Database || kept(h.Name) && h.Size <= maxKey
}

func (r *restore) write(h *tar.Header, archive io.Reader) error {
	f, err := os.OpenFile(filepath.Join(r.folder, under(h.Name)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	r.files = append(r.files, File{Name: h.Name})
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), archive)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("this backup is cut short in %s", h.Name)
	}
	r.files[len(r.files)-1] = File{h.Name, n, hex.EncodeToString(sum.Sum(nil))}
	return err
}

// compare reads the manifest and compares it with what was written.
func (r *restore) compare(archive io.Reader) (m Manifest, err error) {
	text, err := io.ReadAll(io.LimitReader(archive, maxManifest))
	if err != nil {
		return m, fmt.Errorf("this backup is cut short: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("this backup is damaged: its manifest: %w", err)
	}
	if m.Format > format {
		return m, fmt.Errorf("this backup was made by a newer kabar (%s): restore it with that version", m.Version)
	}
	if m.Format < 1 {
		return m, errors.New("this backup is damaged: its manifest does not say which format it has")
	}
	for n, f := range m.Files {
		if slices.ContainsFunc(m.Files[:n], func(before File) bool { return before.Name == f.Name }) {
			return m, fmt.Errorf("this backup is damaged: its manifest lists %s twice", f.Name)
		}
		i := slices.IndexFunc(r.files, func(have File) bool { return have.Name == f.Name })
		if i < 0 {
			return m, fmt.Errorf("this backup is damaged: %s is missing", f.Name)
		}
		if r.files[i] != f {
			return m, fmt.Errorf("this backup is damaged: %s is not as it was written", f.Name)
		}
	}
	if len(r.files) != len(m.Files) || !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == store.Database }) {
		return m, errors.New("this backup is damaged: it does not hold what its manifest lists")
	}
	return m, nil
}

// finish gives the files their names, the database last: a folder without it
// is as good as empty, and one with it is whole.
func (r *restore) finish() error {
	slices.SortStableFunc(r.files, func(a, b File) int {
		switch {
		case a.Name == store.Database:
			return 1
		case b.Name == store.Database:
			return -1
		}
		return 0
	})
	for _, f := range r.files {
		if f.Name == store.Database {
			if err := syncFolder(r.folder); err != nil {
				return err
			}
		}
		if err := os.Rename(filepath.Join(r.folder, under(f.Name)), filepath.Join(r.folder, f.Name)); err != nil {
			return err
		}
	}
	return syncFolder(r.folder)
}

// undo leaves the folder as it was.
func (r *restore) undo(made bool) {
	for _, f := range r.files {
		_ = os.Remove(filepath.Join(r.folder, under(f.Name)))
		_ = os.Remove(filepath.Join(r.folder, f.Name))
	}
	for _, name := range []string{"lock", store.Unfinished + "-journal", store.Unfinished + "-wal", store.Unfinished + "-shm"} {
		_ = os.Remove(filepath.Join(r.folder, name))
	}
	if made {
		_ = os.Remove(r.folder)
	}
}
