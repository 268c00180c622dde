package kabar_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/kabar-io/kabar/"

// Sets of packages, for the table.
var (
	core     = []string{"internal/account", "internal/chat", "internal/instance", "internal/hub", "internal/journal"}
	gateways = []string{
		"internal/gateway/direct", "internal/gateway/feed", "internal/gateway/events", "internal/gateway/relay", "internal/gateway/bot",
	}
)

// httpless do not know HTTP, nor what they import of ours.
var httpless = with(core, "internal/ws", "internal/sign", "internal/process", "internal/webhook", "internal/lifecycle", "internal/retention", "internal/personal")

// mayImport is the whole of who may import whom among our own packages: edges
// import the core, the core imports no edge, edges do not import each other.
// A package that is not here fails the test; so does an import that is not.
// Tests may import what they need.
var mayImport = map[string][]string{
	// Leaves.
	"internal/status": {},
	"internal/remote": {},
	"internal/ws":     {"internal/remote", "internal/status"},
	"internal/sign":   {},

	"internal/likeness": {},

	// The core, from the right to the left: each knows only what stands to its right.
	"internal/journal":  {"internal/status"},
	"internal/hub":      {"internal/journal", "internal/status"},
	"internal/account":  {"internal/hub", "internal/journal", "internal/remote", "internal/status"},
	"internal/instance": {"internal/hub", "internal/journal", "internal/status", "internal/likeness"},
	"internal/chat":     {"internal/account", "internal/hub", "internal/journal", "internal/status"},
	// It deletes from the journal, and knows of what is said only its topic.
	"internal/retention": {"internal/journal"},
	"internal/lifecycle": {"internal/account", "internal/chat", "internal/instance", "internal/hub", "internal/journal", "internal/status"},
	"internal/personal":  {"internal/account", "internal/chat", "internal/journal", "internal/status"},
	"internal/webhook":   {"internal/instance", "internal/hub", "internal/journal", "internal/status", "internal/sign"},
	"internal/process": {
		"internal/account", "internal/chat", "internal/instance", "internal/hub", "internal/journal", "internal/status", "internal/sign", "internal/likeness",
	},

	// Edges. gateway is the kit that the gateways and the API share; it is no dialect.
	"internal/store":          with(core, "internal/status", "internal/process", "internal/webhook", "internal/lifecycle", "internal/retention", "internal/personal", "internal/store/faultdisk", "internal/store/vfs"),
	"internal/gateway":        with(core, "internal/remote", "internal/status", "internal/ws", "internal/lifecycle", "internal/likeness"),
	"internal/gateway/direct": with(core, "internal/status", "internal/ws", "internal/gateway"),
	"internal/gateway/feed":   with(core, "internal/status", "internal/ws", "internal/gateway"),
	"internal/gateway/events": with(core, "internal/status", "internal/ws", "internal/gateway", "internal/webhook"),
	"internal/gateway/relay":  with(core, "internal/status", "internal/ws", "internal/gateway"),
	"internal/gateway/bot":    with(core, "internal/status", "internal/ws", "internal/gateway", "internal/process"),
	// Ways out of the server: what calls other hosts stands here, and nowhere else.
	"internal/outbound": {"internal/status", "internal/sign", "internal/process", "internal/webhook"},
	"internal/mail":     {},
	// Pages for people.
	"internal/console": with(core, "internal/status", "internal/gateway"),
	// Test support: a store with a journal, and a whole server around the gateway
	// under test. Nobody may import them but tests, whose imports are not looked at.
	"internal/store/storetest":    {"internal/journal", "internal/store"},
	"internal/store/faultdisk":    {"internal/store/vfs"},
	"internal/store/vfs":          {},
	"internal/gateway/transcript": with(core, "internal/status", "internal/ws", "internal/gateway", "internal/store", "internal/store/storetest"),

	"internal/api":    with(core, "internal/status", "internal/gateway", "internal/ws", "internal/process", "internal/webhook", "internal/mail", "internal/lifecycle", "internal/retention", "internal/personal", "internal/canary"),
	"internal/config": {"internal/likeness"},
	"internal/backup": {"internal/store"},

	// The checker stands outside the server: it knows only what travels over the wire.
	"internal/checker": {},
	// So does the simulator, whose tests hand it the server (cmd/kabar); it puts
	// its disk below SQLite.
	"internal/simulator": {"internal/store/vfs"},
	// So does the load, which measures it.
	"internal/load": {},

	// The canary stands inside, and comes in as a client does.
	"internal/canary": {"internal/gateway", "internal/hub", "internal/journal", "internal/status", "internal/ws"},

	// Programs.
	"cmd/kabar": with(slices.Concat(core, gateways), "internal/status", "internal/ws", "internal/gateway", "internal/store",
		"internal/api", "internal/config", "internal/backup", "internal/process", "internal/webhook", "internal/outbound", "internal/mail", "internal/console", "internal/sign",
		"internal/load", "internal/likeness", "internal/lifecycle", "internal/retention", "internal/personal", "internal/canary"),
	"cmd/kabar-checker": {"internal/checker"},
	"cmd/wsecho":        {"internal/ws"},
}

