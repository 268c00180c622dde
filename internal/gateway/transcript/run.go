package transcript

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

var update = flag.Bool("update", false, "write into the transcripts what really came")

// Run plays each transcript that pattern names ("testdata/*.txt"), each on a
// server of its own.
//
// What stands at the left margin is prose. Indented lines are the transcript:
//
//	ann: POST /api/login {"email":"ann@example.org"}     a request, with a JSON body or none
//	-> 200 {"data":{"Token":"$ann"}}                     its answer, exactly
//	ann: GET /x [Accept: text/plain]                     headers follow the path
//	-> 200 [Vary: Origin] [Via: ] {…}                    an answer's headers, as far as they are named
//	ann has Authorization: Bearer $ann                   a header of all her requests from here on; empty for none
//	ann: connect /ws/connect?auth=$code [Origin: null]   opens a WebSocket; refused, the next line is ann! 401 {…}
//	ann: stream /ws/events?event=x                       opens a stream of server-sent events: id: 1 ⏎ data: {…}
//	ann> {"type":0}                                      she sends a text message
//	ann: send "\ufeff{}\n"                               the same, as a Go string
//	ann: binary "\x00"                                   a binary message
//	ann< {"type":1,"id":"$id1"}                          she receives one, exactly; binary "…" for a binary one
//	ann! close 4001 logged out                           the server ends the connection; "cut off" without a Close frame
//	ann: close 1000 bye                                  she ends it
//	ann: drop                                            her line breaks
//	later 61s                                            the clock of accounts and chats moves on
//	word …                                               one of Options.Words, or of those that all have (words.go)
//
// A name is lower-case letters and digits; each name has one connection, and
// may have another after that one ended. What the same client gets comes in the
// order of the lines; nothing else may come, to anybody.
//
// $name stands for a value that differs from run to run. Where it is new, it
// takes the word that stands there (letters, digits and . : + - _); from then on
// it is that word, and no other name can be: equal ids have equal names. Names
// that begin with "time" take an RFC 3339 time, and only times; $ms is any time
// in Unix milliseconds, each time another. $$ is a dollar sign.
//
// go test -update corrects the lines of what came (<, ! and ->), adds those that
// are missing, and names new values by their JSON key ($id1, $time2).
func Run(t *testing.T, pattern string, o Options) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcript is at %s (%v)", pattern, err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			failures, err := play(t.Context(), Start(t, o), o, name, *update)
			for _, f := range failures {
				t.Error(f)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// player plays one transcript.
type player struct {
	// static
	ctx    context.Context //nolint:containedctx // a player lives as long as its transcript is played
	o      Options
	s      *Server
	file   *file
	http   *http.Client
	update bool

	values   *values
	headers  map[string]http.Header // of a person's requests
	clients  map[string]*client
	answer   []event // not compared yet
	failures []string
}

// play plays the transcript in a file up to the first line that failed, and
// returns what was wrong there. err is for what could not be done at all.
func play(ctx context.Context, s *Server, o Options, name string, update bool) (failures []string, err error) {
	f, err := readFile(name)
	if err != nil {
		return nil, err
	}
	p := &player{
		ctx: ctx, o: o, s: s, file: f, http: &http.Client{Transport: &http.Transport{}}, update: update,
		values: newValues(o.Values, f.came()), headers: map[string]http.Header{}, clients: map[string]*client{},
	}
	p.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer func() {
		for _, c := range p.clients {
			c.cut()
		}
		p.http.CloseIdleConnections()
		if update {
			err = errors.Join(err, f.write())
		}
	}()
	for _, st := range f.steps {
		if err := p.step(st); err != nil {
			return nil, fmt.Errorf("%s:%d: %w\n\t%s", name, st.at+1, err, st.text)
		}
		if len(p.failures) > 0 {
			return p.failures, nil // what follows would only fail for the same reason
		}
	}
	return nil, nil
}

// step does what a line says, waits until all of it has happened, and compares
// what came with the lines below.
func (p *player) step(st step) error {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	text, err := p.values.expand(st.text)
	if err == nil {
		err = p.do(ctx, text)
	}
	if err == nil {
		err = p.settle(ctx)
	}
	if err != nil {
		return err
	}
	last := st.at
	for _, w := range st.wants {
		p.compare(ctx, w)
		last = w.at
	}
	for _, e := range p.answer {
		p.surplus(last, e, "")
	}
	p.answer = nil
	for _, who := range slices.Sorted(maps.Keys(p.clients)) {
		c := p.clients[who]
		c.mu.Lock()
		got := c.got
		c.got = nil
		c.mu.Unlock()
		for _, e := range got {
			p.surplus(last, e, who)
		}
		if c.isDone() {
			c.cut()
			delete(p.clients, who)
		}
	}
	return nil
}

func (p *player) settle(ctx context.Context) error {
	for _, wait := range []func(context.Context) error{p.reach, p.s.Settle, p.reach, p.part} {
		if err := wait(ctx); err != nil {
			return fmt.Errorf("the server does not come to rest: %w", err)
		}
	}
	return nil
}

func (p *player) reach(ctx context.Context) error {
	var err error
	for _, c := range p.clients {
		err = errors.Join(err, c.reach(ctx))
	}
	return err
}

// part waits until the server knows who has left.
func (p *player) part(ctx context.Context) error {
	open := 0
	for _, c := range p.clients {
		if c.isOpen() {
			open++
		} else if c.conn == nil && p.update {
			time.Sleep(100 * time.Millisecond) // a stream's lines, of which none stands in the file yet
		}
	}
	return p.s.noMoreThan(ctx, open)
}

// compare takes what should be w.
func (p *player) compare(ctx context.Context, w want) {
	var e event
	var came bool
	if w.who == "" {
		if came = len(p.answer) > 0; came {
			e, p.answer = p.answer[0], p.answer[1:]
		}
	} else if c := p.clients[w.who]; c != nil {
		if p.update {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, 2*time.Second) // what is not here is not meant to be
			defer cancel()
		}
		e, came = c.next(ctx)
	}
	got := ""
	if came {
		got = e.line(w.who, w.text)
	}
	if came && p.values.fits(w.text, got) {
		return
	}
	if p.update {
		if !came {
			p.file.drop(w.at)
			return
		}
		p.file.replace(w.at, p.values.describe(got))
		return
	}
	if got = p.values.describe(got); !came {
		got = "nothing"
	}
	p.fail(w.at, w.text, got)
}

