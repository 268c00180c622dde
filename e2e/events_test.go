package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// event is a frame of events.
type event struct {
	Event    string `json:"event"`
	Instance struct {
		ID                 json.Number     `json:"id"`
		Name               string          `json:"name"`
		ConnectionStatus   string          `json:"connectionStatus"`
		OwnerJid           *string         `json:"ownerJid"`
		ExternalAttributes json.RawMessage `json:"externalAttributes"`
	} `json:"instance"`
	Data      json.RawMessage `json:"data"`
	ID        string          `json:"id"`
	Seq       uint64          `json:"seq"`
	Timestamp string          `json:"timestamp"`
	Epoch     string          `json:"epoch"`
}

func (s *socket) event(t *testing.T) event {
	t.Helper()
	text := s.next(t)
	var e event
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return e
}

// subscribe connects to an instance's events; names and query as in a URL.
func (s *server) subscribe(t *testing.T, names, token, query string) *socket {
	t.Helper()
	return dial(t, s.wsURL("/ws/events?event="+url.QueryEscape(names)+"&token="+token+query))
}

func TestEventsReachEverySubscriber(t *testing.T) {
	s := serve(t)
	token, other := s.instance(t, "one"), s.instance(t, "two")
	var all []*socket
	for range 5 {
		all = append(all, s.subscribe(t, "messages.upsert", token, ""))
	}
	both := s.subscribe(t, "messages.upsert,connection.update", token, "&epoch=1")
	everything, foreign := s.subscribe(t, "*", token, ""), s.subscribe(t, "*", other, "")
	raw, cloud := s.subscribe(t, "messages.upsert", token, "&format=raw"), s.subscribe(t, "messages.upsert", token, "&format=cloudevents")
	all[0].send(t, `{"message":"test data"}`) // accepted, and ignored
	all[0].sendKind(t, websocket.MessageBinary, []byte{0, 1, 2})

	s.emit(t, "one", token, "chats.delete", []int{1})
	s.emit(t, "one", token, "connection.update", map[string]any{"state": "open", "statusReason": 200})
	// What is in data stays as it is: numbers that JavaScript cannot hold, and order.
	const data = `{"z":9007199254740993,"a":1e400,"text":"<b>\u2028 🙂"}`
	seq := uint64(dig(must(t, 202, "POST", s.url("/v1/instances/one/events"), `{"event":"messages.upsert","data":`+data+`}`,
		"Authorization", "Bearer "+token).at("accepted").([]any)[0], "seq").(float64))
	for i, c := range all {
		e := c.event(t)
		if e.Event != "messages.upsert" || e.Seq != seq || e.Instance.Name != "one" || e.Instance.ConnectionStatus != "ONLINE" || e.Epoch != "" {
			t.Errorf("subscriber %d hears %+v", i, e)
		}
		if !sameJSON(e.Data, data) {
			t.Errorf("subscriber %d hears the data %s, posted was %s", i, e.Data, data)
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", e.Timestamp); err != nil {
			t.Error(err)
		}
	}
	for c, names := range map[*socket][]string{both: {"connection.update", "messages.upsert"}, everything: {"chats.delete", "connection.update", "messages.upsert"}} {
		for _, name := range names {
			if e := c.event(t); e.Event != name || (e.Epoch != "") != (c == both) {
				t.Errorf("%+v came, expected %s", e, name)
			}
		}
	}
	if got := raw.next(t); !sameJSON([]byte(got), data) {
		t.Errorf("format=raw: %s", got)
	}
	var c map[string]any
	if err := json.Unmarshal([]byte(strings.Replace(cloud.next(t), "1e400", "1", 1)), &c); err != nil || c["specversion"] != "1.0" || c["type"] != "messages.upsert" || c["id"] == nil || c["source"] == nil {
		t.Errorf("format=cloudevents: %v %v", c, err)
	}
	s.emit(t, "two", other, "messages.upsert", "mine")
	if e := foreign.event(t); e.Instance.Name != "two" || string(e.Data) != `"mine"` {
		t.Errorf("the other instance's subscriber hears %+v", e)
	}
	// state=1 begins with how things stand.
	state := s.subscribe(t, "connection.update,qrcode.updated", token, "&state=1")
	if e := state.event(t); e.Event != "connection.update" || !sameJSON(e.Data, `{"state":"open","statusReason":200}`) {
		t.Errorf("state=1 begins with %+v", e)
	}
	a := must(t, 200, "GET", s.url("/instance/connectionState/one"), nil, "Authorization", "Bearer "+token)
	if a.at("state") != "open" || a.at("statusReason") != 200.0 {
		t.Errorf("connectionState: %s", a.text)
	}
}

// sameJSON compares texts of JSON without the blanks between.
func sameJSON(a []byte, b string) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, []byte(b)) == nil && x.String() == y.String()
}

