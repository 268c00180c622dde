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
	reader := flags.String("reader", string(ws.Epoll), "how connections are read: epoll (Linux, plain TCP), or goroutine, one for each")
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
	if r := ws.Reader(*reader); r != ws.Epoll && r != ws.Goroutine {
		_, _ = fmt.Fprintf(stderr, "wsecho: --reader is epoll or goroutine, not %q\n", *reader)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := ws.ListenTCP(ctx, *listen)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "wsecho:", err)
		return 1
	}
	_, _ = fmt.Fprintf(stdout, "wsecho: listening on ws://%s/\n", ln.Addr())
	o := ws.Options{Reader: ws.Reader(*reader), Log: slog.New(slog.NewTextHandler(stderr, nil))}
	if err := serve(ctx, ln, o, int(limit)); err != nil {
		_, _ = fmt.Fprintln(stderr, "wsecho:", err)
		return 1
	}
	return 0
}

// serve echoes until ctx ends, and then closes all connections with 1001.
func serve(ctx context.Context, ln net.Listener, o ws.Options, limit int) error {
	sockets := ws.New(o)
	limits := &ws.Limits{MaxMessage: limit}
	//nolint:unparam // a ws.Acceptor
	accept := func(*ws.Request, *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) { return echo{}, limits, nil }
	failed := make(chan error, 1)
	go func() { failed <- sockets.Listen(ln, accept, nil) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if forced := sockets.Shutdown(stopping, nil); forced != nil && !errors.Is(forced, ws.ErrForced) {
		err = errors.Join(err, forced)
	}
	return err
}

type echo struct{}

func (echo) OnMessage(t *ws.Turn, _ *ws.Conn, k ws.Kind, p []byte) { t.Reply(k, p) }
func (echo) Ping(_ *ws.Conn, dst []byte) []byte                    { return dst }
func (echo) OnPong(*ws.Conn, []byte)                               {}
func (echo) OnDrain(*ws.Conn)                                      {}
func (echo) OnClose(*ws.Turn, *ws.Conn, uint16, string)            {}

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
