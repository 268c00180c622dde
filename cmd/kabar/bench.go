package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/config"
	"github.com/kabar-io/kabar/internal/likeness"
	"github.com/kabar-io/kabar/internal/load"
)

type benchCmd struct {
	config.Access `embed:""`
	URL           string         `name:"url" placeholder:"http://HOST:PORT" help:"Where the server is; else the first address of listen."`
	Gateway       string         `name:"gateway" default:"events" placeholder:"NAME" help:"events, feed, direct, relay or bot. Default: ${default}."`
	Clients       int            `name:"clients" default:"100" placeholder:"N" help:"How many are connected. Default: ${default}."`
	Rate          config.Rate    `name:"rate" default:"100/s" placeholder:"N/s" help:"Messages of all clients together. Default: ${default}."`
	Duration      time.Duration  `name:"duration" default:"30s" placeholder:"TIME" help:"For how long messages are sent. Default: ${default}."`
	Warmup        *time.Duration `name:"warmup" placeholder:"TIME" help:"What is not measured at the beginning; else a tenth of the duration."`
	Size          int            `name:"size" default:"100" placeholder:"BYTES" help:"The text of a message. Default: ${default}."`
	ConnectRate   config.Rate    `name:"connect-rate" default:"500/s" placeholder:"N/s" help:"How many connect. Default: ${default}."`
	JSON          bool           `name:"json" help:"The summary as one JSON object."`
	Keep          bool           `name:"keep" help:"Leave accounts, instance or endpoint as they are at the end."`
	Yes           bool           `name:"yes" help:"Do it to a server on another machine, and to one where somebody is connected, too."`
}

// Help is what stands below the first line of --help.
func (benchCmd) Help() string {
	return `A load on a running server, seen from its clients. Every client is a real connection; a message carries the time when it was due, and whoever hears it tells how long it took.

  events  N listeners hear the events of an instance, posted at the rate
  feed    N listeners hear the lines of an account that speaks at the rate, as everybody on the feed does
  direct  N people, friends in pairs, write to each other
  relay   N people, friends in pairs, send each other frames of a type of their own
  bot     N connections to an endpoint; every frame is answered

What it needs it makes with the administrator's key, under names that begin with bench-, and takes away at the end. Its accounts stay, suspended, for the next run. The load is real: try it on a server that nobody uses. Where somebody is connected already it wants --yes.

The exit status is 1 where messages are missing, nobody could connect or none was taken.`
}

// Run puts a load on a server and sums up what came of it.
func (c *benchCmd) Run(ctx context.Context, out io.Writer, command *config.Command) error {
	o, err := c.options()
	if err != nil {
		return err
	}
	show := newBenchShow(command.Stderr, o)
	if err := show.begin(); err != nil {
		return err
	}
	o.Progress = show.progress
	report, err := load.Run(ctx, o)
	show.end()
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(out).Encode(report)
	} else {
		_, err = io.WriteString(out, benchSummary(report))
	}
	return errors.Join(err, report.Err())
}

func (c *benchCmd) options() (o load.Options, err error) {
	if !slices.Contains(load.Gateways, c.Gateway) {
		return o, errors.New(noGateway(c.Gateway))
	}
	address, key, err := (&publishCmd{Access: c.Access, URL: c.URL}).server()
	if err != nil {
		return o, err
	}
	if err := c.mayLoad(address); err != nil {
		return o, err
	}
	o = load.Options{
		URL: address, Key: key, Gateway: c.Gateway, Shared: c.Yes, Clients: c.Clients, Rate: c.Rate.PerSecond(), Duration: c.Duration,
		Warmup: c.Duration / 10, Size: c.Size, ConnectRate: c.ConnectRate.PerSecond(), Keep: c.Keep,
	}
	if c.Warmup != nil {
		o.Warmup = *c.Warmup
	}
	if c.TLS.Cert != "" {
		if o.TLS, err = trusting(c.TLS); err != nil {
			return o, err
		}
	}
	return o, o.Validate()
}

// mayLoad keeps a load from a server that was perhaps not meant.
func (c *benchCmd) mayLoad(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return fmt.Errorf("%q is no address of a server: write it as http://127.0.0.1:8080", address)
	}
	ip := net.ParseIP(u.Hostname())
	if c.Yes || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s is another machine, and whoever uses it feels this: add --yes if it is yours and meant", u.Host)
}

func noGateway(name string) string {
	best, least := "", 4
	for _, g := range load.Gateways {
		if d := likeness.Distance(name[:min(len(name), 20)], g); d < least {
			best, least = g, d
		}
	}
	all := strings.Join(load.Gateways, ", ")
	if best == "" {
		return fmt.Sprintf("there is no gateway %q; there are %s", name, all)
	}
	return fmt.Sprintf("there is no gateway %q; the nearest is %s. There are %s", name, best, all)
}

// terminal says whether somebody looks at what is written.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}
