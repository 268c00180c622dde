package config

import (
	"sort"
	"strings"
)

// readEnviron reads the KABAR_ variables into settings by flag. One that is set to nothing counts as
// not set. Flags are all flags of all commands: a variable of another command
// is no mistake.
func readEnviron(environ []string, all []key, flags []string) (map[string]setting, Problems) {
	byName, known := map[string]key{}, []string{}
	for _, flag := range flags {
		byName[env(flag)] = key{flag: flag}
		known = append(known, env(flag))
	}
	for _, k := range all {
		byName[env(k.flag)] = k
		known = append(known, env(k.flag))
	}
	settings, problems := map[string]setting{}, Problems{}
	for _, line := range environ {
		name, text, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, "KABAR_") || text == "" {
			continue
		}
		k, ok := byName[name]
		if !ok {
			problems = append(problems, Problem{Where: name, Text: unknown("variable", name, known, " ", "unset it")})
			continue
		}
		texts := []string{text}
		if k.typ != nil { // else a flag that is no key: its command looks after it
			if k.list() {
				texts = split(text)
			}
			if err := k.check(texts); err != nil {
				problems = append(problems, Problem{Where: name, Key: k.path, Text: err.Error()})
				continue
			}
		}
		settings[k.flag] = setting{texts: texts, where: name}
	}
	sort.Slice(problems, func(i, j int) bool { return problems[i].Where < problems[j].Where })
	return settings, problems
}
