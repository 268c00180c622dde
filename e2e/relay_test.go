package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// app is the document's code at work: somebody who has logged in by a mailed
// code, with the document's socket open.
type app interface {
	user() int
	like(t *testing.T)                                  // the document's sending block
	send(t *testing.T, frame map[string]any)            // a frame beside it
	acked(t *testing.T, ref string) (ok bool)           // waits for what answers a frame with ref
	call(t *testing.T, path string, body any) answer    // a route of the dialect, as the app itself calls it
	updated(t *testing.T, text string) (message answer) // waits for the chatRoom to be told of a text
}

var mailedCode = regexp.MustCompile(`\b\d{6}\b`)

// mailed gives the newest code that was mailed to an address.
func (d *demo) mailed(t *testing.T, email string) string {
	t.Helper()
	a := must(t, 200, "GET", d.url("/v1/mail"), nil, "apikey", d.adminKey(t))
	messages, _ := a.at("messages").([]any)
	for _, m := range messages {
		if text, _ := dig(m, "text").(string); dig(m, "to") == email {
			return mailedCode.FindString(text)
		}
	}
	t.Fatalf("no code was mailed to %s: %s", email, a.text)
	return ""
}

// relaySnippets are relay's three blocks, as they are.
func relaySnippets(t *testing.T, swaps ...swap) map[string]string {
	t.Helper()
	return map[string]string{
		"relay.connect.js": snippet(t, "relay.connect.js", swaps...),
		"relay.send.js":    snippet(t, "relay.send.js"),
		"relay.handle.js":  snippet(t, "relay.handle.js"),
	}
}

// nodeApp is the app in Node.
type nodeApp struct {
	*process
	in      *lines
	id      int
	token   string
	answers int // that were asked for
}

// relayInNode runs the app in Node; ws is the package to connect by, "" for
// Node's own.
func (d *demo) relayInNode(t *testing.T, email, ws string, swaps ...swap) *nodeApp {
	t.Helper()
	script := around(t, "relay.node.js", relaySnippets(t, swaps...))
	a := &nodeApp{in: newLines(t)}
	a.process = start(t, command(tool(t, "node"), "--experimental-websocket", "--no-warnings", script, d.url(""), email, ws), a.in.feed)
	a.says(t, "mailed\n")
	a.in.write(t, d.mailed(t, email))
	m := a.sees(t, &a.out, `open (\d+) gen_app_auth_token=(\S+)\n`)
	a.id, _ = strconv.Atoi(m[1])
	a.token = m[2]
	return a
}

func (a *nodeApp) tell(t *testing.T, words ...any) {
	t.Helper()
	text, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	a.in.write(t, string(text))
}

func (a *nodeApp) user() int                               { return a.id }
func (a *nodeApp) like(t *testing.T)                       { t.Helper(); a.tell(t, "like") }
func (a *nodeApp) send(t *testing.T, frame map[string]any) { t.Helper(); a.tell(t, "send", frame) }

func (a *nodeApp) acked(t *testing.T, ref string) bool {
	t.Helper()
	text := a.sees(t, &a.out, `(?m)^(\{"type":"ack","ref":"`+ref+`".*)$`)[1]
	return strings.Contains(text, `"ok":true`)
}

func (a *nodeApp) call(t *testing.T, path string, body any) answer {
	t.Helper()
	a.tell(t, "call", path, body)
	a.answers++
	m := a.sees(t, &a.out, fmt.Sprintf(`(?s)^(?:.*?\nanswer ){%d}([^\n]*)\n`, a.answers))
	return read(t, m[1])
}

// read is an answer that something else got.
func read(t *testing.T, text string) answer {
	t.Helper()
	a := answer{text: text}
	if err := json.Unmarshal([]byte(text), &a.json); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return a
}

func (a *nodeApp) updated(t *testing.T, text string) (message answer) {
	t.Helper()
	a.await(t, "update with "+text, func() bool {
		for line := range strings.Lines(a.out.String()) {
			told, is := strings.CutPrefix(line, "update ")
			if is && strings.HasSuffix(told, "\n") {
				if message = read(t, told); message.at("chat", "text") == text {
					return true
				}
			}
		}
		return false
	})
	return message
}

// pageApp is the app in a page.
type pageApp struct {
	*tab
	id int
}

