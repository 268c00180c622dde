package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Edit changes one place of the source of a server that is built for a check,
// and nowhere else: the source itself knows nothing of it.
type Edit struct {
	File     string // in the module or, beginning with $GOROOT, in Go's library
	Old, New string // Old stands there once; "": the file is a new one
}

// Build builds the server of the module that the working folder is in, with
// build tags, and returns the binary's path in folder.
func Build(ctx context.Context, folder string, tags ...string) (string, error) {
	return BuildEdited(ctx, folder, nil, tags...)
}

func binaryName(tags []string) string {
	return strings.Join(slices.Concat([]string{"kabar"}, tags), "-")
}

// BuildEdited is Build of an edited source.
func BuildEdited(ctx context.Context, folder string, edits []Edit, tags ...string) (string, error) {
	binary := filepath.Join(folder, binaryName(tags))
	args := []string{"build", "-tags", strings.Join(slices.Concat(tags, ownTags), ","), "-o", binary}
	if len(edits) > 0 {
		overlay, err := overlay(ctx, folder, edits)
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/kabar-io/kabar/cmd/kabar")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the server cannot be built: %w\n%s", err, out)
	}
	return binary, nil
}

// overlay writes what edited files are into folder, and a file that tells go of
// them, whose path it returns.
func overlay(ctx context.Context, folder string, edits []Edit) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	goroot, gomod, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	replace := map[string]string{} // by the file's path: what stands in its place
	for _, e := range edits {
		path, inRoot := strings.CutPrefix(e.File, "$GOROOT")
		if path = filepath.Join(goroot, path); !inRoot {
			path = filepath.Join(filepath.Dir(gomod), e.File)
		}
		text := e.New
		if e.Old != "" {
			from := path
			if replace[path] != "" {
				from = replace[path]
			}
			b, err := os.ReadFile(from)
			if err != nil {
				return "", err
			}
			if n := strings.Count(string(b), e.Old); n != 1 {
				return "", fmt.Errorf("%s has %d times, not once: %s", e.File, n, e.Old)
			}
			text = strings.Replace(string(b), e.Old, e.New, 1)
		}
		replace[path] = filepath.Join(folder, fmt.Sprintf("edited%d.go", len(replace)))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "overlay.json")
	return file, os.WriteFile(file, b, 0o600)
}