// surplus is what came and is on no line.
func (p *player) surplus(at int, e event, who string) {
	got := p.values.describe(e.line(who, ""))
	if p.update {
		p.file.insert(at, got)
		return
	}
	p.fail(at, "nothing more", got)
}

func (p *player) fail(at int, want, got string) {
	p.failures = append(p.failures, fmt.Sprintf("%s:%d:\n\twant %s\n\tgot  %s", p.file.name, at+1, want, got))
}

// do does what a line says.
func (p *player) do(ctx context.Context, text string) error {
	if who, rest, ok := said(text, ": "); ok {
		return p.act(ctx, who, rest)
	}
	if who, rest, ok := said(text, "> "); ok {
		return p.send(ctx, who, websocket.MessageText, rest)
	}
	if who, rest, ok := said(text, " has "); ok {
		name, value, ok := strings.Cut(rest, ":")
		if !ok {
			return errors.New("write it as: ann has Header: value")
		}
		if p.headers[who] == nil {
			p.headers[who] = http.Header{}
		}
		if value = strings.TrimSpace(value); value == "" {
			p.headers[who].Del(name)
		} else {
			p.headers[who].Set(name, value)
		}
		return nil
	}
	word, rest, _ := strings.Cut(text, " ")
	for _, words := range []map[string]Word{p.o.Words, common} {
		if f := words[word]; f != nil {
			return f(ctx, &Scene{p.s.Core, p.values}, rest)
		}
	}
	if word == "later" {
		d, err := time.ParseDuration(rest)
		p.s.Later(d)
		return err
	}
	return errors.New("no line of a transcript begins like this")
}

