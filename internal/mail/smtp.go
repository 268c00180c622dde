package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"
)

// SMTPOptions says who takes our mail.
type SMTPOptions struct {
	Address        string // host:port
	User, Password string // "": we do not say who we are
	From           string // as Kabar <kabar@example.com>
	TLS            string // "starttls" (and "") or "tls": never without; "none": in the clear

	Roots *x509.CertPool // who may vouch for the server; nil: whom this machine trusts
}

// SMTP hands mails to a server, each over a connection of its own.
type SMTP struct {
	// static
	o    SMTPOptions
	host string
	port int
}

// sendTimeout bounds a Send whose context does not.
const sendTimeout = 30 * time.Second

// NewSMTP checks the options. It connects to nobody yet.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	host, port, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("mail: the server: %w", err)
	}
	s := &SMTP{o: o, host: host}
	if s.port, err = strconv.Atoi(port); err != nil || host == "" || s.port < 1 || s.port > 65535 {
		return nil, fmt.Errorf("mail: the server %q is not host:port", o.Address)
	}
	switch o.TLS {
	case "":
		s.o.TLS = "starttls"
	case "starttls", "tls":
	case "none":
		if o.User != "" && !loopback(host) {
			return nil, errors.New("mail: a password is not sent in the clear to another machine; use starttls or tls")
		}
	default:
		return nil, fmt.Errorf("mail: tls is %q, and must be starttls, tls or none", o.TLS)
	}
	if err := mail.NewMsg().From(o.From); err != nil {
		return nil, fmt.Errorf("mail: whom it is from: %w", err)
	}
	return s, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Send hands a mail over. It returns when the server took it, when it refused,
// or when ctx has ended.
func (s *SMTP) Send(ctx context.Context, to, subject, text string) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	m := mail.NewMsg()
	if err := m.From(s.o.From); err != nil {
		return fmt.Errorf("mail: whom it is from: %w", err)
	}
	if err := m.To(to); err != nil {
		return fmt.Errorf("mail: whom it is to: %w", err)
	}
	m.Subject(subject)
	m.SetDate()
	m.SetMessageID()
	m.SetGenHeader("Auto-Submitted", "auto-generated") // no out-of-office notes, please
	m.SetBodyString(mail.TypeTextPlain, text)

	line := &line{s: s}
	defer line.close()
	c, err := mail.NewClient(s.host, s.clientOptions(line)...)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	// Whoever never answers is let go with ctx, whatever the client waits for.
	stop := context.AfterFunc(ctx, line.close)
	defer stop()
	if err := c.DialAndSendWithContext(ctx, m); err != nil && !m.IsDelivered() {
		return fmt.Errorf("mail: %w", errors.Join(err, ctx.Err()))
	}
	return nil
}

func (s *SMTP) clientOptions(l *line) []mail.Option {
	os := []mail.Option{
		mail.WithPort(s.port), mail.WithTimeout(sendTimeout), mail.WithTLSConfig(s.tls()), mail.WithDialContextFunc(l.dial),
		mail.WithTLSPolicy(mail.TLSMandatory),
	}
	switch s.o.TLS {
	case "tls":
		os = append(os, mail.WithSSL())
	case "none":
		os = append(os, mail.WithTLSPolicy(mail.NoTLS))
	}
	if s.o.User != "" {
		// What the server offers of these is taken; the way is encrypted, or
		// stays on this machine.
		os = append(os, mail.WithUsername(s.o.User), mail.WithPassword(s.o.Password), mail.WithOpportunisticSMTPAuth(
			mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthPlain, mail.SMTPAuthLogin, mail.SMTPAuthCramMD5))
	}
	return os
}

func (s *SMTP) tls() *tls.Config {
	return &tls.Config{ServerName: s.host, RootCAs: s.o.Roots, MinVersion: tls.VersionTLS12}
}
