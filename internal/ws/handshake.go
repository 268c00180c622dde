package ws

import (
	"crypto/sha1" //nolint:gosec // RFC 6455, section 1.3: not for secrecy
	"encoding/base64"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Request is an HTTP request that asks for a WebSocket, as far as anybody here
// needs it. Header is without Host and Transfer-Encoding if the HTTP side takes
// those out, which may hand on its own (HeaderOf). The strings may
// all be parts of one, the whole head: whoever keeps one for long clones it, but
// for those of Query.
type Request struct {
	Method, Proto, Host, Path, RawQuery string

	TLS           bool
	Header        Header
	ContentLength int64 // as in net/http: -1 is unknown. An upgrade has no body

	query url.Values
	turn  *Turn // that reads the connection; nil where somebody else read the request
}

// Blocking announces that the Acceptor may now wait for something, as
// Turn.Blocking does for a Handler.
func (r *Request) Blocking() {
	if r.turn != nil {
		r.turn.Blocking()
	}
}

// Get is the first value of a header, named in any case.
func (r *Request) Get(name string) string { return r.Header.Get(name) }

// Query is the parsed query string; what cannot be parsed in it is left out.
// It is parsed once and not for concurrent use.
func (r *Request) Query() url.Values {
	if r.query == nil {
		r.query, _ = url.ParseQuery(strings.Clone(r.RawQuery)) // what is kept of it keeps no more than it
	}
	return r.query
}

// Refusal is an answer other than 101. The connection is closed after it.
type Refusal struct {
	Status int // HTTP; 0 becomes 403
	Header textproto.MIMEHeader
	Body   []byte // with a Content-Type in Header; empty becomes the status's text

	// AsClose upgrades and at once closes with Code and Reason instead, for the
	// page in a browser, which cannot read an HTTP status.
	AsClose bool
	Code    uint16
	Reason  string
}

// Check says what is wrong with the request as an opening handshake (RFC 6455,
// section 4.2.1), or nil. Serve asks it anyway; an HTTP side may ask it first, to
// answer by itself and keep the connection. A request that wants no upgrade is
// told 426.
func (r *Request) Check() *Refusal {
	switch {
	case r.Proto != "HTTP/1.1":
		return refuse(505, "a WebSocket is opened by HTTP/1.1")
	case r.Method != "GET": //nolint:usestdlibvars // the constant is net/http's, which this package does without
		f := refuse(405, "a WebSocket is opened by GET")
		f.Header.Set("Allow", "GET")
		return f
	case r.Host == "":
		return refuse(400, "the Host header is missing")
	case !r.Header.hasToken("Upgrade", "websocket"):
		return upgradeRequired("this is a WebSocket endpoint: the request must ask for Upgrade: websocket")
	case !r.Header.hasToken("Connection", "upgrade"):
		return upgradeRequired("this is a WebSocket endpoint: the Connection header must name Upgrade")
	}
	if v, once := r.Header.only("Sec-Websocket-Version"); !once || strings.TrimSpace(v) != "13" {
		return upgradeRequired("Sec-WebSocket-Version must be 13")
	}
	if k, once := r.Header.only("Sec-Websocket-Key"); !once || !validKey(strings.TrimSpace(k)) {
		return refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64")
	}
	if r.ContentLength != 0 || len(r.Header.Values("Transfer-Encoding")) != 0 || hasLength(r.Header.Values("Content-Length")) {
		return refuse(400, "an opening handshake has no body")
	}
	return nil
}

func refuse(status int, why string) *Refusal {
	return &Refusal{
		Status: status,
		Header: textproto.MIMEHeader{"Content-Type": {"text/plain; charset=utf-8"}},
		Body:   []byte(why + "\n"),
	}
}

// upgradeRequired is 426: RFC 9110 wants Upgrade in it, RFC 6455 the version.
func upgradeRequired(why string) *Refusal {
	f := refuse(426, why)
	f.Header.Set("Upgrade", "websocket")
	f.Header.Set("Sec-WebSocket-Version", "13")
	return f
}

// IsUpgrade says whether the values of Upgrade headers ask for a WebSocket. Both
// sides of a port that is shared with net/http decide by it who answers, so it is
// generous with letters and spaces beyond ASCII; Check is not.
func IsUpgrade(values []string) bool { return slices.ContainsFunc(values, asksWebSocket) }

func asksWebSocket(v string) bool {
	for more := true; more; {
		var part string
		if part, v, more = strings.Cut(v, ","); strings.EqualFold(strings.TrimSpace(part), "websocket") {
			return true
		}
	}
	return false
}

func hasLength(values []string) bool {
	for _, v := range values {
		if strings.Trim(v, " \t0") != "" {
			return true
		}
	}
	return false
}

func validKey(k string) bool {
	var b [18]byte
	if len(k) != 24 {
		return false
	}
	n, err := base64.StdEncoding.Decode(b[:], []byte(k))
	return err == nil && n == 16
}

const (
	switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
	// maxSwitching is how long the whole 101 is.
	maxSwitching = len(switching) + 28 + len("\r\n\r\n")

	acceptKey = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, section 1.3
)

// appendSwitching appends the 101 for a request that passed Check.
func appendSwitching(dst []byte, r *Request) []byte {
	var both [24 + len(acceptKey)]byte // on the stack
	key := append(both[:0], strings.TrimSpace(r.Get("Sec-Websocket-Key"))...)
	sum := sha1.Sum(append(key, acceptKey...)) //nolint:gosec // the RFC says SHA-1; it guards nothing
	dst = slices.Grow(dst, maxSwitching)
	dst = append(dst, switching...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	return append(dst, "\r\n\r\n"...)
}

// append writes the refusal as a whole HTTP/1.1 answer. The answer to HEAD has
// no body.
//
//nolint:unparam // dst is there because it is in all that appends
func (f *Refusal) append(dst []byte, method string) []byte {
	status := f.Status
	if status < 200 || status > 599 {
		status = 403
	}
	body := f.Body
	if len(body) == 0 && status != 204 && status != 304 {
		body = []byte(statusText(status) + "\n")
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, statusText(status)...)
	dst = append(dst, "\r\nConnection: close"...)
	if status == 426 {
		dst = append(dst, ", Upgrade"...)
	}
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n"...)
	if len(f.Body) == 0 && f.Header.Get("Content-Type") == "" {
		dst = append(dst, "Content-Type: text/plain; charset=utf-8\r\n"...)
	}
	for name, values := range f.Header {
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Connection", "Content-Length", "Transfer-Encoding":
			continue // ours to say
		}
		for _, v := range values {
			dst = append(dst, oneLine.Replace(name)...)
			dst = append(dst, ": "...)
			dst = append(dst, oneLine.Replace(v)...)
			dst = append(dst, "\r\n"...)
		}
	}
	dst = append(dst, "\r\n"...)
	if method == "HEAD" {
		return dst
	}
	return append(dst, body...)
}

// oneLine keeps a header value from becoming two headers.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

func statusText(status int) string {
	switch status {
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 409:
		return "Conflict"
	case 410:
		return "Gone"
	case 413:
		return "Content Too Large"
	case 417:
		return "Expectation Failed"
	case 426:
		return "Upgrade Required"
	case 429:
		return "Too Many Requests"
	case 431:
		return "Request Header Fields Too Large"
	case 500:
		return "Internal Server Error"
	case 503:
		return "Service Unavailable"
	case 505:
		return "HTTP Version Not Supported"
	}
	return "Refused"
}