// act does what somebody does.
func (p *player) act(ctx context.Context, who, text string) error {
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "connect", "stream":
		if p.clients[who] != nil {
			return fmt.Errorf("%s is connected already", who)
		}
		path, header, _ := splitRequest(rest)
		var c *client
		var err error
		if verb == "connect" {
			c, err = connect(ctx, p.s.URL+path, p.header(who, header))
		} else {
			c, err = stream(ctx, p.http, p.s.URL+path, p.header(who, header))
		}
		if err == nil {
			p.clients[who] = c
		}
		return err
	case "send", "binary":
		s, err := strconv.Unquote(rest)
		if err != nil {
			return fmt.Errorf("%s is not a Go string", rest)
		}
		kind := websocket.MessageText
		if verb == "binary" {
			kind = websocket.MessageBinary
		}
		return p.send(ctx, who, kind, s)
	case "close", "drop":
		return p.leave(who, verb, rest)
	}
	if verb == "" || strings.Trim(verb, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return fmt.Errorf("nobody knows how to %q", verb)
	}
	path, header, body := splitRequest(rest)
	a, err := request(ctx, p.http, verb, p.s.URL+path, p.header(who, header), body)
	if err == nil {
		p.answer = append(p.answer, event{mark: "-> ", http: a})
	}
	return err
}

func (p *player) leave(who, verb, rest string) error {
	c := p.clients[who]
	if c == nil {
		return fmt.Errorf("%s is not connected", who)
	}
	delete(p.clients, who)
	if verb == "drop" {
		c.cut()
		return nil
	}
	code, reason, _ := strings.Cut(rest, " ")
	if code == "" {
		code = "1000"
	}
	n, err := strconv.Atoi(code)
	if err != nil {
		return fmt.Errorf("%s is no close code", code)
	}
	return c.leave(websocket.StatusCode(n), reason)
}

func (p *player) send(ctx context.Context, who string, kind websocket.MessageType, text string) error {
	c := p.clients[who]
	if c == nil {
		return fmt.Errorf("%s is not connected", who)
	}
	return c.conn.Write(ctx, kind, []byte(text))
}

// header is what somebody's request has, with this one's own.
func (p *player) header(who string, own http.Header) http.Header {
	h := p.headers[who].Clone()
	if h == nil {
		h = http.Header{}
	}
	maps.Copy(h, own)
	return h
}

// file is a transcript as it stands in its file.
type file struct {
	name  string
	lines []string
	steps []step
	edits map[int][]string // what stands in the place of a line
}

// came are the lines of what comes: the names in them are given.
func (f *file) came() string {
	var b strings.Builder
	for _, st := range f.steps {
		for _, w := range st.wants {
			b.WriteString(w.text + "\n")
		}
	}
	return b.String()
}

func (f *file) write() error {
	if len(f.edits) == 0 {
		return nil
	}
	var b strings.Builder
	for i, line := range f.lines {
		edit, changed := f.edits[i]
		if !changed {
			edit = []string{line}
		}
		for _, l := range edit {
			b.WriteString(l + "\n")
		}
	}
	return os.WriteFile(f.name, []byte(b.String()), 0o644)
}

func (f *file) drop(at int)                 { f.edits[at] = []string{} }
func (f *file) replace(at int, line string) { f.edits[at] = []string{indent(f.lines[at]) + line} }
func (f *file) insert(at int, line string) {
	if _, changed := f.edits[at]; !changed {
		f.edits[at] = []string{f.lines[at]}
	}
	f.edits[at] = append(f.edits[at], indent(f.lines[at])+line)
}
