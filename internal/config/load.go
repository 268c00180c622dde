package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Input is all that Load reads of the world.
type Input struct {
	Args    []string // without the program's name
	Environ []string // NAME=value, as os.Environ gives it
	Stdout  io.Writer
	Stderr  io.Writer
	// ReadFile reads the configuration file; nil is os.ReadFile.
	ReadFile func(name string) ([]byte, error)
}

// Defaulter is a command with defaults of its own for some keys, by path.
type Defaulter interface{ Defaults() map[string]string }

// ErrHelp says that help was asked for and has been printed.
var ErrHelp = errors.New("help was printed")

// Command is the command that was chosen, with its fields set.
type Command struct {
	*kong.Context
	// Values are the keys that the command has, in the order of Config.
	Values []Value
	// File is the configuration file that was read, "" without one.
	File string
	// Stdout is Input's.
	Stdout io.Writer
}

// Value is a key as it is in force.
type Value struct {
	Path string // feed.publish
	Text string // as the command line takes it; of a secret, whether it is set
	From string // default, kabar.yaml:3:1, KABAR_FEED_PUBLISH, --feed-publish
}

// Load sets the fields of the chosen command in grammar, a pointer to a struct
// of kong commands, from flags, environment, file and defaults. The error is a
// Problems with all that is wrong, or ErrHelp. Commands that embed neither
// Config nor Access read no file and no environment. Run of the result runs
// the command, with the *Command among what its Run may take.
func Load(grammar any, in Input, options ...kong.Option) (*Command, error) {
	l := &loader{in: in, keys: keys(), settings: map[string]setting{}}
	if l.in.ReadFile == nil {
		l.in.ReadFile = os.ReadFile
	}
	k, err := kong.New(grammar, append(l.options(), options...)...)
	if err != nil {
		return nil, fmt.Errorf("the grammar of the commands: %w", err)
	}
	presets(k.Model.Node, l.keys)
	if trace, err := kong.Trace(k, in.Args); err == nil {
		l.sources(trace)
	}
	ctx, err := k.Parse(in.Args)
	if errors.Is(err, ErrHelp) {
		return nil, ErrHelp
	}
	if err != nil {
		l.problems = append(l.problems, flagProblem(err))
	}
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	return l.finish(ctx)
}

type loader struct {
	in       Input
	keys     []key
	file     string
	settings map[string]setting // by flag: the environment's, else the file's
	problems Problems
}

func (l *loader) options() []kong.Option {
	decode := func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
		v, err := parse(target.Type(), text)
		if err == nil {
			target.Set(reflect.ValueOf(v))
		}
		return err
	}
	help := func(options kong.HelpOptions, ctx *kong.Context) error {
		return errors.Join(kong.DefaultHelpPrinter(options, ctx), ErrHelp)
	}
	describe := func(v *kong.Value) string {
		if v.Flag == nil || v.Name == "help" {
			return v.Help
		}
		return fmt.Sprintf("%s (%s)", v.Help, env(v.Name))
	}
	return []kong.Option{
		kong.Writers(l.in.Stdout, l.in.Stderr),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decode)),
		kong.TypeMapper(reflect.TypeFor[Size](), kong.MapperFunc(decode)),
		kong.TypeMapper(reflect.TypeFor[Rate](), kong.MapperFunc(decode)),
		kong.TypeMapper(reflect.TypeFor[Keep](), kong.MapperFunc(decode)),
		kong.TypeMapper(reflect.TypeFor[int](), kong.MapperFunc(decode)),
		kong.Help(help),
		kong.ValueFormatter(describe),
		kong.Resolvers(kong.ResolverFunc(l.resolve)),
	}
}

// presets puts the defaults of Defaulter commands in the place of those that
// the tags give, so that their help shows them too, and says in the help what
// kind of value each flag takes.
func presets(n *kong.Node, all []key) {
	own := map[string]string{}
	if d, ok := n.Target.Addr().Interface().(Defaulter); ok {
		own = d.Defaults()
	}
	for _, flag := range n.Flags {
		i := slices.IndexFunc(all, func(k key) bool { return k.flag == flag.Name })
		if i < 0 {
			continue
		}
		if text, ok := own[all[i].path]; ok {
			flag.Default, flag.HasDefault = text, text != ""
		}
		flag.PlaceHolder = all[i].placeholder()
		if flag.Default != "" {
			flag.Help += " Default: " + flag.Default + "."
		}
	}
	for _, child := range n.Children {
		presets(child, all)
	}
}

