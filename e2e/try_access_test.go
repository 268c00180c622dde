package e2e

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// nameless finds what somebody who cannot see the page would not know the name
// of, ids that are there twice, and pictures without a text.
const nameless = `(() => {
	const wrong = [];
	const named = (e) => e.getAttribute("aria-label") || e.textContent.trim() || [...(e.labels ?? [])].some(l => l.textContent.trim()) ||
		(e.getAttribute("aria-labelledby") ?? "").split(" ").some(id => document.getElementById(id)?.textContent.trim());
	for (const e of document.querySelectorAll("button, input, select, textarea, a, [role=log], [role=group], section, nav"))
		if (!named(e)) wrong.push("nameless: " + e.outerHTML.slice(0, 90));
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push("twice: " + id);
	for (const e of document.querySelectorAll("img:not([alt]), [tabindex]:not([tabindex='0'])")) wrong.push("alt or tabindex: " + e.outerHTML.slice(0, 90));
	for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby], label[for]"))
		for (const id of [e.getAttribute("aria-labelledby"), e.getAttribute("aria-describedby"), e.getAttribute("for")].filter(Boolean).join(" ").split(" "))
			if (!document.getElementById(id)) wrong.push("no such id: " + id);
	if (!document.documentElement.lang || document.querySelectorAll("h1").length !== 1 || !document.querySelector("main")) wrong.push("lang, h1 or main");
	return wrong.join("\n");
})()`

// pale finds texts that have less contrast than WCAG's AA wants: 4.5 to 1.
const pale = `(() => {
	const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
	const over = (colours) => { // the colours, one over the other, as they are seen
		context.clearRect(0, 0, 1, 1);
		for (const c of colours) { context.fillStyle = c; context.fillRect(0, 0, 1, 1); }
		return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
	};
	const light = (rgb) => rgb.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
	const wrong = new Set();
	for (const e of document.querySelectorAll("body *")) {
		const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || e.matches("input, select");
		if (!own || !e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || e.disabled || e.closest(".aside, noscript")) continue;
		const below = [];
		for (let a = e; a; a = a.parentElement) below.unshift(getComputedStyle(a).backgroundColor);
		const [x, y] = [light(over(["white", ...below])), light(over(["white", ...below, getComputedStyle(e).color]))];
		const ratio = (Math.max(x, y) + .05) / (Math.min(x, y) + .05);
		if (ratio < 4.5) wrong.add(ratio.toFixed(2) + " " + e.outerHTML.slice(0, 80));
	}
	return [...wrong].join("\n");
})()`

// TestTryIsForEverybody: names, contrast, the keyboard, a phone, the other
// language, and little motion.
func TestTryIsForEverybody(t *testing.T) {
	d := tryOut(t, "127.0.0.1:0", filepath.Join(t.TempDir(), "data"))
	b := open(t)
	p := b.tab(t, d.guideLine(t, "ann's page"))
	p.becomes(t, `document.body.dataset.ready`)
	check := func(where string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			p.scheme(t, scheme)
			for what, find := range map[string]string{"unnamed": nameless, "pale": pale} {
				if wrong := p.eval(t, find); wrong != "" {
					t.Errorf("%s, %s, %s:\n%s", where, scheme, what, wrong)
				}
			}
		}
	}
	check("logged out")

	// By the keyboard alone.
	p.eval(t, `document.getElementById("login-password").focus()`)
	p.do(t, chromedp.KeyEvent(kb.Enter))
	p.becomes(t, `document.getElementById("me-name").textContent === "ann"`)
	var order []string
	for range 12 {
		p.do(t, chromedp.KeyEvent(kb.Tab))
		order = append(order, p.eval(t, `document.activeElement.id || document.activeElement.className || document.activeElement.localName`))
	}
	want := "log-out all relay-url relay-copy relay-connect relay-raw relay-clear relay-chat relay-read relay-post summary log"
	if got := strings.Join(order, " "); got != want {
		t.Errorf("the focus goes\n%s\nand not\n%s", got, want)
	}
	p.eval(t, `document.getElementById("all").focus()`)
	p.do(t, chromedp.KeyEvent(kb.Enter))
	p.state(t, "open", gatewayNames...)
	p.panel("events").shows(t, "in", "connection.update")
	p.panel("feed").says(t, "Halo")
	p.panel("feed").shows(t, "out", "Halo", "stored")
	p.eval(t, `document.getElementById("direct-text").value = "x".repeat(900)`)
	p.do(t, chromedp.Click(chromedp.CSS("#direct-say button")), chromedp.Click(chromedp.CSS("#relay-like")))
	p.panel("direct").shows(t, "bad", "too long")
	for _, id := range gatewayNames {
		p.do(t, chromedp.Click(chromedp.CSS("#"+id+" .raw")))
	}
	check("connected")

	p.do(t, chromedp.Click(chromedp.CSS("[data-language=id]")))
	p.becomes(t, `document.documentElement.lang === "id" && document.getElementById("log-out").textContent === "Keluar" && document.querySelector("#feed .word").textContent === "Terhubung"`)
	for _, width := range []int64{1440, 1024, 390} {
		p.do(t, chromedp.EmulateViewport(width, 844))
		if got := p.eval(t, `document.documentElement.scrollWidth - innerWidth`); got != "0" {
			t.Errorf("at a width of %d the page is %s too wide", width, got)
		}
		if out := p.eval(t, `[...document.querySelectorAll(".panel button, .panel input")].filter(e => e.checkVisibility() && e.getBoundingClientRect().right > e.closest(".panel").getBoundingClientRect().right).map(e => e.id).join()`); out != "" {
			t.Errorf("at a width of %d these stand out: %s", width, out)
		}
	}
	if tops := p.eval(t, `new Set([...document.querySelectorAll(".panel")].map(e => e.getBoundingClientRect().left)).size`); tops != "1" {
		t.Error("on a phone the panels do not stand below each other")
	}
	if log := p.logged(); log != "" {
		t.Errorf("the page logged:\n%s", log)
	}
}

