package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func TestDirectBadFrames(t *testing.T) {
	s := serve(t)
	ann, budi := s.friends(t)
	a, b := ann.connect(t, ""), budi.connect(t, "")
	to := strconv.Itoa(budi.id)
	for _, c := range []struct{ frame, answer string }{
		{`{`, "Data not recognized | "},
		{``, "Data not recognized | "},
		{`hello`, "Data not recognized | "},
		{`[]`, "Data not recognized | "},
		{`{"type":0,"data":{"to":` + to + `,"message":"x"}} trailing`, "Data not recognized | "},
		{`{"type":"0","data":{"to":` + to + `,"message":"x"}}`, "Data not recognized | "},
		{`{"type":0.5,"data":{"to":` + to + `,"message":"x"}}`, "Data not recognized | "},
		{`{"type":99,"data":{}}`, "Data not recognized | "},
		{`{"type":1,"data":{"from":1,"message":"forged"}}`, "Data not recognized | "},
		{`{"type":18446744073709551616,"data":{}}`, "Data not recognized | "},
		{`{"type":0}`, "Data is not Type MessageData | Data is not a map"},
		{`{"type":0,"data":null}`, "Data is not Type MessageData | Data is not a map"},
		{`{"type":0,"data":"x"}`, "Data is not Type MessageData | Data is not a map"},
		{`{"type":0,"data":[1]}`, "Data is not Type MessageData | Data is not a map"},
		{`{"type":0,"data":{"to":` + to + `}}`, "Data is not Type MessageData | Message not found"},
		{`{"type":0,"data":{"to":` + to + `,"message":7}}`, "Data is not Type MessageData | Message is not a string"},
		{`{"type":0,"data":{"message":"x"}}`, "Data is not Type MessageData | Message destination not found"},
		{`{"type":0,"data":{"to":"` + to + `","message":"x"}}`, "Data is not Type MessageData | Detination is not uint"},
		{`{"type":0,"data":{"to":-1,"message":"x"}}`, "Data is not Type MessageData | Detination is not uint"},
		{`{"type":0,"data":{"to":1.5,"message":"x"}}`, "Data is not Type MessageData | Detination is not uint"},
		{`{"type":0,"data":{"to":9007199254740993,"message":"x"}}`, "Data is not Type MessageData | Detination is not uint"},
		{`{"type":0,"data":{"to":1e400,"message":"x"}}`, "Data is not Type MessageData | Detination is not uint"},
		{`{"type":0,"data":{"to":999999,"message":"x"}}`, "error : Room not found. maybe you are not friend right now"},
		{say(ann.id, "to myself", ""), "error : Room not found. maybe you are not friend right now"},
		{say(budi.id, strings.Repeat("é", 401), ""), "Message limit reached. Get : 802 limit is 800"},
		{say(budi.id, "", ""), "error : "},
	} {
		a.send(t, c.frame)
		f := a.frame(t)
		if text, _ := f.Data["message"].(string); f.Type != -1 || !strings.HasPrefix(text, c.answer) {
			t.Errorf("%s\n\twas answered by %v\n\texpected -1 and %s", c.frame, f, c.answer)
		}
		if code, _ := f.Data["code"].(string); code == "" {
			t.Errorf("%s: the error has no code: %v", c.frame, f.Data)
		}
	}
	a.sendKind(t, websocket.MessageBinary, []byte(say(budi.id, "binary", "")))
	a.expect(t, -1)

	// A refused message's ref is told, and not remembered.
	a.send(t, say(999999, "x", "again"))
	if f := a.expect(t, -1); f.Data["ref"] != "again" {
		t.Errorf("the refusal of a frame with a ref is %v", f.Data)
	}
	a.send(t, say(budi.id, "good", "again"))
	a.expect(t, 4)
	// What is only unusual is taken: the longest text, a missing type, a BOM.
	full := strings.Repeat("é", 400)
	a.send(t, say(budi.id, full, ""))
	a.send(t, `{"data":{"to":`+to+`,"message":"no type"}}`)
	a.send(t, "\ufeff"+say(budi.id, "BOM", ""))
	for _, want := range []string{"good", full, "no type", "BOM"} {
		if f := b.expect(t, 1); f.Data["message"] != want {
			t.Fatalf("budi hears %v, expected %q", f.Data, want)
		}
	}
	ready(t, s)
}

