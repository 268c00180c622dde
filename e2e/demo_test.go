package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// demo is the server that a person has after the README's command, on the ports
// that the documents name.
type demo struct {
	*server
	ann, budi *person // the two that the guide names
	token     string  // of the instance "demo"
}

// demoPorts are the ports of `kabar demo`.
var demoPorts = []string{"8080", "3000", "5050", "8084"}

// demonstrate starts a demo with a command line, on the documents' ports.
func demonstrate(t *testing.T, line []string, hows ...how) *demo {
	t.Helper()
	portsFree(t)
	return began(t, "localhost:8080", line, hows...)
}

// demonstrateAnywhere starts a demo on a port of its own, so that it may run
// beside others.
func demonstrateAnywhere(t *testing.T) *demo {
	t.Helper()
	d := began(t, "", command(kabar, "demo", "--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data")))
	d.addr = "localhost:" + d.sees(t, &d.out, `(?m)^relay +http://127\.0\.0\.1:(\d+),`)[1]
	return d
}

// began starts a demo that can be reached at an address, and reads its guide.
func began(t *testing.T, addr string, line []string, hows ...how) *demo {
	t.Helper()
	d := &demo{server: &server{addr: addr}}
	d.process = start(t, line, hows...)
	d.data = d.sees(t, &d.out, `Everything is in (\S+?)\. `)[1]
	d.ann, d.budi = d.named(t, "ann"), d.named(t, "budi")
	d.sees(t, &d.out, `(?m)^  a notice .*\n`) // the guide is whole
	d.token = d.guideLine(t, "token")
	t.Cleanup(func() {
		if !d.hasEnded() {
			d.signal(syscall.SIGINT)                              // Ctrl-C
			if code := d.wait(t); code != 0 && line[0] == kabar { // go run has a code of its own
				t.Errorf("after Ctrl-C the demo ended with %d", code)
			}
		}
		noPanic(t, d.process)
	})
	return d
}

// portsFree waits until the ports are: another demo may be running.
func portsFree(t *testing.T) {
	t.Helper()
	eventually(t, "the demo needs its ports for itself; stop what listens there", func() error {
		for _, port := range demoPorts {
			l, err := net.Listen("tcp", "127.0.0.1:"+port)
			if err != nil {
				return err
			}
			l.Close()
		}
		return nil
	})
}

// named is a person of the guide.
func (d *demo) named(t *testing.T, name string) *person {
	t.Helper()
	m := d.sees(t, &d.out, name+`\s+id (\d+)\s+(\S+)\s+token\s+(\S+)\s`)
	id, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return &person{s: d.server, id: id, email: m[2], token: m[3]}
}

// quiet waits until nobody is connected any more: what an earlier test closed
// ends by and by.
func (d *demo) quiet(t *testing.T) {
	t.Helper()
	d.connected(t, 0, 0)
}

// connected waits until there are so many sessions, on so many WebSockets.
func (d *demo) connected(t *testing.T, sessions, sockets float64) {
	t.Helper()
	eventually(t, fmt.Sprintf("there should be %v sessions on %v sockets", sessions, sockets), func() error {
		if s, c := d.metric(t, "kabar_hub_sessions"), d.metric(t, "kabar_ws_open"); s != sessions || c != sockets {
			return fmt.Errorf("there are %v on %v", s, c)
		}
		return nil
	})
}

// guideLine gives what the guide says after a label.
func (d *demo) guideLine(t *testing.T, label string) string {
	t.Helper()
	return strings.TrimSpace(d.sees(t, &d.out, `(?m)^  `+regexp.QuoteMeta(label)+` +(.+)$`)[1])
}

// TestDemoSurvivesAKill: two people in two browsers, the server killed with -9
// and started again on the same data. What was acknowledged meanwhile is there
// once, in order.
func TestDemoSurvivesAKill(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	line := command(kabar, "demo", "--data", data)
	d := demonstrate(t, line)
	ann, budi := d.ann, d.budi
	annsBrowser, budisBrowser := open(t), open(t)
	annsTab, budisTab := d.directTab(t, annsBrowser, ann, budi.id, ""), d.directTab(t, budisBrowser, budi, ann.id, "")
	talk(t, annsTab, budisTab)
	last := budisTab.eval(t, "last") // the id of the last message that budi's page has shown
	if last == "" {
		t.Fatal("the page has seen no id")
	}
	budisTab.do(t, chromedp.Navigate("about:blank")) // budi goes away

	a := ann.connect(t, "")
	var missed []string
	for i := range 20 {
		a.send(t, say(budi.id, numbered(i), ref(i)))
		if f := a.expect(t, 4); f.Data["ref"] != ref(i) {
			t.Fatalf("instead of the ack of %s came %v", ref(i), f)
		}
		missed = append(missed, numbered(i))
	}
	d.kill9(t)
	annsTab.becomes(t, `state.textContent === "closed"`)

	d = demonstrate(t, line)
	// The logins of before go on.
	annsTab, budisTab = d.directTab(t, annsBrowser, ann, budi.id, ""), d.directTab(t, budisBrowser, budi, ann.id, "&after="+last)
	shown(t, budisTab, missed...)
	annsTab.write(t, "#messageInput", "Masih di sana?", "#send")
	shown(t, budisTab, append(missed, "Masih di sana?")...)
	budisTab.write(t, "#messageInput", "Masih!", "#send")
	shown(t, annsTab, "Masih!")
	if past := history(t, ann, budi); len(past) != 3+len(missed)+2 {
		t.Errorf("the history has %d messages, %d were said", len(past), 3+len(missed)+2)
	}
}
