package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A key is one thing that can be set, as its field's tags tell it.
type key struct {
	path    string // feed.publish
	flag    string // feed-publish
	section string // the title of its section, "" at the top
	help    string
	preset  string // the default, as it is written on the command line
	choice  []string
	form    string
	unit    string
	min     string
	max     string
	secret  bool
	typ     reflect.Type
	index   []int // where in a Config
}

// keys lists every key in the order of the fields.
func keys() []key {
	return keysOf(reflect.TypeFor[Config](), "", "", nil)
}

func keysOf(t reflect.Type, prefix, section string, at []int) []key {
	var all []key
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int(nil), at...), i)
		if _, embedded := f.Tag.Lookup("embed"); embedded {
			all = append(all, keysOf(f.Type, prefix+f.Tag.Get("prefix"), f.Tag.Get("group"), index)...)
			continue
		}
		if f.Name == "File" { // where the file is cannot stand in the file
			continue
		}
		k := key{
			flag: prefix + f.Tag.Get("name"), section: section, help: f.Tag.Get("help"),
			preset: f.Tag.Get("default"), form: f.Tag.Get("form"), unit: f.Tag.Get("unit"),
			min: f.Tag.Get("min"), max: f.Tag.Get("max"), typ: f.Type, index: index,
		}
		_, k.secret = f.Tag.Lookup("secret")
		if c := f.Tag.Get("choice"); c != "" {
			k.choice = strings.Split(c, ",")
		}
		name := strings.ReplaceAll(f.Tag.Get("name"), "-", "_")
		k.path = strings.ReplaceAll(strings.TrimSuffix(prefix, "-"), "-", "_") + "." + name
		k.path = strings.TrimPrefix(k.path, ".")
		all = append(all, k)
	}
	return all
}

// env returns the variable of a flag.
func env(flag string) string {
	return "KABAR_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// list says whether the key has several values.
func (k key) list() bool { return k.typ.Kind() == reflect.Slice }

// kind names the key's type, with its unit, for a person.
func (k key) kind() string {
	named := func(s string) string {
		if k.unit == "" {
			return s
		}
		return s + " (" + k.unit + ")"
	}
	switch {
	case k.choice != nil:
		n := len(k.choice) - 1
		return strings.Join(k.choice[:n], ", ") + " or " + k.choice[n]
	case k.list():
		return named("list")
	case k.typ == reflect.TypeFor[Size]():
		return "size (bytes)"
	case k.typ == reflect.TypeFor[Rate]():
		return "rate"
	case k.typ == reflect.TypeFor[Keep]():
		return "what to keep"
	case k.typ == reflect.TypeFor[time.Duration]():
		return "duration"
	case k.typ.Kind() == reflect.Bool:
		return "true or false"
	case k.typ.Kind() == reflect.Int:
		return named("whole number")
	}
	return named("text")
}

// placeholder stands in the help for the flag's value.
func (k key) placeholder() string {
	if k.choice != nil {
		return strings.Join(k.choice, "|")
	}
	if k.list() {
		return strings.ToUpper(strings.ReplaceAll(k.unit, " ", "-"))
	}
	word, _, _ := strings.Cut(k.kind(), " (")
	return strings.ToUpper(word[strings.LastIndex(word, " ")+1:])
}

// parse reads a text as a value of type t, a Config field's or a list's element.
func parse(t reflect.Type, text string) (any, error) {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return parseDuration(text)
	case reflect.TypeFor[Size]():
		var s Size
		err := s.UnmarshalText([]byte(text))
		return s, err
	case reflect.TypeFor[Rate]():
		var r Rate
		err := r.UnmarshalText([]byte(text))
		return r, err
	case reflect.TypeFor[Keep]():
		var k Keep
		err := k.UnmarshalText([]byte(text))
		return k, err
	case reflect.TypeFor[bool]():
		return parseBool(text)
	case reflect.TypeFor[int]():
		return parseInt(text)
	}
	return text, nil
}

// check says what is wrong with the texts of a key: one, or a list's elements.
func (k key) check(texts []string) error {
	for _, text := range texts {
		if form := forms[k.form]; form != nil {
			if err := form(text); err != nil {
				return err
			}
		}
		if k.list() {
			continue
		}
		v, err := parse(k.typ, text)
		if err != nil {
			return err
		}
		if err := k.inRange(v); err != nil {
			return err
		}
		if k.choice != nil && !slices.Contains(k.choice, text) {
			if near := nearest(text, k.choice, "."); near != "" {
				return fmt.Errorf("%q is not %s; did you mean %s?", text, k.kind(), near)
			}
			return fmt.Errorf("%q is not %s", text, k.kind())
		}
	}
	return nil
}

func (k key) inRange(v any) error {
	limit := func(text string, outside func(n, bound int64) bool, words string) error {
		if text == "" {
			return nil
		}
		bound, err := parse(k.typ, text)
		if err != nil {
			return err
		}
		if outside(number(v), number(bound)) {
			return fmt.Errorf("%s is too %s it may be is %s", format(v), words, text)
		}
		return nil
	}
	if err := limit(k.min, func(n, bound int64) bool { return n < bound }, "small; the least"); err != nil {
		return err
	}
	return limit(k.max, func(n, bound int64) bool { return n > bound }, "large; the most")
}

func number(v any) int64 {
	r := reflect.ValueOf(v)
	if r.CanInt() {
		return r.Int()
	}
	return 0
}

// format writes a value as the command line and the file take it.
func format(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return formatDuration(v)
	case bool:
		return strconv.FormatBool(v)
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(v)
}

// split parts a list as it is written in one text.
func split(text string) []string {
	var list []string
	for _, s := range strings.Split(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}