// ready wants a server that all of this has cost nothing.
func ready(t *testing.T, s *server) {
	t.Helper()
	must(t, 200, "GET", s.url("/healthz"), nil)
	must(t, 200, "GET", s.url("/readyz"), nil)
}

func TestDirectBadBytesEndTheConnection(t *testing.T) {
	s := serve(t)
	ann, budi := s.friends(t)
	b := budi.connect(t, "")
	open := func() *raw {
		c := rawDial(t, s.addr)
		c.send(t, []byte(handshake(s.addr, "/ws/connect?auth="+ann.code(t))))
		if res, body := c.answered(t); res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
		return c
	}
	megabyte := bytes.Repeat([]byte("x"), 1<<20)
	for name, bad := range map[string]struct {
		bytes []byte
		code  int
	}{
		"a megabyte of text":     {clientFrame(0x81, megabyte), 1009},
		"a megabyte of binary":   {clientFrame(0x82, megabyte), 1009},
		"one byte too many":      {clientFrame(0x81, megabyte[:4097]), 1009},
		"too much in fragments":  {append(clientFrame(0x01, megabyte[:4000]), clientFrame(0x80, megabyte[:97])...), 1009},
		"no UTF-8":               {clientFrame(0x81, []byte("{\xff}")), 1007},
		"no mask":                {[]byte{0x81, 1, 'x'}, 1002},
		"a reserved bit":         {clientFrame(0xC1, []byte("x")), 1002},
		"an unknown opcode":      {clientFrame(0x83, []byte("x")), 1002},
		"a continuation of none": {clientFrame(0x80, []byte("x")), 1002},
		"a long ping":            {clientFrame(0x89, megabyte[:126]), 1002},
		"half a fragment more":   {append(clientFrame(0x01, []byte("x")), clientFrame(0x81, []byte("y"))...), 1002},
		"a length of 2^63":       {[]byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1002},
	} {
		c := open()
		c.pour(t, bad.bytes)
		if code := c.closed(t); code != bad.code {
			t.Errorf("%s: close code %d, expected %d", name, code, bad.code)
		}
		c.Close()
	}
	// The longest frame is no bad one.
	a := ann.connect(t, "")
	frame := say(budi.id, "long", "")
	a.send(t, frame+strings.Repeat(" ", 4096-len(frame)))
	if f := b.expect(t, 1); f.Data["message"] != "long" {
		t.Errorf("budi hears %v", f.Data)
	}
	ready(t, s)
}

