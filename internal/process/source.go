package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxSource bounds a definition, in bytes.
const maxSource = 64 << 10

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// lineEnds are what ends a line for YAML.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

func linesOf(source []byte) []string { return strings.Split(lineEnds.Replace(string(source)), "\n") }

// parseSource reads a definition into nodes that know their places. A file
// that is JSON is read as such: YAML does not know all its escapes.
func parseSource(source []byte) (root *yaml.Node, fault *Fault) {
	defer func() {
		if p := recover(); p != nil {
			root, fault = nil, &Fault{1, 1, "this is not YAML"}
		}
	}()
	switch {
	case len(source) > maxSource:
		return nil, &Fault{1, 1, fmt.Sprintf("a process has at most %d bytes, not %d", maxSource, len(source))}
	case !utf8.Valid(source):
		n := 0
		for r, size := utf8.DecodeRune(source); r != utf8.RuneError || size != 1; r, size = utf8.DecodeRune(source[n:]) {
			n += size
		}
		line, column := place(source, n)
		return nil, &Fault{line, column, "this is not valid UTF-8"}
	}
	if trimmed := bytes.TrimLeft(source, " \t\r\n"); bytes.HasPrefix(trimmed, []byte("{")) && json.Valid(source) {
		r := jsonReader{source: source, d: json.NewDecoder(bytes.NewReader(source))}
		r.d.UseNumber()
		if root, err := r.node(0); err == nil {
			return root, nil
		}
		return nil, &Fault{1, 1, "this is nested too deeply"}
	}
	// Between braces a question mark ends a word for YAML, and then string? and
	// ?? would have to be quoted. It is not shown any.
	d := yaml.NewDecoder(bytes.NewReader(bytes.ReplaceAll(source, []byte("?"), []byte(question))))
	var document, second yaml.Node
	if err := d.Decode(&document); errors.Is(err, io.EOF) {
		return nil, &Fault{1, 1, "this is empty; a process has a name and rules"}
	} else if err != nil {
		return nil, notYAML(source, err)
	}
	if err := d.Decode(&second); err == nil {
		return nil, &Fault{max(1, second.Line), max(1, second.Column), "a second document begins here; one file is one process"}
	} else if !errors.Is(err, io.EOF) {
		return nil, notYAML(source, err)
	}
	asked(&document)
	return document.Content[0], nil
}

// question stands for a question mark, in as many characters.
const question = "\uE03F"

func asked(n *yaml.Node) {
	n.Value = strings.ReplaceAll(n.Value, question, "?")
	for _, c := range n.Content {
		asked(c)
	}
}

func notYAML(source []byte, err error) *Fault {
	text := cut(strings.ReplaceAll(yamlLine.ReplaceAllString(err.Error(), ""), question, "?"), 300)
	lines := linesOf(source)
	for i, line := range lines {
		if tab := strings.IndexByte(line, '\t'); tab >= 0 && leading(line) > tab && strings.TrimSpace(line) != "" {
			return &Fault{i + 1, tab + 1, "this is not YAML: a tab stands here; indent with blanks"}
		}
	}
	line := 1
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		line, _ = strconv.Atoi(m[1])
	}
	if bytes.ContainsAny(source, "{[") {
		text += "; between { } and [ ], put what holds : , # or quotes into 'single quotes'"
	}
	if strings.HasPrefix(text, "did not find expected") { // its parser counts from 0, its scanner from 1
		line++
	}
	line = min(max(line, 1), len(lines))
	return &Fault{line, 1 + leading(lines[line-1]), "this is not YAML: " + text}
}

