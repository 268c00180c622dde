package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// directInNode runs direct's snippets in Node, as ann and as budi.
func (d *demo) directInNode(t *testing.T) {
	annIn, budiIn := newLines(t), newLines(t)
	ann := node(t, around(t, "direct.node.js", directSnippets(t, d.ann.token, d.budi.id, "")), annIn.feed)
	budi := node(t, around(t, "direct.node.js", directSnippets(t, d.budi.token, d.ann.id, "")), budiIn.feed)
	ann.says(t, "open")
	budi.says(t, "open")
	for _, text := range []string{"Halo Budi", `"quotes" and \ backslash`, "émoji 🙂 and \u2028"} {
		annIn.write(t, text)
		budi.says(t, "shown <p>"+text+"</p>")
		budiIn.write(t, "re: "+text)
		ann.says(t, "shown <p>re: "+text+"</p>")
	}
}

// directInTwoBrowsers lets two people talk through direct's snippets, each in a
// browser of their own, in pages opened from files.
func (d *demo) directInTwoBrowsers(t *testing.T) {
	ann, budi := d.directTab(t, open(t), d.ann, d.budi.id, ""), d.directTab(t, open(t), d.budi, d.ann.id, "")
	talk(t, ann, budi)
}

func (d *demo) directTab(t *testing.T, b *browser, p *person, to int, after string) *tab {
	t.Helper()
	page := b.tab(t, "file://"+around(t, "direct.html", directSnippets(t, p.token, to, after)))
	page.becomes(t, `state.textContent !== ""`)
	if state := page.eval(t, "state.textContent"); state != "open" {
		t.Fatalf("the page from %s says %s, and logged:\n%s", page.eval(t, "location.href + ' (origin ' + origin + ')'"), state, page.logged())
	}
	return page
}

// shown waits until a page of direct's harness shows texts, in this order, and
// nothing else.
func shown(t *testing.T, p *tab, texts ...string) {
	t.Helper()
	p.becomes(t, `[...messageContainer.querySelectorAll("p")].map(e => e.textContent).join("\n") === `+js(strings.Join(texts, "\n")))
}

func talk(t *testing.T, ann, budi *tab) {
	t.Helper()
	ann.write(t, "#messageInput", "Apa kabar, Budi?", "#send")
	shown(t, budi, "Apa kabar, Budi?")
	budi.write(t, "#messageInput", "Baik! 🙂 Kamu?", "#send")
	shown(t, ann, "Baik! 🙂 Kamu?")
	ann.write(t, "#messageInput", "Baik juga", "#send")
	shown(t, budi, "Apa kabar, Budi?", "Baik juga")
}

// directTools lets clients written elsewhere talk: npm's ws, wscat and curl.
func (d *demo) directTools(t *testing.T) {
	url := func(p *person) string {
		got := curl(t, "-H", "Authorization: "+p.token, "http://localhost:5050/ws/auth")
		m := regexp.MustCompile(`"websocketAuthCode":"([^"]+)"`).FindStringSubmatch(got)
		if m == nil {
			t.Fatalf("curl got no code: %s", got)
		}
		return "ws://127.0.0.1:5050/ws/connect?auth=" + m[1]
	}
	budi := npmSocket(t, url(d.budi))
	budi.says(t, `open ""`)
	ann := wscat(t, url(d.ann), say(d.budi.id, "from wscat", "w1"))
	ann.says(t, `{"type":4,"data":{"ref":"w1",`)
	budi.says(t, `"from wscat\"`)
	budi.send(t, say(d.ann.id, "from npm", ""))
	ann.says(t, `,"message":"from npm",`)
	// curl upgrades, and prints frames as they are.
	bare := curlUpgrade(t, "http"+strings.TrimPrefix(url(d.ann), "ws")+"&after=0")
	budi.send(t, say(d.ann.id, "to curl", ""))
	bare.says(t, `,"message":"to curl",`)
	// A spent code is refused in words.
	spent := url(d.ann)
	npmSocket(t, spent).says(t, `open ""`)
	again := npmSocket(t, spent)
	again.says(t, "refused ")
	again.says(t, `401 {\"code\":401,\"data\":null,\"error\":\"Authorization failed\"`)
}
