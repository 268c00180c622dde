package e2e

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// gatewayNames are the panels of /try, in their order.
var gatewayNames = []string{"relay", "direct", "bot", "feed", "events"}

// tryOut starts a demo on a free port, or on one that was used before.
func tryOut(t *testing.T, listen, data string) *demo {
	t.Helper()
	d := &demo{server: &server{}}
	d.process = start(t, command(kabar, "demo", "--listen", listen, "--data", data))
	d.data = data
	d.ann, d.budi = d.named(t, "ann"), d.named(t, "budi")
	d.sees(t, &d.out, `(?m)^  a notice .*\n`) // the guide is whole
	d.token = d.guideLine(t, "token")
	u, err := url.Parse(d.guideLine(t, "ann's page"))
	if err != nil {
		t.Fatal(err)
	}
	d.addr = u.Host
	t.Cleanup(func() { d.stop(t) })
	return d
}

// panel is one of the five, on somebody's page.
type panel struct {
	*tab
	id string
}

func (p *tab) panel(id string) panel { return panel{p, id} }

// shows waits for a line of a kind (in, out, note, bad) that holds texts.
func (p panel) shows(t *testing.T, kind string, texts ...string) {
	t.Helper()
	p.becomes(t, p.lines(kind, texts...)+` > 0`)
}

func (p panel) lines(kind string, texts ...string) string {
	holds := []string{"true"}
	for _, text := range texts {
		holds = append(holds, `e.textContent.includes(`+js(text)+`)`)
	}
	return `[...document.querySelectorAll("#` + p.id + ` .log li.` + kind + `")].filter(e => ` + strings.Join(holds, " && ") + `).length`
}

// says writes into the panel's field and sends it.
func (p panel) says(t *testing.T, text string) {
	t.Helper()
	p.write(t, "#"+p.id+"-say input:last-of-type", text, "#"+p.id+"-say button")
}

// chooses takes an entry of a list by what it shows.
func (p *tab) chooses(t *testing.T, id, text string) {
	t.Helper()
	const entry = `[...document.getElementById(%[1]s).options].find(o => o.textContent === %[2]s)`
	p.becomes(t, fmt.Sprintf(entry, js(id), js(text)))
	p.eval(t, fmt.Sprintf(`(() => { const s = document.getElementById(%[1]s); s.value = `+entry+`.value; s.dispatchEvent(new Event("change")); })()`, js(id), js(text)))
}

// state waits until panels are in a state.
func (p *tab) state(t *testing.T, state string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		p.becomes(t, `document.getElementById(`+js(id)+`).dataset.state === `+js(state))
	}
}

// enters opens /try by a link of the guide, logs in with what it has filled in,
// and connects everything.
func (d *demo) enters(t *testing.T, b *browser, name string) *tab {
	t.Helper()
	p := b.tab(t, d.guideLine(t, name+"'s page"))
	p.becomes(t, `document.body.dataset.ready`)
	if left := p.eval(t, `location.href`); strings.Contains(left, "#") {
		t.Errorf("the address still holds %s", left)
	}
	p.do(t, chromedp.Click(chromedp.CSS("#log-in")))
	p.becomes(t, `document.getElementById("me-name").textContent === `+js(name))
	if left := p.eval(t, `document.getElementById("login-password").value`); left != "" {
		t.Error("the password still stands in its field")
	}
	p.do(t, chromedp.Click(chromedp.CSS("#all")))
	p.state(t, "open", gatewayNames...)
	return p
}

// TestTry: two people on /try, in one browser under two host names. Each panel
// connects, and something goes each way over each of them.
func TestTry(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	d := tryOut(t, "127.0.0.1:0", data)
	b := open(t)
	ann, budi := d.enters(t, b, "ann"), d.enters(t, b, "budi")
	t.Run("relay and direct", func(t *testing.T) { tryPeople(t, ann, budi) })
	t.Run("bot", func(t *testing.T) { tryBot(t, ann, budi) })
	t.Run("feed and events", func(t *testing.T) { tryStreams(t, ann, budi) })
	t.Run("an address to copy", func(t *testing.T) { d.tryCopy(t, ann) })
	t.Run("raw", func(t *testing.T) { tryRaw(t, ann) })
	for name, p := range map[string]*tab{"ann": ann, "budi": budi} {
		if log := p.logged(); log != "" {
			t.Errorf("%s's page logged:\n%s", name, log)
		}
	}
	d.tryAgain(t, budi)
	t.Run("logging out", func(t *testing.T) { tryLogout(t, budi) })
}

