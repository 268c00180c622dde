package transcript

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
)

// step is a line that does something, and the lines below it of what came.
type step struct {
	at    int // index of the line
	text  string
	wants []want
}

// want is a line of what came: to who, "" for the answer to a request.
type want struct {
	at        int
	who, text string
}

func readFile(name string) (*file, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f := &file{name: name, lines: strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), edits: map[int][]string{}}
	for i, line := range f.lines {
		text := strings.TrimSpace(line)
		if text == "" || indent(line) == "" {
			continue
		}
		who, came := receiver(text)
		switch {
		case !came:
			f.steps = append(f.steps, step{at: i, text: text})
		case len(f.steps) == 0:
			return nil, fmt.Errorf("%s:%d: nothing was done yet from which this could come: %s", name, i+1, text)
		default:
			last := &f.steps[len(f.steps)-1]
			last.wants = append(last.wants, want{i, who, text})
		}
	}
	return f, nil
}

func indent(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " \t"))] }

var name = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

// said splits "ann: …" and its like.
func said(text, by string) (who, rest string, ok bool) {
	who, rest, ok = strings.Cut(text+" ", by)
	return who, strings.TrimSpace(rest), ok && name.MatchString(who)
}

// receiver says whether a line is of what came, and to whom.
func receiver(text string) (who string, came bool) {
	if strings.HasPrefix(text, "-> ") {
		return "", true
	}
	for _, by := range []string{"< ", "! "} {
		if who, _, ok := said(text, by); ok {
			return who, true
		}
	}
	return "", false
}

var headerRE = regexp.MustCompile(`^ ?\[([A-Za-z-]+): ?([^\]]*)\]`)

// splitRequest splits "/path [Header: value] body".
func splitRequest(text string) (path string, header http.Header, body string) {
	path, rest, _ := strings.Cut(text, " ")
	header = http.Header{}
	for m := headerRE.FindStringSubmatch(rest); m != nil; m = headerRE.FindStringSubmatch(rest) {
		header.Set(m[1], m[2])
		rest = rest[len(m[0]):]
	}
	return path, header, strings.TrimSpace(rest)
}

// headerNames are those that a line of an answer names.
func headerNames(text string) (names []string) {
	_, text, _ = strings.Cut(text, " ") // past the mark
	_, text, _ = strings.Cut(text, " ") // past the status
	for m := headerRE.FindStringSubmatch(text); m != nil; m = headerRE.FindStringSubmatch(text) {
		names = append(names, m[1])
		text = text[len(m[0]):]
	}
	return names
}
