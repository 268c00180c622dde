package e2e

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// greetings are the document's three frames, and what its bot answers.
var greetings = [][2]string{
	{`{"message":"Hai!"}`, `{"response":"Halo!"}`},
	{`{"message":"Bagaimana kabarmu?"}`, `{"response":"Hebat! Bagaimana denganmu?"}`},
	{`{"message":"Hai"}`, `{"response":"Hai"}`},
}

var setCookie = regexp.MustCompile(`(?im)^set-cookie: (gen_app_auth_token=[^;\s]+)(; .*)$`)

// TestBotDocument does as the document says: a bot that answers two greetings,
// reached with the cookie of a login.
func TestBotDocument(t *testing.T) { //nolint:tparallel // its parts share a server, one after the other
	t.Parallel()
	d := demonstrateAnywhere(t)
	secret := d.sees(t, &d.out, `People +password (\S+)`)[1]
	login := fmt.Sprintf(`{"login":"ann","password":%s}`, js(secret))
	got := curl(t, "--include", "--data", login, d.url("/auth"))
	m := setCookie.FindStringSubmatch(got)
	if m == nil || !strings.Contains(got, " 200 OK\r\n") || !strings.Contains(got, `"username":"ann","groups":[`) {
		t.Fatalf("POST /auth: %s", got)
	}
	for _, attribute := range []string{"HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(m[2], attribute) {
			t.Errorf("the cookie has no %s: %s", attribute, m[0])
		}
	}
	cookie := m[1]
	if a := asked(t, "POST", d.url("/auth"), `{"login":"ann","password":"admin"}`); a.code != 401 {
		t.Errorf("with a wrong password: %d %s", a.code, a.text)
	}

	t.Run("wscat", func(t *testing.T) { botByWscat(t, d, cookie) })
	t.Run("npm's ws", func(t *testing.T) {
		c := npmSocket(t, d.wsURL("/chatbot"), cookie)
		c.says(t, `open ""`)
		for _, g := range greetings {
			c.send(t, g[0])
			c.hears(t, g[1])
		}
		without := npmSocket(t, d.wsURL("/chatbot"))
		without.says(t, `refused "401 {\"error\":{\"code\":\"NO_TOKEN\"`)
	})
	t.Run("bad frames", func(t *testing.T) { botBadFrames(t, d, cookie) })
	t.Run("an empty request", func(t *testing.T) { botExplained(t, d) })
	t.Run("a browser", func(t *testing.T) { botInABrowser(t, d, login) })
}

// botByWscat sends all three at once: the answers are in the order of the frames.
func botByWscat(t *testing.T, d *demo, cookie string) {
	t.Helper()
	frames, answers := []string{}, ""
	for _, g := range greetings {
		frames, answers = append(frames, g[0]), answers+g[1]+"\n"
	}
	c := wscatWith(t, []string{"--header", "Cookie: " + cookie}, d.wsURL("/chatbot"), frames...)
	c.says(t, answers)
}

// botBadFrames: each gets an error, and the connection answers on; a megabyte
// ends it.
func botBadFrames(t *testing.T, d *demo, cookie string) {
	t.Helper()
	c := dial(t, d.wsURL("/chatbot"), "Cookie", cookie)
	for _, bad := range []struct{ frame, code, field string }{
		{`7`, "NOT_AN_OBJECT", ""},
		{`[{"message":"Hai!"}]`, "NOT_AN_OBJECT", ""},
		{`{"massage":"Hai!"}`, "UNKNOWN_INPUT", "massage"},
		{`Hai!`, "NOT_JSON", ""},
		{`{"message":7}`, "WRONG_TYPE", "message"},
		{`{}`, "MISSING_INPUT", "message"},
	} {
		c.send(t, bad.frame)
		a := read(t, c.next(t))
		if a.at("error", "code") != bad.code || bad.field != "" && a.at("error", "field") != bad.field || a.at("error", "message") == nil || len(a.json) != 1 {
			t.Errorf("%s is answered by %s", bad.frame, a.text)
		}
		c.send(t, greetings[0][0])
		if text := c.next(t); text != greetings[0][1] {
			t.Errorf("after %s the bot answers %s", bad.frame, text)
		}
	}
	big := rawDial(t, strings.Replace(d.addr, "localhost", "127.0.0.1", 1))
	big.send(t, []byte(handshake(d.addr, "/chatbot", "Cookie: "+cookie)))
	if res, body := big.answered(t); res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("an upgrade by hand: %d %s", res.StatusCode, body)
	}
	big.pour(t, clientFrame(0x81, []byte(`{"message":"`+strings.Repeat("a", 1<<20)+`"}`)))
	if code := big.closed(t); code != 1009 {
		t.Errorf("a megabyte: close code %d", code)
	}
	c.send(t, greetings[1][0])
	if text := c.next(t); text != greetings[1][1] {
		t.Errorf("after somebody's megabyte the bot answers %s", text)
	}
}

