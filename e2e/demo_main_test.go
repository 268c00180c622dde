package e2e

import (
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestDemo is a fresh start: the README's command, and then everything that the
// published documents and the demo's own guide say. It needs the documents'
// ports, so all that uses them is here, one after the other on one server.
func TestDemo(t *testing.T) {
	d := demonstrate(t, command("go", "run", "./cmd/kabar", "demo"), in(".."))
	t.Run("every port has every route", d.ports)
	t.Run("the guide", d.guideHolds)
	t.Run("direct in Node", d.directInNode)
	t.Run("direct in two browsers", d.directInTwoBrowsers)
	t.Run("direct with tools", d.directTools)
	t.Run("feed in Node", d.feedInNode)
	t.Run("feed from a file", d.feedFromAFile)
	t.Run("feed in three tabs", d.feedInThreeTabs)
	t.Run("feed with tools", d.feedTools)
	t.Run("events in Node", d.eventsInNode)
	t.Run("events in a browser", d.eventsInABrowser)
	t.Run("events with tools", d.eventsTools)
	t.Run("events with the document's bug", d.eventsBug)

	// Ctrl-C ends it, and takes its temporary folder away. (go run itself ends
	// with 1 after a Ctrl-C, whatever the program says.)
	d.signal(syscall.SIGINT)
	d.wait(t)
	if _, err := os.Stat(d.data); err == nil {
		t.Errorf("the demo has left %s behind", d.data)
	}
	if text := d.err.String(); strings.Contains(text, "kabar:") || strings.Contains(text, "level=ERROR") {
		t.Errorf("the demo wrote:\n%s", text)
	}
}

// ports: 127.0.0.1 and ::1, four ports, and each with everything.
func (d *demo) ports(t *testing.T) {
	hosts := []string{"127.0.0.1"}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil { // a machine without IPv6 has only the other
		l.Close()
		hosts = append(hosts, "::1")
	}
	for _, host := range hosts {
		for _, port := range demoPorts {
			at := net.JoinHostPort(host, port)
			must(t, 200, "GET", "http://"+at+"/healthz", nil)
			must(t, 200, "GET", "http://"+at+"/", nil)
			must(t, 200, "GET", "http://"+at+"/ws/auth", nil, "Authorization", d.ann.token)
			dial(t, "ws://"+at+"/websocket", "Origin", "null")
			dial(t, "ws://"+at+"/ws/events?event=*&token="+d.token, "Origin", "http://localhost:5173")
			dial(t, "ws://"+at+"/ws/connect?auth="+d.ann.code(t), "Origin", "http://"+at)
			refused(t, 403, "ws://"+at+"/websocket", "Origin", "https://evil.example")
		}
	}
}

// shell runs a line as a person pastes it, in a shell that finds the npm
// packages.
func (d *demo) shell(t *testing.T, line string, hows ...how) *process {
	t.Helper()
	return start(t, command("sh", "-c", line), append([]how{newLines(t).feed}, hows...)...)
}

// guideHolds tries everything that the guide says.
func (d *demo) guideHolds(t *testing.T) {
	urls := regexp.MustCompile(`(?:http|ws)://\S+`)
	url := func(label string) string { return urls.FindString(d.guideLine(t, label)) }
	a := must(t, 200, "POST", "http://localhost:5050/api/login", map[string]string{"email": d.budi.email, "password": regexp.MustCompile(`People +password (\S+)`).FindStringSubmatch(d.out.String())[1]})
	if a.at("data", "Token") == nil {
		t.Errorf("the password of the guide: %s", a.text)
	}

	// direct
	budi := d.budi.connect(t, "")
	m := d.shell(t, d.guideLine(t, "a code"))
	code := m.sees(t, &m.out, `"websocketAuthCode":"([^"]+)"`)[1]
	ann := wscat(t, strings.Replace(url("connect"), "<code>", code, 1), d.guideLine(t, "say"))
	if f := budi.expect(t, 1); f.Data["message"] != "Hai!" || f.Data["from"] != float64(d.ann.id) {
		t.Errorf("budi hears %v", f.Data)
	}
	budi.send(t, say(d.ann.id, "Halo!", ""))
	ann.says(t, `"message":"Halo!"`)

	// feed
	page := must(t, 200, "GET", regexp.MustCompile(`(?m)^feed +(http://\S+/),`).FindStringSubmatch(d.out.String())[1], nil)
	if !strings.Contains(page.header.Get("Content-Type"), "text/html") || !strings.Contains(page.text, "<html") {
		t.Errorf("the feed's page: %v %.200s", page.header, page.text)
	}
	stream := regexp.MustCompile(`(?m)^feed(?s:.*?)  connect +(ws://\S+)`).FindStringSubmatch(d.out.String())[1]
	reader, byHand := dial(t, stream), d.shell(t, d.guideLine(t, "by hand"))
	publish := d.shell(t, d.guideLine(t, "publish"), in("..")) // where the demo was started
	publish.sees(t, &publish.out, ` seq \d+\n`)
	reader.until(t, "Halo semua!")
	byHand.says(t, "Halo semua!\n")

	// events
	heard := wscat(t, strings.Replace(url("subscribe"), "<token>", d.token, 1))
	heard.sees(t, &heard.out, `"event":"messages.upsert","instance":\{"id":\d+,"name":"demo"`) // by itself, within seconds
	events := d.shell(t, d.guideLine(t, "as a stream"))
	events.says(t, ": connected\n")
	posted := d.shell(t, d.guideLine(t, "an event"))
	posted.sees(t, &posted.out, `\{"accepted":\[\{"id":"[^"]+","seq":\d+\}\]\}`)
	events.sees(t, &events.out, `id: \S+:\d+\ndata: \{"event":"messages\.upsert",.*"data":\{"text":"Hai!"\}`)
	heard.says(t, `"data":{"text":"Hai!"}`)

	// the administrator
	if key := d.sees(t, &d.out, `Administrator +apikey: (\S+)`)[1]; key != d.adminKey(t) {
		t.Errorf("the guide's apikey is %s", key)
	}
	notice := d.shell(t, d.guideLine(t, "a notice"))
	notice.sees(t, &notice.out, `"seq":\d+`)
	if f := budi.expect(t, 2); f.Data["message"] != "Halo semua!" || f.Data["kind"] != "notice" {
		t.Errorf("budi hears %v", f.Data)
	}
	reader.until(t, "Halo semua!")
}

// until reads frames until a certain one: the demo's own come in between.
func (s *socket) until(t *testing.T, text string) {
	t.Helper()
	for s.next(t) != text {
	}
}
