package config

import (
	"errors"
	"strings"
	"testing"
)

func TestMistakesInTheFile(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		want       []string // a line each
	}{
		{"unknown key", "feed:\n  publsh: nobody\n", []string{"kabar.yaml:2:3: feed.publsh: there is no such key; the nearest is feed.publish. Write that, or take the line out."}},
		{"unknown section", "fed:\n  publish: nobody\n", []string{"kabar.yaml:1:1: fed: there is no such key; the nearest is feed."}},
		{"key without its section", "history: 5\n", []string{"kabar.yaml:1:1: history: there is no such key; the nearest is feed.history."}},
		{"key in another section", "direct: {history: 5}\n", []string{"kabar.yaml:1:10: direct.history: there is no such key; the nearest is feed.history."}},
		{"nothing near", "zzzzzzzzzzzz: 1\n", []string{"kabar.yaml:1:1: zzzzzzzzzzzz: there is no such key. Please take the line out; `kabar config default` lists all that exist."}},
		{"wrong type", "feed:\n  history: many\n", []string{`kabar.yaml:2:12: feed.history: "many" is not a whole number`}},
		{"wrong bool", "metrics: {public: maybe}", []string{`kabar.yaml:1:19: metrics.public: "maybe" is neither true nor false`}},
		{"list for one", "feed:\n  history: [1, 2]\n", []string{"kabar.yaml:2:12: feed.history: it is a list, but must be a whole number (lines)"}},
		{"section for one", "feed:\n  history: {lines: 2}\n", []string{"kabar.yaml:2:12: feed.history: it is a section with keys of its own, but must be a whole number (lines)"}},
		{"one for section", "feed: anyone\n", []string{`kabar.yaml:1:7: feed: this section is the single value "anyone", but must be keys with values, each on a line of its own: publish, history, frame`}},
		{"the file is a list", "- 1\n", []string{"kabar.yaml:1:1: the file is a list"}},
		{"section in a list", "listen:\n  - a: 1\n", []string{"kabar.yaml:2:5: listen: this item is a section with keys of its own, but must be one text"}},
		{"no value", "feed:\n  history:\n", []string{"kabar.yaml:2:11: feed.history: it has no value, but is a whole number (lines); write one, or take the line out for the default, 200"}},
		{"bad choice", "feed: {publish: anyon}", []string{`kabar.yaml:1:17: feed.publish: "anyon" is not nobody, accounts or anyone; did you mean anyone?`}},
		{"too small", "direct: {code_ttl: 10ms}", []string{"kabar.yaml:1:20: direct.code_ttl: 10ms is too small; the least it may be is 1s"}},
		{"too large", "feed: {history: 1000001}", []string{"kabar.yaml:1:17: feed.history: 1000001 is too large; the most it may be is 1000000"}},
		{"negative", "feed: {history: -1}", []string{"kabar.yaml:1:17: feed.history: -1 is too small; the least it may be is 0"}},
		{"duration without a unit", "keepalive: {ping: 25}", []string{`kabar.yaml:1:19: keepalive.ping: "25" is not a duration; write a number with its unit as 500ms, 25s, 15m, 24h or 7d`}},
		{"size in another unit", "hub: {ring: 64MB}", []string{`kabar.yaml:1:13: hub.ring: "64MB" is not a size`}},
		{"rate without a time", "limit: {logins: 60}", []string{`kabar.yaml:1:17: limit.logins: "60" is not a rate`}},
		{"item of a list", "listen:\n  - 127.0.0.1:1\n  - localhost\n", []string{`kabar.yaml:3:5: listen: "localhost" is not host:port; write it as 127.0.0.1:8080, [::1]:8080 or :8080`}},
		{"port", "listen: [':70000']", []string{`kabar.yaml:1:10: listen: ":70000" has no port that can be: it ends in a number from 0 to 65535`}},
		{"origin", "origins: ['*']", []string{`kabar.yaml:1:11: origins: "*" is not an origin`}},
		{"origin with a path", "origins: ['http://a/b']", []string{`origins: "http://a/b" is not an origin`}},
		{"event", "events: {names: [a b]}", []string{`kabar.yaml:1:18: events.names: "a b" is not an event name`}},
		{"no folder", `data: ""`, []string{"kabar.yaml:1:7: data: it is empty; name a folder, as ./kabar-data"}},
		{"secret", `admin: {key: "a b"}`, []string{"kabar.yaml:1:14: admin.key: it may only hold printable ASCII without blanks"}},
		{"twice", "feed:\n  history: 1\n  history: 2\n", []string{"kabar.yaml:3:3: feed.history: it stands here for the second time, the first is in line 2; take one of them out"}},
		{"section twice", "feed: {history: 1}\nlog: {}\nfeed: {frame: 2}\n", []string{"kabar.yaml:3:1: feed: it stands here for the second time, the first is in line 1"}},
		{"twice in two ways", "feed: {history: 1}\nfeed.history: 2\n", []string{"kabar.yaml:2:1: feed.history: it stands here for the second time, the first is in line 1"}},
		{"tab", "feed:\n\thistory: 1\n", []string{"kabar.yaml:2:1: this is not YAML: a tab stands here; indent with blanks"}},
		{"no YAML", "feed: {\n", []string{"kabar.yaml:", "this is not YAML: "}},
		{"two documents", "log: {}\n---\nfeed: {}\n", []string{"kabar.yaml:2:1: a second document begins here; one file is one configuration, take the --- out"}},
		{"do not fit", "keepalive: {dead: 20s}", []string{"kabar.yaml:1:19: keepalive.dead: 20s is not longer than keepalive.ping, 25s"}},
		{"all at once", "fed: 1\nlog:\n  levl: info\n  format: xml\n", []string{
			"kabar.yaml:1:1: fed: there is no such key; the nearest is feed",
			"kabar.yaml:3:3: log.levl: there is no such key; the nearest is log.level",
			`kabar.yaml:4:11: log.format: "xml" is not text or json`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := load("config check", nil, c.yaml)
			wantError(t, r, c.want)
			if s := load("serve", nil, c.yaml); r.err != nil && (s.err == nil || s.err.Error() != r.err.Error()) {
				t.Errorf("serve says %v", s.err)
			}
		})
	}
}

