package process

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// block is one that a page shows as YAML.
type block struct {
	line   int // of its first line in the page
	faulty bool
	source string
}

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks are the processes of a page. One below a line with <!-- fault --> is
// shown for what is wrong with it.
func blocks(text string) (all []block) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) != "```yaml" {
			continue
		}
		b := block{line: i + 2, faulty: i > 0 && strings.TrimSpace(lines[i-1]) == "<!-- fault -->"}
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
			b.source += lines[i] + "\n"
		}
		if strings.Contains(b.source, "process:") {
			all = append(all, b)
		}
	}
	return all
}

// TestPages has the processes that people read be what they are said to be.
func TestPages(t *testing.T) {
	for name, least := range map[string]int{"README.md": 1, "docs/processes.md": 4} {
		all := blocks(page(t, name))
		if len(all) < least {
			t.Errorf("%s shows %d processes, and not %d", name, len(all), least)
		}
		for _, b := range all {
			_, faults := Check([]byte(b.source))
			if b.faulty {
				b.said(t, name, faults)
				continue
			}
			for _, f := range faults {
				t.Errorf("%s:%d:%d: %s", name, b.line+f.Line-1, f.Column, f.Message)
			}
		}
	}
}

// said looks for a fault in each line that shows one's words behind an arrow,
// and for no others.
func (b *block) said(t *testing.T, name string, faults []Fault) {
	t.Helper()
	if len(faults) == 0 {
		t.Errorf("%s:%d: there is no fault", name, b.line)
	}
	want := map[int]string{}
	for i, line := range strings.Split(b.source, "\n") {
		if _, words, ok := strings.Cut(line, "# → "); ok {
			want[i+1] = words
		}
	}
	for _, f := range faults {
		words, shown := want[f.Line]
		if !shown || !strings.Contains(f.Message, words) {
			t.Errorf("%s:%d: %s, and the page says %q", name, b.line+f.Line-1, f.Message, words)
		}
		delete(want, f.Line)
	}
	for line, words := range want {
		t.Errorf("%s:%d: there is no fault with %q", name, b.line+line-1, words)
	}
}

// TestPageNamesFunctions has the page name each function that there is.
func TestPageNamesFunctions(t *testing.T) {
	words := strings.FieldsFunc(page(t, "docs/processes.md"), func(r rune) bool { return !isWord(string(r)) && (r < '0' || r > '9') })
	for _, name := range slices.Concat(sortedKeys(functions), sortedKeys(loops)) {
		if !slices.Contains(words, name) {
			t.Errorf("the page does not name %s", name)
		}
	}
}
