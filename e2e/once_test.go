package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// TestOnceWhateverHappens says one thing a hundred times under one name, over
// several connections at once, kills the server in between and says it a
// hundred times more: by direct's ref, and by an Idempotency-Key to
// POST /v1/publish and to an instance's events. It stands there once, and
// whoever is answered is told of that one. A try that was refused before is
// none.
func TestOnceWhateverHappens(t *testing.T) {
	s := serve(t, "--limits=off")
	ann, budi := s.person(t, "ann"), s.person(t, "budi")
	key := s.adminKey(t)
	must(t, 201, "POST", s.url("/instance/create"), map[string]string{"instanceName": "till"}, "apikey", key)

	first := ann.connect(t, "")
	first.send(t, say(budi.id, "once", "r")) // they are no friends yet
	first.expect(t, -1)
	must(t, 404, "POST", s.url("/v1/instances/nobody/events"), `{"event":"send.message","data":1}`, "apikey", key, "Idempotency-Key", "k")
	befriend(t, ann, budi)

	ids := &said{of: map[string]map[string]bool{}}
	ids.everything(t, s, ann, budi, key, func() { s.kill9(t) })
	s = s.again(t, "--limits=off")
	ann.s, budi.s = s, s
	ids.everything(t, s, ann, budi, key, nil)

	for _, what := range []string{"direct", "publish", "events"} {
		if got := ids.of[what]; len(got) != 1 {
			t.Errorf("%s: the answers name %d messages: %v", what, len(got), got)
		}
	}
	history := ann.ok(t, "GET", fmt.Sprintf("/api/message?to=%d", budi.id), nil).at("data", "message").([]any)
	if len(history) != 1 {
		t.Errorf("direct: it was said %d times", len(history))
	}
	for topic, text := range map[string]string{"feed": "once", "instance/till": "send.message"} {
		a := must(t, 200, "GET", s.url("/v1/topics/"+topic+"/messages"), nil, "apikey", key)
		if n := strings.Count(a.text, text); n != 1 || len(a.at("messages").([]any)) != 1 {
			t.Errorf("%s has it %d times: %s", topic, n, a.text)
		}
	}
}

// said are the ids that the answers named.
type said struct {
	mu sync.Mutex
	of map[string]map[string]bool // guarded by mu
}

func (ids *said) add(what, id string) {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if ids.of[what] == nil {
		ids.of[what] = map[string]bool{}
	}
	ids.of[what][id] = true
}

// everything says all of it at once. With kill, some of it is answered and the
// rest may be, or not; without, all must be.
func (ids *said) everything(t *testing.T, s *server, ann, budi *person, key string, kill func()) {
	t.Helper()
	answered := make(chan struct{}, 300)
	var wg sync.WaitGroup
	for range 5 {
		c := ann.connect(t, "")
		wg.Go(func() {
			for range 20 {
				if err := c.c.Write(t.Context(), websocket.MessageText, []byte(say(budi.id, "once", "r"))); err != nil {
					break
				}
			}
			for range 20 {
				text, err := c.read(t.Context())
				var f frame
				if err == nil {
					err = json.Unmarshal([]byte(text), &f)
				}
				if err == nil && f.Type == 4 {
					ids.add("direct", f.Data["id"].(string))
					answered <- struct{}{}
				} else if kill == nil {
					t.Errorf("direct: %q, %v", text, err)
					return
				}
			}
		})
	}
	for what, post := range map[string][2]string{
		"publish": {"/v1/publish", `{"topic":"feed","text":"once"}`},
		"events":  {"/v1/instances/till/events", `{"event":"send.message","data":1}`},
	} {
		for range 100 {
			wg.Go(func() {
				id, err := post1(t.Context(), s.url(post[0]), post[1], key)
				if err == nil {
					ids.add(what, id)
					answered <- struct{}{}
				} else if kill == nil {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
	}
	if kill != nil {
		for range 10 {
			<-answered
		}
		kill()
	}
	wg.Wait()
}

// post1 posts once under the name k, and gives the id that the answer names.
func post1(ctx context.Context, url, body, key string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Apikey", key)
	r.Header.Set("Idempotency-Key", "k")
	r.Header.Set("Content-Type", "application/json")
	res, err := caller.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	var a struct {
		ID       string
		Accepted []struct{ ID string }
	}
	if res.StatusCode != http.StatusAccepted {
		return "", fmt.Errorf("%s %s", res.Status, text)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return "", err
	}
	if len(a.Accepted) > 0 {
		return a.Accepted[0].ID, nil
	}
	return a.ID, nil
}
