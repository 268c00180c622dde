package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/backup"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/store"
	"github.com/kabar-io/kabar/internal/store/faultdisk"
	"github.com/kabar-io/kabar/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func say(t *testing.T, j *journal.Journal, text string) *journal.Message {
	t.Helper()
	r, err := j.Do(journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		return []*journal.Message{{Entries: journal.To("a"), Kind: "said", Data: []byte(text)}}, nil
	})).Wait(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Error(err)
		return &journal.Message{}
	}
	return r.Messages[0]
}

// said is everything in the topic: id and text.
func said(t *testing.T, j *journal.Journal) (all []string) {
	t.Helper()
	for {
		ms, err := j.Read(t.Context(), "a", uint64(len(all)), 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			all = append(all, m.ID+" "+string(m.Data))
		}
		if len(ms) < 1000 {
			return all
		}
	}
}

// TestUnderLoad makes backups while others publish. Each, restored, holds all
// that was acknowledged before it began, and nothing but what the log began
// with; positions are those of then, and the epoch is another.
func TestUnderLoad(t *testing.T) {
	folder, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "signing.key"), []byte("a key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	st, j, _ := storetest.Start(t, folder)
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i := range 8 {
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					say(t, j, fmt.Sprint("load ", i, n, strings.Repeat(".", 500)))
				}
			}
		})
	}
	type made struct {
		path   string
		before *journal.Message
	}
	var backups []made
	for i := range 5 {
		b := made{filepath.Join(out, strconv.Itoa(i)), say(t, j, fmt.Sprint("before ", i))}
		acked := hub.Acked{Owner: "consumer/c", Topic: "a", Seq: b.before.Entries[0].Seq}
		if _, err := j.Do(journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) {
			return nil, st.SavePositions(tx, []hub.Acked{acked})
		})).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		m, err := backup.Write(t.Context(), folder, b.path, "v1")
		if err != nil {
			t.Fatal(err)
		}
		if m.Epoch != j.Epoch() || m.Head < b.before.Entries[0].Seq || m.Version != "v1" || len(m.Files) != 2 {
			t.Errorf("the manifest is %+v", m)
		}
		backups = append(backups, b)
	}
	close(stop)
	load.Wait()
	all := said(t, j)
	for _, b := range backups {
		if info, err := os.Stat(b.path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		restored := filepath.Join(t.TempDir(), "new", "data")
		m, epoch := restore(t, b.path, restored)
		rst, rj, end := storetest.Start(t, restored)
		got := said(t, rj)
		seq := b.before.Entries[0].Seq
		if uint64(len(got)) < seq || uint64(len(got)) != m.Head || !slices.Equal(got, all[:len(got)]) {
			t.Errorf("%d messages are restored, %d were acknowledged before, %d are in the manifest", len(got), seq, m.Head)
		}
		if rj.Epoch() != epoch || epoch == j.Epoch() || epoch == "" {
			t.Errorf("the epoch is %q, was %q, and %q was promised", rj.Epoch(), j.Epoch(), epoch)
		}
		if at, ok, err := rst.Position(t.Context(), "consumer/c"); at != seq || !ok || err != nil {
			t.Errorf("the position is %d, and was %d; %v", at, seq, err)
		}
		if next := say(t, rj, "after"); next.Entries[0].Seq != uint64(len(got))+1 {
			t.Errorf("the next number is %d", next.Entries[0].Seq)
		}
		if key, err := os.ReadFile(filepath.Join(restored, "signing.key")); string(key) != "a key\n" || err != nil {
			t.Errorf("the key is %q, %v", key, err)
		}
		end()
	}
	if left, _ := filepath.Glob(filepath.Join(out, "*.new")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func restore(t *testing.T, path, folder string) (backup.Manifest, string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, epoch, err := backup.Restore(t.Context(), bytes.NewReader(b), folder)
	if err != nil {
		t.Fatal(err)
	}
	return m, epoch
}

// sample is a small backup, and what its log says.
func sample(t *testing.T) (file []byte, all []string) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "admin.key"), []byte("another key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, j, _ := storetest.Start(t, folder)
	for i := range 10 {
		say(t, j, fmt.Sprint("message ", i))
	}
	var b bytes.Buffer
	if _, err := backup.WriteTo(t.Context(), folder, &b, t.TempDir(), "v1"); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), said(t, j)
}

// TestCutShort: a part of a backup is refused, and leaves nothing.
func TestCutShort(t *testing.T) {
	file, _ := sample(t)
	manifest := bytes.Index(file, []byte("manifest.json"))
	for _, n := range []int{0, 1, 511, 512, 600, 5000, len(file) / 2, manifest - 600, manifest, manifest + 512, manifest + 600} {
		folder := filepath.Join(t.TempDir(), "data")
		_, _, err := backup.Restore(t.Context(), bytes.NewReader(file[:n]), folder)
		if err == nil || !strings.Contains(err.Error(), "backup is") {
			t.Errorf("%d of %d bytes: %v", n, len(file), err)
		}
		if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%d of %d bytes leave a folder", n, len(file))
		}
	}
}

