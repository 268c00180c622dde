//go:build faultdisk

package store

import (
	"fmt"
	"os"

	"github.com/kabar-io/kabar/internal/store/faultdisk"
)

// A binary that is built with the tag faultdisk has a disk that fails as the
// file says which FAULTDISK names.
func init() {
	if path := os.Getenv("FAULTDISK"); path != "" {
		fmt.Fprintf(os.Stderr, "faultdisk: the disk fails as %s says\n", path)
		go faultdisk.Under("").Follow(path)
	}
}
