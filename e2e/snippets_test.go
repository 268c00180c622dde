package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// swap is a replacement in a snippet: what a reader has to put in, or a mistake
// of the document that keeps it from running anywhere.
type swap struct{ old, new string }

// snippet reads a document's code and makes the replacements; each must be
// there, so that none is made in vain.
func snippet(t *testing.T, name string, swaps ...swap) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "snippets", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, s := range swaps {
		if strings.Count(text, s.old) != 1 {
			t.Fatalf("%s does not hold %q once", name, s.old)
		}
		text = strings.Replace(text, s.old, s.new, 1)
	}
	return text
}

var slot = regexp.MustCompile(`(?m)^//\{\{(.+)\}\}\n`)

// around puts snippets into the harness that a reader would write around them,
// and gives the file to run. It has the harness's extension.
func around(t *testing.T, harness string, snippets map[string]string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "harness", harness))
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	text := slot.ReplaceAllStringFunc(string(b), func(line string) string {
		name := slot.FindStringSubmatch(line)[1]
		s, ok := snippets[name]
		if !ok {
			t.Fatalf("%s wants %s, which is not given", harness, name)
		}
		used++
		return s
	})
	if used != len(snippets) {
		t.Fatalf("%s has a place for %d of %d snippets", harness, used, len(snippets))
	}
	return file(t, harness, text)
}

// file writes a file that lives as long as the test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// directSnippets are direct's four blocks for one reader, who has a token and
// somebody to write to. after is added to the connecting URL; the document has
// nothing of the kind.
func directSnippets(t *testing.T, jwt string, to int, after string) map[string]string {
	t.Helper()
	return map[string]string{
		// "const jwt = jwt" is the document's way to say: your token.
		"direct.auth.js": snippet(t, "direct.auth.js", swap{"const jwt = jwt;", fmt.Sprintf("const jwt = %q;", jwt)}),
		// The constructor is misspelt, and a URL needs its scheme.
		"direct.connect.js": snippet(t, "direct.connect.js", swap{"new Websocket(`", "new WebSocket(`ws://"}, swap{"${auth}", "${auth}" + after}),
		"direct.listen.js":  snippet(t, "direct.listen.js"),
		"direct.send.js":    snippet(t, "direct.send.js", swap{"destionation", strconv.Itoa(to)}),
	}
}

// eventsSnippet is events' full example with a reader's token.
func eventsSnippet(t *testing.T, token string) string {
	t.Helper()
	return snippet(t, "events.js", swap{`const token = ""`, fmt.Sprintf("const token = %q", token)})
}

// node runs a script in Node. Before version 22 its WebSocket has to be asked for.
func node(t *testing.T, script string, hows ...how) *process {
	t.Helper()
	return start(t, command(tool(t, "node"), "--experimental-websocket", "--no-warnings", script), hows...)
}
