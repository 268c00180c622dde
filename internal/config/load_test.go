package config

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// grammar is as the program's: two servers, one with defaults of its own, a
// command that only reaches a server, one that needs nothing, and config's.
type grammar struct {
	Serve   serveCmd   `cmd:"" help:"Serve."`
	Demo    demoCmd    `cmd:"" help:"Try it out."`
	Publish publishCmd `cmd:"" help:"Publish."`
	Config  Commands   `cmd:"" help:"The configuration."`
	Version struct{}   `cmd:"" help:"The version."`
}

type serveCmd struct {
	Config `embed:""`
}

type demoCmd struct {
	Config `embed:""`
}

func (demoCmd) Defaults() map[string]string { return DemoDefaults() }

type publishCmd struct {
	Access `embed:""`
	URL    string   `name:"url" help:"Where."`
	Text   []string `arg:"" optional:"" help:"What."`
}

type result struct {
	grammar
	command *Command
	out     string
	err     error
}

// load runs Load on a command line, variables and, where it is not empty, a
// file kabar.yaml.
func load(args string, environ []string, content string) *result {
	r := &result{}
	var out bytes.Buffer
	in := Input{
		Args: strings.Fields(args), Environ: append([]string{"HOME=/nowhere"}, environ...), Stdout: &out, Stderr: &out,
		ReadFile: func(name string) ([]byte, error) {
			if name != "kabar.yaml" {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
			return []byte(content), nil
		},
	}
	if content != "" {
		in.Environ = append(in.Environ, "KABAR_CONFIG=kabar.yaml")
	}
	if r.command, r.err = Load(&r.grammar, in, kong.Bind(Files(func(*Config) error { return nil }))); r.err == nil && r.command.Selected().Parent.Name == "config" {
		r.err = r.command.Run()
	}
	r.out = out.String()
	return r
}

func (r *result) from(path string) string {
	for _, v := range r.command.Values {
		if v.Path == path {
			return v.From
		}
	}
	return ""
}

func TestPrecedence(t *testing.T) {
	const yaml = "feed:\n  publish: nobody\n"
	variable := []string{"KABAR_FEED_PUBLISH=anyone"}
	for _, c := range []struct {
		name, args string
		environ    []string
		yaml       string
		want, from string
	}{
		{"default", "serve", nil, "", "accounts", "default"},
		{"file", "serve", nil, yaml, "nobody", "kabar.yaml:2:12"},
		{"file with dots", "serve", nil, "feed.publish: nobody", "nobody", "kabar.yaml:1:15"},
		{"environment", "serve", variable, "", "anyone", "KABAR_FEED_PUBLISH"},
		{"empty variable", "serve", []string{"KABAR_FEED_PUBLISH="}, "", "accounts", "default"},
		{"environment over file", "serve", variable, yaml, "anyone", "KABAR_FEED_PUBLISH"},
		{"flag over default", "serve --feed-publish=nobody", nil, "", "nobody", "--feed-publish"},
		{"flag over file", "serve --feed-publish accounts", nil, yaml, "accounts", "--feed-publish"},
		{"flag over all", "serve --feed-publish=accounts", variable, yaml, "accounts", "--feed-publish"},
		{"flag names the file", "serve --config=kabar.yaml", nil, yaml, "nobody", "kabar.yaml:2:12"},
		{"flag as by default", "serve --feed-publish=accounts", nil, "", "accounts", "--feed-publish"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := load(c.args, c.environ, c.yaml)
			if r.err != nil {
				t.Fatal(r.err)
			}
			if got := r.Serve.Feed.Publish; got != c.want {
				t.Errorf("feed.publish is %q, want %q", got, c.want)
			}
			if got := r.from("feed.publish"); got != c.from {
				t.Errorf("it came from %q, want %q", got, c.from)
			}
		})
	}
}

