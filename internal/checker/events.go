package checker

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// events checks an instance's events: single ones and batches, heard with a
// position, as a named consumer, and over Server-Sent Events.
type events struct {
	*kit
	cast
	client   *client
	instance *emitter
}

func newEvents(k *kit) *events {
	return &events{kit: k, cast: cast{found: &findings{name: "events"}}, client: newClient(k.base, false)}
}

func (e *events) said() *cast { return &e.cast }
func (e *events) close()      { e.client.close() }

func (e *events) setup(ctx context.Context) error {
	e.ledgers = []*ledger{newLedger(e.found, "instance/checker")}
	var err error
	e.instance, err = e.emitter(ctx, e.client, "checker", e.ledgers[0])
	return err
}

func (e *events) prepare() {
	for n := range e.o.Subscribers {
		name := fmt.Sprintf("events subscriber %d", n)
		switch n % 3 {
		case 0:
			e.receivers = append(e.receivers, e.instance.subscriber(name, manners(n), ""))
		case 1:
			e.receivers = append(e.receivers, e.instance.subscriber(name, manners(n), fmt.Sprintf("consumer%d", n)))
		case 2:
			e.receivers = append(e.receivers, e.instance.listener(name, manners(n)))
		}
	}
	for n := range e.o.Publishers * e.o.many(3) {
		size := func(*rand.Rand) int { return 1 }
		if n%2 == 1 {
			size = func(r *rand.Rand) int { return 1 + r.IntN(20) }
		}
		e.publishers = append(e.publishers, e.instance.post(n, size).publisher(e.kit))
	}
}

// history reads everything that is kept, from the first event.
func (e *events) history(ctx context.Context) error { return e.instance.history(ctx) }