func tryPeople(t *testing.T, ann, budi *tab) {
	t.Helper()
	ann.chooses(t, "relay-chat", "budi")
	budi.chooses(t, "relay-chat", "ann")
	ann.chooses(t, "direct-to", "budi")
	budi.chooses(t, "direct-to", "ann")

	// What is said over one is heard over both.
	ann.panel("relay").says(t, "Halo lewat relay <b>")
	ann.panel("relay").shows(t, "out", "You → budi", "Halo lewat relay <b>", "stored")
	budi.panel("relay").shows(t, "in", "ann", "Halo lewat relay <b>")
	budi.panel("direct").shows(t, "in", "ann", "Halo lewat relay <b>")
	budi.panel("relay").shows(t, "note", "ann is typing")
	budi.panel("direct").shows(t, "note", "ann is typing")
	budi.panel("direct").says(t, "Halo juga")
	budi.panel("direct").shows(t, "out", "You → ann", "Halo juga", "stored")
	ann.panel("direct").shows(t, "in", "budi", "Halo juga")
	ann.panel("relay").shows(t, "in", "budi", "Halo juga")

	ann.do(t, chromedp.Click(chromedp.CSS("#direct-read")))
	budi.panel("direct").shows(t, "note", "ann has read it")
	budi.panel("relay").shows(t, "note", "ann has read it")

	ann.chooses(t, "relay-chat", "Warung")
	ann.panel("relay").shows(t, "note", "Earlier, with Warung")
	ann.panel("relay").says(t, "Siapa ikut?")
	budi.panel("relay").shows(t, "in", "ann · Warung", "Siapa ikut?")

	ann.do(t, chromedp.Click(chromedp.CSS("#relay-like")))
	ann.panel("relay").shows(t, "out", "You like a post", "done")
	for _, p := range []*tab{ann, budi} {
		p.panel("relay").shows(t, "note", "One person likes pm2yig6go")
	}
	ann.becomes(t, `document.getElementById("relay-likes").textContent === "1" && document.getElementById("relay-like").ariaPressed === "true"`)

	// What is refused is said in words, and the connection stays.
	ann.eval(t, `document.getElementById("direct-text").value = "x".repeat(900)`)
	ann.do(t, chromedp.Click(chromedp.CSS("#direct-say button")))
	ann.panel("direct").shows(t, "bad", "too long")
	ann.panel("direct").shows(t, "lost", "not sent")
	ann.state(t, "open", "direct")
}

func tryBot(t *testing.T, ann, budi *tab) {
	t.Helper()
	for _, said := range [][2]string{{"Hai!", "Halo!"}, {"Bagaimana kabarmu?", "Hebat! Bagaimana denganmu?"}, {"Hai", "Hai"}} {
		ann.write(t, "#bot-inputs label input", said[0], "#bot-say button")
		ann.panel("bot").shows(t, "out", "You", said[0])
		ann.panel("bot").shows(t, "in", "chatbot", said[1])
	}
	for _, p := range []*tab{ann, budi} {
		p.eval(t, `(() => { const e = document.getElementById("bot-endpoint"); e.value = "/roomchat"; e.dispatchEvent(new Event("change")); })()`)
		p.becomes(t, `document.querySelector("#bot-inputs input").name === "text"`)
	}
	ann.state(t, "open", "bot")
	budi.state(t, "open", "bot")
	budi.panel("bot").shows(t, "note", "Connected")
	ann.do(t, chromedp.Click(chromedp.CSS("#bot-typing")))
	ann.panel("bot").shows(t, "out", "You type")
	budi.panel("bot").shows(t, "in", "event: Typing", "author: ann")
	ann.write(t, "#bot-inputs label input", "Halo kamar", "#bot-say button")
	budi.panel("bot").shows(t, "in", "author: ann", "text: Halo kamar")
}