func TestEveryTypeFromEverySource(t *testing.T) {
	want := func(t *testing.T, r *result) {
		t.Helper()
		if r.err != nil {
			t.Fatal(r.err)
		}
		c := r.Serve.Config
		if len(c.Listen) != 2 || c.Listen[1] != "[::1]:9" || len(c.Origins) != 2 || c.Origins[1] != "null" ||
			c.Session.Queue != 1<<20 || c.Login.Idle != 3*day || c.Feed.History != 7 || !c.Metrics.Public ||
			c.Limit.WrongPasswords != (Rate{N: 3, Per: time.Hour}) || c.Admin.Key != "k3y" {
			t.Errorf("got %+v", c)
		}
	}
	want(t, load("serve --listen :1 --listen [::1]:9 --origins=http://localhost:*,null --session-queue=1MiB --login-idle 3d "+
		"--feed-history=7 --metrics-public --limit-wrong-passwords=3/h --admin-key k3y", nil, ""))
	want(t, load("serve", []string{"KABAR_LISTEN=:1, [::1]:9", "KABAR_ORIGINS=http://localhost:*,null", "KABAR_SESSION_QUEUE=1MiB",
		"KABAR_LOGIN_IDLE=3d", "KABAR_FEED_HISTORY=7", "KABAR_METRICS_PUBLIC=yes", "KABAR_LIMIT_WRONG_PASSWORDS=3/h", "KABAR_ADMIN_KEY=k3y"}, ""))
	want(t, load("serve", nil, `
listen: &two [":1", "[::1]:9"]
origins:
  - http://localhost:*
  - null
session: {queue: 1MiB}
login: {idle: 72h}
feed: {history: 7}
metrics: {public: true}
limit: {wrong_passwords: 3/1h}
admin: {key: k3y}
log:
`))
}

func TestDefaults(t *testing.T) {
	r := load("serve", nil, "")
	if r.err != nil {
		t.Fatal(r.err)
	}
	c := r.Serve.Config
	if len(c.Listen) != 1 || c.Data != "./kabar-data" || c.Limit.Frames.PerSecond() != 200 || c.Limit.Connections != 2000 ||
		c.Direct.Text != 800 || c.Feed.Frame != 4096 || c.Login.Idle != 168*time.Hour || c.Ref.Count != 1000 || len(c.Origins) != 0 {
		t.Errorf("got %+v", c)
	}

	r = load("demo", nil, "")
	if r.err != nil {
		t.Fatal(r.err)
	}
	c = r.Demo.Config
	if len(c.Listen) != 8 || c.Data != "" || len(c.Origins) != 4 || c.Feed.Publish != "anyone" || c.Limit.Logins.N != 0 ||
		c.Limit.WrongPasswords.N != 10 || c.Limit.Connections != 0 {
		t.Errorf("got %+v", c)
	}
	if r = load("demo --listen :1", []string{"KABAR_DATA=x"}, "feed: {publish: nobody}"); r.err != nil {
		t.Fatal(r.err)
	}
	if c = r.Demo.Config; len(c.Listen) != 1 || c.Data != "x" || c.Feed.Publish != "nobody" {
		t.Errorf("demo's defaults win over what was set: %+v", c)
	}
}

func TestLimitsOff(t *testing.T) {
	r := load("serve --limits=off", nil, "limit: {frames: 5/s}")
	if r.err != nil {
		t.Fatal(r.err)
	}
	if r.Serve.Limit != (Limit{}) {
		t.Errorf("got %+v", r.Serve.Limit)
	}
	if r.Serve.Direct.Frame == 0 || r.Serve.Session.Queue == 0 {
		t.Error("limits: off took the sizes away too")
	}
	if got := r.from("limit.frames"); got != "limits: off" {
		t.Errorf("limit.frames came from %q", got)
	}
}