// place is the line and column, in characters, of a byte.
func place(source []byte, offset int) (line, column int) {
	before := source[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1
}

// jsonReader makes nodes of JSON that is known to be valid.
type jsonReader struct {
	source []byte
	d      *json.Decoder
	at     int // the byte that line and column are of, both from 0
	line   int
	column int // in characters
}

// next reads a token and says where it begins.
func (r *jsonReader) next() (t json.Token, line, column int, err error) {
	from := int(r.d.InputOffset())
	for from < len(r.source) && strings.IndexByte(" \t\r\n,:", r.source[from]) >= 0 {
		from++
	}
	for ; r.at < from; r.at++ {
		switch b := r.source[r.at]; {
		case b == '\n':
			r.line, r.column = r.line+1, 0
		case utf8.RuneStart(b):
			r.column++
		}
	}
	t, err = r.d.Token()
	return t, r.line + 1, r.column + 1, err
}

func (r *jsonReader) node(depth int) (*yaml.Node, error) {
	t, line, column, err := r.next()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, errValueDepth
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: line, Column: column}
	switch t := t.(type) {
	case json.Delim:
		n.Kind = yaml.SequenceNode
		if t == '{' {
			n.Kind = yaml.MappingNode
		}
		for r.d.More() { // keys are nodes as values are
			child, err := r.node(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		_, _, _, err := r.next()
		return n, err
	case string:
		n.Value, n.Tag, n.Style = t, "!!str", yaml.DoubleQuotedStyle
	case json.Number:
		n.Value, n.Tag = t.String(), "!!float"
		if _, err := strconv.Atoi(n.Value); err == nil {
			n.Tag = "!!int"
		}
	case bool:
		n.Value, n.Tag = strconv.FormatBool(t), "!!bool"
	default:
		n.Value, n.Tag = "null", "!!null"
	}
	return n, nil
}

// places are a file's lines, for finding the places of faults. They are made
// once for a definition: one of 64 KiB has thousands of scalars.
type places struct {
	lines [][]rune
	ends  []int // of the lines, without the blanks there
}

func placesOf(source []byte) (p places) {
	for _, l := range linesOf(source) {
		p.lines = append(p.lines, []rune(l))
		p.ends = append(p.ends, utf8.RuneCountInString(strings.TrimRight(l, " \t")))
	}
	return p
}

// tracer follows a scalar's text through the file, character by character, so
// that a fault in the text has its place in the file.
type tracer struct {
	places
	line   int // of the next character, from 0
	column int
	style  yaml.Style
	indent int // of a block's lines
}

// locate is the place of the at-th character of a scalar; where the text cannot
// be followed, the scalar's own.
func (p places) locate(n *yaml.Node, at int) (line, column int) {
	t := tracer{places: p, style: n.Style &^ yaml.TaggedStyle, line: n.Line - 1, column: n.Column - 1}
	if !t.begin() {
		return n.Line, n.Column
	}
	line, column = n.Line, n.Column
	i := 0
	for _, r := range n.Value {
		if t.skip(r); t.line >= len(t.lines) {
			break
		}
		line, column = t.line+1, t.column+1
		if i == at {
			return line, column
		}
		if !t.take(r) {
			return n.Line, n.Column
		}
		i++
	}
	return line, column + min(1, max(0, at-i+1)) // just behind the end
}

// tagged says whether a scalar begins with a tag, as "! done" does: YAML takes
// the mark away and keeps no word of it.
func (p places) tagged(n *yaml.Node) bool {
	if n.Line < 1 || n.Line > len(p.lines) {
		return false
	}
	line := p.lines[n.Line-1]
	return n.Column >= 1 && n.Column <= len(line) && line[n.Column-1] == '!'
}

// begin goes to the first character.
func (t *tracer) begin() bool {
	if t.line < 0 || t.line >= len(t.lines) || t.column < 0 || t.column > len(t.lines[t.line]) {
		return false
	}
	rest := t.lines[t.line][t.column:]
	switch t.style {
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		quote := '"'
		if t.style == yaml.SingleQuotedStyle {
			quote = '\''
		}
		t.column++
		return len(rest) > 0 && rest[0] == quote
	case yaml.LiteralStyle, yaml.FoldedStyle:
		if len(rest) == 0 || rest[0] != '|' && rest[0] != '>' {
			return false
		}
		t.line++
		t.indent = -1
		for _, l := range t.lines[min(t.line, len(t.lines)):] {
			if blank(l) {
				continue
			}
			t.indent = len(l) - len([]rune(strings.TrimLeft(string(l), " ")))
			break
		}
		t.column = max(0, t.indent)
		return t.indent >= 0
	default:
		return true
	}
}

func blank(l []rune) bool { return strings.TrimSpace(string(l)) == "" }

func (t *tracer) block() bool { return t.style == yaml.LiteralStyle || t.style == yaml.FoldedStyle }

// ended says whether nothing of the text is left in the line.
func (t *tracer) ended() bool {
	return t.column >= len(t.lines[t.line]) || !t.block() && t.column >= t.ends[t.line]
}

func (t *tracer) nextLine() {
	t.line++
	t.column = t.indent
	if t.line < len(t.lines) && !t.block() {
		l := t.lines[t.line]
		for t.column = 0; t.column < len(l) && (l[t.column] == ' ' || l[t.column] == '\t'); t.column++ {
		}
	}
}

// skip goes over line ends that the text does not have.
func (t *tracer) skip(r rune) {
	for t.line < len(t.lines) && t.ended() && r != ' ' && r != '\n' {
		t.nextLine()
	}
	if t.style == yaml.DoubleQuotedStyle && t.line < len(t.lines) && t.column == len(t.lines[t.line])-1 && t.lines[t.line][t.column] == '\\' {
		t.nextLine() // an escaped line end is nothing
	}
}

// take goes over one character of the text; false where the file has another.
func (t *tracer) take(r rune) bool {
	l := t.lines[t.line]
	if t.ended() {
		t.nextLine()
		return true
	}
	switch {
	case t.style == yaml.SingleQuotedStyle && r == '\'':
		t.column += 2
		return true
	case t.style == yaml.DoubleQuotedStyle && l[t.column] == '\\':
		return t.escape(l[t.column:], r)
	}
	t.column++
	return l[t.column-1] == r
}

// escape goes over an escape of a quoted text. A pair of JSON's is one character.
func (t *tracer) escape(rest []rune, r rune) bool {
	if len(rest) < 2 {
		return false
	}
	n := 2
	switch rest[1] {
	case 'x':
		n = 4
	case 'u':
		n = 6
		if r > 0xFFFF {
			n = 12
		}
	case 'U':
		n = 10
	}
	t.column += n
	return n <= len(rest)
}
