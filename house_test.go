package kabar_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The sizes up to which a piece can be read in one go.
const (
	maxFileLines     = 600
	maxFunctionLines = 80
	maxStructFields  = 20
)

func TestFilesAreShort(t *testing.T) {
	for _, file := range sources(t, ".go", ".js", ".mjs", ".html", ".css", ".sql", ".sh") {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(content, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: it holds more than one thing", file, n, maxFileLines)
		}
	}
}

func TestFunctionsAndStructsAreSmall(t *testing.T) {
	for _, file := range sources(t, ".go") {
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if lines := set.Position(n.End()).Line - set.Position(n.Pos()).Line + 1; lines > maxFunctionLines {
					t.Errorf("%s: %s has %d lines, more than %d", set.Position(n.Pos()), n.Name.Name, lines, maxFunctionLines)
				}
			case *ast.StructType:
				fields := 0
				for _, f := range n.Fields.List {
					fields += max(1, len(f.Names)) // an embedded field has no name
				}
				if fields > maxStructFields {
					t.Errorf("%s: a struct has %d fields, more than %d", set.Position(n.Pos()), fields, maxStructFields)
				}
			}
			return true
		})
	}
}

// TestNamesNoPlaceOutside keeps paths of a developer's own machine out of what
// everybody gets.
func TestNamesNoPlaceOutside(t *testing.T) {
	places := []string{".." + "/shared", "/" + "work/"}
	for _, file := range texts(t) {
		content, err := os.ReadFile(file)
		if err != nil || bytes.IndexByte(content, 0) >= 0 { // deleted but not yet committed, a link to a folder, or no text
			continue
		}
		for i, line := range strings.Split(string(content), "\n") {
			for _, place := range places {
				if strings.Contains(line, place) {
					t.Errorf("%s:%d names %s, a place outside the project", file, i+1, place)
				}
			}
		}
	}
}

// texts lists what is in version control or about to be; where there is no
// version control, as in an unpacked archive, our own sources.
func texts(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return sources(t, "")
	}
	files := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	return slices.DeleteFunc(files, func(file string) bool { return file == "" || strings.HasPrefix(file, ".ci/") })
}
