package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/webhook"
)

// ErrForbidden is the answer for an address that must not be called.
var ErrForbidden = status.Errorf(status.Forbidden, "ADDRESS_FORBIDDEN",
	"the address is private or not one of the internet's, and outbound.allow does not name it")

// What else a caller may know of a try that failed.
var (
	errURL      = status.Errorf(status.Invalid, "URL_INVALID", "the URL must be http or https with a host, without a name or password")
	errSlow     = status.Errorf(status.Unavailable, "NO_ANSWER", "there was no answer in time")
	errNoName   = status.Errorf(status.Unavailable, "NO_SUCH_HOST", "the host's name is not known")
	errUpgraded = status.Errorf(status.Unavailable, "ANSWER_UNUSABLE", "the answer was a change to another protocol (101), which nobody asked for")
	errTooLarge = status.Errorf(status.TooLarge, "ANSWER_TOO_LARGE", "the answer was too large")
)

// Options says how the outside is called. Zero values are the defaults named.
type Options struct {
	Allow     []netip.Prefix // beside what is public
	UserAgent string         // where the caller names none; "Kabar"
	Timeout   time.Duration  // of a whole try, where the caller's is not shorter; 15 s
	Roots     *x509.CertPool // whose certificates are believed; the system's

	// Lookup resolves names; the system's way. A test has another.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial connects to an address that may be called; TCP. A test has wires of its own.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// The bounds of one try.
const (
	maxHeader  = 32 << 10 // of an answer
	maxDrained = 16 << 10 // of the rest of a body, which nobody wants, so that the connection can be used again
	drainTime  = 250 * time.Millisecond
	dialTime   = 5 * time.Second // for each of a host's addresses
	idleTime   = 30 * time.Second
	maxIdle    = 256 // a quarter of them to one host: many webhooks may lead to the same
)

// Client calls other hosts.
type Client struct {
	// static
	o         Options
	transport *http.Transport // alone: nothing is followed, and nobody's Location is read
}

// New makes a client.
func New(o Options) *Client {
	if o.UserAgent == "" {
		o.UserAgent = "Kabar"
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Lookup == nil {
		resolver := &net.Resolver{PreferGo: true} // the system's own cannot be interrupted
		o.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return resolver.LookupNetIP(ctx, "ip", host)
		}
	}
	c := &Client{o: o}
	if c.o.Dial == nil {
		c.o.Dial = c.dialer().DialContext
	}
	// HTTP/1.1 only: what a connection may cost is easily said.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	c.transport = &http.Transport{
		Proxy: nil, DialContext: c.dial, Protocols: protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
		DisableCompression:     true, // a small answer could be a large one
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns:           maxIdle, MaxIdleConnsPerHost: maxIdle / 4, IdleConnTimeout: idleTime,
		ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10,
	}
	return c
}

// Close lets idle connections go.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// dial connects to a host whose addresses all may be called.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := c.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, a := range addrs {
		conn, err := c.o.Dial(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (c *Client) dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTime, ControlContext: c.control}
}

// maxAddrs bounds the addresses of one host that are tried.
const maxAddrs = 4

// resolve is what a host's name leads to. One address that must not be called
// is enough to call none: an honest name has no such.
func (c *Client) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs := []netip.Addr{}
	if a, literal := hostAddr(host); literal {
		addrs = append(addrs, a)
	} else {
		var err error
		if addrs, err = c.o.Lookup(ctx, host); err != nil {
			return nil, err
		}
	}
	for _, a := range addrs {
		if !allowed(a, c.o.Allow) {
			return nil, ErrForbidden
		}
	}
	if len(addrs) == 0 {
		return nil, errNoName
	}
	return addrs[:min(len(addrs), maxAddrs)], nil
}

// control sees the address that is really dialled.
func (c *Client) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !allowed(at.Addr(), c.o.Allow) {
		return ErrForbidden
	}
	return nil
}

// Post is one try of a webhook. Of the answer's body its beginning is returned.
func (c *Client) Post(ctx context.Context, r webhook.Request) (webhook.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	res, err := c.do(ctx, http.MethodPost, r.URL, r.Header, r.Body, true)
	if err != nil {
		return webhook.Answer{}, err
	}
	defer res.Body.Close()
	// A connection whose answer was read to its end is used again. One who is
	// slow about the end loses it, and has answered all the same.
	defer time.AfterFunc(drainTime, cancel).Stop()
	body, _ := io.ReadAll(io.LimitReader(res.Body, webhook.MaxAnswer))
	_, _ = io.CopyN(io.Discard, res.Body, maxDrained)
	return webhook.Answer{Status: res.StatusCode, RetryAfter: retryAfter(res.Header.Get("Retry-After"), time.Now()), Body: body}, nil
}

// do sends a request; the answer's body is still to be read, and closed. One
// that may be repeated is, where an idle connection turns out to be closed.
func (c *Client) do(ctx context.Context, method, to string, header map[string]string, body []byte, repeat bool) (*http.Response, error) {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil, errURL
	}
	if a, literal := hostAddr(u.Hostname()); literal && !allowed(a, c.o.Allow) {
		return nil, ErrForbidden
	}
	r, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return nil, errURL
	}
	r.Header.Set("User-Agent", c.o.UserAgent)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		r.Header.Set(name, header[name])
	}
	if repeat {
		r.Header["X-Idempotency-Key"] = []string{} // known to net/http; not sent
	}
	res, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, explain(ctx, err)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		// Its body is the bare connection, which no context ends.
		_ = res.Body.Close()
		return nil, errUpgraded
	}
	return res, nil
}

// explain keeps of an error what its reader may know: not the URL, which may
// hold a secret, nor what a name resolved to.
func explain(ctx context.Context, err error) error {
	var known *status.Error
	var name *net.DNSError
	var number syscall.Errno
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &known):
		return known
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return errSlow
	case errors.As(err, &name):
		if name.IsNotFound {
			return errNoName
		}
		return status.Errorf(status.Unavailable, "RESOLVING_FAILED", "the host's name could not be looked up")
	case errors.As(err, &certificate):
		return status.Errorf(status.Unavailable, "CERTIFICATE_INVALID", "the host's certificate is not valid: %v", certificate.Err)
	case errors.As(err, &number):
		return status.Errorf(status.Unavailable, "CONNECTION_FAILED", "the connection failed: %s", number.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return status.Errorf(status.Unavailable, "CONNECTION_FAILED", "the connection ended without an answer")
	}
	return status.Errorf(status.Unavailable, "CONNECTION_FAILED", "the connection failed: %.200s", fmt.Sprintf("%q", err))
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
