package events_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/gateway/events"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/webhook"
)

// posts are bodies that a webhook was sent.
type posts chan string

func (p posts) Post(ctx context.Context, r webhook.Request) (webhook.Answer, error) {
	select {
	case p <- string(r.Body):
		return webhook.Answer{Status: http.StatusOK}, nil
	case <-ctx.Done():
		return webhook.Answer{}, ctx.Err()
	}
}

// TestAWebhookGetsWhatSubscribersGet sees that both have the same frame.
func TestAWebhookGetsWhatSubscribersGet(t *testing.T) {
	sent := make(posts)
	r := &rig{sender: sent, instances: instance.Options{Names: []string{"order.paid"}}}
	w := start(t, r)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.hooks.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	token := w.create("north")
	code, b := w.call(http.MethodPut, "/webhook/set/north", []byte(`{"url":"http://x","events":{"messagesUpsert":true,"orderPaid":true}}`))
	if code != http.StatusCreated {
		t.Fatalf("%d %s", code, b)
	}
	l := w.socket("event=messages.upsert,order.paid&token=" + token)
	defer l.close()
	if _, err := w.post("north", []byte(`[{"event":"messages.upsert","data":{"n":1.00}},{"event":"chats.set","data":1},{"event":"order.paid","data":"é"}]`)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		frame, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		select {
		case body := <-sent:
			if body != string(frame) {
				t.Errorf("the webhook gets\n%s\nand a subscriber\n%s", body, frame)
			}
		case <-time.After(patience):
			t.Fatal("the webhook got nothing")
		}
	}
}

// TestWithoutWebhooksThereAreNoRoutesOfTheirs sees a gateway that has none.
func TestWithoutWebhooksThereAreNoRoutesOfTheirs(t *testing.T) {
	mux := http.NewServeMux()
	r := &rig{}
	w := start(t, r)
	events.New(events.Options{Edge: w.Edge, Journal: w.Journal, Instances: r.service}).Handle(mux)
	for _, to := range []string{"PUT /webhook/set/x", "GET /webhook/find/x"} {
		method, path, _ := strings.Cut(to, " ")
		q, err := http.NewRequestWithContext(t.Context(), method, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, pattern := mux.Handler(q); pattern != "" {
			t.Errorf("%s is answered by %s", to, pattern)
		}
	}
}