// relayInAPage opens the app in a browser, as a page of another port of
// localhost.
func (d *demo) relayInAPage(t *testing.T, email string) *pageApp {
	t.Helper()
	page, err := os.ReadFile(around(t, "relay.html", relaySnippets(t)))
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	}))
	t.Cleanup(site.Close)
	_, port, _ := strings.Cut(site.Listener.Addr().String(), ":")
	a := &pageApp{tab: open(t).tab(t, "http://localhost:"+port+"/?at="+d.url(""))}
	a.eval(t, "void signIn("+js(email)+")")
	a.becomes(t, `state.textContent === "mailed"`)
	a.eval(t, "void enter("+js(email)+","+js(d.mailed(t, email))+")")
	a.becomes(t, `state.textContent === "open"`)
	a.id, _ = strconv.Atoi(a.eval(t, "me"))
	return a
}

func (a *pageApp) user() int         { return a.id }
func (a *pageApp) like(t *testing.T) { t.Helper(); a.eval(t, "like()") }

func (a *pageApp) send(t *testing.T, frame map[string]any) {
	t.Helper()
	text, err := json.Marshal(frame)
	if err != nil {
		t.Fatal(err)
	}
	a.eval(t, "send("+string(text)+")")
}

func (a *pageApp) acked(t *testing.T, ref string) bool {
	t.Helper()
	found := `acks.find((a) => a.ref === ` + js(ref) + `)`
	a.becomes(t, found+" !== undefined")
	return a.eval(t, found+".ok") == "true"
}

func (a *pageApp) call(t *testing.T, path string, body any) answer {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	a.eval(t, "void ask("+js(path)+","+string(text)+")")
	a.becomes(t, `answer !== ""`)
	return read(t, a.eval(t, "answer"))
}

func (a *pageApp) updated(t *testing.T, text string) answer {
	t.Helper()
	found := `updates.find((m) => m.chat.text === ` + js(text) + `)`
	a.becomes(t, found+" !== undefined")
	return read(t, a.eval(t, "JSON.stringify("+found+")"))
}

// likes is how often the document's post is liked, and whether by the app.
func likes(t *testing.T, a app) (n int, mine bool) {
	t.Helper()
	got := a.call(t, "/x/posts", nil)
	posts, _ := got.at("data").([]any)
	for _, p := range posts {
		if dig(p, "id") == "pm2yig6go" {
			mine, _ = dig(p, "liked").(bool)
			return int(dig(p, "likes").(float64)), mine
		}
	}
	t.Fatalf("the document's post is not there: %s", got.text)
	return 0, false
}

// TestRelayDocument runs the document's code as it is printed: in Node, by npm's
// ws and in a page, at both addresses that the dialect has.
func TestRelayDocument(t *testing.T) { //nolint:tparallel // its parts share a server, one after the other
	t.Parallel()
	d := demonstrateAnywhere(t)
	node := d.relayInNode(t, "nina@example.com", "")
	page := d.relayInAPage(t, "putu@example.com")
	later := d.relayInNode(t, "siti@example.com", npm(t, "ws"), swap{"${socket_host}?id", "${socket_host}/socket?id"})
	for _, c := range []struct {
		name string
		app  app
	}{
		{"in Node", node}, {"in a page", page},
		{"by npm's ws", d.relayInNode(t, "wayan@example.com", npm(t, "ws"))},
		{"at /socket", later},
	} {
		t.Run(c.name, func(t *testing.T) { likesOnce(t, c.app) })
	}
	t.Run("two people talk", func(t *testing.T) { twoTalk(t, node, page) })
	t.Run("one of them on direct", func(t *testing.T) { oneOnDirect(t, d, node, page) })
}

// likesOnce sends the document's postlike, and then ten more.
func likesOnce(t *testing.T, a app) {
	t.Helper()
	before, mine := likes(t, a)
	if mine {
		t.Fatal("the post is liked already")
	}
	a.like(t)
	eventually(t, "the post should have one more like", func() error {
		if n, mine := likes(t, a); n != before+1 || !mine {
			return fmt.Errorf("it has %d, before it had %d; liked: %v", n, before, mine)
		}
		return nil
	})
	for range 10 {
		a.like(t)
	}
	// Frames are taken in order: when one more is durable, so are they.
	a.send(t, map[string]any{"type": "postlike", "postid": "pm2yig6go", "identifier": "kirimin", "ref": "last"})
	if !a.acked(t, "last") {
		t.Error("a postlike with ref was refused")
	}
	if n, mine := likes(t, a); n != before+1 || !mine {
		t.Errorf("after twelve postlikes there are %d likes, before there were %d; liked: %v", n, before, mine)
	}
}

