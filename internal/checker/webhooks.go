package checker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// webhooks checks what instances tell to addresses: each of three to five
// instances has a hook, a receiver that stands in the checker. One is always
// well, one fails now and then, and one does so and wants some events only.
type webhooks struct {
	*kit
	cast
	client *client
	hooks  []*hook
}

// hookPause is how long a publisher waits between two posts: what is told is
// told one after another, and waits for the receiver.
const hookPause = 30 * time.Millisecond

func newWebhooks(k *kit) *webhooks {
	w := &webhooks{kit: k, cast: cast{found: &findings{name: "webhooks"}}, client: newClient(k.base, false)}
	w.slack = func() time.Duration { // a hook that was failed is tried again only later
		longest := time.Duration(0)
		for _, h := range w.hooks {
			longest = max(longest, h.held())
		}
		return longest
	}
	w.note = func() string {
		var all []string
		for _, h := range w.hooks {
			all = append(all, h.tally())
		}
		return strings.Join(all, "; ")
	}
	return w
}

func (w *webhooks) said() *cast { return &w.cast }

func (w *webhooks) close() {
	w.client.close()
	for _, h := range w.hooks {
		h.close()
	}
}

func (w *webhooks) setup(ctx context.Context) error {
	n := min(3, w.o.Subscribers)
	if w.o.Messages > 0 {
		n = 5
	}
	for n := range n {
		name := fmt.Sprintf("hooked%d", n)
		l := newLedger(w.found, "instance/"+name)
		w.ledgers = append(w.ledgers, l)
		e, err := w.emitter(ctx, w.client, name, l)
		if err != nil {
			return err
		}
		h, err := newHook(ctx, e, n == 1 || n == 2)
		if err != nil {
			return err
		}
		w.hooks = append(w.hooks, h)
		set := map[string]any{"url": h.url(), "enabled": true}
		if n == 2 {
			set["events"] = map[string]bool{"messagesUpsert": true, "send.message": true}
			h.rec.gaps, h.rec.only = true, func(i item) bool { return i.n%len(eventNames) != 2 }
		}
		var made struct{ Secret string }
		if err := w.client.insist(ctx, "PUT", "/webhook/set/"+name, bearer(e.token), set, &made); err != nil {
			return err
		}
		if h.key, err = webhookKey(made.Secret); err != nil {
			return err
		}
	}
	return nil
}

func (w *webhooks) prepare() {
	for n, h := range w.hooks {
		w.receivers = append(w.receivers, h.receiver, h.instance.subscriber("subscriber of instance "+h.instance.name, manners(n), ""))
		for number := range max(1, w.o.Publishers/4) * w.o.many(2) {
			most := 4
			if w.o.Messages > 0 && !h.faulty {
				most = 20 // the others are told less than that
			}
			p := h.instance.post(number, func(r *rand.Rand) int { return 1 + r.IntN(most) })
			p.pause = hookPause
			w.publishers = append(w.publishers, p.publisher(w.kit))
		}
	}
}

// history reads what is kept. Before it the server was stopped in peace: what
// was taken then does not come again.
func (w *webhooks) history(ctx context.Context) error {
	for _, h := range w.hooks {
		h.settle()
	}
	err := together(w.hooks, func(h *hook) error { return h.instance.history(ctx) })
	pause(ctx, time.Second) // for what comes once too often
	return err
}
