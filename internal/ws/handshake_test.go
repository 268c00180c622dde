package ws

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func goodRequest() *Request {
	return &Request{
		Method: "GET", Proto: "HTTP/1.1", Host: "kabar.example", Path: "/",
		Header: Header{
			{"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-Websocket-Version", "13"},
			{"Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
		},
	}
}

func TestCheck(t *testing.T) {
	set := func(name string, values ...string) func(*Request) {
		return func(r *Request) {
			r.Header = slices.DeleteFunc(r.Header, func(f Field) bool { return f.Name == name })
			for _, v := range values {
				r.Header = append(r.Header, Field{name, v})
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*Request)
		want   int // 0 is accepted
	}{
		{"good", func(*Request) {}, 0},
		{"lists and cases", func(r *Request) {
			set("Upgrade", "h2c , WebSocket")(r)
			set("Connection", "keep-alive", "foo,\tupgrade")(r)
		}, 0},
		{"spaces", set("Sec-Websocket-Key", " dGhlIHNhbXBsZSBub25jZQ== "), 0},
		{"protocols and extensions offered", func(r *Request) {
			set("Sec-Websocket-Protocol", "a, b")(r)
			set("Sec-Websocket-Extensions", "permessage-deflate")(r)
		}, 0},
		{"an empty body said", set("Content-Length", "0"), 0},
		{"POST", func(r *Request) { r.Method = "POST" }, 405},
		{"get", func(r *Request) { r.Method = "get" }, 405},
		{"HTTP/1.0", func(r *Request) { r.Proto = "HTTP/1.0" }, 505},
		{"HTTP/2.0", func(r *Request) { r.Proto = "HTTP/2.0" }, 505},
		{"no host", func(r *Request) { r.Host = "" }, 400},
		{"no upgrade", set("Upgrade"), 426},
		{"another upgrade", set("Upgrade", "websocket2"), 426},
		{"no connection", set("Connection"), 426},
		{"another connection", set("Connection", "keep-alive"), 426},
		{"no version", set("Sec-Websocket-Version"), 426},
		{"version 12", set("Sec-Websocket-Version", "12"), 426},
		{"version 130", set("Sec-Websocket-Version", "130"), 426},
		{"versions in a list", set("Sec-Websocket-Version", "13, 8"), 426},
		{"version twice", set("Sec-Websocket-Version", "13", "13"), 426},
		{"no key", set("Sec-Websocket-Key"), 400},
		{"two keys", set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="), 400},
		{"short key", set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25j"), 400},
		{"long key", set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZTE="), 400},
		{"17 bytes", set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ=a"), 400},
		{"18 bytes", set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZTEy"), 400},
		{"not base64", set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25j!Q=="), 400},
		{"body", func(r *Request) { r.ContentLength = 1 }, 400},
		{"unknown body", func(r *Request) { r.ContentLength = -1 }, 400},
		{"body in the header", set("Content-Length", "10"), 400},
		{"chunked", set("Transfer-Encoding", "chunked"), 400},
	} {
		r := goodRequest()
		tt.change(r)
		f := r.Check()
		if f != nil {
			got := f.Status
			if got != tt.want {
				t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
			}
			if got == 426 && (f.Header.Get("Sec-WebSocket-Version") != "13" || f.Header.Get("Upgrade") != "websocket") {
				t.Errorf("%s: %v", tt.name, f.Header)
			}
		} else if tt.want != 0 {
			t.Errorf("%s: accepted", tt.name)
		}
	}
}

func TestAnswer(t *testing.T) {
	got := string(appendSwitching(nil, goodRequest()))
	if !strings.Contains(got, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("%q", got)
	}
}

// readAnswer reads an HTTP answer and the end of the connection after it.
func readAnswer(t *testing.T, p *peer) (*http.Response, string) {
	t.Helper()
	rs, err := http.ReadResponse(p.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(rs.Body)
	if err != nil {
		t.Fatal(err)
	}
	p.wantEOF()
	if !rs.Close || rs.ContentLength < 0 {
		t.Errorf("close %v, length %d", rs.Close, rs.ContentLength)
	}
	return rs, string(b)
}

func TestRefusals(t *testing.T) {
	var kept atomic.Pointer[Conn]
	refusals := make(chan *Refusal, 1)
	s := newSite(t, Options{}, func(_ *Request, c *Conn) (Handler, *Limits, *Refusal) {
		c.Send(AppendText(nil, []byte("not to be seen")))
		kept.Store(c)
		return nil, nil, <-refusals
	})
	for _, tt := range []struct {
		f          Refusal
		status     int
		kind, body string
	}{
		{Refusal{}, 403, "text/plain; charset=utf-8", "Forbidden\n"},
		{Refusal{Status: 401, Header: textproto.MIMEHeader{"Content-Type": {"application/json"}, "Content-Length": {"999"}, "X": {"a\r\nY: b"}},
			Body: []byte(`{"error":"x"}`)}, 401, "application/json", `{"error":"x"}`},
		{Refusal{Status: 99999}, 403, "text/plain; charset=utf-8", "Forbidden\n"},
		{Refusal{Status: 418, Body: []byte("tea")}, 418, "", "tea"},
	} {
		refusals <- &tt.f
		p := s.dial()
		// What is sent beyond the request must not destroy the answer.
		p.write(append([]byte(opening), pattern(100_000)...))
		rs, body := readAnswer(t, p)
		if rs.StatusCode != tt.status || body != tt.body || rs.Header.Get("Content-Type") != tt.kind || rs.Header.Get("Y") != "" {
			t.Errorf("%+v: %d %v %q", tt.f, rs.StatusCode, rs.Header, body)
		}
		_ = p.Close()
		eventually(t, "gone", func() bool { return s.Stats().Open == 0 })
		if !kept.Load().Send([]byte("\x81\x00")) {
			t.Error("a refused connection refuses")
		}
		kept.Load().Close(1000, "")
	}
	if n := s.Stats().Refused; n != 4 {
		t.Errorf("%d refused", n)
	}
}

func TestRefusedAsClose(t *testing.T) {
	s := newSite(t, Options{}, func(_ *Request, c *Conn) (Handler, *Limits, *Refusal) {
		c.Send(AppendText(nil, []byte("not to be seen")))
		return nil, nil, &Refusal{AsClose: true, Code: 4010, Reason: "expired"}
	})
	p := s.open()
	f, b, err := p.next()
	if err != nil || f != fin|opClose || string(b) != "\x0f\xaaexpired" {
		t.Error(f, b, err)
	}
	p.wantEOF()
}

func TestNoUpgrade(t *testing.T) {
	s := newSite(t, Options{}, func(*Request, *Conn) (Handler, *Limits, *Refusal) {
		t.Error("asked")
		return nil, nil, nil
	})
	p := s.dial()
	p.write([]byte("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n"))
	rs, body := readAnswer(t, p)
	if rs.StatusCode != http.StatusUpgradeRequired || rs.Header.Get("Sec-Websocket-Version") != "13" || rs.Header.Get("Upgrade") != "websocket" || body == "" {
		t.Error(rs.Status, rs.Header, body)
	}
	p = s.dial()
	p.write([]byte("HEAD /ws HTTP/1.1\r\nHost: x\r\n\r\n"))
	if b, _ := io.ReadAll(p.br); !bytes.HasSuffix(b, []byte("\r\n\r\n")) {
		t.Errorf("HEAD was answered with a body: %q", b)
	}
}

func FuzzHandshake(f *testing.F) {
	f.Add([]byte(opening))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		hr, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		r := requestOf(hr)
		refusal := r.Check()
		var answer []byte
		if refusal == nil {
			if r.Method != http.MethodGet || len(r.Header.Values("Sec-Websocket-Key")) != 1 {
				t.Fatal("accepted")
			}
			answer = appendSwitching(nil, r)
		} else {
			refusal.Header.Set("X-Echo", r.Path) // a careless gateway
			answer = refusal.append(nil, r.Method)
		}
		rs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), hr)
		if err != nil {
			t.Fatalf("%v in %q", err, answer)
		}
		defer func() { _ = rs.Body.Close() }()
		if want := 101; refusal == nil && rs.StatusCode != want || refusal != nil && rs.StatusCode != refusal.Status {
			t.Fatalf("%q", answer)
		}
		if refusal != nil {
			if _, err := io.ReadAll(rs.Body); err != nil {
				t.Fatalf("%v in %q", err, answer)
			}
		}
	})
}