func TestEventsSurviveAKill(t *testing.T) {
	s := serve(t)
	token := s.instance(t, "wa")
	c := s.subscribe(t, "*", token, "&epoch=1")
	s.emit(t, "wa", token, "messages.upsert", 0)
	seen := c.event(t)
	consumer := s.subscribe(t, "*", token, "&consumer=billing") // begins here, and goes before it has heard anything
	_ = consumer.c.CloseNow()

	var batch []map[string]any
	for i := range 100 {
		batch = append(batch, map[string]any{"event": "messages.upsert", "data": i + 1})
	}
	post := func() answer {
		return must(t, 202, "POST", s.url("/v1/instances/wa/events"), batch, "Authorization", "Bearer "+token, "Idempotency-Key", "batch 1")
	}
	first := post()
	s.kill9(t)
	s = s.again(t)
	if again := post(); again.text != first.text {
		t.Errorf("the same Idempotency-Key was answered by\n%s\nand then\n%s", first.text, again.text)
	}
	byPosition := s.subscribe(t, "*", token, fmt.Sprintf("&after=%s:%d", seen.Epoch, seen.Seq))
	byName := s.subscribe(t, "*", token, "&consumer=billing&after=last")
	s.emit(t, "wa", token, "chats.upsert", "live")
	for name, c := range map[string]*socket{"after=": byPosition, "after=last": byName} {
		for i := range 100 {
			if e := c.event(t); string(e.Data) != strconv.Itoa(i+1) || e.Seq != seen.Seq+uint64(i)+1 {
				t.Fatalf("%s: event %d came as %+v", name, i+1, e)
			}
		}
		if e := c.event(t); string(e.Data) != `"live"` {
			t.Errorf("%s: after the past came %+v", name, e)
		}
	}
}

func TestEventsTokensObey(t *testing.T) {
	s := serve(t)
	key := s.adminKey(t)
	token := s.instance(t, "wa")
	c := s.subscribe(t, "*", token, "")
	sse := curlStays(t, "-H", "Accept: text/event-stream", s.url("/ws/events?event=*&token="+token))
	sse.says(t, ": connected\n")
	a := must(t, 201, "PUT", s.url("/instance/refreshToken/wa"), map[string]string{"oldToken": token}, "Authorization", "Bearer "+token)
	within(t, 20*time.Second, "closing after a token was refreshed", func() { c.closes(t, 4001) })
	fresh, _ := a.at("token").(string)
	sse.says(t, `{"code":4001,`)
	if code := sse.wait(t); code != 0 {
		t.Errorf("curl ended with %d", code)
	}
	refused(t, 401, s.wsURL("/ws/events?event=*&token="+token))
	must(t, 401, "POST", s.url("/v1/instances/wa/events"), map[string]any{"event": "messages.upsert", "data": 1}, "Authorization", "Bearer "+token)

	c = s.subscribe(t, "*", fresh, "")
	must(t, 200, "DELETE", s.url("/instance/delete/wa"), nil, "apikey", key)
	within(t, 20*time.Second, "closing after the instance was deleted", func() { c.closes(t, 4001) })
	refused(t, 401, s.wsURL("/ws/events?event=*&token="+fresh))
	// An instance made again under the name is another one: the old token stays dead.
	s.instance(t, "wa")
	refused(t, 401, s.wsURL("/ws/events?event=*&token="+fresh))
}

