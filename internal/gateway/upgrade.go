package gateway

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/remote"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

// IsUpgrade says whether a request asks for a WebSocket.
func IsUpgrade(r *http.Request) bool {
	return ws.IsUpgrade(r.Header.Values("Upgrade"))
}

// RemoteAddr is who sent a request: the peer, whatever a proxy says.
func RemoteAddr(r *http.Request) remote.Addr { return remote.Parse(r.RemoteAddr) }

// Upgrades brings requests for a WebSocket to server: find gives the path's
// acceptor, nil for none. Everything else goes to next.
func Upgrades(server *ws.Server, find func(path string) ws.Acceptor, next http.Handler) http.Handler {
	accept := route(find)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if IsUpgrade(r) {
			upgrade(server, w, r, accept)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func upgrade(server *ws.Server, w http.ResponseWriter, r *http.Request, accept ws.Acceptor) {
	h, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "a WebSocket is opened by HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return
	}
	req := &ws.Request{
		Method: r.Method, Proto: r.Proto, Host: r.Host, Path: r.URL.Path, RawQuery: r.URL.RawQuery,
		TLS: r.TLS != nil, Header: ws.HeaderOf(r.Header), ContentLength: r.ContentLength,
	}
	nc, buf, err := h.Hijack()
	if err != nil {
		http.Error(w, "this connection cannot be upgraded", http.StatusInternalServerError)
		return
	}
	early, _ := buf.Reader.Peek(buf.Reader.Buffered()) // what came behind the request already
	server.Serve(nc, early, req, accept)
}

// Body is an answer's body and type.
type Body struct {
	Type  string
	Bytes []byte
}

// Refuse answers an upgrade with an error in the dialect's own body. A page in
// a browser, which cannot read it, says close_reason=1 and gets a close code
// and the error's sentence.
func Refuse(r *ws.Request, err error, body Body) *ws.Refusal {
	e := status.Of(err)
	f := &ws.Refusal{
		Status: e.HTTP(), Body: body.Bytes, Header: textproto.MIMEHeader{"Content-Type": {body.Type}},
		AsClose: closes(r), Code: e.Close(), Reason: e.Message,
	}
	if e.Code == status.TooMany {
		f.Header.Set("Retry-After", "10")
		f.Reason = "retry-after-ms=10000"
	}
	return f
}

// closes says whether a refusal is to be a close code.
func closes(r *ws.Request) bool { return r.RawQuery != "" && r.Query().Get("close_reason") == "1" }

// RetryAfter is the time in a close reason that says when to come back.
func RetryAfter(reason string) (ms int, ok bool) {
	text, ok := strings.CutPrefix(reason, "retry-after-ms=")
	ms, err := strconv.Atoi(text)
	return ms, ok && err == nil
}
