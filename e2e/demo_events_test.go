package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// threeNames are the events of the document's full example.
var threeNames = []string{"connection.update", "messages.upsert", "qrcode.updated"}

// instance makes an instance, and gives its token.
func (s *server) instance(t *testing.T, name string) (token string) {
	t.Helper()
	a := must(t, 201, "POST", s.url("/instance/create"), map[string]any{"instanceName": name}, "apikey", s.adminKey(t))
	token, ok := a.at("Auth", "token").(string)
	if !ok {
		t.Fatalf("an instance without a token: %s", a.text)
	}
	return token
}

// emit posts an event, and gives its seq.
func (s *server) emit(t *testing.T, instance, token, event string, data any) uint64 {
	t.Helper()
	a := must(t, 202, "POST", s.url("/v1/instances/"+instance+"/events"), map[string]any{"event": event, "data": data}, "Authorization", "Bearer "+token)
	accepted, ok := a.at("accepted").([]any)
	if !ok || len(accepted) != 1 {
		t.Fatalf("an event was answered by %s", a.text)
	}
	return uint64(dig(accepted[0], "seq").(float64))
}

// eventsInNode runs the document's full example in Node, with the demo's token.
func (d *demo) eventsInNode(t *testing.T) {
	example := node(t, file(t, "events.js", eventsSnippet(t, d.token)))
	example.count(t, "Connected to the server\n", 3)
	for i, name := range threeNames {
		d.emit(t, "demo", d.token, name, map[string]any{"number": 1000 + i, "state": "open"})
		example.says(t, fmt.Sprintf("event: '%s'", name))
		example.says(t, fmt.Sprintf("number: %d", 1000+i))
	}
	d.emit(t, "demo", d.token, "chats.upsert", map[string]any{"number": 2000})
	d.emit(t, "demo", d.token, "messages.upsert", map[string]any{"number": 2001})
	example.says(t, "number: 2001")
	if strings.Contains(example.out.String(), "number: 2000") {
		t.Error("an event came that nobody subscribed to")
	}
}

// exampleFile is a page of nothing but the example, as the URL of a file.
func exampleFile(t *testing.T, token string) string {
	t.Helper()
	return "file://" + file(t, "events.html", "<!DOCTYPE html><meta charset=utf-8><script>\n"+eventsSnippet(t, token)+"</script>")
}

// eventsInABrowser runs it in a page opened from a file.
func (d *demo) eventsInABrowser(t *testing.T) {
	page := open(t).tab(t, exampleFile(t, d.token))
	eventually(t, "the example should be connected", func() error {
		if log := page.logged(); strings.Count(log, "Connected to the server") != 3 {
			return errors.New("it logged " + log)
		}
		return nil
	})
	for _, name := range threeNames {
		d.emit(t, "demo", d.token, name, map[string]any{"state": "open"})
		page.logs(t, name)
	}
}

// eventsBug: the document's example comes back with the close event for a name,
// every five seconds, for ever. That costs the server a refusal each time, and
// nothing that stays.
func (d *demo) eventsBug(t *testing.T) {
	token := d.instance(t, "buggy")
	d.quiet(t)
	page := open(t).tab(t, exampleFile(t, token))
	logs := func(text string, times int) {
		t.Helper()
		eventually(t, fmt.Sprintf("the page should log %q %d times", text, times), func() error {
			if log := page.logged(); strings.Count(log, text) < times {
				return errors.New("it logged:\n" + log)
			}
			return nil
		})
	}
	logs("Connected to the server", 3)
	refusedBefore := d.metric(t, "kabar_ws_refused_total")
	must(t, 201, "PUT", d.url("/instance/refreshToken/buggy"), map[string]string{"oldToken": token}, "Authorization", "Bearer "+token)
	logs("Connection closed with code 4001", 3)

	// Two rounds of the three, five and ten seconds later.
	logs("Unexpected response code: 400", 6)
	logs("Connection closed with code 1006", 6)
	// No more was refused than the page tried; on a slow machine a third round may
	// have come in between.
	logs("Unexpected response code: 400", int(d.metric(t, "kabar_ws_refused_total")-refusedBefore))
	if strings.Count(page.logged(), "Connected to the server") != 3 {
		t.Errorf("the example came in again:\n%s", page.logged())
	}
	d.quiet(t) // nothing is left behind
	// What it gets, seen by a client that can see it.
	again := npmSocket(t, "ws://localhost:8084/ws/events?event=%5Bobject%20CloseEvent%5D&token="+token)
	again.says(t, `refused "400 {\"status\":400,\"error\":\"Bad Request\",\"message\":[`)
}

// eventsTools: several subscribers by tools written elsewhere, and Server-Sent
// Events by curl, which goes on where it was.
func (d *demo) eventsTools(t *testing.T) {
	const at = "localhost:8084/ws/events"
	token := d.instance(t, "tools")
	query := "?event=messages.upsert&token=" + token
	ignored := d.metric(t, "kabar_frames_refused_total", `gateway="events"`)
	npm1, npm2 := npmSocket(t, "ws://"+at+query), npmSocket(t, "ws://"+at+query)
	d.emit(t, "tools", token, "messages.upsert", map[string]string{"text": "zero"})
	cat := wscat(t, "ws://"+at+query, `{"message":"test data"}`) // as the document's client says when it opens
	bare := curlUpgrade(t, "http://"+at+query+"&after=0")
	npm1.says(t, `open ""`)
	npm2.says(t, `open ""`)
	sse := curlStays(t, "-H", "Accept: text/event-stream", "http://"+at+query)
	sse.says(t, ": connected\n")
	eventually(t, "wscat should be connected", func() error { // it does not say so; what it says is counted
		if d.metric(t, "kabar_frames_refused_total", `gateway="events"`) == ignored {
			return errors.New("what it sent has not come")
		}
		return nil
	})
	var seqs []uint64
	emit := func(text string) {
		seqs = append(seqs, d.emit(t, "tools", token, "messages.upsert", map[string]string{"text": text}))
	}
	emit("one")
	d.emit(t, "tools", token, "chats.delete", "not asked for")
	emit("two")
	for _, p := range []*process{npm1.process, npm2.process, cat, bare, sse} {
		p.sees(t, &p.out, `one(?s:.*)two`)
		if text := p.out.String(); strings.Count(text, "one") != 1 || strings.Contains(text, "not asked for") {
			t.Errorf("%v heard %s", p.cmd.Args, text)
		}
	}

	// The stream breaks; what it missed comes first when it comes back.
	first := sse.sees(t, &sse.out, `id: (\S+)\ndata: .*"one"`)[1]
	if !strings.HasSuffix(first, fmt.Sprintf(":%d", seqs[0])) {
		t.Errorf("the id of an event is %q, its seq %d", first, seqs[0])
	}
	sse.signal(9)
	sse.wait(t)
	emit("three")
	sse = curlStays(t, "-H", "Accept: text/event-stream", "-H", "Last-Event-ID: "+first, "http://"+at+query)
	sse.says(t, "three")
	emit("four")
	sse.says(t, "four")
	got := regexp.MustCompile(`"text":"(\w+)"`).FindAllStringSubmatch(sse.out.String(), -1)
	var texts []string
	for _, g := range got {
		texts = append(texts, g[1])
	}
	if strings.Join(texts, " ") != "two three four" {
		t.Errorf("after Last-Event-ID came %v", texts)
	}
}
