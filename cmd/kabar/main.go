// Command kabar is the realtime server: kabar demo to try it, kabar serve to
// run it. It reads the configuration and wires the packages together; it
// decides nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/kabar-io/kabar/internal/config"
)

// version is set when a release is built.
var version = "dev"

type cli struct {
	Serve   serveCmd        `cmd:"" help:"Run the server."`
	Demo    demoCmd         `cmd:"" help:"Try it: a server with people, a group, bots, an instance with a webhook and a feed, in a temporary folder."`
	Publish publishCmd      `cmd:"" help:"Publish through a running server."`
	Bench   benchCmd        `cmd:"" help:"See how much a running server carries: a load through one of its gateways."`
	Backup  backupCmd       `cmd:"" help:"Put the data folder into one file, while a server runs on it or not."`
	Restore restoreCmd      `cmd:"" help:"Put a backup into an empty data folder."`
	Data    dataCmd         `cmd:"" help:"Look at what is stored."`
	Config  config.Commands `cmd:"" help:"Check the configuration, or show it."`
	Version versionCmd      `cmd:"" help:"Print the version."`
}

type versionCmd struct{}

func (versionCmd) Run(out io.Writer) error {
	_, err := fmt.Fprintln(out, "kabar", version)
	return err
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// untilSignal ends the context with the first signal to stop. A second one ends
// the process at once: before anybody can see that it stops, the signals have
// no handler any more.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-asked:
		case <-ctx.Done():
		}
		signal.Stop(asked)
		cancel()
	}()
	return ctx, cancel
}

// run is the whole program; it returns the exit status.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	ctx, stop := untilSignal(ctx)
	defer stop()
	var c cli
	cmd, err := config.Load(&c, config.Input{Args: args, Environ: environ, Stdout: stdout, Stderr: stderr},
		kong.Name("kabar"), kong.Description("A realtime WebSocket server: one hub, many gateways."),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(stdout, (*io.Writer)(nil)), kong.Bind(config.Files(checkFiles)))
	if errors.Is(err, config.ErrHelp) {
		return 0
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 2
	}
	if err := cmd.Run(); err != nil {
		_, _ = fmt.Fprintln(stderr, "kabar:", err)
		return 1
	}
	return 0
}
