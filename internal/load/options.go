package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Gateways are the gateways that can be loaded.
var Gateways = []string{"feed", "direct", "events", "relay", "bot"}

// Options says which load to put on which server.
type Options struct {
	URL     string      // of the server, http://host:port
	Key     string      // the administrator's
	TLS     *tls.Config // how an https server is known; nil: as all of them are
	Gateway string      // one of Gateways
	Shared  bool        // load it although others are connected

	Clients  int
	Rate     float64       // messages a second, of all clients together
	Duration time.Duration // for how long messages are sent
	Warmup   time.Duration // of it at the beginning, what is not measured
	Size     int           // bytes of a message's text

	ConnectRate float64 // connections a second
	Keep        bool    // leave what was made as it is, for the next run

	Progress func(Progress) // called about once a second, one call after another; nil: nobody looks
}

const (
	leastSize    = 64       // room for a message's number and time
	mostMessages = 50 << 20 // each costs 4 bytes
	spare        = 128      // descriptors, beside those of the clients
)

// mostSize is what fits into a frame of each gateway as it is configured by
// itself.
var mostSize = map[string]int{"feed": 4 << 10, "direct": 800, "events": 32 << 10, "relay": 32 << 10, "bot": 32 << 10}

// Validate says what is wrong with the options, and what to do about it. It asks
// for as many open files as this process may have.
func (o *Options) Validate() error {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%q is no address of a server: write it as http://127.0.0.1:8080", o.URL)
	case !slices.Contains(Gateways, o.Gateway):
		return fmt.Errorf("there is no gateway %q; there are %v", o.Gateway, Gateways)
	case o.Clients < 1:
		return errors.New("it needs one client or more")
	case (o.Gateway == "direct" || o.Gateway == "relay") && o.Clients%2 != 0:
		return fmt.Errorf("%s is between two: it needs an even number of clients", o.Gateway)
	case !(o.Rate > 0): // nor is it no number
		return errors.New("at a rate of 0 nothing is ever sent: write so many messages in a time, as 100/s or 30/m")
	case !(o.ConnectRate > 0):
		return errors.New("at a connect rate of 0 nobody ever connects: write so many in a time, as 500/s")
	case o.Duration <= 0:
		return errors.New("the duration must be longer than nothing, as 30s")
	case o.Warmup < 0 || o.Warmup >= o.Duration:
		return fmt.Errorf("a warm-up of %v leaves nothing to measure of %v", o.Warmup, o.Duration)
	case o.Size < leastSize || o.Size > mostSize[o.Gateway]:
		return fmt.Errorf("a message through %s has from %d to %d bytes here, not %d", o.Gateway, leastSize, mostSize[o.Gateway], o.Size)
	case o.Rate*o.Duration.Seconds() > mostMessages:
		return fmt.Errorf("%.0f messages are more than are kept count of, %d: take a lower rate or a shorter time", o.Rate*o.Duration.Seconds(), mostMessages)
	case o.messages() < 1:
		return errors.New("at that rate not one message is sent in that time: take a higher rate or a longer time")
	}
	if most := descriptors(); most > 0 && o.Clients+spare > most {
		return fmt.Errorf("%d clients need %d open files, and this process may have %d: raise the hard limit (ulimit -Hn, or LimitNOFILE of the service), or take --clients %d or fewer",
			o.Clients, o.Clients+spare, most, max(most-spare, 0))
	}
	return nil
}

// messages is how many are due in the whole time.
func (o *Options) messages() int { return int(o.Rate * o.Duration.Seconds()) }

// Progress is how far a run is.
type Progress struct {
	Phase       Phase
	Doing       string // making accounts, connecting; of the load nothing
	Done, Total int    // of that

	Elapsed   time.Duration // of the load
	Connected int
	Sent      float64 // messages a second, lately
	Received  float64
	P50, P99  time.Duration // of what was received lately; 0 where nothing was
	Errors    int64         // so far: refusals, closes, messages that were not taken
}

// Phase is what a run is at.
type Phase int

// The phases of a run, in their order.
const (
	Preparing  Phase = iota // accounts, friendships, an instance, an endpoint
	Connecting              // clients
	Loading                 // and waiting for what is on its way
	Clearing                // up
)