// botExplained: who asks without an upgrade is told the address, and so are
// those who read the descriptions.
func botExplained(t *testing.T, d *demo) {
	t.Helper()
	address := d.wsURL("/chatbot")
	a := asked(t, "GET", d.url("/chatbot"), "")
	if a.code != 426 || a.at("connect", "url") != address || !strings.Contains(fmt.Sprint(a.at("error", "message")), address) || a.at("connect", "frame", "message") != "string" {
		t.Errorf("an empty request: %d %s", a.code, a.text)
	}
	async := asked(t, "GET", d.url("/asyncapi.json"), "")
	if async.code != 200 || !strings.HasPrefix(fmt.Sprint(async.at("asyncapi")), "3.") || async.at("channels", "chatbot", "address") != "/chatbot" {
		t.Errorf("/asyncapi.json: %d %.300s", async.code, async.text)
	}
	api := asked(t, "GET", d.url("/openapi.json"), "")
	get := api.at("paths", "/chatbot", "get")
	if api.code != 200 || !strings.HasPrefix(fmt.Sprint(api.at("openapi")), "3.1") || dig(get, "responses", "426") == nil || !strings.Contains(fmt.Sprint(dig(get, "description")), address) {
		t.Errorf("/openapi.json: %d, of the bot %v", api.code, get)
	}
}

// botInABrowser logs in by a page, which has the cookie by itself from then on,
// and copies the address out of the page that describes the bot.
func botInABrowser(t *testing.T, d *demo, login string) {
	t.Helper()
	page := open(t).tab(t, d.url("/docs"))
	page.becomes(t, `document.querySelector("#endpoints h3") !== null`)
	page.eval(t, `void (window.card = [...document.querySelectorAll("#endpoints article")].find((a) => a.querySelector("h3").textContent === "/chatbot"))`)
	page.eval(t, `(card.id = "here")`)
	if address := page.eval(t, `card.querySelector("input").value`); address != d.wsURL("/chatbot") {
		t.Errorf("the page shows the address %s", address)
	}
	page.do(t, chromedp.Click(chromedp.CSS("#here .address button")))
	page.becomes(t, `/^(Copied|Tersalin)$/.test(card.querySelector(".address button").textContent)`)
	if copied := page.paste(t); copied != d.wsURL("/chatbot") {
		t.Errorf("copied was %q", copied)
	}
	page.do(t, chromedp.Click(chromedp.CSS("#here > button")))
	page.becomes(t, `card.querySelector("pre").textContent.includes("426") && card.querySelector("pre").textContent.includes(`+js(d.wsURL("/chatbot"))+`)`)

	connect := `void (answers = [], socket = new WebSocket("ws://" + location.host + "/chatbot"),
		socket.onmessage = (e) => answers.push(e.data), socket.onopen = () => answers.push("open"), socket.onclose = (e) => answers.push("closed " + e.code))`
	page.eval(t, `void (window.answers = window.socket = null)`)
	page.eval(t, connect)
	page.becomes(t, `answers.join() === "closed 1006"`) // nobody is logged in
	page.eval(t, `void fetch("/auth", {method: "POST", body: `+js(login)+`}).then((res) => { answers = [res.status]; })`)
	page.becomes(t, `answers.join() === "200"`)
	if cookies := page.eval(t, "document.cookie"); cookies != "" {
		t.Errorf("a script can read the session cookie: %s", cookies)
	}
	page.eval(t, connect)
	page.becomes(t, `answers.join() === "open"`)
	for i, g := range greetings {
		page.eval(t, "socket.send("+js(g[0])+")")
		page.becomes(t, fmt.Sprintf("answers[%d] === %s", i+1, js(g[1])))
	}
}

// paste gives what was copied, by pasting it somewhere.
func (p *tab) paste(t *testing.T) string {
	t.Helper()
	p.eval(t, `void (window.pad = document.body.appendChild(document.createElement("textarea")), pad.focus())`)
	p.do(t, func(ctx context.Context, target *chromedp.Target) (none chromedp.Void, err error) {
		_, err = cdp.Call(ctx, target, input.DispatchKeyEvent, input.DispatchKeyEventParams{
			Type: input.DispatchKeyEventTypeKeyDown, Key: "v", Code: "KeyV", Modifiers: 2, Commands: []string{"paste"},
		})
		return none, err
	})
	p.becomes(t, `pad.value !== ""`)
	return p.eval(t, "pad.value")
}
