package config

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Commands is the command group `config`.
type Commands struct {
	Check   CheckCmd   `cmd:"" help:"Say what is wrong with the configuration, all at once, or OK."`
	Print   PrintCmd   `cmd:"" help:"Print every key as it is in force, and where it came from."`
	Default DefaultCmd `cmd:"" help:"Print a configuration file with every key, explained, at its default."`
}

// CheckCmd is `config check`. What is wrong in the configuration was told by
// Load, as to every other command.
type CheckCmd struct {
	Config `embed:""`
}

// Files says what is wrong in the files that a configuration names. The program
// binds it: it knows what is in them.
type Files func(*Config) error

// Run says OK, or what is wrong in the files.
func (cmd *CheckCmd) Run(c *Command, files Files) error {
	if err := files(&cmd.Config); err != nil {
		return err
	}
	name := c.File
	if name == "" {
		name = "no file; environment and flags"
	}
	_, err := fmt.Fprintf(c.Stdout, "OK: %s\n", name)
	return err
}

// PrintCmd is `config print`.
type PrintCmd struct {
	Config `embed:""`
}

// Run prints YAML, a key to a line.
func (*PrintCmd) Run(c *Command) error {
	for _, v := range c.Values {
		if _, err := fmt.Fprintf(c.Stdout, "%-48s # %s\n", v.Path+": "+v.Text, v.From); err != nil {
			return err
		}
	}
	return nil
}

// DefaultCmd is `config default`.
type DefaultCmd struct{}

// Run prints the file.
func (*DefaultCmd) Run(c *Command) error { return WriteDefault(c.Stdout) }

const head = `# Kabar's configuration. Every key stands here with its default: delete what you leave as it is.
# A flag wins over the environment, the environment over this file, this file over the default.
#
#   size      bytes, as 4096, 4KiB, 16MiB or 1GiB
#   duration  as 500ms, 25s, 15m, 24h or 7d
#   rate      so many within a time, as 200/s, 60/m or 10/15m
#
# 0 means off, unless a key says something else.
`

// WriteDefault writes a configuration file with every key at its default, and
// its help beside it.
func WriteDefault(w io.Writer) error {
	var b strings.Builder
	b.WriteString(head)
	section := ""
	for _, k := range keys() {
		indent, name := "", k.path
		if group, rest, nested := strings.Cut(k.path, "."); nested {
			indent, name = "  ", rest
			if group != section {
				section = group
				fmt.Fprintf(&b, "\n# %s.\n%s:", k.section, group)
			}
		}
		b.WriteString("\n")
		about := wrap(k.help, 96-len(indent))
		about = append(about, fmt.Sprintf("%s, default %s; --%s, %s", k.kind(), quote(k), k.flag, env(k.flag)))
		for _, line := range about {
			fmt.Fprintf(&b, "%s# %s\n", indent, line)
		}
		fmt.Fprintf(&b, "%s%s: %s\n", indent, name, quote(k))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// quote writes the default as YAML.
func quote(k key) string {
	if k.list() {
		return yamlText(k, split(k.preset))
	}
	return yamlText(k, []string{k.preset})
}

// plain is what YAML reads as the text that it is; numbers and booleans too,
// as their keys want them.
var plain = regexp.MustCompile(`^[A-Za-z0-9./][A-Za-z0-9._/-]*$`)

func yamlText(k key, texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = text
		if !plain.MatchString(text) || k.list() {
			quoted[i] = strconv.Quote(text)
		}
	}
	if k.list() {
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	return strings.Join(quoted, "")
}

// wrap breaks a text between words into lines of at most width.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
