package e2e

import (
	"bufio"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"strings"
	"testing"
	"time"
)

// post is a small mail server. It takes what it is given, but for addresses that
// begin with "nobody".
type post struct {
	addr  string
	mails chan string // the addressee, a line end, and the text
}

func newPost(t *testing.T) *post {
	t.Helper()
	p := &post{mails: make(chan string, 10)}
	p.addr = strings.TrimPrefix(onEach(t, func(c net.Conn, _ <-chan struct{}) { p.serve(c) }), "http://")
	return p
}

// serve is as much of SMTP as a client needs.
func (p *post) serve(c net.Conn) {
	if c.SetDeadline(time.Now().Add(patience)) != nil {
		return
	}
	r := bufio.NewReader(c)
	answer := func(text string) { _, _ = io.WriteString(c, text+"\r\n") }
	answer("220 post.example")
	to := ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); strings.ToUpper(word) {
		case "EHLO", "HELO":
			answer("250 post.example")
		case "RCPT":
			to = rest[strings.IndexByte(rest, '<')+1 : strings.IndexByte(rest, '>')]
			if strings.HasPrefix(to, "nobody") {
				answer("550 no such mailbox, says the secret backend")
				continue
			}
			answer("250 OK")
		case "DATA":
			answer("354 go on")
			var text strings.Builder
			for line, err = r.ReadString('\n'); err == nil && line != ".\r\n"; line, err = r.ReadString('\n') {
				text.WriteString(line)
			}
			_, body, _ := strings.Cut(text.String(), "\r\n\r\n")
			plain, _ := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
			answer("250 taken")
			p.mails <- to + "\n" + string(plain)
		case "QUIT":
			answer("221 bye")
			return
		default:
			answer("250 OK")
		}
	}
}

// mailsBy starts a server that mails by an address.
func mailsBy(t *testing.T, addr string) *server {
	t.Helper()
	return serve(t, "--mail-server="+addr, "--mail-tls=none", "--mail-from=Kabar <kabar@example.com>")
}

// signIn asks for a code.
func (s *server) signIn(t *testing.T, email string) answer {
	t.Helper()
	return call(t, "POST", s.url("/x/auth/sign-in"), map[string]string{"email": email})
}

// cannotMail wants the answer of a server whose mail does not leave: a word that
// clients know, and nothing of the reason.
func cannotMail(t *testing.T, a answer, addr string) {
	t.Helper()
	if a.code != 400 || a.at("ok") != false || a.at("code") != 400.0 || a.at("msg") != "ERROR" {
		t.Errorf("a code that cannot be mailed is answered by %d %s, expected 400 ERROR", a.code, a.text)
	}
	if strings.Contains(a.text, addr) || strings.Contains(a.text, "backend") || strings.Contains(a.text, "dial") {
		t.Errorf("the answer says too much: %s", a.text)
	}
}

// TestMailedCode: a code arrives by mail, once asked for, and logs in.
func TestMailedCode(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	s := mailsBy(t, p.addr)
	const email = "ann@example.com"
	if a := s.signIn(t, email); a.code != 200 || a.at("data", "email") != email || mailedCode.MatchString(a.text) {
		t.Fatalf("asking for a code: %d %s", a.code, a.text)
	}
	var to, text string
	select {
	case mail := <-p.mails:
		to, text, _ = strings.Cut(mail, "\n")
	case <-time.After(patience):
		t.Fatal("no mail came")
	}
	code := mailedCode.FindString(text)
	if to != email || code == "" {
		t.Fatalf("to %s came %s", to, text)
	}
	verify := func(code string) answer {
		t.Helper()
		return call(t, "POST", s.url("/x/auth/verify"), map[string]string{"email": email, "code": code})
	}
	if a := verify(otherCode(code)); a.code != 400 || a.at("msg") != "AUTH_ERR_04" {
		t.Errorf("another code: %d %s", a.code, a.text)
	}
	a := verify(code)
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if a.code != 200 || a.at("data", "first") != true || a.at("data", "user", "data", "email") != email || !strings.HasPrefix(cookie, "gen_app_auth_token=") {
		t.Fatalf("the code: %d %s", a.code, a.text)
	}
	a = must(t, 200, "GET", s.url("/x/auth/isUser"), nil, "Cookie", cookie)
	dial(t, s.wsURL(fmt.Sprintf("/?id=%v", a.at("data", "socket", "id"))), "Cookie", cookie)
	if a := verify(code); a.code == 200 {
		t.Error("the code works twice")
	}
	if strings.Contains(s.err.String(), code) {
		t.Error("the log holds the code")
	}
	must(t, 404, "GET", s.url("/v1/mail"), nil, "apikey", s.adminKey(t)) // mail leaves: it is not shown

	cannotMail(t, s.signIn(t, "nobody@example.com"), p.addr)
	if a := s.signIn(t, "no address"); a.code != 400 || a.at("msg") != "AUTH_ERR_02" {
		t.Errorf("what is no address: %d %s", a.code, a.text)
	}
}

// otherCode is six digits, and not these.
func otherCode(code string) string {
	if code[5] == '7' {
		return code[:5] + "3"
	}
	return code[:5] + "7"
}

// TestMailThatCannotLeave: nobody listens where the mail should go, or nobody
// says a word there. People are told, and everything else goes on.
func TestMailThatCannotLeave(t *testing.T) {
	t.Parallel()
	nobody := "127.0.0.1:" + quietPort(t)
	s := mailsBy(t, nobody)
	cannotMail(t, s.signIn(t, "ann@example.com"), nobody)
	none := serve(t) // and one that has no mail server at all
	cannotMail(t, none.signIn(t, "ann@example.com"), nobody)

	m := newMute(t)
	addr := strings.TrimPrefix(m.url, "http://")
	s = mailsBy(t, addr)
	var asking []*process
	for i := range 20 { // more than are mailed to at once
		asking = append(asking, curlStays(t, "--data", fmt.Sprintf(`{"email":"ann%d@example.com"}`, i), s.url("/x/auth/sign-in")))
	}
	m.reached(t)
	ready(t, s)
	for _, p := range asking { // others are served while they wait
		if p.hasEnded() {
			t.Errorf("before the mail server had its time, somebody was told %s", p.out.String())
		}
	}
	s.person(t, "budi").connect(t, "")
	for _, p := range asking {
		p.wait(t)
		a := read(t, p.out.String())
		a.code = int(a.at("code").(float64))
		cannotMail(t, a, addr)
	}
}
