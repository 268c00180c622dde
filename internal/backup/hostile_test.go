package backup_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/backup"
)

// TestHostileArchives: what is no backup is refused in words, nothing is written
// beside the folder, and nothing is left in it. Each has a good backup's files
// around what is wrong with it.
func TestHostileArchives(t *testing.T) {
	file, _ := sample(t)
	with := func(again bool, more ...tar.Header) []byte { return written(t, file, again, more...) }
	size := func(field string) []byte { return sized(file, field) }
	listed := func(old, replacement string) []byte { // in the manifest, as long as before
		if len(old) != len(replacement) || !bytes.Contains(file, []byte(old)) {
			t.Fatalf("%q cannot be %q", old, replacement)
		}
		return bytes.Replace(file, []byte(old), []byte(replacement), 1)
	}
	for name, c := range map[string]struct {
		in   []byte
		says string
	}{
		"a parent":            {with(false, tar.Header{Name: ".."}), `it holds ".."`},
		"the folder":          {with(false, tar.Header{Name: "."}), `it holds "."`},
		"a way out":           {with(false, tar.Header{Name: "../out"}), `it holds "../out"`},
		"a way out and in":    {with(false, tar.Header{Name: "in/../../out"}), `it holds "in/../../out"`},
		"an absolute path":    {with(false, tar.Header{Name: "/tmp/out"}), `it holds "/tmp/out"`},
		"the root":            {with(false, tar.Header{Name: "/", Typeflag: tar.TypeDir}), `it holds "/"`},
		"a folder":            {with(false, tar.Header{Name: "in/", Typeflag: tar.TypeDir}), `it holds "in/"`},
		"a symlink":           {with(false, tar.Header{Name: "out", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}), `it holds "out"`},
		"a link":              {with(false, tar.Header{Name: "out", Linkname: "kabar.db", Typeflag: tar.TypeLink}), `it holds "out"`},
		"a pipe":              {with(false, tar.Header{Name: "out", Typeflag: tar.TypeFifo}), `it holds "out"`},
		"the lock":            {with(false, tar.Header{Name: "lock"}), `it holds "lock"`},
		"a journal of SQLite": {with(false, tar.Header{Name: "kabar.db.restoring-journal"}), "it holds"},
		"a key twice":         {with(true), "it holds admin.key twice"},
		"a database twice":    {with(false, tar.Header{Name: "kabar.db"}), "it holds kabar.db twice"},
		"more than listed":    {with(false, tar.Header{Name: "other.key"}), "does not hold what its manifest lists"},
		"a huge size":         {size("77777777777\x00"), "is cut short in kabar.db"},
		"a size beyond all":   {size("\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"), "backup is"},
		"a negative size":     {size("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), "damaged or cut short"},
		"a size of nothing":   {size("00000000000\x00"), "backup is"},
		"holes":               {sparse(t, 1<<40), "it holds"},
		"no format":           {listed(`"format": 1`, `"format": 0`), "which format"},
	} {
		t.Run(name, func(t *testing.T) {
			outer := t.TempDir()
			folder := filepath.Join(outer, "data")
			if _, _, err := backup.Restore(t.Context(), bytes.NewReader(c.in), folder); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v, and should say %q", err, c.says)
			}
			if left, err := os.ReadDir(outer); err != nil || len(left) > 0 {
				t.Errorf("%v is left, %v", left, err)
			}
		})
	}
	// The ways to write them are good ones where nothing is wrong.
	if _, _, err := backup.Restore(t.Context(), bytes.NewReader(with(false)), filepath.Join(t.TempDir(), "data")); err != nil {
		t.Errorf("the sample written again: %v", err)
	}
}

// sparse is an archive that calls its database so long, and holds nothing of it.
func sparse(t *testing.T, long int64) []byte {
	t.Helper()
	records := ""
	for _, r := range [][2]string{{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.name", "kabar.db"}, {"GNU.sparse.realsize", strconv.FormatInt(long, 10)}} {
		line := " " + r[0] + "=" + r[1] + "\n"
		n := len(line) + 2
		records += strconv.Itoa(n) + line
	}
	var b bytes.Buffer
	header := func(kind byte, name, text string) {
		h := make([]byte, 512)
		copy(h, name)
		copy(h[100:], "0000600\x000000000\x000000000\x00")
		copy(h[124:], fmt.Sprintf("%011o", len(text)))
		copy(h[136:], "00000000000\x00        ")
		h[156] = kind
		copy(h[257:], "ustar\x0000")
		sum := 0
		for _, c := range h {
			sum += int(c)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		b.Write(h)
		b.WriteString(text)
		b.Write(make([]byte, (512-len(text)%512)%512))
	}
	header('x', "PaxHeaders/kabar.db", records)
	entries := "1\n" + strconv.FormatInt(long, 10) + "\n0\n" // one piece, of no length, at the end
	header('0', "GNUSparseFile.0/kabar.db", entries+strings.Repeat("\x00", 512-len(entries)))
	b.Write(make([]byte, 1024))
	return b.Bytes()
}

// written is a backup's entries with more in front, and perhaps its key again.
func written(t *testing.T, file []byte, again bool, more ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	put := func(h tar.Header, text []byte) {
		if h.Mode = 0o600; h.Typeflag == tar.TypeReg {
			h.Size = int64(len(text))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(text)
	}
	for _, h := range more {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
			put(h, []byte("x"))
		} else {
			put(h, nil)
		}
	}
	for r := tar.NewReader(bytes.NewReader(file)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		text, _ := io.ReadAll(r)
		put(tar.Header{Name: h.Name, Typeflag: tar.TypeReg}, text)
		if again && h.Name == "admin.key" {
			put(tar.Header{Name: h.Name, Typeflag: tar.TypeReg}, text)
		}
	}
	_ = w.Close()
	return b.Bytes()
}

// sized is a backup with another size in its first header, and that's checksum.
func sized(file []byte, field string) []byte {
	b := bytes.Clone(file)
	copy(b[124:136], field)
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b
}