func TestBadHandshakes(t *testing.T) {
	s := serve(t)
	ann, _ := s.friends(t)
	code := ann.code(t)
	path := "/ws/connect?auth=" + code
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"no Upgrade", handshake(s.addr, path, "-Upgrade"), 426},
		{"another protocol", handshake(s.addr, path, "-Upgrade", "Upgrade: h2c"), 426},
		{"no Connection", handshake(s.addr, path, "-Connection"), 426},
		{"no version", handshake(s.addr, path, "-Sec-WebSocket-Version"), 426},
		{"an old version", handshake(s.addr, path, "-Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), 426},
		{"no key", handshake(s.addr, path, "-Sec-WebSocket-Key"), 400},
		{"two keys", handshake(s.addr, path, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400},
		{"a short key", handshake(s.addr, path, "-Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ="), 400},
		{"a body", handshake(s.addr, path, "Content-Length: 4") + "body", 400},
		{"POST", strings.Replace(handshake(s.addr, path), "GET", "POST", 1), 405},
		{"HTTP/1.0", strings.Replace(handshake(s.addr, path), "HTTP/1.1", "HTTP/1.0", 1), 505},
		{"no Host", handshake(s.addr, path, "-Host"), 400},
		{"no path of ours", handshake(s.addr, "/nowhere"), 404},
		{"a foreign page", handshake(s.addr, path, "Origin: https://evil.example"), 403},
		{"a page of no origin", handshake(s.addr, path, "Origin: null"), 403},
		{"a page of another port", handshake(s.addr, path, "Origin: http://127.0.0.1:1"), 403},
		{"a header too large", handshake(s.addr, path, "X: "+strings.Repeat("x", 1<<20)), 431},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
	} {
		conn := rawDial(t, s.addr)
		conn.pour(t, []byte(c.request))
		res, body := conn.answered(t)
		if res.StatusCode != c.status {
			t.Errorf("%s: %d %s, expected %d", c.name, res.StatusCode, body, c.status)
		}
		conn.Close()
	}

	// None of that has spent the code.
	own := dial(t, s.wsURL(path), "Origin", "http://"+s.addr)
	own.send(t, `{`)
	own.expect(t, -1)
	ready(t, s)
}

// TestHalfAHandshake: it holds up nobody, and is not waited for without an end.
func TestHalfAHandshake(t *testing.T) {
	t.Parallel() // it waits for the server's own deadline
	s := serve(t)
	ann := s.person(t, "ann")
	path := "/ws/connect?auth=" + ann.code(t)
	request := handshake(s.addr, path)
	var halves []*raw
	for _, n := range []int{0, 1, 60, len(request) - 1} {
		c := rawDial(t, s.addr)
		c.send(t, []byte(request[:n]))
		halves = append(halves, c)
	}
	dial(t, s.wsURL(path)).send(t, `{`)
	ready(t, s)
	for i, c := range halves {
		answer, err := io.ReadAll(c.r)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("half handshake %d is still open", i)
		}
		if bytes.Contains(answer, []byte(" 101 ")) {
			t.Errorf("half handshake %d was answered by %s", i, answer)
		}
	}
}

func TestForeignPagesMayNotAct(t *testing.T) {
	s := serve(t, "--origins=https://app.example")
	ann := s.person(t, "ann")
	login := map[string]string{"email": ann.email, "password": password}
	must(t, 403, "POST", s.url("/api/login"), login, "Origin", "https://evil.example")
	must(t, 403, "POST", s.url("/api/logout"), nil, "Origin", "null", "Authorization", ann.token)
	must(t, 200, "POST", s.url("/api/login"), login, "Origin", "http://"+s.addr)
	a := must(t, 200, "POST", s.url("/api/login"), login, "Origin", "https://app.example")
	if got := a.header.Get("Access-Control-Allow-Origin"); got != "https://app.example" {
		t.Errorf("a listed page may not read the answer: %q", got)
	}
	a = must(t, 200, "GET", s.url("/ws/auth"), nil, "Origin", "https://evil.example", "Authorization", ann.token)
	if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("a foreign page may read a code: %q", got)
	}
	dial(t, s.wsURL("/ws/connect?auth="+ann.code(t)), "Origin", "https://app.example")
	body := refused(t, 403, s.wsURL("/ws/connect?auth="+ann.code(t)), "Origin", "https://app.example.evil.example")
	if !strings.Contains(body, `"code":403,"data":null`) {
		t.Errorf("the refusal is not in the dialect: %s", body)
	}
}

