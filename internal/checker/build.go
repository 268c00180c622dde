package checker

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build builds the server of the module that the working folder is in, with
// build tags, and returns the binary's path in folder.
func Build(ctx context.Context, folder string, tags ...string) (string, error) {
	tags = append(tags, ownTags...)
	binary := filepath.Join(folder, strings.Join(append([]string{"kabar"}, tags...), "-"))
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", strings.Join(tags, ","), "-o", binary, "github.com/kabar-io/kabar/cmd/kabar")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the server cannot be built: %w\n%s", err, out)
	}
	return binary, nil
}
