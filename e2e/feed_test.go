package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"
)

// TestFeedOneOrderForAll: 300 subscribers get 300 lines of three speakers in
// one order.
func TestFeedOneOrderForAll(t *testing.T) {
	s := serve(t, "--feed-publish=anyone")
	const subscribers, speakers, each = 300, 3, 100
	url := s.wsURL("/websocket")
	heard := make([][]string, subscribers)
	var all sync.WaitGroup
	for i := range subscribers {
		c := dial(t, url)
		all.Go(func() {
			for range speakers * each {
				text, err := c.read(t.Context())
				if err != nil {
					t.Errorf("subscriber %d, after %d lines: %v", i, len(heard[i]), err)
					return
				}
				heard[i] = append(heard[i], text)
			}
		})
	}
	var speaking []*socket // all are connected before the first one speaks
	for range speakers {
		speaking = append(speaking, dial(t, url))
	}
	for i, c := range speaking {
		all.Go(func() { // a speaker hears the others, and not itself
			for range (speakers - 1) * each {
				if text, err := c.read(t.Context()); err != nil || strings.HasPrefix(text, fmt.Sprintf("%d:", i)) {
					t.Errorf("speaker %d hears %q %v", i, text, err)
					return
				}
			}
		})
		all.Go(func() {
			for n := range each {
				if err := c.c.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, "%d: %d", i, n)); err != nil {
					t.Errorf("speaker %d: %v", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	next := make([]int, speakers)
	for _, line := range heard[0] {
		var i, n int
		if _, err := fmt.Sscanf(line, "%d: %d", &i, &n); err != nil || n != next[i] {
			t.Fatalf("%q came, expected number %d of that speaker", line, next[i])
		}
		next[i]++
	}
	for i := range heard {
		if !slices.Equal(heard[i], heard[0]) {
			t.Fatalf("subscriber %d heard %d lines in another order than subscriber 0", i, len(heard[i]))
		}
	}
}

// feedLine is a frame of the feed's JSON format.
type feedLine struct {
	Seq   uint64   `json:"seq"`
	ID    string   `json:"id"`
	Time  string   `json:"time"`
	From  string   `json:"from"`
	Text  string   `json:"text"`
	Kind  string   `json:"kind"`
	Epoch string   `json:"epoch"`
	Code  string   `json:"code"`
	Names []string `json:"names"`
	Count int      `json:"count"`
}

func (s *socket) line(t *testing.T) feedLine {
	t.Helper()
	text := s.next(t)
	var l feedLine
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return l
}

func TestFeedKeepsLines(t *testing.T) {
	s := serve(t, "--feed-publish=anyone", "--feed-history=10")
	speaker, witness := dial(t, s.wsURL("/websocket")), dial(t, s.wsURL("/websocket?format=json"))
	var seqs []uint64
	for i := range 15 {
		speaker.send(t, numbered(i))
		l := witness.line(t)
		if l.Text != numbered(i) || l.Kind != "line" || l.ID == "" || l.Time == "" || l.Epoch != "" {
			t.Fatalf("line %d came as %+v", i, l)
		}
		seqs = append(seqs, l.Seq)
	}
	s.kill9(t)
	s = s.again(t, "--feed-publish=anyone", "--feed-history=10")
	must(t, 202, "POST", s.url("/v1/publish"), map[string]any{"topic": "feed", "text": "the end"}, "apikey", s.adminKey(t))

	want := []string{"the end"}
	for i := 14; i > 5; i-- {
		want = append([]string{numbered(i)}, want...)
	}
	for query, n := range map[string]int{
		"?last=3": 3, "?last=10": 10, "?last=1000": 10,
		fmt.Sprintf("?after=%d", seqs[10]): 5,
		fmt.Sprintf("?after=%d", seqs[14]): 1,
	} {
		c := dial(t, s.wsURL("/websocket"+query))
		for _, line := range want[10-n:] {
			if got := c.next(t); got != line {
				t.Errorf("%s: %q came, expected %q", query, got, line)
			}
		}
	}
	if l := dial(t, s.wsURL("/websocket?format=json&last=1")).line(t); l.Kind != "notice" || l.Text != "the end" || l.From != "" {
		t.Errorf("a notice came as %+v", l)
	}
	body := refused(t, 410, s.wsURL(fmt.Sprintf("/websocket?after=%d", seqs[0])))
	if !strings.Contains(body, "expired") {
		t.Errorf("an expired position: %s", body)
	}
}

func TestFeedWhoMaySpeak(t *testing.T) {
	for _, who := range []string{"nobody", "accounts", "anyone"} {
		s := serve(t, "--feed-publish="+who)
		ann := s.person(t, "ann")
		witness := dial(t, s.wsURL("/websocket?format=json"))
		guest := dial(t, s.wsURL("/websocket?format=json&name=guest"))
		account := dial(t, s.wsURL("/websocket?format=json"), "Authorization", "Bearer "+ann.token)
		for _, from := range []struct {
			*socket
			name string
			may  bool
		}{{guest, "guest", who == "anyone"}, {account, "ann", who != "nobody"}} {
			from.send(t, "hello from "+from.name)
			if from.may {
				if l := witness.line(t); l.Text != "hello from "+from.name || l.From != from.name {
					t.Errorf("%s: the line of %s came as %+v", who, from.name, l)
				}
			} else if l := from.line(t); l.Kind != "error" || l.Code != "NOT_ALLOWED" {
				t.Errorf("%s: a line that may not be spoken was answered by %+v", who, l)
			}
		}
		// In the plain format it is dropped without a word; the connection stays.
		plain := dial(t, s.wsURL("/websocket"))
		if who == "nobody" {
			plain.send(t, "dropped")
		}
		must(t, 202, "POST", s.url("/v1/publish"), map[string]any{"users": "all", "message": "to all"}, "apikey", s.adminKey(t))
		plain.until(t, "to all")
		for l := witness.line(t); l.Text != "to all"; l = witness.line(t) {
			t.Errorf("%s: the witness hears %+v", who, l)
		}
		if who == "nobody" && s.metric(t, "kabar_frames_refused_total", `gateway="feed"`) != 3 {
			t.Error("dropped lines are not counted")
		}
	}
}

func TestFeedPresence(t *testing.T) {
	s := serve(t, "--feed-publish=anyone")
	ann := s.person(t, "ann")
	first := dial(t, s.wsURL("/websocket?format=json&presence=1&name=Tini"))
	if l := first.line(t); l.Kind != "here" || l.Count != 1 || !slices.Equal(l.Names, []string{"Tini"}) || l.Seq != 0 {
		t.Errorf("the first frame is %+v", l)
	}
	second := dial(t, s.wsURL("/websocket?format=json&presence=1"), "Authorization", ann.token)
	if l := second.line(t); l.Kind != "here" || l.Count != 2 || !slices.Contains(l.Names, "ann") || !slices.Contains(l.Names, "Tini") {
		t.Errorf("the first frame is %+v", l)
	}
	if l := first.line(t); l.Kind != "joined" || l.Count != 2 || !slices.Equal(l.Names, []string{"ann"}) {
		t.Errorf("ann came as %+v", l)
	}
	_ = second.c.Close(websocket.StatusNormalClosure, "")
	if l := first.line(t); l.Kind != "left" || l.Count != 1 || !slices.Equal(l.Names, []string{"ann"}) {
		t.Errorf("ann left as %+v", l)
	}
}

func TestFeedBadInput(t *testing.T) {
	s := serve(t, "--feed-publish=anyone")
	s.person(t, "ann")
	for query, status := range map[string]int{
		"?format=xml": 400, "?last=x": 400, "?last=-1": 400, "?last=1&after=1": 400, "?after=x": 400, "?slow=down": 400,
		"?after=999": 410, "?after=other:0": 410, "?after=last": 400,
		"?name=ann": 403, "?name=ANN": 403, "?name=%20ann": 403, "?name=a%E2%80%8Bnn": 400, "?name=%FF": 400,
		"?name=" + strings.Repeat("x", 36): 400,
	} {
		body := refused(t, status, s.wsURL("/websocket"+query))
		if !strings.Contains(body, fmt.Sprintf(`{"code":%d,"error":`, status)) {
			t.Errorf("%s: not the dialect's error: %s", query, body)
		}
		told := dial(t, s.wsURL("/websocket"+query+"&close_reason=1"))
		if reason := told.closes(t, map[int]int{400: 4004, 403: 4003, 410: 4010}[status]); reason == "" {
			t.Errorf("%s: a close without a reason", query)
		}
	}
	refused(t, 403, s.wsURL("/websocket"), "Origin", "https://evil.example")
	refused(t, 403, s.wsURL("/websocket"), "Origin", "null") // only the demo lets files in
	refused(t, 401, s.wsURL("/websocket"), "Authorization", "Bearer nonsense")

	reader := dial(t, s.wsURL("/websocket"))
	c := dial(t, s.wsURL("/websocket?format=json"))
	c.sendKind(t, websocket.MessageBinary, []byte("binary"))
	c.send(t, "")
	for _, code := range []string{"BINARY", "TEXT_REQUIRED"} {
		if l := c.line(t); l.Kind != "error" || l.Code != code {
			t.Errorf("%+v came, expected %s", l, code)
		}
	}
	longest := strings.Repeat("é", 2048)
	c.send(t, longest)
	if got := reader.next(t); got != longest {
		t.Errorf("%d bytes came of the longest line", len(got))
	}
	megabyte := make([]byte, 1<<20)
	for name, bad := range map[string]struct {
		frame []byte
		code  int
	}{
		"a megabyte":        {clientFrame(0x81, megabyte), 1009},
		"one byte too many": {clientFrame(0x81, megabyte[:4097]), 1009},
		"no UTF-8":          {clientFrame(0x81, []byte("\xc3\x28")), 1007},
		"no mask":           {[]byte{0x81, 1, 'x'}, 1002},
	} {
		b := rawDial(t, s.addr)
		b.send(t, []byte(handshake(s.addr, "/websocket")))
		b.answered(t)
		b.pour(t, bad.frame)
		if code := b.closed(t); code != bad.code {
			t.Errorf("%s: close code %d, expected %d", name, code, bad.code)
		}
		b.Close()
	}
	c.send(t, "still here")
	if got := reader.next(t); got != "still here" {
		t.Errorf("the reader hears %q", got)
	}
	ready(t, s)
}

// TestFeedPageOutlivesTheServer: the page says that the connection is closed,
// comes back by itself, and shows what was said meanwhile.
func TestFeedPageOutlivesTheServer(t *testing.T) {
	s := serve(t, "--feed-publish=anyone")
	p := feedTab(t, open(t), s.url("/"), "Tini")
	stored := func(line string) { // which it is a little after it is shown
		t.Helper()
		feedSay(t, p, line)
		p.becomes(t, `[...document.querySelectorAll("#lines .mine")].some(e => e.dataset.state === "stored" && e.querySelector(".text").textContent === `+js(line)+`)`)
	}
	stored("before")
	s.kill9(t)
	p.becomes(t, `document.getElementById("state").innerText.includes("Connection closed")`)
	p.becomes(t, `document.getElementById("lines").innerText.includes("Connection closed")`)
	s = s.again(t, "--feed-publish=anyone")
	must(t, 202, "POST", s.url("/v1/publish"), map[string]any{"topic": "feed", "text": "meanwhile"}, "apikey", s.adminKey(t))
	p.becomes(t, `document.body.dataset.state === "open"`)
	p.becomes(t, showing("meanwhile")+" === 1")
	stored("after")
	if got := dial(t, s.wsURL("/websocket?last=3")); got.next(t) != "before" || got.next(t) != "meanwhile" || got.next(t) != "after" {
		t.Error("the lines are not in order")
	}
	if n := p.eval(t, showing("before")); n != "1" {
		t.Errorf("after the reconnect an old line is shown %s times", n)
	}
	// A server that is stopped, too.
	s.stop(t)
	p.becomes(t, `document.getElementById("state").innerText.includes("Connection closed")`)
}

// TestFeedPageLooks takes pictures of the page for a person to look at, in
// light, in dark and on a phone, and checks what a program can see.
func TestFeedPageLooks(t *testing.T) {
	folder := filepath.Join(os.TempDir(), "kabar-e2e-pictures")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Logf("the pictures are in %s", folder)
	s := serve(t, "--feed-publish=anyone")
	for i, name := range []string{"Joko", "Sari", "Joko"} {
		c := dial(t, s.wsURL("/websocket?format=json&name="+name))
		c.send(t, awkward[i]+strings.Repeat(" kata", i*i*10))
		dial(t, s.wsURL(fmt.Sprintf("/websocket?last=%d", i+1))).until(t, awkward[i]+strings.Repeat(" kata", i*i*10))
	}
	p := feedTab(t, open(t), s.url("/"), "Tini")
	feedSay(t, p, "Halo dari Tini")
	p.becomes(t, showing("Halo dari Tini")+" === 1")

	colours := map[string]string{}
	for _, look := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"phone", "light", 360, 740}, {"phone-dark", "dark", 360, 740}} {
		p.do(t, chromedp.EmulateViewport(look.width, look.height), media("prefers-color-scheme", look.scheme))
		p.becomes(t, fmt.Sprintf("innerWidth === %d", look.width))
		if wide := p.eval(t, "document.documentElement.scrollWidth"); wide != strconv.FormatInt(look.width, 10) {
			t.Errorf("%s: the page is %s wide", look.name, wide)
		}
		for _, id := range []string{"subscribe", "line", "send", "state"} {
			const inside = `(() => { const r = document.getElementById(%q).getBoundingClientRect(); return r.width > 0 && r.left >= 0 && r.right <= innerWidth && r.bottom <= innerHeight; })()`
			if p.eval(t, fmt.Sprintf(inside, id)) != "true" && id != "subscribe" {
				t.Errorf("%s: #%s is not on the screen", look.name, id)
			}
		}
		colours[look.name] = p.eval(t, `getComputedStyle(document.body).backgroundColor + getComputedStyle(document.documentElement).backgroundColor`)
		picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, look.name+".png"), picture, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if colours["light"] == colours["dark"] {
		t.Errorf("light and dark have the same background: %s", colours["light"])
	}
	p.do(t, chromedp.Click(chromedp.CSS(`[data-language="id"]`)))
	p.becomes(t, `document.documentElement.lang === "id" && document.getElementById("state").innerText.includes("Terhubung")`)
	if log := p.logged(); log != "" {
		t.Errorf("the page logged:\n%s", log)
	}
}

// media sets what the page is told of a media feature.
func media(feature, value string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: feature, Value: value}},
		})
		return chromedp.Void{}, err
	}
}
