package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// awkward are lines that a page or a stream can spoil.
var awkward = []string{
	"Halo semua",
	`<b id="evil">tebal</b> & &amp; <script>document.title = "evil"</script>`,
	`"kutip" 'tunggal' \ \n ` + "`back`",
	"🙂 👩‍👩‍👧‍👦 e\u0301 العربية \u202e terbalik",
	`{"type":"json","kind":"line"}`,
	"   spasi   ",
}

// feedInNode runs the script of the document's page in Node.
func (d *demo) feedInNode(t *testing.T) {
	script := regexp.MustCompile(`(?s)<script[^>]*>\n(.*?)</script>`).FindStringSubmatch(snippet(t, "feed.html"))[1]
	page := node(t, around(t, "feed.node.js", map[string]string{"feed.html": script}))
	d.untilSubscribed(t, func() error { return wrote(page, "here?") })
	s := dial(t, "ws://localhost:3000/websocket")
	for _, line := range awkward {
		s.send(t, line)
		page.line(t, line)
	}
}

func wrote(p *process, text string) error {
	if strings.Contains(p.out.String(), text) {
		return nil
	}
	return errors.New("it wrote " + p.out.String())
}

// untilSubscribed says "here?" on the feed until somebody has heard it: the
// document's page does not show when it is connected.
func (d *demo) untilSubscribed(t *testing.T, heard func() error) {
	t.Helper()
	s := dial(t, "ws://localhost:3000/websocket")
	eventually(t, "the document's page should be connected", func() error {
		s.send(t, "here?")
		return heard()
	})
}

// feedFromAFile opens the document's page, saved as a file and changed in
// nothing.
func (d *demo) feedFromAFile(t *testing.T) {
	page := open(t).tab(t, "file://"+file(t, "index.html", snippet(t, "feed.html")))
	page.do(t, chromedp.Click(chromedp.CSS("button")))
	const area = `document.getElementById("msg").value`
	d.untilSubscribed(t, func() error {
		if text := page.eval(t, area); !strings.Contains(text, "here?") {
			return errors.New("the page shows " + text)
		}
		return nil
	})
	s := dial(t, "ws://localhost:3000/websocket")
	for _, line := range awkward {
		s.send(t, line)
		page.becomes(t, area+`.split("\n").includes(`+js(line)+`)`)
	}
	if title := page.eval(t, "document.title"); title == "evil" {
		t.Error("a line became HTML")
	}
}

// feedTab opens our page and subscribes.
func feedTab(t *testing.T, b *browser, url, name string) *tab {
	t.Helper()
	p := b.tab(t, url)
	// The name of another tab of this browser may stand there already.
	p.eval(t, `document.getElementById("name").value = `+js(name))
	p.do(t, chromedp.Click(chromedp.CSS("#subscribe")))
	p.becomes(t, `document.body.dataset.state === "open"`)
	return p
}

// feedSay puts a line into our page's field and sends it. It is not typed: keys
// know no emoji.
func feedSay(t *testing.T, p *tab, line string) {
	t.Helper()
	p.eval(t, `document.getElementById("line").value = `+js(line))
	p.do(t, chromedp.Click(chromedp.CSS("#send")))
}

// Of a line on our page: how often it is shown, and how often it came in on the
// stream.
func showing(line string) string {
	return `[...document.querySelectorAll("#lines .text")].filter(e => e.textContent === ` + js(line) + `).length`
}

func streamed(line string) string {
	return `document.getElementById("msg").value.split("\n").filter(l => l === ` + js(line) + `).length`
}

// feedInThreeTabs: a line sent in one tab of our page is seen by the two
// others, byte for byte, and is not sent back to the first.
func (d *demo) feedInThreeTabs(t *testing.T) {
	b := open(t)
	d.quiet(t)
	var tabs []*tab
	for _, name := range []string{"Tini", "Joko", ""} {
		tabs = append(tabs, feedTab(t, b, "http://localhost:3000/", name))
	}
	for i, line := range awkward {
		line = fmt.Sprintf("%s (%d)", line, i)
		from := i % len(tabs)
		feedSay(t, tabs[from], line)
		for j, p := range tabs {
			p.becomes(t, showing(line)+" === 1")
			if j != from {
				p.becomes(t, streamed(line)+" === 1")
			}
		}
		if echoes := tabs[from].eval(t, streamed(line)); echoes != "0" {
			t.Errorf("%q came back to its sender %s times", line, echoes)
		}
	}
	for i, p := range tabs {
		if got := p.eval(t, `document.getElementById("evil") + " " + document.title`); got != "null Kabar" {
			t.Errorf("in tab %d a line became HTML: %s", i, got)
		}
		p.becomes(t, `["Tini", "Joko"].every(n => document.getElementById("names").textContent.includes(n))`)
		p.becomes(t, `Number(document.getElementById("count").value) >= 3`)
	}

	// Subscribing again is still one connection.
	for range 3 {
		tabs[0].do(t, chromedp.Click(chromedp.CSS("#subscribe")))
	}
	feedSay(t, tabs[1], "once?")
	tabs[0].becomes(t, streamed("once?")+" === 1")
	d.connected(t, 3, 3)
	tabs[2].do(t, chromedp.Click(chromedp.CSS("#leave")))
	tabs[2].becomes(t, `document.getElementById("state").innerText.includes("Connection closed")`)
	for i, p := range tabs {
		if log := p.logged(); log != "" {
			t.Errorf("tab %d logged:\n%s", i, log)
		}
	}
}

// feedTools lets clients written elsewhere read and speak.
func (d *demo) feedTools(t *testing.T) {
	const url = "ws://localhost:3000/websocket"
	reader := npmSocket(t, url)
	reader.says(t, `open ""`)
	bare := curlUpgrade(t, "http://127.0.0.1:3000/websocket?last=1")
	cat := wscat(t, url, "from wscat")
	reader.hears(t, "from wscat")
	bare.says(t, "\x81\x0afrom wscat") // the frame: text, unmasked, ten bytes, the line
	for _, line := range awkward {
		reader.send(t, line)
		cat.line(t, line)
	}
	if strings.Contains(reader.out.String(), js(awkward[0])) {
		t.Error("a line came back to its sender")
	}
	got := curl(t, "-i", "http://localhost:3000/websocket")
	if !strings.HasPrefix(got, "HTTP/1.1 426 ") {
		t.Errorf("no upgrade: %s", got)
	}
}
