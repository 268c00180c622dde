package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A setting is what one source says about one key.
type setting struct {
	texts []string // one, or a list's elements
	where string   // kabar.yaml:3:1, KABAR_FEED_PUBLISH
}

// file reads a YAML file into settings. Sections are written nested, or as one
// key with dots: a walk knows the full path either way.
type file struct {
	name     string
	keys     map[string]key
	known    []string           // keys and sections
	sections map[string]bool    // feed, log, …
	settings map[string]setting // by flag
	lines    map[string]int     // where each path was seen first
	problems Problems
}

func readFile(name string, content []byte, all []key) (map[string]setting, Problems) {
	f := &file{
		name: name, keys: map[string]key{}, sections: map[string]bool{},
		settings: map[string]setting{}, lines: map[string]int{},
	}
	for _, k := range all {
		f.keys[k.path] = k
		f.known = append(f.known, k.path)
		if section, _, nested := strings.Cut(k.path, "."); nested && !f.sections[section] {
			f.sections[section] = true
			f.known = append(f.known, section)
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF): // nothing but comments
		return f.settings, nil
	case err != nil:
		f.problems = append(f.problems, syntax(name, content, err))
		return f.settings, f.problems
	}
	f.walk(document.Content[0], "")
	if err := decoder.Decode(&second); err == nil {
		f.wrong(&second, "", "a second document begins here; one file is one configuration, take the --- out")
	} else if !errors.Is(err, io.EOF) {
		f.problems = append(f.problems, syntax(name, content, err))
	}
	return f.settings, f.problems
}

func (f *file) at(n *yaml.Node) string {
	return fmt.Sprintf("%s:%d:%d", f.name, n.Line, n.Column)
}

func (f *file) wrong(n *yaml.Node, path, format string, args ...any) {
	f.problems = append(f.problems, Problem{Where: f.at(n), Key: path, Text: fmt.Sprintf(format, args...)})
}

// walk reads the section at path, or the whole file where path is "".
func (f *file) walk(n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" { // everything in it is commented out
		return
	}
	if n.Kind != yaml.MappingNode {
		what := "the file"
		if path != "" {
			what = "this section"
		}
		f.wrong(n, path, "%s is %s, but must be keys with values, each on a line of its own: %s",
			what, shape(n), strings.Join(f.inside(path), ", "))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		full := name.Value
		if path != "" {
			full = path + "." + full
		}
		k, isKey := f.keys[full]
		switch {
		case isKey && f.lines[full] > 0, f.sections[full] && f.lines[full] > 0:
			f.wrong(name, full, "it stands here for the second time, the first is in line %d; take one of them out", f.lines[full])
			continue
		case isKey:
			f.set(k, value)
		case f.sections[full]:
			f.walk(value, full)
		default:
			f.wrong(name, full, "%s", unknown("key", full, f.known, ".", "take the line out"))
		}
		f.lines[full] = name.Line
	}
}

// inside lists the keys directly in a section.
func (f *file) inside(path string) []string {
	var names []string
	for _, name := range f.known {
		if path == "" && !strings.Contains(name, ".") {
			names = append(names, name)
		} else if rest, ok := strings.CutPrefix(name, path+"."); ok && path != "" {
			names = append(names, rest)
		}
	}
	return names
}

func (f *file) set(k key, n *yaml.Node) {
	var texts []string
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Value != "null",
		n.Kind == yaml.ScalarNode && n.Tag == "!!null" && !k.list():
		f.wrong(n, k.path, "it has no value, but is a %s; write one, or take the line out for the default, %s", k.kind(), quote(k))
		return
	case n.Kind == yaml.ScalarNode && k.list():
		texts = split(n.Value)
	case n.Kind == yaml.ScalarNode:
		texts = []string{n.Value}
	case n.Kind == yaml.SequenceNode && k.list():
		for _, item := range n.Content {
			if item.Kind == yaml.AliasNode {
				item = item.Alias
			}
			if item.Kind != yaml.ScalarNode {
				f.wrong(item, k.path, "this item is %s, but must be one text", shape(item))
				return
			}
			if err := k.check([]string{item.Value}); err != nil {
				f.wrong(item, k.path, "%s", err)
				return
			}
			texts = append(texts, item.Value)
		}
	default:
		f.wrong(n, k.path, "it is %s, but must be a %s", shape(n), k.kind())
		return
	}
	if err := k.check(texts); err != nil {
		f.wrong(n, k.path, "%s", err)
		return
	}
	f.settings[k.flag] = setting{texts: texts, where: f.at(n)}
}

func shape(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section with keys of its own"
	case yaml.SequenceNode:
		return "a list"
	default:
		return fmt.Sprintf("the single value %q", n.Value)
	}
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// syntax turns the YAML reader's error into a problem. The reader knows the
// line, not the column; for a tab, the usual mistake, the column is found.
func syntax(name string, content []byte, err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return Problem{Where: name, Text: "this is not YAML: " + text}
	}
	where, text := name+":"+m[1], strings.TrimPrefix(err.Error(), m[0])
	for i, line := range slices.Collect(bytes.Lines(content)) {
		if tab := bytes.IndexByte(line, '\t'); tab >= 0 && len(bytes.TrimSpace(line[:tab])) == 0 {
			return Problem{Where: fmt.Sprintf("%s:%d:%d", name, i+1, tab+1), Text: "this is not YAML: a tab stands here; indent with blanks"}
		}
	}
	return Problem{Where: where, Text: "this is not YAML: " + text}
}
