// Command wsecho answers each WebSocket message with itself. It is what
// conformance suites and load generators are pointed at to judge internal/ws
// without anything of Kabar around it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kabar-io/kabar/internal/ws"
)

// stopTime is how long connections are given to end when the server is told to.
const stopTime = 5 * time.Second

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program: 0 is a clean end, 1 a failure, 2 a wrong command line.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("wsecho", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:9001", "`address` to listen on; port 0 takes a free one")
	limit := size(16 << 20)
	flags.Var(&limit, "max", "largest message, such as 65536, 64KiB or 16MiB; 0 is any")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		_, _ = fmt.Fprintf(stderr, "wsecho: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "wsecho:", err)
		return 1
	}
	_, _ = fmt.Fprintf(stdout, "wsecho: listening on ws://%s/\n", ln.Addr())
	if err := serve(ctx, ln, int(limit), slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		_, _ = fmt.Fprintln(stderr, "wsecho:", err)
		return 1
	}
	return 0
}

// serve echoes until ctx ends, and then closes all connections with 1001.
func serve(ctx context.Context, ln net.Listener, limit int, log *slog.Logger) error {
	sockets := ws.New(ws.Options{Log: log})
	limits := &ws.Limits{MaxMessage: limit}
	//nolint:unparam // a ws.Acceptor
	accept := func(*ws.Request, *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) { return echo{}, limits, nil }
	web := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hijack(sockets, w, r, accept)
		}),
	}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(ln) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err == nil {
		err = web.Shutdown(stopping)
		if end := <-failed; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
	}
	if forced := sockets.Shutdown(stopping, nil); forced != nil && !errors.Is(forced, ws.ErrForced) {
		err = errors.Join(err, forced)
	}
	return err
}

// hijack hands the connection of a request over.
func hijack(sockets *ws.Server, w http.ResponseWriter, r *http.Request, accept ws.Acceptor) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "HTTP/1.1 only", http.StatusHTTPVersionNotSupported)
		return
	}
	nc, rw, err := hijacker.Hijack()
	if err != nil {
		http.Error(w, "cannot take over the connection", http.StatusInternalServerError)
		return
	}
	buffered, _ := rw.Reader.Peek(rw.Reader.Buffered())
	sockets.Serve(nc, buffered, &ws.Request{
		Method: r.Method, Proto: r.Proto, Host: r.Host, Path: r.URL.Path, RawQuery: r.URL.RawQuery,
		RemoteAddr: r.RemoteAddr, TLS: r.TLS != nil, Header: textproto.MIMEHeader(r.Header), ContentLength: r.ContentLength,
	}, accept)
}

type echo struct{}

func (echo) OnMessage(t *ws.Turn, _ *ws.Conn, k ws.Kind, p []byte) { t.Reply(k, p) }
func (echo) Ping(_ *ws.Conn, dst []byte) []byte                    { return dst }
func (echo) OnPong(*ws.Conn, []byte)                               {}
func (echo) OnDrain(*ws.Conn)                                      {}
func (echo) OnClose(*ws.Conn, uint16, string)                      {}

// size is a number of bytes on the command line.
type size int

func (s *size) String() string { return strconv.Itoa(int(*s)) }

func (s *size) Set(v string) error {
	number, shift := v, 0
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if n, ok := strings.CutSuffix(v, unit); ok {
			number, shift = n, bits
		}
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > 1<<(40-shift) {
		return errors.New("want a number of bytes, such as 65536, 64KiB or 16MiB")
	}
	*s = size(n << shift)
	return nil
}