// TestDemoWebhook: the demo's receiver takes what is signed, shows it, and
// refuses what is not.
func TestDemoWebhook(t *testing.T) {
	d := tryOut(t, "127.0.0.1:0", filepath.Join(t.TempDir(), "data"))
	page := strings.Fields(d.guideLine(t, "webhook"))[0]
	p := open(t).tab(t, page)
	p.becomes(t, `[...document.querySelectorAll("#received li")].some(e => e.textContent.includes("signature holds"))`)
	must(t, 401, "POST", page, `{"event":"forged"}`, "webhook-id", "x", "webhook-timestamp", "1", "webhook-signature", "v1,AAAA")
	must(t, 403, "POST", page, `{}`, "Origin", "https://evil.example")
	p.becomes(t, `document.querySelector("#received li .mark.false")?.textContent.includes("refused")`)
	d.emit(t, "demo", d.token, "messages.upsert", map[string]any{"nomor": 4711})
	p.becomes(t, `[...document.querySelectorAll("#received li")].filter(e => e.textContent.includes("4711") && e.textContent.includes("signature holds")).length === 1`)
	shown := call(t, "GET", page, nil, "Accept", "application/json")
	if list, ok := shown.at("received").([]any); !ok || len(list) < 3 || dig(list[0], "body", "instance", "name") == nil && dig(list[1], "body", "instance", "name") == nil {
		t.Errorf("%.600s", shown.text)
	}
	if log := p.logged(); log != "" {
		t.Errorf("the page logged:\n%s", log)
	}
}

// TestDemoGuideOfPeople tries what the guide says of relay and bot, in a shell.
func TestDemoGuideOfPeople(t *testing.T) {
	d := tryOut(t, "127.0.0.1:0", filepath.Join(t.TempDir(), "data"))
	folder := t.TempDir()
	run := func(line string) string {
		t.Helper()
		out, stderr, code := output(t, command("sh", "-c", line), in(folder))
		if code != 0 {
			t.Fatalf("%s: %d %s%s", line, code, out, stderr)
		}
		return out
	}
	plain := func(label string) string { // without the remark behind it
		t.Helper()
		line, _, _ := strings.Cut(d.guideLine(t, label), "   # ")
		return line
	}
	ask := run(plain("a mail"))
	if !strings.Contains(ask, `"ok":true`) {
		t.Fatalf("asking for a code: %s", ask)
	}
	code := regexp.MustCompile(`\b\d{6}\b`).FindString(run(plain("its code"))) // the newest is the first
	if verified := run(strings.Replace(plain("verify"), "<code>", code, 1)); !strings.Contains(verified, `"id":"1"`) || strings.Contains(verified, "first") {
		t.Fatalf("logging in: %s", verified)
	}
	chats := run(plain("bootstrap"))
	if !strings.Contains(chats, `"long":"Warung"`) {
		t.Errorf("the bootstrap: %s", chats)
	}
	id := regexp.MustCompile(`"socket":\{"id":"([^"]+)"`).FindStringSubmatch(chats)
	if id == nil {
		t.Fatalf("no socket.id: %s", chats)
	}
	socket := regexp.MustCompile(`ws://[^']+`).FindString(plain("socket"))
	s := dial(t, strings.Replace(socket, "<data.socket.id>", id[1], 1))
	s.send(t, plain("like"))
	eventually(t, "the post should have a like", func() error {
		if posts := run(plain("the posts")); !strings.Contains(posts, `"id":"pm2yig6go"`) || !strings.Contains(posts, `"likes":1,"comments":0,"liked":true`) {
			return errors.New(posts)
		}
		return nil
	})
	// The mailed code has taken nothing away: what the guide says before goes on.
	must(t, 200, "GET", d.url("/ws/auth"), nil, "Authorization", d.ann.token)

	if in := run(plain("log in")); !strings.Contains(in, `"groups":["Users","Admins"]`) {
		t.Errorf("POST /auth: %s", in)
	}
	at := regexp.MustCompile(`-H "Cookie: (\S+)" -c (ws://\S+)`)
	bot := at.FindStringSubmatch(plain("chatbot"))
	if bot == nil {
		t.Fatalf("the chatbot's line: %s", plain("chatbot"))
	}
	b := dial(t, bot[2], "Cookie", bot[1])
	b.send(t, plain("ask"))
	if got := b.next(t); got != `{"response":"Halo!"}` {
		t.Errorf("the bot says %s", got)
	}
	if room := at.FindStringSubmatch(plain("roomchat")); room == nil {
		t.Errorf("the room's line: %s", plain("roomchat"))
	} else {
		dial(t, room[2], "Cookie", room[1])
	}
}
