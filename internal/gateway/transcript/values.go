package transcript

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"
)

// values are what differs from run to run, by the names that stand for it. A
// name stands for one value, and a value has one name: so that two ids are the
// same, or are not, is checked wherever they come. Only times, whose names
// begin with "time", may be equal under two names.
type values struct {
	of    map[string]string // the value of a name
	name  map[string]string // the first name of a value
	keys  map[string]string // which names -update gives, by JSON key
	taken string            // what comes in the file: new names are not in it
}

var standard = map[string]string{
	"id": "id", "ID": "id", "token": "token", "Token": "token", "websocketAuthCode": "code", "epoch": "epoch",
	"time": "time", "CreatedAt": "time", "createdAt": "time", "updatedAt": "time", "timestamp": "time",
}

func newValues(more map[string]string, file string) *values {
	v := &values{of: map[string]string{}, name: map[string]string{}, keys: maps.Clone(standard), taken: file}
	maps.Copy(v.keys, more)
	return v
}

const (
	word = `[\w.:+-]+`
	ms   = `[1-9]\d{12}` // a time in Unix milliseconds, from 2001 to 2286
)

var (
	placeholder = regexp.MustCompile(`\$(\$|[a-z][A-Za-z0-9]*)`)
	wordRE      = regexp.MustCompile(word)
	keyed       = regexp.MustCompile(`"(\w+)":"(` + word + `)"`)
	moment      = regexp.MustCompile(`":` + ms + `\b`)
)

// bind gives a value a name; false where that cannot be.
func (v *values) bind(name, value string) bool {
	if strings.HasPrefix(name, "time") {
		if _, err := time.Parse(time.RFC3339Nano, value); err != nil {
			return false
		}
	} else if other, known := v.name[value]; known && other != name {
		return false
	}
	v.set(name, value)
	return true
}

func (v *values) set(name, value string) {
	v.of[name] = value
	if _, known := v.name[value]; !known {
		v.name[value] = name
	}
}

// expand puts values in the place of their names.
func (v *values) expand(s string) (string, error) {
	var err error
	s = placeholder.ReplaceAllStringFunc(s, func(p string) string {
		if p == "$$" {
			return "$"
		}
		value, known := v.of[p[1:]]
		if !known {
			err = fmt.Errorf("nothing is known as %s here", p)
		}
		return value
	})
	return s, err
}

// fits says whether got is what want says, and remembers the values of names
// that are new in want.
func (v *values) fits(want, got string) bool {
	pattern, rest := "^", want
	var names []string
	for at := placeholder.FindStringSubmatchIndex(rest); at != nil; at = placeholder.FindStringSubmatchIndex(rest) {
		name := rest[at[2]:at[3]]
		pattern += regexp.QuoteMeta(rest[:at[0]])
		switch value, known := v.of[name]; {
		case name == "$":
			pattern += `\$`
		case name == "ms":
			pattern += ms
		case known:
			pattern += regexp.QuoteMeta(value)
		default:
			pattern += "(" + word + ")"
			names = append(names, name)
		}
		rest = rest[at[1]:]
	}
	found := regexp.MustCompile(pattern + regexp.QuoteMeta(rest) + "$").FindStringSubmatch(got)
	if found == nil {
		return false
	}
	for i, name := range names {
		if value, known := v.of[name]; known && value != found[i+1] || !v.bind(name, found[i+1]) {
			return false
		}
	}
	return true
}

// describe writes a line of what came with names for its values, new ones where the JSON
// key says that it has to be one.
func (v *values) describe(line string) string {
	mark, got, _ := strings.Cut(strings.ReplaceAll(line, "$", "$$"), " ")
	got = moment.ReplaceAllString(got, `":$$ms`)
	got = wordRE.ReplaceAllStringFunc(got, func(s string) string {
		if name, known := v.name[s]; known {
			return "$" + name
		}
		epoch, seq, _ := strings.Cut(s, ":") // a position
		if name, known := v.name[epoch]; known && seq != "" {
			return "$" + name + ":" + seq
		}
		return s
	})
	return mark + " " + keyed.ReplaceAllStringFunc(got, func(s string) string {
		parts := keyed.FindStringSubmatch(s)
		kind, is := v.keys[parts[1]]
		if !is || strings.Trim(parts[2], "0123456789") == "" {
			return s
		}
		if name, known := v.name[parts[2]]; known { // since earlier in this line
			return `"` + parts[1] + `":"$` + name + `"`
		}
		var name string
		for n := 1; ; n++ {
			name = fmt.Sprint(kind, n)
			if _, known := v.of[name]; !known && !regexp.MustCompile(`\$`+name+`\b`).MatchString(v.taken) {
				break
			}
		}
		if !v.bind(name, parts[2]) {
			return s
		}
		return `"` + parts[1] + `":"$` + name + `"`
	})
}