func tryStreams(t *testing.T, ann, budi *tab) {
	t.Helper()
	ann.panel("feed").says(t, "Halo semua, dari /try")
	ann.panel("feed").shows(t, "out", "You → everybody", "Halo semua, dari /try", "stored")
	budi.panel("feed").shows(t, "in", "ann", "Halo semua, dari /try")
	if n := ann.eval(t, ann.panel("feed").lines("in", "Halo semua, dari /try")); n != "0" {
		t.Errorf("a line came back to its sender %s times", n)
	}
	budi.panel("feed").says(t, "Halo, Ann")
	ann.panel("feed").shows(t, "in", "budi", "Halo, Ann")

	ann.panel("events").shows(t, "in", "connection.update") // by itself
	ann.write(t, "#events-data", `{"nomor":4711}`, "#events-say button")
	ann.panel("events").shows(t, "out", "messages.upsert", "nomor: 4711", "stored")
	for _, p := range []*tab{ann, budi} {
		p.panel("events").shows(t, "in", "messages.upsert", "nomor: 4711")
	}
	ann.do(t, chromedp.SendKeys(chromedp.CSS("#events-token"), "x"))
	ann.eval(t, `document.activeElement.blur()`)
	ann.state(t, "closed", "events")
	ann.panel("events").shows(t, "bad", "login or token")
}

// tryCopy connects to what a panel gives to be copied.
func (d *demo) tryCopy(t *testing.T, ann *tab) {
	t.Helper()
	const shown = `document.querySelector("#direct .url").value`
	if before := ann.eval(t, shown); strings.Contains(before, "auth=ey") {
		t.Errorf("a code that is spent stands there: %s", before)
	}
	ann.do(t, chromedp.Click(chromedp.CSS("#direct .copy")))
	ann.becomes(t, shown+`.includes("auth=ey")`)
	s := dial(t, ann.eval(t, shown))
	s.send(t, say(d.budi.id, "dari alamat yang disalin", "c1"))
	for f := ""; !strings.Contains(f, `"type":4,`); f = s.next(t) { // budi is here, it says first
	}
	dial(t, ann.eval(t, `document.querySelector("#feed .url").value`))
}

func tryRaw(t *testing.T, ann *tab) {
	t.Helper()
	const visible = `[...document.querySelectorAll("#bot .log pre")].filter(e => e.checkVisibility()).map(e => e.textContent)`
	if all := ann.eval(t, visible+`.length`); all != "0" {
		t.Errorf("%s frames are shown unasked", all)
	}
	ann.do(t, chromedp.Click(chromedp.CSS("#bot .raw")))
	ann.becomes(t, visible+`.some(e => /^\{"message":"Hai!","\$id":\d+\}$/.test(e))`)
	ann.becomes(t, visible+`.some(e => /"response":"Halo!"/.test(e))`)
}

// tryAgain restarts the server under a page. All that can come back does: the
// demo's instance is made anew, so its old token is worth nothing.
func (d *demo) tryAgain(t *testing.T, budi *tab) {
	t.Helper()
	addr, data := d.addr, d.data
	d.stop(t)
	budi.state(t, "waiting", gatewayNames...)
	budi.panel("feed").shows(t, "bad", "going down")
	d = tryOut(t, addr, data)
	budi.eval(t, `dispatchEvent(new Event("online"))`)
	budi.state(t, "open", gatewayNames[:4]...)
	budi.state(t, "closed", "events")
	budi.panel("events").shows(t, "bad", "login or token")
	d.ann.connect(t, "").send(t, say(d.budi.id, "masih di sini", ""))
	budi.panel("relay").shows(t, "in", "ann", "masih di sini")
	budi.panel("direct").shows(t, "in", "ann", "masih di sini")
	if n := budi.eval(t, budi.panel("relay").lines("in", "Halo lewat relay")); n != "1" {
		t.Errorf("after coming back a message of before is there %s times", n)
	}
}

func tryLogout(t *testing.T, p *tab) {
	t.Helper()
	p.do(t, chromedp.Click(chromedp.CSS("#log-out")))
	p.state(t, "closed", "relay", "direct", "bot")
	for _, id := range []string{"relay", "direct", "bot"} {
		p.panel(id).shows(t, "bad", "login")
		p.becomes(t, `document.querySelector("#`+id+` .word").textContent === "Closed (4001)"`)
	}
	p.state(t, "open", "feed") // as a guest
	p.do(t, chromedp.Click(chromedp.CSS("#feed .connect")))
	p.becomes(t, `document.querySelector("#feed .word").textContent === "Not connected"`)
}

