package mail_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kabar-io/kabar/internal/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a small SMTP server.
type server struct {
	address string
	roots   *x509.CertPool
	cert    tls.Certificate

	// What it does; static once it listens.
	offers   []string          // after EHLO; a connection under TLS is not offered STARTTLS again
	answers  map[string]string // to commands, where they are not the usual
	silentAt string            // the command that it never answers; "CONNECT" is the greeting
	tls      bool              // from the first byte

	mu     sync.Mutex
	mails  []string       // guarded by mu
	seen   []string       // guarded by mu: the commands
	secure bool           // guarded by mu: the last mail came under TLS
	open   int            // guarded by mu: connections
	wg     sync.WaitGroup // the connections
}

func (s *server) listen(t *testing.T) *server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(leaf)
	s.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open++
			s.mu.Unlock()
			s.wg.Go(func() {
				s.serve(c)
				c.Close()
				s.mu.Lock()
				s.open--
				s.mu.Unlock()
			})
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		s.wg.Wait() // it ends with the client's connections: none may be left open
	})
	return s
}

func (s *server) serve(c net.Conn) {
	if s.tls {
		c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.cert}})
	}
	say := func(format string, args ...any) { fmt.Fprintf(c, format+"\r\n", args...) }
	r := bufio.NewReader(c)
	if s.silentAt == "CONNECT" {
		_, _ = r.ReadString('\n')
		return
	}
	if a := s.answers["CONNECT"]; a != "" {
		say("%s", a)
		_, _ = r.ReadString('\n')
		return
	}
	say("220 ready")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		verb := strings.ToUpper(strings.Fields(line + " x")[0])
		s.mu.Lock()
		s.seen = append(s.seen, line)
		s.mu.Unlock()
		_, secure := c.(*tls.Conn)
		switch {
		case verb == s.silentAt:
			_, _ = r.ReadString('\n')
			return
		case s.answers[verb] != "":
			say("%s", s.answers[verb])
		case verb == "EHLO":
			say("250-mail")
			for _, o := range s.offers {
				if o != "STARTTLS" || !secure {
					say("250-%s", o)
				}
			}
			say("250 8BITMIME")
		case verb == "STARTTLS":
			say("220 go on")
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.cert}})
			r = bufio.NewReader(c)
		case verb == "AUTH":
			say("235 welcome")
		case verb == "DATA":
			say("354 go on")
			var text strings.Builder
			for line, err := r.ReadString('\n'); line != ".\r\n"; line, err = r.ReadString('\n') {
				if err != nil {
					return
				}
				text.WriteString(line)
			}
			s.mu.Lock()
			s.mails, s.secure = append(s.mails, text.String()), secure
			s.mu.Unlock()
			say("250 taken")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *server) smtp(t *testing.T, o mail.SMTPOptions) *mail.SMTP {
	t.Helper()
	o.Address = s.address
	if o.From == "" {
		o.From = "Kabar <kabar@example.com>"
	}
	m, err := mail.NewSMTP(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// saw says whether a command came.
func (s *server) saw(start string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.seen {
		if strings.HasPrefix(line, start) {
			return true
		}
	}
	return false
}

func TestAMailArrives(t *testing.T) {
	for name, c := range map[string]struct {
		server *server
		o      mail.SMTPOptions
	}{
		"none":     {&server{offers: []string{"STARTTLS", "AUTH PLAIN"}}, mail.SMTPOptions{TLS: "none"}},
		"starttls": {&server{offers: []string{"STARTTLS", "AUTH PLAIN LOGIN"}}, mail.SMTPOptions{TLS: "starttls", User: "kabar", Password: "secret"}},
		"default":  {&server{offers: []string{"STARTTLS"}}, mail.SMTPOptions{}},
		"tls":      {&server{offers: []string{"AUTH PLAIN"}, tls: true}, mail.SMTPOptions{TLS: "tls", User: "kabar", Password: "secret"}},
		"loopback": {&server{offers: []string{"AUTH PLAIN"}}, mail.SMTPOptions{TLS: "none", User: "kabar", Password: "secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.server.listen(t)
			c.o.Roots = s.roots
			if err := s.smtp(t, c.o).Send(t.Context(), "ann@example.org", "Your code", "It is 123456.\n"); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			mails, secure := s.mails, s.secure
			s.mu.Unlock()
			if len(mails) != 1 || secure != (c.o.TLS != "none") {
				t.Fatalf("%d mails, under TLS %v", len(mails), secure)
			}
			for _, part := range []string{"From: \"Kabar\" <kabar@example.com>", "To: <ann@example.org>", "Subject: Your code", "It is 123456.", "Auto-Submitted: auto-generated", "Message-ID: <", "Date: "} {
				if !strings.Contains(mails[0], part) {
					t.Errorf("%q is not in %q", part, mails[0])
				}
			}
			if !s.saw("RCPT TO:<ann@example.org>") || s.saw("AUTH ") != (c.o.User != "") {
				t.Errorf("saw %q", s.seen)
			}
		})
	}
}

func TestAMailThatIsRefused(t *testing.T) {
	for name, s := range map[string]*server{
		"greeting":  {answers: map[string]string{"CONNECT": "554 not you"}},
		"from":      {answers: map[string]string{"MAIL": "550 not from you"}},
		"to":        {answers: map[string]string{"RCPT": "550 no such box"}},
		"data":      {answers: map[string]string{"DATA": "554 no"}},
		"for now":   {answers: map[string]string{"RCPT": "451 later"}},
		"nonsense":  {answers: map[string]string{"EHLO": "what?", "HELO": "what?"}},
		"no answer": {answers: map[string]string{"CONNECT": "-"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.listen(t)
			if err := s.smtp(t, mail.SMTPOptions{TLS: "none"}).Send(t.Context(), "ann@example.org", "s", "t"); err == nil {
				t.Fatal("no error")
			}
		})
	}
}

// Where TLS is demanded nothing goes without: neither the mail nor a password.
func TestNothingGoesInTheClear(t *testing.T) {
	o := mail.SMTPOptions{TLS: "starttls", User: "kabar", Password: "secret"}
	for name, s := range map[string]*server{
		"not offered":  {offers: []string{"AUTH PLAIN"}},
		"refused":      {offers: []string{"STARTTLS", "AUTH PLAIN"}, answers: map[string]string{"STARTTLS": "454 not now"}},
		"not verified": {offers: []string{"STARTTLS", "AUTH PLAIN"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.listen(t)
			err := s.smtp(t, o).Send(t.Context(), "ann@example.org", "s", "t") // with the machine's own roots
			if err == nil || s.saw("AUTH") || s.saw("MAIL") {
				t.Fatalf("%v, and it saw %q", err, s.seen)
			}
		})
	}
	t.Run("another tongue", func(t *testing.T) {
		s := (&server{}).listen(t)
		o := o
		o.TLS, o.Roots = "tls", s.roots
		if err := s.smtp(t, o).Send(t.Context(), "ann@example.org", "s", "t"); err == nil || s.saw("MAIL") {
			t.Fatal(err)
		}
	})
}

// Whoever stops answering is let go when the context ends, and the connection
// with it: the server's own goroutines end only then (see listen).
func TestAServerThatHangs(t *testing.T) {
	for _, at := range []string{"CONNECT", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA"} {
		t.Run(at, func(t *testing.T) {
			s := (&server{silentAt: at, offers: []string{"STARTTLS"}}).listen(t)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			err := s.smtp(t, mail.SMTPOptions{Roots: s.roots}).Send(ctx, "ann@example.org", "s", "t")
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		})
	}
	// One that took it and forgets to say good-bye has it.
	s := (&server{silentAt: "QUIT"}).listen(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := s.smtp(t, mail.SMTPOptions{TLS: "none"}).Send(ctx, "ann@example.org", "s", "t"); err != nil || len(s.mails) != 1 {
		t.Fatalf("%d mails, %v", len(s.mails), err)
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: l.Addr().String()}
	l.Close()
	if err := s.smtp(t, mail.SMTPOptions{TLS: "none"}).Send(t.Context(), "ann@example.org", "s", "t"); err == nil {
		t.Fatal("no error")
	}
}

func TestNobodyAddsRecipients(t *testing.T) {
	s := (&server{}).listen(t)
	m := s.smtp(t, mail.SMTPOptions{TLS: "none"})
	for _, to := range []string{"", "ann@example.org\r\nRCPT TO:<bob@example.org>", "ann@example.org, bob@example.org"} {
		if err := m.Send(t.Context(), to, "s", "t"); err == nil {
			t.Errorf("%q was taken", to)
		}
	}
	if err := m.Send(t.Context(), "ann@example.org", "s\r\nBcc: bob@example.org", "t\r\n.\r\nMAIL FROM:<x@y>"); err == nil {
		if strings.Contains(s.mails[0], "\nBcc:") || len(s.mails) != 1 {
			t.Errorf("sent %q", s.mails)
		}
	}
	if s.saw("RCPT TO:<bob") {
		t.Errorf("saw %q", s.seen)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := mail.SMTPOptions{Address: "mail.example.com:587", From: "kabar@example.com", User: "u"}
	if _, err := mail.NewSMTP(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(o *mail.SMTPOptions){
		"no address": func(o *mail.SMTPOptions) { o.Address = "" },
		"no port":    func(o *mail.SMTPOptions) { o.Address = "mail.example.com" },
		"bad port":   func(o *mail.SMTPOptions) { o.Address = "mail.example.com:99999" },
		"no host":    func(o *mail.SMTPOptions) { o.Address = ":25" },
		"no from":    func(o *mail.SMTPOptions) { o.From = "" },
		"bad from":   func(o *mail.SMTPOptions) { o.From = "kabar" },
		"bad tls":    func(o *mail.SMTPOptions) { o.TLS = "maybe" },
		"in clear":   func(o *mail.SMTPOptions) { o.TLS = "none" },
	} {
		o := good
		change(&o)
		if _, err := mail.NewSMTP(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestBox(t *testing.T) {
	var log strings.Builder
	b := mail.NewBox(slog.New(slog.NewTextHandler(&log, nil)), 2)
	for i := range 3 {
		if err := b.Send(t.Context(), "ann@example.org", "Your code", fmt.Sprintf("number %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	ms := b.Messages()
	if len(ms) != 2 || ms[0].Text != "number 2" || ms[1].Text != "number 1" || ms[0].To != "ann@example.org" || ms[0].Time.IsZero() {
		t.Fatalf("%+v", ms)
	}
	if !strings.Contains(log.String(), "number 0") {
		t.Fatal(log.String())
	}
}
