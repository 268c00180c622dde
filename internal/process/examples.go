package process

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed examples/*.yaml
var examples embed.FS

// Examples are processes to begin with, by name.
func Examples() map[string][]byte {
	all := map[string][]byte{}
	files, err := fs.Glob(examples, "examples/*.yaml")
	if err != nil {
		panic(err) // the pattern is ours
	}
	for _, file := range files {
		source, err := examples.ReadFile(file)
		if err != nil {
			panic(err) // it is part of the program
		}
		all[strings.TrimSuffix(strings.TrimPrefix(file, "examples/"), ".yaml")] = source
	}
	return all
}