func TestEventsBadRequests(t *testing.T) {
	s := serve(t)
	token, other := s.instance(t, "one"), s.instance(t, "two")
	admin := []string{"apikey", s.adminKey(t)}
	own := []string{"Authorization", "Bearer " + token}
	var many []map[string]any
	for range 101 {
		many = append(many, map[string]any{"event": "messages.upsert", "data": 1})
	}
	for _, c := range []struct {
		method, path string
		body         any
		headers      []string
		status       int
		says         string
	}{
		{"POST", "/instance/create", `{`, admin, 400, "JSON"},
		{"POST", "/instance/create", `{"instanceName":7}`, admin, 400, "instanceName"},
		{"POST", "/instance/create", `{"instanceName":"one"}`, admin, 403, "name"},
		{"POST", "/instance/create", `{"instanceName":"../x"}`, admin, 400, ""},
		{"POST", "/instance/create", `{"externalAttributes":` + strings.Repeat("[", 20000) + `}`, admin, 400, ""},
		{"POST", "/instance/create", `{}`, nil, 401, "apikey"},
		{"POST", "/instance/create", `{}`, []string{"apikey", "wrong"}, 401, "apikey"},
		{"POST", "/instance/create", `{}`, own, 401, "apikey"},
		{"GET", "/instance/fetchInstances", nil, own, 401, ""},
		{"GET", "/instance/fetchInstance/two", nil, own, 403, ""},
		{"GET", "/instance/fetchInstance/none", nil, admin, 404, ""},
		{"GET", "/instance/fetchInstance/one", nil, []string{"Authorization", "Bearer nonsense"}, 401, ""},
		{"PATCH", "/instance/update/one", `{"description":1}`, own, 400, "description"},
		{"DELETE", "/instance/delete/two", nil, own, 403, ""},
		{"PUT", "/instance/refreshToken/one", `{}`, own, 400, "oldToken"},
		{"PUT", "/instance/refreshToken/one", map[string]string{"oldToken": other}, own, 401, ""},
		{"POST", "/instance/create", `{}`, append([]string{"Origin", "https://evil.example"}, admin...), 403, ""},
		{"POST", "/v1/instances/one/events", `{`, own, 400, ""},
		{"POST", "/v1/instances/one/events", `{"event":"messages.upset","data":1}`, own, 400, "messages.upsert"},
		{"POST", "/v1/instances/one/events", `{"event":7,"data":1}`, own, 400, "event"},
		{"POST", "/v1/instances/one/events", `{"data":1}`, own, 400, ""},
		{"POST", "/v1/instances/one/events", `[]`, own, 400, ""},
		{"POST", "/v1/instances/one/events", many, own, 413, "100"},
		{"POST", "/v1/instances/one/events", strings.Repeat("x", 5<<20), own, 413, ""},
		{"POST", "/v1/instances/two/events", `{"event":"messages.upsert","data":1}`, own, 403, ""},
		{"POST", "/v1/instances/none/events", `{"event":"messages.upsert","data":1}`, admin, 404, ""},
		{"POST", "/v1/publish", `{"topic":"feed"}`, admin, 400, "text"},
		{"POST", "/v1/publish", `{"topic":"room/1","text":"x"}`, admin, 404, ""},
		{"POST", "/v1/publish", `{"user":9007199254740993,"message":"x"}`, admin, 404, ""},
		{"POST", "/v1/publish", `{"user":"1","message":"x"}`, admin, 400, "user"},
		{"POST", "/v1/publish", `{}`, admin, 400, "topic"},
		{"POST", "/v1/publish", `{"topic":"feed","text":"x"}`, own, 401, ""},
	} {
		a := call(t, c.method, s.url(c.path), c.body, c.headers...)
		if a.code != c.status || !strings.Contains(a.text, c.says) {
			t.Errorf("%s %s %.80s: %d %s, expected %d and %s", c.method, c.path, fmt.Sprint(c.body), a.code, a.text, c.status, c.says)
		}
		if strings.HasPrefix(c.path, "/instance") && (a.at("status") != float64(a.code) || a.at("error") == nil || a.at("message") == nil) {
			t.Errorf("%s %s: not the dialect's error: %s", c.method, c.path, a.text)
		}
	}
	// The same event by either way in has a number.
	a := must(t, 202, "POST", s.url("/v1/publish"), `{"instance":"one","event":"messages.upsert","data":1}`, admin...)
	if a.at("seq") != 1.0 {
		t.Errorf("the first event of an instance was published as %s", a.text)
	}
	ready(t, s)
}

func TestEventsBadSubscriptions(t *testing.T) {
	s := serve(t)
	token := s.instance(t, "one")
	for query, want := range map[string]struct {
		status int
		says   string
	}{
		"token=" + token:                      {400, "event"},
		"event=messages.upset&token=" + token: {400, "messages.upsert"},
		"event=" + url.QueryEscape("[object CloseEvent]") + "&token=" + token: {400, ""},
		"event=messaging-history.set&token=" + token:                          {400, "webhook"},
		"event=*":                              {401, "token"},
		"event=*&token=nonsense":               {401, ""},
		"event=*&token=" + token + "x":         {401, ""},
		"event=*&format=xml&token=" + token:    {400, "format"},
		"event=*&after=last&token=" + token:    {400, "after=last"},
		"event=*&after=99&token=" + token:      {410, "ahead"},
		"event=*&after=other:0&token=" + token: {410, "epoch"},
		"event=*&after=x&token=" + token:       {400, ""},
		"event=*&consumer=%00&token=" + token:  {400, "consumer"},
	} {
		body := refused(t, want.status, s.wsURL("/ws/events?"+query))
		if !strings.Contains(body, fmt.Sprintf(`{"status":%d,"error":`, want.status)) || !strings.Contains(body, want.says) {
			t.Errorf("%s: %s", query, body)
		}
		a := must(t, want.status, "GET", s.url("/ws/events?"+query), nil, "Accept", "text/event-stream")
		if !strings.Contains(a.text, want.says) {
			t.Errorf("as a stream, %s: %s", query, a.text)
		}
	}
	must(t, 426, "GET", s.url("/ws/events?event=*&token="+token), nil)
	refused(t, 403, s.wsURL("/ws/events?event=*&token="+token), "Origin", "https://evil.example")

	for name, frame := range map[string][]byte{"text": clientFrame(0x81, make([]byte, 1<<20)), "binary": clientFrame(0x82, make([]byte, 1<<20))} {
		c := rawDial(t, s.addr)
		c.send(t, []byte(handshake(s.addr, "/ws/events?event=*&token="+token)))
		c.answered(t)
		c.pour(t, frame)
		if code := c.closed(t); code != 1009 {
			t.Errorf("a megabyte of %s: close code %d", name, code)
		}
		c.Close()
	}
	ready(t, s)
}