func TestMistakesElsewhere(t *testing.T) {
	for _, c := range []struct {
		name, args string
		environ    []string
		want       []string
	}{
		{"unknown variable", "serve", []string{"KABAR_FEED_PUBLIC=1"}, []string{"KABAR_FEED_PUBLIC: there is no such variable; the nearest is KABAR_FEED_PUBLISH. Write that, or unset it."}},
		{"wrong variable", "serve", []string{"KABAR_FEED_HISTORY=x"}, []string{`KABAR_FEED_HISTORY: feed.history: "x" is not a whole number`}},
		{"variable of a flag that is no key", "publish", []string{"KABAR_URLS=x"}, []string{"KABAR_URLS: there is no such variable; the nearest is KABAR_URL."}},
		{"unknown flag", "serve --fed-publish=nobody", nil, []string{"--fed-publish: there is no such flag; the nearest is --feed-publish."}},
		{"flag far from any", "serve --qqqqqqqq", nil, []string{"--qqqqqqqq: there is no such flag; --help lists all that exist."}},
		{"flag in another section", "serve --direct-history=1", nil, []string{"--direct-history: there is no such flag; the nearest is --"}},
		{"wrong flag", "serve --feed-history=x", nil, []string{`--feed-history: "x" is not a whole number`}},
		{"wrong duration", "serve --login-idle=1w", nil, []string{`--login-idle: "1w" is not a duration`}},
		{"wrong choice", "serve --feed-publish=all", nil, []string{`--feed-publish: "all" is not nobody, accounts or anyone`}},
		{"out of range", "serve --feed-history=-1", nil, []string{"--feed-history: -1 is too small; the least it may be is 0"}},
		{"wrong address", "serve --listen 8080", nil, []string{`--listen: "8080" is not host:port`}},
		{"same address twice", "serve --listen :8080,:8080", nil, []string{"--listen: :8080 is named twice"}},
		{"no folder", "serve --data=", nil, []string{"--data: it is empty"}},
		{"no file", "serve --config=gone.yaml", nil, []string{"gone.yaml: the configuration file cannot be read: file does not exist"}},
		{"unknown command", "serv", nil, []string{`unexpected argument serv, did you mean "serve"?`}},
		{"no command", "", nil, []string{`expected one of "serve"`}},
		{"all sources at once", "serve --fed-publish=1", []string{"KABAR_DATTA=1", "KABAR_LOG_LEVEL=loud"},
			[]string{"KABAR_DATTA: there is no such variable", "KABAR_LOG_LEVEL: log.level: ", "--fed-publish: "}},
		{"text longer than its frame", "serve --direct-text=5000", nil, []string{"--direct-text: 5000 does not fit into direct.frame, 4KiB"}},
		{"never a ping", "serve --keepalive-ping=0", nil, []string{"keepalive.dead: without keepalive.ping every quiet connection would be closed"}},
		{"no burst", "serve --limit-frame-burst=0", nil, []string{"--limit-frame-burst: with limit.frames on it must be 1 or more"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantError(t, load(c.args, c.environ, ""), c.want)
		})
	}
}

func wantError(t *testing.T, r *result, want []string) {
	t.Helper()
	var problems Problems
	if !errors.As(r.err, &problems) {
		t.Fatalf("got %v, want Problems", r.err)
	}
	for _, line := range want {
		if !strings.Contains(r.err.Error(), line) {
			t.Errorf("got\n%s\nwant\n%s", r.err, line)
		}
	}
	if len(problems) > len(want) {
		t.Errorf("one mistake is told more than once:\n%s", r.err)
	}
}

func TestSecretNotInErrors(t *testing.T) {
	r := load("serve", []string{"KABAR_ADMIN_KEY=top secret"}, "")
	if r.err == nil || strings.Contains(r.err.Error(), "top secret") {
		t.Error(r.err)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"feed.publish", "feed.history", "direct.frame", "feed", "data"}
	for name, want := range map[string]string{
		"feed.publsih": "feed.publish", "Feed.Publish": "feed.publish", "publish": "feed.publish", "dta": "data",
		"feed.frame": "direct.frame", "quite.other": "", "x": "",
	} {
		if got := nearest(name, known, "."); got != want {
			t.Errorf("nearest to %s is %q, want %q", name, got, want)
		}
	}
}
