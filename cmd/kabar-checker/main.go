// Command kabar-checker kills a server with SIGKILL under load, again and
// again, and reconciles every acknowledged message with every receiver.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/kabar-io/kabar/internal/checker"
)

type cli struct {
	Binary      string        `help:"The kabar to check. Left empty, it is built from ./cmd/kabar." placeholder:"FILE"`
	Kills       int           `default:"3" help:"How often to kill it, at least."`
	Messages    int           `help:"Go on until each gateway has acknowledged so many."`
	Troubles    []string      `default:"kill" help:"What befalls the server, of ${troubles}. power and disk need root."`
	Least       time.Duration `default:"300ms" help:"The shortest time between two kills."`
	Most        time.Duration `default:"3s" help:"The longest time between two kills."`
	Seed        uint64        `help:"Of all that is random here. 0 makes one; it is printed."`
	Gateways    []string      `default:"${gateways}" help:"Which gateways to check, of ${gateways}."`
	Publishers  int           `default:"4" help:"Publishers of each gateway."`
	Subscribers int           `default:"4" help:"Subscribers of each stream."`
	Pause       time.Duration `help:"Between two messages of a publisher."`
	Folder      string        `help:"Where data and log go. Left empty, a temporary folder, kept where something was found." placeholder:"FOLDER"`
	Flag        []string      `help:"Another flag for kabar serve, such as --flag=--hub-ring=0." placeholder:"FLAG" sep:"none"`
	PowerCut    bool          `help:"Build a server that loses, when it is killed, what was not synced to the disk, as a power cut does."`
	Drain       int           `help:"Do something else: have so many sessions connected, stop the server with SIGTERM, start it again, and see all of them back." placeholder:"SESSIONS"`
	Connects    int           `default:"1000" help:"With --drain: the server's limit.connects, a second."`
	Synchronous string        `default:"FULL" enum:"FULL,NORMAL,OFF" help:"With --power-cut: SQLite's setting of that name. Anything but FULL must lose messages."`
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 0 where nothing was found, 1 where something
// was or the check could not be made, 2 for wrong flags.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	helped := false
	parser, err := kong.New(&c, kong.Name("kabar-checker"), kong.Vars{"gateways": strings.Join(checker.Gateways, ","), "troubles": strings.Join(checker.Troubles, ",")}, kong.Writers(stdout, stderr), kong.Exit(func(int) { helped = true }),
		kong.Description("Kill a server under load, and reconcile every acknowledged message with every receiver."))
	if err == nil {
		_, err = parser.Parse(args)
	}
	if helped {
		return 0
	}
	if err == nil && c.PowerCut && c.Binary != "" {
		err = errors.New("--power-cut builds its own server: leave --binary out")
	}
	if err == nil && slices.Contains(c.Troubles, "clock") && c.Binary != "" {
		err = errors.New("the trouble clock builds its own server: leave --binary out")
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "kabar-checker:", err)
		return 2
	}
	if err := c.check(ctx, stdout); err != nil {
		_, _ = fmt.Fprintln(stderr, "kabar-checker: FAILED:", err)
		return 1
	}
	_, _ = fmt.Fprintln(stdout, "every acknowledged message is there, once and in order")
	return 0
}

func (c *cli) check(ctx context.Context, out io.Writer) error {
	o := checker.Options{
		Binary: c.Binary, Folder: c.Folder, Kills: c.Kills, Messages: c.Messages, Troubles: c.Troubles, Least: c.Least, Most: c.Most, Seed: c.Seed, Gateways: c.Gateways,
		Publishers: c.Publishers, Subscribers: c.Subscribers, Pause: c.Pause, Flags: c.Flag, Log: out,
	}
	if o.Binary == "" {
		folder, err := os.MkdirTemp("", "kabar-build-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(folder) }()
		var tags []string
		if c.PowerCut {
			tags = []string{"powercut"}
			o.Env = append(o.Env, "POWERCUT_SYNCHRONOUS="+c.Synchronous)
		}
		var edits []checker.Edit
		if slices.Contains(c.Troubles, "clock") {
			_, _ = fmt.Fprintln(out, "building a server whose clock can be stepped, which takes a minute or two the first time")
			edits = checker.Clock
		}
		if o.Binary, err = checker.BuildEdited(ctx, folder, edits, tags...); err != nil {
			return err
		}
	}
	if c.Drain > 0 {
		report, err := checker.Drain(ctx, checker.DrainOptions{Options: o, Sessions: c.Drain, Connects: c.Connects})
		if report != nil {
			_, _ = fmt.Fprint(out, report)
			err = errors.Join(err, report.Err())
		}
		return err
	}
	report, err := checker.Run(ctx, o)
	if report != nil {
		_, _ = fmt.Fprint(out, report)
		err = errors.Join(err, report.Err())
	}
	return err
}
