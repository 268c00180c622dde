package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secret reads a key of the data folder, and makes it at the first start.
func secret(folder, name string) (string, error) {
	return secretOf(folder, name, func() string {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw)
		return hex.EncodeToString(raw)
	})
}

// secretOf reads a secret of the data folder, and makes it at the first start:
// a file that only its owner can read.
func secretOf(folder, name string, fresh func() string) (string, error) {
	path := filepath.Join(folder, name)
	b, err := os.ReadFile(path) //nolint:gosec // in the operator's own folder
	if err == nil {
		text := strings.TrimSpace(string(b))
		if len(text) < 32 {
			return "", fmt.Errorf("%s is damaged: it holds %d characters and should hold 32 or more; put it back from a backup, or remove it to have a new one made (what was signed with it is then worth nothing)", path, len(text))
		}
		return text, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	text := fresh()
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // in the operator's own folder
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", err
	}
	return text, syncFolder(folder) // or a power cut could take the name away again
}

func syncFolder(folder string) error {
	d, err := os.Open(folder) //nolint:gosec // the operator's own folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