// TestTryAsAStranger: somebody with nothing but the page gets an account by a
// mailed code, finds people, and talks to one.
func TestTryAsAStranger(t *testing.T) {
	d := tryOut(t, "127.0.0.1:0", filepath.Join(t.TempDir(), "data"))
	b := open(t)
	ann := d.enters(t, b, "ann")
	p := b.tab(t, strings.Replace(d.url("/try"), "127.0.0.1", "localhost", 1))
	p.becomes(t, `document.body.dataset.ready`)
	p.do(t, chromedp.Click(chromedp.CSS("[data-way=mail]")))
	p.write(t, "#mail-address", "dewi@example.com", "#mail-send")
	p.becomes(t, `!document.getElementById("mail-code-field").hidden`)
	p.write(t, "#mail-code", "000000", "#mail-send")
	p.becomes(t, `document.getElementById("trouble").textContent.includes("not the code")`)
	mails := must(t, 200, "GET", d.url("/v1/mail"), nil, "apikey", d.adminKey(t)).text
	code := regexp.MustCompile(`"dewi@example\.com"[^}]*?\b(\d{6})\b`).FindStringSubmatch(mails)
	if code == nil {
		t.Fatalf("no code was mailed: %s", mails)
	}
	p.eval(t, `document.getElementById("mail-code").value = ""`)
	p.write(t, "#mail-code", code[1], "#mail-send")
	p.becomes(t, `/^u\d+$/.test(document.getElementById("me-name").textContent)`)
	me := p.eval(t, `document.getElementById("me-name").textContent`)

	p.do(t, chromedp.Click(chromedp.CSS("#relay .connect")))
	p.state(t, "open", "relay")
	p.do(t, chromedp.Click(chromedp.CSS("#relay-people summary")))
	p.write(t, "#relay-who", "ann", "#relay-find button")
	p.do(t, chromedp.Click(chromedp.CSS("#relay-found button")))
	ann.panel("relay").shows(t, "note", me+" asks to be friends")
	ann.do(t, chromedp.Click(chromedp.CSS("#relay-found button")))
	p.panel("relay").shows(t, "note", "ann is a friend now")
	ann.chooses(t, "relay-chat", me)
	ann.panel("relay").says(t, "Selamat datang")
	p.panel("relay").shows(t, "in", "ann", "Selamat datang")

	p.do(t, chromedp.Click(chromedp.CSS("#log-out")), chromedp.Click(chromedp.CSS("[data-way=password]")))
	p.eval(t, `document.getElementById("login-name").value = "ann"`)
	p.write(t, "#login-password", "wrong password", "#log-in")
	p.becomes(t, `document.getElementById("trouble").textContent.includes("no such account")`)
	p.do(t, chromedp.Click(chromedp.CSS("[data-way=register]")))
	p.do(t, chromedp.SendKeys(chromedp.CSS("#register-email"), "eko@example.com"), chromedp.SendKeys(chromedp.CSS("#register-name"), "Eko"))
	p.write(t, "#register-password", "kata sandi", "#register button")
	p.becomes(t, `document.getElementById("me-name").textContent === "Eko"`)
}

// TestSetupPage: the link that the server prints makes the first administrator,
// once.
func TestSetupPage(t *testing.T) {
	s := serve(t)
	link := s.sees(t, &s.out, `(http://\S+/setup\?code=\S+)`)[1]
	b := open(t)
	p := b.tab(t, link)
	fill := func(again string) {
		t.Helper()
		for field, text := range map[string]string{"email": "admin@example.com", "name": "Admin", "password": password, "again": again} {
			p.eval(t, `document.getElementById(`+js(field)+`).value = `+js(text))
		}
		p.do(t, chromedp.Click(chromedp.CSS("#setup button")))
	}
	fill("something else")
	p.becomes(t, `document.getElementById("trouble").textContent.includes("different")`)
	fill(password)
	p.becomes(t, `document.getElementById("done").textContent.includes("Admin")`)
	if left := p.eval(t, "location.href"); strings.Contains(left, "code") {
		t.Errorf("the address still holds %s", left)
	}
	p.do(t, chromedp.Navigate(p.eval(t, `document.querySelector("#go a").href`)))
	p.becomes(t, `document.body.dataset.ready && document.getElementById("me-more").textContent.includes("Admins")`)

	b.tab(t, link).becomes(t, `document.getElementById("setup").hidden && document.getElementById("intro").textContent.includes("used already")`)
}

// scheme lets a page be light or dark.
func (p *tab) scheme(t *testing.T, name string) {
	t.Helper()
	p.do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	}))
}