// A ban keeps an import out of some packages, and of what they import of ours.
type ban struct {
	imports string
	from    []string
	reason  string
}

var bans = []ban{
	{"net/http", httpless,
		"HTTP is an edge's word: a connection is handed to ws by the gateways, and the core is the same whatever the wire"},
	{"net/http/httptest", httpless,
		"it brings net/http"},
	{"encoding/json", []string{"internal/ws"},
		"ws carries frames; what is in them is the gateways' business"},
}

// A home is the only place of an import.
type home struct {
	imports string // and everything below it
	in      []string
	reason  string
}

var homes = []home{
	{"database/sql", []string{"internal/store"},
		"SQL is written once, behind the core's ports"},
	{"modernc.org/sqlite", []string{"internal/store", "internal/store/vfs"},
		"which database it is, is the store's secret, and of what tests put below it"},
	{"github.com/pressly/goose", []string{"internal/store"},
		"the schema belongs to the store"},
	{"github.com/alecthomas/kong", []string{"internal/config", "cmd/kabar", "cmd/kabar-checker", "cmd/wsecho"},
		"what a person can set is read in one place, and handed on as plain structs"},
	{"go.yaml.in/yaml/v3", []string{"internal/config", "internal/process"},
		"the configuration is read in one place, and so is a process"},
	{"github.com/expr-lang/expr", []string{"internal/process"},
		"what is evaluated is bounded there"},
	{"github.com/wneessen/go-mail", []string{"internal/mail"},
		"how a mail leaves is one package's business"},
	{"github.com/coder/websocket", []string{"internal/checker", "internal/load", "internal/canary", "internal/gateway/transcript", "cmd/kabar"},
		"the server's side of WebSocket is internal/ws; another's is for clients and tests"},
	{"github.com/gorilla/websocket", nil,
		"the server's side of WebSocket is internal/ws"},
}

func with(list []string, more ...string) []string {
	return slices.Concat(list, more)
}

func TestArchitecture(t *testing.T) {
	imports := readImports(t)
	for _, name := range slices.Sorted(maps.Keys(imports)) {
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("%s is not in the table of arch_test.go: say there what it may import", name)
			continue
		}
		for _, imported := range imports[name] {
			if own, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(allowed, own) {
				t.Errorf("%s must not import %s; it may import %s", name, own, strings.Join(allowed, ", "))
			}
			for _, h := range homes {
				if (imported == h.imports || strings.HasPrefix(imported, h.imports+"/")) && !slices.Contains(h.in, name) {
					t.Errorf("%s must not import %s: %s", name, imported, h.reason)
				}
			}
		}
	}
	for _, b := range bans {
		for _, name := range b.from {
			if way := wayTo(imports, name, b.imports, nil); way != nil {
				t.Errorf("%s must not import %s (by way of %s): %s", name, b.imports, strings.Join(way, " → "), b.reason)
			}
		}
	}
}

// TestTableHasNoCycle keeps the table itself honest: it is an order.
func TestTableHasNoCycle(t *testing.T) {
	table := map[string][]string{}
	for name, allowed := range mayImport {
		for _, own := range allowed {
			if _, known := mayImport[own]; !known {
				t.Errorf("%s may import %s, which is not in the table", name, own)
			}
			table[name] = append(table[name], module+own)
		}
	}
	for name := range table {
		for _, first := range table[name] {
			if way := wayTo(table, strings.TrimPrefix(first, module), module+name, nil); way != nil {
				t.Errorf("the table lets %s import itself by way of %s", name, strings.Join(way, " → "))
			}
		}
	}
}

// wayTo returns the packages of ours over which name comes to import target.
func wayTo(imports map[string][]string, name, target string, above []string) []string {
	way := append(slices.Clone(above), name)
	for _, imported := range imports[name] {
		if imported == target {
			return way
		}
		if own, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(above, own) {
			if found := wayTo(imports, own, target, way); found != nil {
				return found
			}
		}
	}
	return nil
}

// readImports reads what every package of ours imports outside its tests, for
// every system and build tag.
func readImports(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	for _, file := range sources(t, ".go") {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(filepath.ToSlash(file), "bench/") { // bench is a module of its own
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		name := path.Dir(filepath.ToSlash(file))
		if _, seen := imports[name]; !seen {
			imports[name] = nil // a package that imports nothing is one too
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err == nil && !slices.Contains(imports[name], imported) {
				imports[name] = append(imports[name], imported)
			}
		}
	}
	return imports
}

// sources lists our own files that end in one of the suffixes, without what
// tests are fed with and what others wrote.
func sources(t *testing.T, suffixes ...string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			name := entry.Name()
			if name == "testdata" || name == "node_modules" || name == "vendor" || strings.HasPrefix(name, ".") && name != "." {
				return filepath.SkipDir
			}
		case slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(file, s) }):
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("there is no file with %v here", suffixes)
	}
	return files
}