// TestTampered: one bit that is another is found, or does not matter.
func TestTampered(t *testing.T) {
	file, all := sample(t)
	refused := 0
	for at := 100; at < len(file); at += len(file)/60 + 1 {
		bad := bytes.Clone(file)
		bad[at] ^= 0x10
		folder := filepath.Join(t.TempDir(), "data")
		_, _, err := backup.Restore(t.Context(), bytes.NewReader(bad), folder)
		if err != nil {
			refused++
			continue
		}
		_, j, end := storetest.Start(t, folder)
		if got := said(t, j); !slices.Equal(got, all) {
			t.Errorf("byte %d: %q is restored", at, got)
		}
		end()
	}
	if refused < 50 {
		t.Errorf("%d changes were refused", refused)
	}
	for _, text := range []string{"message 3", "another key"} {
		bad := bytes.Replace(file, []byte(text), []byte(strings.ToUpper(text)), 1)
		if _, _, err := backup.Restore(t.Context(), bytes.NewReader(bad), filepath.Join(t.TempDir(), "data")); err == nil || !strings.Contains(err.Error(), "is not as it was written") {
			t.Errorf("with another %q: %v", text, err)
		}
	}
}

// TestWhatIsNoBackup is refused, in words.
func TestWhatIsNoBackup(t *testing.T) {
	archive := func(files ...string) io.Reader {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for i := 0; i < len(files); i += 2 {
			if err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o600, Size: int64(len(files[i+1]))}); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(w, files[i+1])
		}
		_ = w.Close()
		return &b
	}
	for name, c := range map[string]struct {
		in   io.Reader
		says string
	}{
		"text":              {strings.NewReader(strings.Repeat("not a tar ", 200)), "or is none"},
		"another tar":       {archive("readme", "x"), "no manifest"},
		"a way out":         {archive("../kabar.db", "x"), "it holds"},
		"a log of SQLite's": {archive("kabar.db-wal", "x"), "it holds"},
		"a newer one":       {archive("kabar.db", "x", "manifest.json", `{"format":2,"version":"v9"}`), "newer kabar (v9)"},
		"an empty one":      {archive("manifest.json", `{"format":1}`), "does not hold"},
		"more than listed":  {archive("kabar.db", "x", "manifest.json", `{"format":1}`), "does not hold"},
		"less than listed":  {archive("manifest.json", `{"format":1,"files":[{"name":"kabar.db"}]}`), "kabar.db is missing"},
	} {
		folder := t.TempDir()
		if _, _, err := backup.Restore(t.Context(), c.in, folder); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, and it should say %q", name, err, c.says)
		}
		if left, _ := os.ReadDir(folder); len(left) > 0 {
			t.Errorf("%s leaves %v", name, left)
		}
	}
}

// TestAFolderThatIsNotEmpty is not restored into, nor one that is in use.
func TestAFolderThatIsNotEmpty(t *testing.T) {
	file, _ := sample(t)
	folder := t.TempDir()
	_, j, _ := storetest.Start(t, folder)
	say(t, j, "mine")
	if _, _, err := backup.Restore(t.Context(), bytes.NewReader(file), folder); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a server's folder: %v", err)
	}
	if got := said(t, j); len(got) != 1 {
		t.Errorf("%q is there", got)
	}
}

// TestARestoreThatDidNotEnd: the folder is not taken for an empty one.
func TestARestoreThatDidNotEnd(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, store.Unfinished), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if st, err := store.Open(t.Context(), store.Options{Folder: folder}); err == nil {
		t.Fatal(st.Close(), "it was opened")
	} else if !strings.Contains(err.Error(), "did not come to its end") {
		t.Error(err)
	}
}

// TestWhatIsDamagedIsNotBackedUp: the last good backup stays what it was.
func TestWhatIsDamagedIsNotBackedUp(t *testing.T) {
	folder, out := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	_, j, end := storetest.Start(t, folder)
	for range 100 {
		say(t, j, strings.Repeat("x", 3000))
	}
	end()
	if _, faults, err := store.Check(t.Context(), folder); err != nil || len(faults) > 0 {
		t.Fatal(faults, err)
	}
	if _, err := backup.Write(t.Context(), folder, out, "v1"); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(folder, "kabar.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := faultdisk.Damage(filepath.Join(folder, "kabar.db"), int(info.Size()/4096*3/4)); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Write(t.Context(), folder, out, "v1"); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("a damaged database gives %v", err)
	}
	if now, err := os.ReadFile(out); !bytes.Equal(now, good) || err != nil {
		t.Errorf("the backup before it is another now; %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 1 {
		t.Errorf("%v is left", left)
	}
	if _, faults, err := store.Check(t.Context(), folder); err != nil || len(faults) == 0 {
		t.Errorf("the check finds %v, %v", faults, err)
	}
}

// TestWhatIsNotWhatWasWrittenIsNotBackedUp: SQLite copies bytes that were
// overwritten in the middle of a message, and the backup does not.
func TestWhatIsNotWhatWasWrittenIsNotBackedUp(t *testing.T) {
	folder, out := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	_, j, end := storetest.Start(t, folder)
	say(t, j, "one message")
	say(t, j, "another message")
	end()
	file := filepath.Join(folder, "kabar.db")
	pages, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(pages, []byte("another message"), []byte("another}{essage"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Write(t.Context(), folder, out, "v1"); err == nil || !strings.Contains(err.Error(), "row 2 ") || !strings.Contains(err.Error(), "kabar data check") {
		t.Errorf("a backup gives %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