func TestCommandsWithoutConfiguration(t *testing.T) {
	if r := load("version", []string{"KABAR_NONSENSE=1"}, "nonsense: 1"); r.err != nil {
		t.Error(r.err)
	}
	r := load("publish feed hello", []string{"KABAR_URL=http://h", "KABAR_FEED_PUBLISH=nobody"}, "admin: {key: k}\nlisten: [':7']\n")
	if r.err != nil {
		t.Fatal(r.err)
	}
	if p := r.Publish; p.Admin.Key != "k" || p.Listen[0] != ":7" || p.URL != "http://h" || len(p.Text) != 2 {
		t.Errorf("got %+v", p)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"--help", "serve --help", "demo --help", "config --help"} {
		r := load(args, nil, "not: {a: configuration}")
		if !errors.Is(r.err, ErrHelp) {
			t.Errorf("%s: %v", args, r.err)
		}
	}
	help := strings.Join(strings.Fields(load("demo --help", nil, "").out), " ")
	for _, want := range []string{"The feed gateway", "--feed-publish=nobody|accounts|anyone Who may speak on the feed. Default: anyone. (KABAR_FEED_PUBLISH)",
		"--feed-frame=SIZE", "[::1]:5050"} {
		if !strings.Contains(help, want) {
			t.Errorf("the help has no %q:\n%s", want, help)
		}
	}
}

func TestPrint(t *testing.T) {
	r := load("config print --feed-history=9", []string{"KABAR_ADMIN_KEY=very-secret"}, "log: {level: debug}")
	if r.err != nil {
		t.Fatal(r.err)
	}
	for _, want := range []string{"feed.history: 9 ", "# --feed-history", "log.level: debug ", "# kabar.yaml:1:14",
		"admin.key: (set, not shown) ", "# KABAR_ADMIN_KEY", `listen: ["127.0.0.1:8080"] `, "limit.frames: 200/s "} {
		if !strings.Contains(r.out, want) {
			t.Errorf("there is no %q in\n%s", want, r.out)
		}
	}
	if strings.Contains(r.out, "very-secret") {
		t.Error("the secret is shown")
	}
	// What it prints of keys that are not secret is a configuration again.
	if again := load("config check", nil, strings.ReplaceAll(r.out, "(set, not shown)", `""`)); again.err != nil {
		t.Errorf("%v\n%s", again.err, r.out)
	}
}

func TestDefaultFileIsTheDefaults(t *testing.T) {
	printed := load("config default", []string{"KABAR_NONSENSE=1"}, "")
	if printed.err != nil {
		t.Fatal(printed.err)
	}
	r := load("config check", nil, printed.out)
	if r.err != nil {
		t.Fatalf("%v\n%s", r.err, printed.out)
	}
	if r.out != "OK: kabar.yaml\n" {
		t.Errorf("config check said %q", r.out)
	}
	none := load("config print", nil, "")
	for i, v := range load("config print", nil, printed.out).command.Values {
		if !strings.HasPrefix(v.From, "kabar.yaml:") {
			t.Errorf("%s is not in the default file", v.Path)
		}
		if want := none.command.Values[i]; v.Text != want.Text {
			t.Errorf("%s is %s in the default file, and by default %s", v.Path, v.Text, want.Text)
		}
	}
	for i, line := range strings.Split(printed.out, "\n") {
		if len(line) > 100 {
			t.Errorf("line %d has %d characters", i+1, len(line))
		}
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	flags := map[string]bool{}
	for _, flag := range load("serve", nil, "").command.Flags() {
		flags[flag.Name] = true
	}
	paths := map[string]bool{}
	for _, k := range keys() {
		if !flags[k.flag] {
			t.Errorf("%s: --%s is no flag", k.path, k.flag)
		}
		if paths[k.path] || k.help == "" || k.kind() == "" || strings.Contains(k.path, "-") {
			t.Errorf("%+v", k)
		}
		paths[k.path] = true
		if strings.Contains(k.path, ".") && k.section == "" {
			t.Errorf("%s: its section has no title", k.path)
		}
		texts := []string{k.preset}
		if k.list() {
			texts = split(k.preset)
		}
		if err := k.check(texts); err != nil {
			t.Errorf("%s: its default: %v", k.path, err)
		}
	}
	for path := range DemoDefaults() {
		if !paths[path] {
			t.Errorf("the demo sets %s, which is no key", path)
		}
	}
}