func TestDirectBadRequests(t *testing.T) {
	s := serve(t)
	ann, budi := s.friends(t)
	huge := `{"email":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, c := range []struct {
		method, path string
		body         any
		status       int
		says         string
	}{
		{"POST", "/api/register", `{`, 400, "JSON"},
		{"POST", "/api/register", `[]`, 400, "object"},
		{"POST", "/api/register", `{"email":7}`, 400, "must be a string"},
		{"POST", "/api/register", huge, 413, ""},
		{"POST", "/api/register", map[string]string{"email": "nobody", "username": "x", "password": password}, 400, ""},
		{"POST", "/api/register", map[string]string{"email": "x@example.com", "username": "x", "password": "short"}, 400, ""},
		{"POST", "/api/register", map[string]string{"email": "ANN@example.com", "username": "x", "password": password}, 500, `"error":"4 error: Already Registered "`},
		{"POST", "/api/login", map[string]string{"email": ann.email, "password": "wrong"}, 400, "1 error: Password not match"},
		{"POST", "/api/login", map[string]string{"email": "nobody@example.com", "password": "wrong"}, 400, "1 error: Password not match"},
		{"POST", "/api/login", `{"email":{}}`, 400, ""},
		{"POST", "/api/friends/request", `{"friend_id":9007199254740993}`, 400, ""},
		{"POST", "/api/friends/request", `{"friend_id":"2"}`, 400, ""},
		{"POST", "/api/friends/request", `{}`, 400, ""},
		{"POST", "/api/friends/request", map[string]int{"friend_id": 999999}, 500, "User not found"},
		{"POST", "/api/friends/request", map[string]int{"friend_id": ann.id}, 500, "Cannot add yourself"},
		{"POST", "/api/friends/request", map[string]int{"friend_id": budi.id}, 500, "Already friend"},
		{"POST", "/api/friends/marry", map[string]int{"friend_id": budi.id}, 404, "accept"},
		{"POST", "/api/user/block", map[string]int{"blocked_user_id": 999999}, 404, ""},
		{"GET", "/api/user?id=999999", nil, 500, "error : user not found"},
		{"GET", "/api/user?id=9007199254740993", nil, 400, ""},
		{"GET", "/api/user?id=x", nil, 400, ""},
		{"GET", "/api/message?to=x", nil, 400, ""},
		{"GET", "/api/message", nil, 400, ""},
		{"GET", "/api/message?to=2&cursor=-1", nil, 400, ""},
		{"PATCH", "/api/user/about", `{}`, 400, ""},
		{"PATCH", "/api/user/username", map[string]string{"new_username": strings.Repeat("x", 36)}, 400, ""},
		{"GET", "/ws/connect", nil, 426, "ws://"},
	} {
		a := call(t, c.method, s.url(c.path), c.body, "Authorization", "Bearer "+ann.token)
		if a.code != c.status || !strings.Contains(a.text, c.says) {
			t.Errorf("%s %s %.60s: %d %s, expected %d and %s", c.method, c.path, fmt.Sprint(c.body), a.code, a.text, c.status, c.says)
		}
		if a.at("code") != float64(c.status) || a.at("error") == nil || a.at("details") == nil {
			t.Errorf("%s %s: not the dialect's error: %s", c.method, c.path, a.text)
		}
	}
	for _, header := range []string{"", "nonsense", "Basic eDp5", "Bearer " + ann.token + "x", strings.TrimRight(ann.token, "=") + ".x"} {
		a := must(t, 401, "GET", s.url("/ws/auth"), nil, "Authorization", header)
		if a.at("error") != "Authorization failed" || !strings.Contains(a.text, `"data":null`) {
			t.Errorf("%q: %s", header, a.text)
		}
	}
	for _, after := range []string{"x", "-1", "1.5", "a-b", "18446744073709551616"} {
		if s, code, body := try(t, s.wsURL("/ws/connect?auth="+ann.code(t)+"&after="+after)); s != nil || code != 400 && code != 410 {
			t.Errorf("after=%s: %d %s", after, code, body)
		}
	}
	for after, reason := range map[string]string{"999999": "ahead", "other:1": "epoch"} {
		if body := refused(t, 410, s.wsURL("/ws/connect?auth="+ann.code(t)+"&after="+after)); !strings.Contains(body, `"reason":"`+reason+`"`) {
			t.Errorf("after=%s: %s", after, body)
		}
		told := dial(t, s.wsURL("/ws/connect?close_reason=1&auth="+ann.code(t)+"&after="+after))
		if got := told.closes(t, 4010); !strings.Contains(got, reason) {
			t.Errorf("after=%s: closed with the reason %q", after, got)
		}
	}
	ready(t, s)
}