// sources reads environment and file, if the command has use for them.
func (l *loader) sources(trace *kong.Context) {
	command := trace.Selected()
	if command == nil {
		return
	}
	var named *kong.Flag
	for _, flag := range command.Flags {
		if flag.Name == "config" {
			named = flag
		}
	}
	if named == nil {
		return
	}
	environ, problems := readEnviron(l.in.Environ, l.keys, flagNames(trace.Model.Node))
	l.file = environ["config"].text()
	for _, step := range trace.Path {
		if step.Flag == named {
			l.file, _ = trace.FlagValue(named).(string)
		}
	}
	if l.file != "" {
		content, err := l.in.ReadFile(l.file)
		if err != nil {
			l.problems = append(l.problems, Problem{Where: l.file, Text: "the configuration file cannot be read: " + cause(err)})
		}
		var wrong Problems
		l.settings, wrong = readFile(l.file, content, l.keys)
		l.problems = append(l.problems, wrong...)
	}
	l.problems = append(l.problems, problems...)
	for flag, s := range environ {
		l.settings[flag] = s
	}
}

// cause is the error without the file's name, which the problem has already.
func cause(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

func (s setting) text() string { return strings.Join(s.texts, ",") }

func (l *loader) resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	s, ok := l.settings[flag.Name]
	switch {
	case !ok:
		return nil, nil
	case flag.IsSlice():
		list := make([]any, len(s.texts))
		for i, text := range s.texts {
			list[i] = text
		}
		return list, nil
	case flag.IsBool():
		return parseBool(s.text())
	}
	return s.text(), nil
}

func flagNames(n *kong.Node) []string {
	var names []string
	for _, flag := range n.Flags {
		if flag.Name != "help" {
			names = append(names, flag.Name)
		}
	}
	for _, child := range n.Children {
		names = append(names, flagNames(child)...)
	}
	return names
}

// flagProblem puts kong's words for a wrong command line into ours.
func flagProblem(err error) Problem {
	text := err.Error()
	rest, isFlag := strings.CutPrefix(text, "unknown flag --")
	var parse *kong.ParseError
	if !isFlag || !errors.As(err, &parse) || parse.Context == nil {
		if where, what, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(where, "--") {
			return Problem{Where: where, Text: what}
		}
		return Problem{Text: text}
	}
	name, _, _ := strings.Cut(rest, ",")
	var known []string
	for _, flags := range parse.Context.Flags() {
		known = append(known, "--"+flags.Name)
	}
	near := nearest("--"+name, known, "-")
	if near == "" {
		return Problem{Where: "--" + name, Text: "there is no such flag; --help lists all that exist."}
	}
	return Problem{Where: "--" + name, Text: fmt.Sprintf("there is no such flag; the nearest is %s.", near)}
}

// finish checks what the flags said, settles what keys decide about others,
// checks how keys fit each other, and notes where each came from.
func (l *loader) finish(ctx *kong.Context) (*Command, error) {
	targets := map[string]reflect.Value{}
	for _, flag := range ctx.Flags() {
		targets[flag.Name] = flag.Target
	}
	from := l.origins(ctx, targets)
	if command, ok := ctx.Selected().Target.Addr().Interface().(interface{ Server() *Config }); ok {
		l.settle(command.Server(), from)
	}
	c := &Command{Context: ctx, File: l.file, Stdout: l.in.Stdout}
	for _, k := range l.keys {
		if target, ok := targets[k.flag]; ok {
			c.Values = append(c.Values, Value{Path: k.path, Text: k.show(target), From: from[k.path]})
		}
	}
	ctx.Bind(c)
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// origins says of each key by path where it came from, and checks the flags
// that were given: what the other sources said has been checked before.
func (l *loader) origins(ctx *kong.Context, targets map[string]reflect.Value) map[string]string {
	given := map[string]bool{}
	for _, step := range ctx.Path {
		if step.Flag != nil && !step.Resolved {
			given[step.Flag.Name] = true
		}
	}
	from := map[string]string{}
	for _, k := range l.keys {
		target, ok := targets[k.flag]
		if !ok {
			continue
		}
		from[k.path] = "default"
		if given[k.flag] {
			from[k.path] = "--" + k.flag
			if err := k.check(textsOf(target)); err != nil {
				l.problems = append(l.problems, Problem{Where: from[k.path], Text: err.Error()})
			}
		} else if s, set := l.settings[k.flag]; set {
			from[k.path] = s.where
		}
	}
	return from
}

// settle carries out what keys decide about others, and gathers those that do
// not fit each other.
func (l *loader) settle(c *Config, from map[string]string) {
	c.settle()
	for path := range from {
		if c.Limits == "off" && strings.HasPrefix(path, "limit.") {
			from[path] = "limits: off"
		}
	}
	for _, p := range c.conflicts() {
		switch where := from[p.Key]; {
		case strings.HasPrefix(where, "--"): // the flag names the key
			p.Where, p.Key = where, ""
		case where != "default":
			p.Where = where
		}
		l.problems = append(l.problems, p)
	}
}

func textsOf(v reflect.Value) []string {
	if list, ok := v.Interface().([]string); ok {
		return list
	}
	return []string{format(v.Interface())}
}

func (k key) show(v reflect.Value) string {
	if !k.secret {
		return yamlText(k, textsOf(v))
	}
	if v.IsZero() {
		return `""`
	}
	return "(set, not shown)"
}
