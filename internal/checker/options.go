package checker

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// Gateways are the gateways that can be checked.
var Gateways = []string{"direct", "feed", "events", "relay", "bot", "webhooks"}

// Options says what to check and how hard.
type Options struct {
	Binary string // the server, see Build
	Folder string // for data and log; "": a temporary one, kept where something was found

	Kills    int           // how often at least it is killed; 0: never, which only checks that nothing is lost in peace
	Messages int           // how many at least each gateway acknowledges
	Troubles []string      // which of Troubles befall it; nil is "kill". Without kills Kills counts all of them
	Least    time.Duration // the shortest time between two kills; 0 is 0.3 s
	Most     time.Duration // the longest; 0 is 3 s
	Seed     uint64        // of all that is random here; 0 makes one
	Gateways []string      // nil is all of Gateways

	Publishers  int           // of each gateway; 0 is 4
	Subscribers int           // of each stream; 0 is 4
	Pause       time.Duration // between two things that a publisher says; 0 is none

	Flags []string  // more flags for serve
	Env   []string  // more environment, name=value
	Log   io.Writer // progress; nil is nowhere
}

func (o *Options) validate() error {
	def := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	def(&o.Publishers, 4)
	def(&o.Subscribers, 4)
	if o.Least == 0 {
		o.Least = 300 * time.Millisecond
	}
	if o.Most == 0 {
		o.Most = max(o.Least, 3*time.Second)
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1_000_000) + 1
	}
	if o.Gateways == nil {
		o.Gateways = Gateways
	}
	if o.Troubles == nil {
		o.Troubles = []string{kill}
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	switch {
	case o.Binary == "":
		return errors.New("checker: no binary to run")
	case o.Kills < 0 || o.Messages < 0 || o.Publishers < 0 || o.Subscribers < 0 || o.Least < 0 || o.Pause < 0:
		return errors.New("checker: kills, messages, publishers, subscribers and times cannot be negative")
	case o.Most < o.Least:
		return fmt.Errorf("checker: the longest time between kills (%v) is shorter than the shortest (%v)", o.Most, o.Least)
	case len(o.Gateways) == 0:
		return errors.New("checker: no gateway to check")
	}
	for _, t := range o.Troubles {
		if !slices.Contains(Troubles, t) {
			return fmt.Errorf("checker: there is no trouble %q; there are %v", t, Troubles)
		}
	}
	for i, g := range o.Gateways {
		if !slices.Contains(Gateways, g) {
			return fmt.Errorf("checker: there is no gateway %q; there are %v", g, Gateways)
		}
		if slices.Contains(o.Gateways[:i], g) {
			return fmt.Errorf("checker: gateway %q is named twice", g)
		}
	}
	return nil
}

// many is how many publishers stand where there is one otherwise, in a run that
// is to have many messages: each of them waits for a commit between two.
func (o *Options) many(n int) int {
	if o.Messages > 0 {
		return n
	}
	return 1
}

// long says whether the run takes the time for what takes time.
func (o *Options) long() bool { return o.Kills >= longRun }
