package e2e

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// publish saves and publishes a process.
func (s *server) publish(t *testing.T, name, source string) {
	t.Helper()
	s.admin(t, 200, "PUT", "/v1/processes/"+name, source)
	s.admin(t, 200, "POST", "/v1/processes/"+name+"/publish", "{}")
}

const echoBot = `process: echo
inputs:  { message: string }
outputs: { response: string }
rules:
  - reply: { response: message }
endpoint: { url: /echo, access: anonymous }
`

// waits is a bot that calls a host, and has so much time for it.
func waits(name, host, timeout string) string {
	return `process: ` + name + `
inputs:  { message: string }
outputs: { response: string }
rules:
  - call: { url: ` + host + ` }
    reply: { response: message }
endpoint: { url: /` + name + `, access: anonymous }
timeout: ` + timeout + "\n"
}

// TestBotsThatNeverEnd: one that loops for ages and one that calls a host that
// never answers end in their time, and take nobody else's.
func TestBotsThatNeverEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, loopback)
	mute := newMute(t)
	s.publish(t, "echo", echoBot)
	s.publish(t, "brief", waits("brief", mute.url, "200ms"))
	s.publish(t, "patient", waits("patient", mute.url, "30s"))
	s.publish(t, "looper", `process: looper
inputs:  { list: list }
outputs: { response: number }
rules:
  - reply: { response: 'count(list, any(list, all(list, any(list, # == "never"))))' }
endpoint: { url: /looper, access: anonymous }
timeout: 2s
`)
	echo := dial(t, s.wsURL("/echo"))
	echoes := func() { t.Helper(); echo.gets(t, `{"message":"Hai"}`, `{"response":"Hai"}`) }

	// More than may call at once, all of them waiting.
	var answered atomic.Int64
	for range 40 {
		c := dial(t, s.wsURL("/patient"))
		c.send(t, `{"message":"Hai"}`)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if _, err := c.read(t.Context()); err == nil {
				answered.Add(1)
			}
		}()
		t.Cleanup(func() {
			_ = c.c.CloseNow()
			<-ended
		})
	}
	mute.reached(t)
	for range 100 {
		echoes()
	}
	if n := answered.Load(); n > 0 {
		t.Errorf("%d were answered by somebody who never answers", n)
	}

	// A thousand million steps and more, on several connections.
	list := `{"list":[` + strings.Repeat("1,", 999) + `1]}`
	var loopers []*socket
	for range 4 {
		c := dial(t, s.wsURL("/looper"))
		c.send(t, list)
		loopers = append(loopers, c)
	}
	for range 100 {
		echoes()
	}
	fails := func(c *socket, codes ...string) {
		t.Helper()
		a := read(t, c.next(t))
		code, _ := a.at("error", "code").(string)
		if !strings.Contains(strings.Join(codes, " "), code) || code == "" {
			t.Errorf("a bot that never ends answers %s", a.text)
		}
	}
	for _, c := range loopers {
		fails(c, "PROCESS_FAILED", "PROCESS_TIMEOUT")
		c.gets(t, `{"list":[]}`, `{"response":0}`) // its next run is its own
	}
	brief := dial(t, s.wsURL("/brief"))
	brief.send(t, `{"message":"Hai"}`)
	fails(brief, "PROCESS_TIMEOUT")
	echoes()
	ready(t, s)
}

// TestBotThatCausesItself: one that answers an event with the same event ends
// after a few, and the log says which it was.
func TestBotThatCausesItself(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.publish(t, "echo", echoBot)
	token := s.instance(t, "round")
	s.publish(t, "ouroboros", `process: ouroboros
instances: [round]
rules:
  - on: event
    when: event.name == "messages.upsert"
    notify: { instance: round, event: messages.upsert, data: 'int(event.data) + 1' }
`)
	sub := s.subscribe(t, "*", token, "")
	s.emit(t, "round", token, "messages.upsert", 0)
	s.sees(t, &s.err, `level=WARN.*causes itself.*process=ouroboros`)
	// It has ended: what comes next is the next in number.
	last := s.emit(t, "round", token, "chats.upsert", "after it")
	if last < 3 || last > 20 {
		t.Errorf("one event has caused %d", last-2)
	}
	for n := uint64(1); n < last; n++ {
		if e := sub.event(t); e.Seq != n || string(e.Data) != strconv.FormatUint(n-1, 10) {
			t.Errorf("event %d is %+v", n, e)
		}
	}
	if e := sub.event(t); e.Event != "chats.upsert" {
		t.Errorf("after the round came %+v", e)
	}
	again := s.emit(t, "round", token, "chats.upsert", "still")
	if again != last+1 {
		t.Errorf("the round goes on: from event %d to %d", last, again)
	}
	dial(t, s.wsURL("/echo")).gets(t, `{"message":"Hai"}`, `{"response":"Hai"}`)
}