// ok is call where the dialect must say OK.
func ok(t *testing.T, a app, path string, body any) answer {
	t.Helper()
	got := a.call(t, path, body)
	if got.at("ok") != true || got.at("code") != 200.0 || got.at("msg") != "OK" {
		t.Fatalf("%s: %s", path, got.text)
	}
	return got
}

// sayRelay sends a message by the dialect's route.
func sayRelay(t *testing.T, from, to app, text string) {
	t.Helper()
	ok(t, from, fmt.Sprintf("/x/room/sendMessage/user/%d", to.user()), map[string]string{"text": text})
}

// heardFrom wants the document's chatRoom to be told of a message.
func heardFrom(t *testing.T, a, from app, text string) {
	t.Helper()
	msg := a.updated(t, text)
	id := strconv.Itoa(from.user())
	if msg.at("type") != "sendmessage" || msg.at("from") != id || msg.at("chat", "userid") != id ||
		msg.at("chat", "type") != "text" || msg.at("sender", "id") != id || msg.at("roomdata", "id") != id || msg.at("key") == nil {
		t.Errorf("%q came as %s", text, msg.text)
	}
}

func twoTalk(t *testing.T, a, b app) {
	t.Helper()
	ok(t, a, "/x/profile/addfriend", map[string]string{"userid": strconv.Itoa(b.user())})
	ok(t, b, "/x/profile/acceptfriend", map[string]string{"userid": strconv.Itoa(a.user())})
	for i, text := range []string{"Halo!", `<b>&</b> "kutip"`, "🙂 \u2028 baris"} {
		sayRelay(t, a, b, text)
		heardFrom(t, b, a, text)
		back := fmt.Sprintf("jawaban %d", i)
		sayRelay(t, b, a, back)
		heardFrom(t, a, b, back)
	}
}

// oneOnDirect: the app in Node lays its socket aside and goes on by direct, with
// the login that it has.
func oneOnDirect(t *testing.T, d *demo, node *nodeApp, page *pageApp) {
	t.Helper()
	p := &person{s: d.server, id: node.id, token: node.token}
	s := p.connect(t, "")
	s.send(t, say(page.id, "dari direct", ""))
	heardFrom(t, page, node, "dari direct")
	sayRelay(t, page, node, "dari relay")
	if f := s.expect(t, 1); f.Data["message"] != "dari relay" || f.Data["from"] != float64(page.id) {
		t.Errorf("direct hears %v", f.Data)
	}
	heardFrom(t, node, page, "dari relay") // its relay socket is open still
	s.send(t, say(page.id, "dan lagi", ""))
	heardFrom(t, page, node, "dan lagi")
}

// bootstrap gives somebody's socket id.
func (p *person) bootstrap(t *testing.T) string {
	t.Helper()
	id, _ := p.bearer(t, 200, "GET", "/x/auth/isUser", nil).at("data", "socket", "id").(string)
	if len(id) < 22 { // 128 bits
		t.Fatalf("the socket id is %q", id)
	}
	return id
}

// bearer calls a route as the person.
func (p *person) bearer(t *testing.T, code int, method, path string, body any) answer {
	t.Helper()
	return must(t, code, method, p.s.url(path), body, "Authorization", "Bearer "+p.token)
}

// relay opens the person's relay socket.
func (p *person) relay(t *testing.T, query string) *socket {
	t.Helper()
	return dial(t, p.s.wsURL("/?id="+p.bootstrap(t)+query))
}

// errRefused is that a frame was not carried out.
var errRefused = errors.New("refused")

// asks sends a frame with a ref, and waits for its answer; the answer must be
// the next frame.
func (s *socket) asks(t *testing.T, kind, fields, ref string) error {
	t.Helper()
	s.send(t, fmt.Sprintf(`{"type":%s,"identifier":"kirimin","ref":%s%s}`, js(kind), js(ref), fields))
	a := read(t, s.next(t))
	if a.at("type") != "ack" || a.at("ref") != ref {
		t.Fatalf("instead of the answer to %s came %s", ref, a.text)
	}
	if a.at("ok") == true {
		return nil
	}
	return fmt.Errorf("%w: %v", errRefused, a.at("msg"))
}
